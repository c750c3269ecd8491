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
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from noisy_digits.statistics import Summary, number, shown

if TYPE_CHECKING:
    import keras

    from noisy_digits.training import History

matplotlib.style.use("noisy_digits.noisy_digits")

QUANTITIES = {
    "loss": "loss (nats)",
    "accuracy": "accuracy (fraction)",
    "error": "zero-one error (fraction)",
    "psnr": "PSNR (dB)",
    "ssim": "structural similarity",
}
"""What is measured, with its unit, as axes name it; the name of a metric ends in one of these."""
DPI = 150
LINES, MARKERS = ("-", "--", "-.", ":", (0, (5, 1))), "os^vP"


@dataclass(frozen=True)
class Picture:
    """A figure with its alternative text, shown by Jupyter when it is a cell's last value.

    Charts are SVG; grids of images, which SVG would only wrap, are PNG.
    """

    figure: Figure
    alt: str
    mime: str = "image/svg+xml"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict, dict]:
        content = _png(self.figure) if self.mime == "image/png" else _svg(self.figure)
        return {self.mime: content, "text/plain": self.alt}, {self.mime: {"alt": self.alt}}


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _png(figure: Figure) -> bytes:
    """The figure at ``DPI``; one without colours in a single channel, which halves it."""
    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    pixels = np.asarray(Image.open(drawn).convert("RGB"))
    grey = (pixels == pixels[..., :1]).all()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(file, "png", optimize=True, dpi=(DPI, DPI))
    return file.getvalue()


@dataclass(frozen=True)
class Table:
    """A data frame as an HTML table with a caption and header scopes; its first column heads the rows."""

    frame: pd.DataFrame
    caption: str

    def _repr_html_(self) -> str:
        if self.frame.empty:
            return f"<p>{html.escape(self.caption)}: there is nothing to show.</p>"

        def cell(tag: str, value: object, scope: str = "") -> str:
            text = html.escape(_text(value)).replace(" ± ", "&nbsp;±&nbsp;").replace("(n = ", "(n&nbsp;=&nbsp;")
            return f"<{tag}{scope}>{text}</{tag}>"

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
    return number(value) if isinstance(value, float) else str(value)


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
    """Loss and accuracy, where there is one, against epoch; a thin line a replicate, a thick one their mean.

    Where a training diverged, the losses are on a logarithmic axis.
    """
    quantities = [q for q in ("loss", "accuracy") if f"training_{q}" in histories[0].curves]
    figure = Figure(figsize=(4.3 * len(quantities), 3.6))
    said = []
    for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        names = {f"{part}_{quantity}": part for part in ("training", "validation")}
        said += _draw_curves(axes, histories, names)
        log = quantity == "loss" and any(history.diverged for history in histories)
        axes.set(ylabel=QUANTITIES[quantity], yscale="log" if log else "linear")
        last = np.mean([history.curves[f"validation_{quantity}"][-1] for history in histories])
        axes.set_title(f"validation {quantity} {number(last)} at the end")
    return Picture(figure, f"Learning curves: {'; '.join(said)}.")


def curves(histories: Sequence["History"], names: Mapping[str, str], label: str, *, log: bool = False) -> Picture:
    """What was recorded after every epoch under ``names``, each with its legend, on one axis named ``label``."""
    figure = Figure(figsize=(7.5, 3.8))
    axes = figure.subplots()
    said = _draw_curves(axes, histories, names)
    axes.set(ylabel=label, yscale="log" if log else "linear")
    return Picture(figure, f"{label} against epoch{', logarithmic' if log else ''}: {'; '.join(said)}.")


