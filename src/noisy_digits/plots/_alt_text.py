"""Describe figures in words, from the same data that they are drawn from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from noisy_digits.formatting import format_label, format_number
from noisy_digits.stats import Summary


def describe_series(labels: Iterable[object], values: Any, at: str = "at") -> str:
    """Return "0.9 at 0, 0.5 at 4" for up to six points; the ends and the extremes of more."""
    points = [f"{value:.4g} {at} {format_label(label)}" for label, value in zip(labels, values, strict=True)]
    if len(points) <= 6:
        return ", ".join(points)
    text = f"from {points[0]} to {points[-1]}"
    if np.isfinite(values).any():
        for word, place in (("highest", np.nanargmax(values)), ("lowest", np.nanargmin(values))):
            if 0 < place < len(points) - 1:
                text += f", {word} {points[place]}"
    return text


def describe_image_rows(rows: Iterable[str], titles: Sequence[object]) -> str:
    return f"Grid of images, columns {', '.join(map(str, titles))}. Rows: {'; '.join(rows)}."


def describe_image_grid(titles: Sequence[str]) -> str:
    return f"Grid of {len(titles)} images with the titles {'; '.join(titles)}.".replace("\n", " ")


def describe_histogram(values: Mapping[str, np.ndarray], xlabel: str) -> str:
    spread = "; ".join(f"{name}: mean {x.mean():.3g}, standard deviation {x.std():.3g}" for name, x in values.items())
    return f"Histogram of the {xlabel}, logarithmic density. {spread}."


def describe_learning_curves(means: Mapping[str, pd.Series]) -> str:
    return f"Learning curves: {describe_means(means)}."


def describe_epoch_curves(means: Mapping[str, pd.Series], ylabel: str, logy: bool) -> str:
    return f"{ylabel} against epoch{', logarithmic' if logy else ''}: {describe_means(means)}."


def describe_curve_grid(means: Mapping[tuple[str, str], Mapping[str, pd.Series]], ylabel: str, logy: bool) -> str:
    parts = [
        f"{' '.join(row.split())}, {column}, {legend}: {mean.iloc[0]:.3g} to {mean.iloc[-1]:.3g}"
        for (row, column), panel in means.items()
        for legend, mean in panel.items()
    ]
    scale = ", logarithmic" if logy else ""
    return f"Small multiples of {ylabel} against epoch{scale}, from the first to the last. {'; '.join(parts)}."


def describe_means(means: Mapping[str, pd.Series]) -> str:
    return "; ".join(
        f"{name} goes from {mean.iloc[0]:.3g} to {mean.iloc[-1]:.3g} in {len(mean)} epochs"
        for name, mean in means.items()
    )


def describe_line_plot(x: np.ndarray, values: Mapping[str, np.ndarray], labels: tuple[str, str]) -> str:
    ends = "; ".join(f"{legend} goes from {y[0]:.3g} to {y[-1]:.3g}" for legend, y in values.items())
    return f"{labels[1]} against {labels[0]} from {x[0]:.3g} to {x[-1]:.3g}: {ends}."


def describe_sweep(
    x: str,
    xlabel: str,
    lines: Mapping[tuple, pd.DataFrame],
    hlines: Mapping[str, float],
    vspans: Mapping[object, Summary],
) -> str:
    """Describe our means and the reported values of each line (panel, key), then the lines and spans marked."""
    parts = []
    for column, ending in (("mean", ""), ("reported", ", reported")):
        for line, rows in lines.items():
            points = rows.dropna(subset=column)
            if len(points):
                name = ", ".join(map(format_label, dict.fromkeys(line)))
                parts.append(f"{name}{ending}: {describe_series(points[x], points[column])}")
    parts += [f"{name} as a horizontal line at {value:.4g}" for name, value in hlines.items()]
    for key in dict.fromkeys(key for _, key in lines if key in vspans):
        span = vspans[key]
        interval = f", 95 % interval {span.ci_low:.3g} to {span.ci_high:.3g}" if span.n > 1 else ""
        parts.append(f"{format_label(key)} is marked at {span.mean:.3g}{interval}")
    return f"Line chart against {xlabel}. {'; '.join(parts)}."


def describe_grouped_bars(xlabel: str, groups: Sequence[str], means: Mapping[str, Sequence[float]]) -> str:
    parts = [f"{name}: {describe_series(groups, values, 'for')}" for name, values in means.items()]
    return f"Bar chart by {xlabel}. {'; '.join(parts)}."


def describe_forest_plot(ours: Mapping[str, Summary], theirs: Mapping[str, float], xlabel: str) -> str:
    parts = "; ".join(
        f"{name}: ours {format_number(summary.mean)}, literature {format_number(theirs[name])}"
        for name, summary in ours.items()
        if name in theirs
    )
    return f"{xlabel}, ours compared with the literature. {parts}.".replace("\n", " ")


def describe_prediction(
    stages: Iterable[str], probabilities: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> str:
    parts = "; ".join(
        f"{model} predicts {class_names[int(values.argmax())]} with {values.max():.2f}"
        for model, values in probabilities.items()
    )
    return f"One image in a row: {', '.join(stages)}. Probabilities: {parts}."


def describe_loss_map(stages: Iterable[str], loss: np.ndarray) -> str:
    falling = np.sort(loss, axis=None)[::-1]
    share = falling[: loss.size // 20].sum() / falling.sum()
    return (
        f"One image in a row: {', '.join(stages)}, and the loss of each pixel, from {loss.min():.3f} to "
        f"{loss.max():.3f} nats with mean {loss.mean():.4f}; the worst twentieth of the pixels has {share:.0%} of it."
    )


def describe_heatmaps(panels: Mapping[str, pd.DataFrame], labels: tuple[str, str], quantity: str) -> str:
    parts = []
    for name, table in panels.items():
        cells: Any = table.stack()
        largest, smallest = (
            f"{cells[at]:.2f} for {format_label(at[0])} at {format_label(at[1])}"
            for at in (cells.idxmax(), cells.idxmin())
        )
        parts.append(f"{name}: largest {largest}, smallest {smallest}")
    return f"Heat map of {quantity}, {labels[0]} against {labels[1]}. {'; '.join(parts)}."


def describe_model(n_parameters: int, layers: Sequence[str]) -> str:
    text = "; ".join(layers).replace("\n", " ")
    return f"Diagram of a model with {n_parameters:,} parameters, layer by layer: {text}."
