"""Draw images in grids and rows, the distribution of their pixels, and heat maps."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from noisy_digits.formatting import format_label
from noisy_digits.plots import _alt_text
from noisy_digits.plots._figure import AltFigure, add_legend, draw_bars, series_style, styled

TILE, GAP = 28, 3
"""Pixels of an image, and between two images of a row."""


@styled
def image_rows(rows: Mapping[str, np.ndarray], titles: Sequence[object]) -> AltFigure:
    """Draw the same n images in every row, one row per stage: ``{"clean": x, "noisy": x_noisy}``.

    Each value holds images (n, 28, 28); ``titles`` names the n columns. All rows share one gray scale: the darkest
    pixel of the first row is black, its brightest is white, and values outside are clipped. Raises ValueError where a
    row has another number of images than ``titles``.
    """
    for name, images in rows.items():
        if len(images) != len(titles):
            raise ValueError(f"{name}: {len(images)} images under {len(titles)} titles")
    first = next(iter(rows.values()))
    figure = Figure(figsize=(0.82 * len(titles) + 1.5, 0.86 * len(rows) + 0.3))
    columns, lines = _draw_tiles(figure, list(rows.values()), first.min(), first.max())
    axes = figure.axes[0]
    axes.set_xticks(columns, map(str, titles), fontsize=11)
    axes.set_yticks(lines, rows, fontsize=11)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    return AltFigure(figure, _alt_text.describe_image_rows(rows, titles), "image/png")


@styled
def image_grid(images: np.ndarray, titles: Sequence[str], columns: int = 10) -> AltFigure:
    """Draw images (n, 28, 28) with pixels from 0 to 1, each under its title, ``columns`` per row."""
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    figure = Figure(figsize=(0.86 * columns, 1.2 * len(rows)))
    xs, ys = _draw_tiles(figure, rows, space=max(title.count("\n") for title in titles) * 6 + 10)
    axes = figure.axes[0]
    axes.set_axis_off()
    for place, title in enumerate(titles):
        row, column = divmod(place, columns)
        axes.text(xs[column], ys[row] - TILE / 2 - 1, title, ha="center", va="bottom", fontsize=9)
    return AltFigure(figure, _alt_text.describe_image_grid(titles), "image/png")


def _draw_tiles(
    figure: Figure, rows: Sequence[np.ndarray], low: float = 0, high: float = 1, space: int = GAP
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of images as one, which is faster than axes for each; return the centers of columns and of rows.

    ``space`` is the number of pixels between rows.
    """
    n_columns = max(map(len, rows))
    tiles = np.full((len(rows) * (TILE + space) - space, n_columns * (TILE + GAP) - GAP), np.nan)
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            top, left = row * (TILE + space), column * (TILE + GAP)
            tiles[top : top + TILE, left : left + TILE] = image
    axes = figure.subplots()
    axes.imshow(tiles, vmin=low, vmax=high, interpolation="nearest")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    middle = (TILE - 1) / 2
    return np.arange(n_columns) * (TILE + GAP) + middle, np.arange(len(rows)) * (TILE + space) + middle


@styled
def prediction_panel(
    stages: Mapping[str, np.ndarray], probabilities: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> AltFigure:
    """Draw one image (28, 28), pixels from 0 to 1, at several stages, and what models predict for the last stage.

    ``probabilities`` holds the probabilities (n_classes,) of each model.
    """
    figure = Figure(figsize=(2.0 * len(stages) + 3.6, 2.8))
    axes = _draw_stages(figure, stages, 1.8)
    for place, (model, values) in enumerate(probabilities.items()):
        draw_bars(axes, place, len(probabilities), values, label=model)
    axes.set_xticks(range(len(class_names)), class_names)
    axes.set(xlabel="class", ylabel="probability", ylim=(0, 1))
    add_legend(figure)
    return AltFigure(figure, _alt_text.describe_prediction(stages, probabilities, class_names), "image/png")


@styled
def loss_map(stages: Mapping[str, np.ndarray], loss: np.ndarray) -> AltFigure:
    """Draw one image (28, 28), pixels from 0 to 1, at several stages, and the loss (28, 28) in nats of each pixel."""
    figure = Figure(figsize=(2.1 * len(stages) + 2.7, 2.5))
    axes = _draw_stages(figure, stages, 1)
    drawn = axes.imshow(loss, vmin=0, cmap="viridis", interpolation="nearest")
    axes.set(title=f"loss, mean {loss.mean():.4f}", xticks=[], yticks=[])
    figure.colorbar(drawn, ax=axes, label="loss (nats)")
    return AltFigure(figure, _alt_text.describe_loss_map(stages, loss), "image/png")


def _draw_stages(figure: Figure, stages: Mapping[str, np.ndarray], width: float) -> Axes:
    """Draw the stages of an image in a row; return empty axes to the right, as wide as ``width`` images."""
    *panels, last = figure.subplots(1, len(stages) + 1, width_ratios=[1] * len(stages) + [width])
    for axes, (name, image) in zip(panels, stages.items(), strict=True):
        _show_image(axes, image)
        axes.set_title(name)
    return last


def _show_image(axes: Axes, image: np.ndarray, low: float = 0, high: float = 1) -> None:
    axes.imshow(image, vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


@styled
def histogram(values: Mapping[str, np.ndarray], xlabel: str) -> AltFigure:
    """Draw the distributions of sets of numbers on one axis, with its label ``xlabel``; the density is logarithmic.

    ``values`` gives arrays of any shape, such as the pixels of images: ``{"clean": x, "scale 0.5": x_noisy}``.
    """
    figure = Figure(figsize=(7.5, 3.4))
    axes = figure.subplots()
    low, high = np.quantile(np.concatenate([x.ravel() for x in values.values()]), [0.001, 0.999])
    for place, (name, x) in enumerate(values.items()):
        style = series_style(place) | {"label": name, "histtype": "step", "linewidth": 1.8}
        style.pop("marker")
        axes.hist(x.ravel(), 80, range=(low, high), density=True, **style)
    axes.set(xlabel=xlabel, ylabel="density, log scale", yscale="log")
    axes.legend()
    return AltFigure(figure, _alt_text.describe_histogram(values, xlabel))


@styled
def heatmaps(panels: Mapping[str, pd.DataFrame], labels: tuple[str, str], quantity: str) -> AltFigure:
    """Draw fractions as colors on one scale from 0 to 1, with their numbers, a panel per table.

    All tables have the same columns. ``labels`` names rows and columns; ``quantity`` names the numbers with their unit.
    """
    n_rows, n_columns = (max(table.shape[axis] for table in panels.values()) for axis in (0, 1))
    figure = Figure(figsize=(0.58 * n_columns + 2.5, (0.34 * n_rows + 0.6) * len(panels) + 1.3))
    drawn = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (name, table) in zip(drawn, panels.items(), strict=True):
        image = axes.imshow(table, vmin=0, vmax=1, cmap="viridis", aspect="auto", interpolation="none")
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            color = "black" if value > 0.5 else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=9)
        names = list(map(format_label, table.columns))
        turned = {"rotation": 40, "ha": "right"} if max(map(len, names)) > 4 else {}
        axes.set_xticks(range(len(names)), names, **turned)
        axes.set_yticks(range(len(table)), map(format_label, table.index))
        axes.grid(visible=False)
        axes.set(title=name, ylabel=labels[0])
    drawn[-1].set_xlabel(labels[1])
    figure.colorbar(image, ax=list(drawn), label=quantity)
    return AltFigure(figure, _alt_text.describe_heatmaps(panels, labels, quantity))