def _draw_curves(axes: Axes, histories: Sequence["History"], names: Mapping[str, str]) -> list[str]:
    """Thin lines for the replicates and a thick one for the mean of those that got so far; and what they show."""
    said = []
    for place, (name, legend) in enumerate(names.items()):
        replicates = pd.concat([pd.Series(history.curves[name]) for history in histories], axis=1).T
        mean, epochs = replicates.mean(), np.arange(1, replicates.shape[1] + 1)
        every = max(1, len(epochs) // 10)
        style = {"linestyle": LINES[place], "marker": MARKERS[place], "markersize": 3.5, "markevery": every}
        axes.plot(epochs, replicates.T, color=f"C{place}", alpha=0.35, linewidth=0.8)
        axes.plot(epochs, mean, color=f"C{place}", label=legend, **style)
        said.append(f"{shown(name)} goes from {mean.iloc[0]:.3g} to {mean.iloc[-1]:.3g} in {len(epochs)} epochs")
    axes.set(xlabel="epoch", xlim=(0.5, max(len(epochs), 2) + 0.5))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    return said


def lines(
    x: np.ndarray,
    values: Mapping[str, np.ndarray],
    labels: tuple[str, str],
    *,
    marks: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    xscale: str = "linear",
) -> Picture:
    """Functions of ``x`` (n,), each with its legend and its values (n,); ``labels`` names the two axes.

    ``marks`` gives points (x, y) that are drawn as open circles, in the colour of the line of the same legend.
    """
    figure = Figure(figsize=(7.5, 3.8))
    axes = figure.subplots()
    for place, (legend, y) in enumerate(values.items()):
        axes.plot(x, y, color=f"C{place}", linestyle=LINES[place], label=legend)
        if marks:
            axes.plot(*marks[legend], "o", color=f"C{place}", fillstyle="none", markersize=8)
    axes.set(xlabel=labels[0], ylabel=labels[1], xscale=xscale)
    figure.legend(loc="outside upper center", ncols=len(values))
    said = "; ".join(f"{legend} goes from {y[0]:.3g} to {y[-1]:.3g}" for legend, y in values.items())
    return Picture(figure, f"{labels[1]} against {labels[0]} from {x[0]:.3g} to {x[-1]:.3g}: {said}.")


def against(
    summary: pd.DataFrame,
    published: pd.DataFrame | None = None,
    *,
    along: str,
    unit: str,
    metrics: Sequence[str],
    panels: str = "metric",
    lines: str = "metric",
    right: Sequence[str] = (),
    xscale: str = "linear",
    reference: Mapping[str, float] | None = None,
    marked: Mapping[str, Summary] | None = None,
) -> Picture:
    """Metrics against a grid column, published values as open diamonds; error bars are one standard deviation.

    ``summary`` holds what ``statistics.over_seeds`` makes, ``published`` the write-up's numbers (the same columns, with
    ``value``). There is a panel for each value of the column ``panels`` and in it a line for each value of the column
    ``lines``; of the ``metrics`` drawn, those in ``right`` have a second axis. Losses are drawn logarithmically; so is
    ``along`` with ``xscale`` "log", linearly below its smallest level above 0. ``reference`` names values for
    horizontal lines; ``marked`` gives the level, with its interval, to be marked for a line.
    """
    rows, theirs = (
        table[table["metric"].isin(metrics)]
        for table in (summary, summary.iloc[:0] if published is None else published)
    )
    names, keys = (
        list(metrics) if column == "metric" else list(dict.fromkeys(rows[column])) for column in (panels, lines)
    )
    figure = Figure(figsize=(max(7, 4.6 * len(names)), 4.2))
    drawn = figure.subplots(1, len(names), squeeze=False, sharey=panels != "metric")[0]
    said = []
    for axes, panel in zip(drawn, names, strict=True):
        twin = axes.twinx() if right else None
        for place, key in enumerate(keys):
            line = [t[(t[panels] == panel) & (t[lines] == key)].sort_values(along) for t in (rows, theirs)]
            if not line[0].empty:
                name = shown(key) if panel == key else f"{shown(panel)}, {shown(key)}"
                said.append(f"{name}: {_line(twin if key in right else axes, *line, along, place, shown(key))}")
                if marked and key in marked:
                    said.append(_mark(axes, marked[key], f"C{place}", shown(key)))
        _finish_panel(axes, rows, along, xscale, panel if panels == "metric" else metrics[0])
        for place, (name, value) in enumerate((reference or {}).items(), start=len(keys)):
            axes.axhline(value, color=f"C{place}", linestyle="--", label=name)
            said.append(f"{name} as a horizontal line")
        axes.set_title(_panel_title(rows, panel, along, lines) if panels == "metric" else shown(panel))
        if twin:
            high = rows[rows["metric"].isin(right)]
            twin.set_ylim(0, 1.08 * (high["mean"] + high["deviation"].fillna(0)).max())
            twin.spines["right"].set_visible(True)
            twin.grid(visible=False)
            twin.set_ylabel(_axis_label(right[0]) if panel == names[-1] else "")
    for axes in drawn[1:] if panels != "metric" else ():
        axes.set_ylabel("")
    figure.supxlabel(f"{shown(along)} ({unit})", fontsize=11)
    handles = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    ours_first = sorted(handles, key=lambda label: label.startswith("published"))
    for columns in (3, 2, 1):
        figure.legends.clear()
        legend = figure.legend(
            [handles[label] for label in ours_first], ours_first, loc="outside upper center", ncols=columns
        )
        if legend.get_window_extent().width < figure.bbox.width:
            break
    return Picture(figure, f"Line chart against {shown(along)}. {'; '.join(said)}.")


def _line(axes: Axes, ours: pd.DataFrame, theirs: pd.DataFrame, along: str, place: int, label: str) -> str:
    """Draw our means with their deviations, and the published values; say the means."""
    style = {"color": f"C{place}", "marker": MARKERS[place], "linestyle": LINES[place], "label": label}
    axes.errorbar(ours[along], ours["mean"], ours["deviation"], **style)
    if len(theirs):
        diamonds = {"color": f"C{place}", "fillstyle": "none", "markersize": 9, "label": f"published, {label}"}
        axes.plot(theirs[along], theirs["value"], "D", **diamonds)
    return ", ".join(f"{mean:.4g} at {shown(at)}" for at, mean in zip(ours[along], ours["mean"], strict=True))


def _finish_panel(axes: Axes, rows: pd.DataFrame, along: str, xscale: str, metric: str) -> None:
    levels = sorted(rows[along].unique())
    if xscale == "log":
        axes.set_xscale("symlog" if levels[0] == 0 else "log", **({"linthresh": levels[1]} if levels[0] == 0 else {}))
    axes.set_xticks(levels, [shown(level) for level in levels])
    axes.minorticks_off()
    axes.set(ylabel=_axis_label(metric), yscale="log" if metric.endswith("loss") else "linear")


def _panel_title(rows: pd.DataFrame, metric: str, along: str, lines: str) -> str:
    best = rows.loc[rows.loc[rows["metric"] == metric, "mean"].idxmax()]
    owner = "" if lines == "metric" else f", {shown(best[lines])}"
    return f"largest mean {best['mean']:.4g}, at {shown(best[along])}{owner}"


def _mark(axes: Axes, level: Summary, colour: str, label: str) -> str:
    """Mark a level with its 95 % interval, if it has one, and say so."""
    axes.axvline(level.mean, color=colour, linewidth=1)
    interval = ""
    if level.n > 1:
        axes.axvspan(level.low, level.high, color=colour, alpha=0.15)
        interval = f", 95 % interval {level.low:.3g} to {level.high:.3g}"
    return f"{label} is marked at {level.mean:.3g}{interval}"


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
    axes.set(xlabel=f"recipe and {along} ({unit})", ylabel=_axis_label(metrics[0]), ylim=(0, 1.12))
    figure.legend(loc="outside upper right", ncols=len(metrics))
    return Picture(figure, f"Bar chart by recipe and {along}. {'; '.join(said)}.")


def _axis_label(metric: str) -> str:
    quantity = metric.rsplit("_", 1)[-1]
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


def beside(ours: Mapping[str, Summary], theirs: Mapping[str, float], label: str) -> Picture:
    """Our means with their 95 % intervals, and other people's values as open diamonds, a row for each name of both."""
    figure = Figure(figsize=(7.5, 0.55 * len(ours) + 1.3))
    axes = figure.subplots()
    places = range(len(ours))
    means = [summary.mean for summary in ours.values()]
    reach = [[0 if summary.n == 1 else summary.high - summary.mean for summary in ours.values()]]
    axes.errorbar(means, places, xerr=reach * 2, fmt="o", color="C0", label="ours, 95 % interval", capsize=3)
    axes.plot(list(theirs.values()), places, "D", color="C1", fillstyle="none", markersize=9, label="literature")
    axes.set_yticks(places, list(ours))
    axes.set(xlabel=label, ylim=(len(ours) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=4)
    figure.legend(loc="outside upper center", ncols=2)
    said = [f"{name}: ours {number(ours[name].mean)}, theirs {number(value)}" for name, value in theirs.items()]
    return Picture(figure, f"{label}, ours beside the literature. {'; '.join(said)}.")


def reading(stages: Mapping[str, np.ndarray], probabilities: Mapping[str, np.ndarray], names: Sequence[str]) -> Picture:
    """One image (28, 28) at several stages, pixels shown from 0 to 1, and what networks make of the last of them.

    ``probabilities`` holds each network's (10,) for the classes ``names``.
    """
    figure = Figure(figsize=(2.0 * len(stages) + 3.6, 2.8))
    *shown_at, bars = figure.subplots(1, len(stages) + 1, width_ratios=[1] * len(stages) + [1.8])
    for axes, (name, image) in zip(shown_at, stages.items(), strict=True):
        axes.imshow(image, vmin=0, vmax=1, interpolation="nearest")
        axes.set(title=name, xticks=[], yticks=[])
    places, width = np.arange(len(names)), 0.8 / len(probabilities)
    for place, (network, values) in enumerate(probabilities.items()):
        offset = width * (place - (len(probabilities) - 1) / 2)
        bars.bar(places + offset, values, width, label=network, hatch=("", "//")[place % 2])
    bars.set_xticks(places, names)
    bars.set(xlabel="class", ylabel="probability", ylim=(0, 1))
    figure.legend(loc="outside upper right", ncols=len(probabilities))
    said = [f"{network} reads {names[p.argmax()]} with {p.max():.2f}" for network, p in probabilities.items()]
    return Picture(figure, f"One image in a row: {', '.join(stages)}. Probabilities: {'; '.join(said)}.", "image/png")


def heat_maps(panels: Mapping[str, pd.DataFrame], labels: tuple[str, str], quantity: str) -> Picture:
    """Fractions as colours on one scale from 0 to 1, a panel for each table, of the same columns; with their numbers.

    ``labels`` names rows and columns, ``quantity`` what the numbers are.
    """
    rows, columns = (max(table.shape[axis] for table in panels.values()) for axis in (0, 1))
    figure = Figure(figsize=(0.72 * columns + 2.5, (0.4 * rows + 0.6) * len(panels) + 1.3))
    drawn = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (name, table) in zip(drawn, panels.items(), strict=True):
        image = axes.imshow(table, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            colour = "black" if value > 0.6 else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(table.shape[1]), map(shown, table.columns), rotation=40, ha="right")
        axes.set_yticks(range(len(table)), map(shown, table.index))
        axes.grid(visible=False)
        axes.set(title=name, ylabel=labels[0])
    drawn[-1].set_xlabel(labels[1])
    figure.colorbar(image, ax=list(drawn), label=quantity)
    said = [f"{name}: {_extremes(table)}" for name, table in panels.items()]
    return Picture(figure, f"Heat map of {quantity}, {labels[0]} against {labels[1]}. {'; '.join(said)}.", "image/png")


def _extremes(table: pd.DataFrame) -> str:
    cells = table.stack()
    ends = (("largest", cells.idxmax()), ("smallest", cells.idxmin()))
    return ", ".join(f"{word} {cells[at]:.2f} for {shown(at[0])} at {shown(at[1])}" for word, at in ends)
