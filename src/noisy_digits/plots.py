"""Every figure and table of the suite, each with its alternative text or caption; one style for all."""

import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from noisy_digits.statistics import shown

if TYPE_CHECKING:
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
    return f"{value:.4f}" if isinstance(value, float) else str(value)


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
    they belong to. Metrics in ``right`` get a second axis of their own. Error bars are one standard deviation.
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
        axes.set(xlabel=f"{along} ({unit})", title=shown(recipe))
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
                    color="black",
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
    panels[0].set_ylabel(_axis_label(left))
    panels[0].set_ylim(bottom=0, top=1.03 if left[0].endswith("accuracy") else None)
    handles = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return Picture(figure, f"Line chart against {along}. {'; '.join(said)}.")


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
