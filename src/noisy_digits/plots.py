"""Every figure and table of the suite, each with its alternative text or caption; one style for all."""

import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from noisy_digits.statistics import shown

if TYPE_CHECKING:
    import keras

    from noisy_digits.training import History

matplotlib.style.use("noisy_digits.noisy_digits")

QUANTITIES = {"loss": "loss (nats)", "accuracy": "accuracy (fraction)"}
"""What is measured, with its unit, as axes name it."""


@dataclass(frozen=True)
class Picture:
    """A figure with its alternative text, shown by Jupyter when it is a cell's last value.

    Charts are SVG; grids of images, which SVG would only wrap, are PNG at 150 dots per inch.
    """

    figure: Figure
    alt: str
    mime: str = "image/svg+xml"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict, dict]:
        buffer = io.BytesIO()
        if self.mime == "image/png":
            self.figure.savefig(buffer, format="png", dpi=150)
            content = buffer.getvalue()
        else:
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
            content = buffer.getvalue().decode()
        return {self.mime: content, "text/plain": self.alt}, {self.mime: {"alt": self.alt}}


@dataclass(frozen=True)
class Table:
    """A data frame as an HTML table with a caption and header scopes; its first column heads the rows."""

    frame: pd.DataFrame
    caption: str

    def _repr_html_(self) -> str:
        def cell(tag: str, value: object, scope: str = "") -> str:
            return f"<{tag}{scope}>{html.escape(_text(value))}</{tag}>"

        head = "".join(cell("th", column, ' scope="col"') for column in self.frame.columns)
        body = "".join(
            "<tr>" + cell("th", first, ' scope="row"') + "".join(cell("td", v) for v in rest) + "</tr>"
            for first, *rest in self.frame.itertuples(index=False)
        )
        return (
            f"<table><caption>{html.escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"


def digit_rows(rows: Mapping[str, np.ndarray], titles: Sequence[object]) -> Picture:
    """The same images in every row, one row for each stage: ``{"clean": x, "noisy": x_noisy}``.

    Each value holds images (n, 28, 28); ``titles`` names the n columns (the labels, say). The grey scale is the
    same everywhere: the first row's darkest pixel is black and its brightest white (0 and 1 for images as loaded),
    and what lies outside is clipped to it.
    """
    n = len(titles)
    first = next(iter(rows.values()))
    low, high = first.min(), first.max()
    figure = Figure(figsize=(0.82 * n + 1.5, 0.86 * len(rows) + 0.3))
    grid = figure.subplots(len(rows), n, squeeze=False)
    for axes_row, (name, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(axes_row, images, strict=True):
            axes.imshow(image, vmin=low, vmax=high, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, loc="center", fontsize=11)
    stages = "; ".join(rows)
    return Picture(figure, f"Grid of images, labels {', '.join(map(str, titles))}. Rows: {stages}.", "image/png")


def pixel_histogram(images: Mapping[str, np.ndarray], unit: str) -> Picture:
    """How the pixels are distributed at each stage: ``{"clean": x, "scale 0.5": x_noisy}``; ``unit`` names theirs."""
    figure = Figure(figsize=(7.5, 3.4))
    axes = figure.subplots()
    low, high = np.quantile(np.concatenate([x.ravel() for x in images.values()]), [0.001, 0.999])
    for name, x in images.items():
        axes.hist(x.ravel(), bins=80, range=(low, high), density=True, histtype="step", label=name, linewidth=1.8)
    axes.set(xlabel=f"pixel value ({unit})", ylabel="density, log scale", yscale="log")
    axes.set_title("Distribution of pixel values")
    axes.legend()
    spread = "; ".join(f"{name}: mean {x.mean():.2f}, deviation {x.std():.2f}" for name, x in images.items())
    return Picture(figure, f"Histogram of pixel values, logarithmic density. {spread}.")


def learning_curves(histories: Sequence["History"]) -> Picture:
    """Loss and accuracy, where there is one, against epoch; a thin line a replicate, a thick one their mean."""
    quantities = [q for q in QUANTITIES if f"training_{q}" in histories[0].curves]
    figure = Figure(figsize=(4.3 * len(quantities), 3.6))
    said = []
    for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        for number, part in enumerate(("training", "validation")):
            curves = np.array([history.curves[f"{part}_{quantity}"] for history in histories])
            epochs = np.arange(1, curves.shape[1] + 1)
            colour = f"C{number}"
            axes.plot(epochs, curves.T, color=colour, alpha=0.35, linewidth=0.8)
            style = {"linestyle": ("-", "--")[number], "marker": "os"[number], "markersize": 3.5}
            axes.plot(epochs, curves.mean(axis=0), color=colour, label=part, **style)
            said.append(f"{part} {quantity} goes from {curves[:, 0].mean():.3f} to {curves[:, -1].mean():.3f}")
        axes.set(xlabel="epoch", ylabel=QUANTITIES[quantity])
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(f"validation {quantity} {curves[:, -1].mean():.4f} at the end")
        axes.legend()
    return Picture(figure, f"Learning curves over {len(epochs)} epochs: {'; '.join(said)}.")


def against(
    table: pd.DataFrame,
    published: pd.DataFrame,
    *,
    along: str,
    unit: str,
    left: Sequence[str],
    right: Sequence[str] = (),
) -> Picture:
    """Metrics against a grid column, one panel for each recipe, published values as open diamonds.

    ``table`` holds summaries (recipe, ``along``, metric, mean, deviation, …) as ``statistics.over_seeds`` makes
    them; ``published`` the write-up's numbers (recipe, ``along``, metric, value), drawn in the panel of the recipe
    they belong to. Losses on the left axis are drawn logarithmically, accuracies from 0 to 1. Metrics in ``right``
    get a second axis of their own. Error bars are one standard deviation.
    """
    recipes = list(dict.fromkeys(table["recipe"]))
    levels = sorted(table[along].unique())
    figure = Figure(figsize=(4.6 * len(recipes), 4.0))
    panels = figure.subplots(1, len(recipes), squeeze=False, sharey=True)[0]
    said = []
    for number, (axes, recipe) in enumerate(zip(panels, recipes, strict=True)):
        axes.set_xscale("symlog", linthresh=min(level for level in levels if level > 0))
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        axes.minorticks_off()
        axes.set_title(shown(recipe))
        twin = axes.twinx() if right else None
        for index, metric in enumerate([*left, *right]):
            side = twin if metric in right else axes
            rows = table[(table["recipe"] == recipe) & (table["metric"] == metric)].sort_values(along)
            label, style = shown(metric), {"color": f"C{index}", "linestyle": ("-", "--", ":")[index]}
            side.errorbar(rows[along], rows["mean"], rows["deviation"], marker="os^"[index], label=label, **style)
            theirs = published[(published["recipe"] == recipe) & (published["metric"] == metric)]
            if len(theirs):
                side.plot(
                    theirs[along],
                    theirs["value"],
                    "D",
                    color=f"C{index}",
                    fillstyle="none",
                    label=f"published {label}",
                )
            values = ", ".join(f"{m:.3f} at {a:g}" for a, m in zip(rows[along], rows["mean"], strict=True))
            said.append(f"{shown(recipe)}, {label}: {values}")
        if twin:
            rows = table[table["metric"].isin(right)]
            twin.set_ylim(0, 1.08 * (rows["mean"] + rows["deviation"].fillna(0)).max())
            twin.spines["right"].set_visible(True)
            twin.grid(visible=False)
            twin.set_ylabel(_axis_label(right) if number == len(recipes) - 1 else "")
    figure.supxlabel(f"{along} ({unit})", fontsize=11)
    panels[0].set_ylabel(_axis_label(left))
    if left[0].endswith("loss"):
        panels[0].set_yscale("log")
    else:
        panels[0].set_ylim(0, 1.03)
    handles = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    return Picture(figure, f"Line chart against {along}. {'; '.join(said)}.")


def against_factor(
    table: pd.DataFrame, *, along: str, unit: str, reference: Mapping[str, float] | None = None
) -> Picture:
    """One metric against a grid column on a logarithmic axis, with error bars of one standard deviation.

    ``table`` holds summaries (``along``, metric, mean, deviation, …) of one metric; ``reference`` names values that are
    drawn as horizontal lines.
    """
    rows = table.sort_values(along)
    label = shown(rows["metric"].iloc[0])
    figure = Figure(figsize=(7, 3.8))
    axes = figure.subplots()
    axes.errorbar(rows[along], rows["mean"], rows["deviation"], marker="o", label=f"{label}, mean ± deviation")
    for number, (name, value) in enumerate((reference or {}).items(), start=1):
        axes.axhline(value, color=f"C{number}", linestyle="--", label=name)
    best = rows.loc[rows["mean"].idxmax()]
    axes.set(xscale="log", xlabel=f"{along} ({unit})", ylabel=_axis_label([rows["metric"].iloc[0]]))
    axes.set_xticks(rows[along], [f"{value:g}" for value in rows[along]])
    axes.minorticks_off()
    axes.set_title(f"largest mean {best['mean']:.4f}, at {best[along]:g}")
    axes.legend()
    values = ", ".join(f"{m:.4f} at {a:g}" for a, m in zip(rows[along], rows["mean"], strict=True))
    return Picture(figure, f"Line chart of {label} against {along}, logarithmic: {values}.")


def bars(table: pd.DataFrame, *, along: str, unit: str, metrics: Sequence[str]) -> Picture:
    """Metrics as bars for each recipe and level of ``along``; error bars are one standard deviation.

    ``table`` holds summaries (recipe, ``along``, metric, mean, deviation, …) as ``statistics.over_seeds`` makes them.
    """
    points = list(dict.fromkeys(table[["recipe", along]].itertuples(index=False, name=None)))
    figure = Figure(figsize=(8, 3.6))
    axes = figure.subplots()
    width, said = 0.8 / len(metrics), []
    for index, metric in enumerate(metrics):
        rows = table[table["metric"] == metric]
        places = np.arange(len(points)) + width * (index - (len(metrics) - 1) / 2)
        label = shown(metric)
        drawn = axes.bar(places, rows["mean"], width, yerr=rows["deviation"], label=label, hatch=("", "//")[index % 2])
        axes.bar_label(drawn, fmt="%.3f", padding=2, fontsize=9)
        said += [f"{shown(r)}, {a:g}, {label}: {m:.3f}" for (r, a), m in zip(points, rows["mean"], strict=True)]
    axes.set_xticks(range(len(points)), [f"{shown(recipe)}\n{along} {level:g}" for recipe, level in points])
    axes.set(xlabel=f"recipe and {along} ({unit})", ylabel=_axis_label(metrics), ylim=(0, 1.12))
    figure.legend(loc="outside upper right", ncols=len(metrics))
    return Picture(figure, f"Bar chart by recipe and {along}. {'; '.join(said)}.")


def _axis_label(metrics: Sequence[str]) -> str:
    quantity = metrics[0].rsplit("_", 1)[-1]
    return QUANTITIES.get(quantity, quantity)


def diagram(model: "keras.Model") -> Picture:
    """The layers of a model from left to right, each a box with its kind, activation, output shape and parameters.

    A box is as high as the square root of its number of output values; the layer named "code" is hatched.
    """
    layers = model.layers
    sizes = np.sqrt([np.prod(layer.output.shape[1:]) for layer in layers])
    labels = [_layer_label(layer) for layer in layers]
    figure = Figure(figsize=(max(7.5, 1.02 * len(layers)), 3.6))
    axes = figure.subplots()
    hatches = ["//" if layer.name == "code" else "" for layer in layers]
    axes.bar(range(len(layers)), sizes, width=0.5, bottom=-sizes / 2, color="C5", edgecolor="black", hatch=hatches)
    axes.annotate("", (len(layers) - 0.4, 0), (-0.6, 0), arrowprops={"arrowstyle": "->"}, zorder=0)
    axes.set_xticks(range(len(layers)), labels, fontsize=9)
    axes.set(xlim=(-0.6, len(layers) - 0.4), ylim=0.52 * sizes.max() * np.array([-1, 1]), yticks=[])
    axes.set_title(f"{model.count_params():,} parameters")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    said = "; ".join(label.replace("\n", " ") for label in labels)
    return Picture(figure, f"Diagram of a model with {model.count_params():,} parameters, layer by layer: {said}.")


def _layer_label(layer: "keras.Layer") -> str:
    kind = re.sub("(?<=[a-zD])(?=[A-Z][a-z])", "\n", type(layer).__name__)
    activation = getattr(layer, "activation", None)
    shape = " × ".join(map(str, layer.output.shape[1:]))
    parameters = f"{layer.count_params():,}\nparameters" if layer.count_params() else ""
    parts = [kind, activation and activation.__name__, shape, parameters]
    return "\n".join(part for part in parts if part)


def loss_per_pixel(stages: Mapping[str, np.ndarray], loss: np.ndarray) -> Picture:
    """One image (28, 28) at several stages, pixels from 0 to 1, and beside them the loss (28, 28) of every pixel."""
    figure = Figure(figsize=(2.1 * len(stages) + 2.7, 2.5))
    panels = figure.subplots(1, len(stages) + 1)
    for axes, (name, image) in zip(panels, stages.items(), strict=False):
        axes.imshow(image, vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(name)
    drawn = panels[-1].imshow(loss, vmin=0, cmap="viridis", interpolation="nearest")
    panels[-1].set_title(f"loss, mean {loss.mean():.4f}")
    figure.colorbar(drawn, ax=panels[-1], label="loss (nats)")
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    most = np.sort(loss, axis=None)[::-1]
    share = most[: loss.size // 20].sum() / most.sum()
    return Picture(
        figure,
        f"One image in a row: {', '.join(stages)}, and the loss of each pixel, from {loss.min():.3f} to "
        f"{loss.max():.3f} nats with mean {loss.mean():.4f}; the worst twentieth of the pixels has {share:.0%} of it.",
        "image/png",
    )


def by_level(summary: pd.DataFrame, published: pd.DataFrame, *, metrics: Mapping[str, str]) -> Picture:
    """Metrics against the noise level, a panel for each, a line for each denoiser, published values as open diamonds.

    ``summary`` holds denoiser, level, metric, mean and deviation as ``statistics.over_seeds`` makes them, ``published``
    denoiser, level, metric and value; ``metrics`` gives each metric's axis label. Error bars are one deviation.
    """
    figure = Figure(figsize=(max(7.5, 4.4 * len(metrics)), 4.4))
    said = []
    for axes, (metric, label) in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics.items(), strict=True):
        for number, name in enumerate(dict.fromkeys(summary["denoiser"])):
            rows, theirs = (t[(t["denoiser"] == name) & (t["metric"] == metric)] for t in (summary, published))
            style = {"color": f"C{number}", "marker": "os^vP"[number], "linestyle": ("-", "--", "-.", ":", "-")[number]}
            axes.errorbar(rows["level"], rows["mean"], rows["deviation"], label=shown(name), markersize=5, **style)
            if len(theirs):
                style |= {"marker": "D", "linestyle": "", "fillstyle": "none", "markersize": 9}
                axes.plot(theirs["level"], theirs["value"], label=f"published, {shown(name)}", **style)
            values = ", ".join(
                f"{mean:.3f} at {level:g}" for level, mean in zip(rows["level"], rows["mean"], strict=True)
            )
            said.append(f"{metric}, {shown(name)}: {values}")
        axes.set(xlabel="noise level (fraction of pixels replaced)", ylabel=label)
        axes.set_xticks(np.linspace(0, 1, 6))
        if metric == "accuracy":
            axes.set_ylim(0, 1.03)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return Picture(figure, f"Line chart against the noise level. {'; '.join(said)}.")


def digit_grid(images: np.ndarray, titles: Sequence[str], columns: int = 10) -> Picture:
    """Images (n, 28, 28) with pixels from 0 to 1, each under a title of its own, ``columns`` to a row."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(0.86 * columns, 1.2 * rows))
    for axes, image, title in zip(figure.subplots(rows, columns).flat, images, titles, strict=False):
        axes.imshow(image, vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, loc="center", fontsize=9)
    for axes in figure.axes:
        axes.set_axis_off()
    return Picture(figure, f"Grid of {len(images)} images with the titles {', '.join(titles)}.", "image/png")
