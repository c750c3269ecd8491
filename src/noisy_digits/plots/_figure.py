"""Hold what all figures share: the style, the figure with alternative text, series styles, legends."""

import io
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from PIL import Image

DPI = 150
MARKERS = "os^vPX<>"
LINE_STYLES = ("-", "--", "-.", ":", (0, (7, 2, 1, 2, 1, 2)))

styled = matplotlib.style.context("noisy_digits.plots.noisy_digits")
"""Decorator that puts the style in force while a function runs: for functions that make or save a figure."""


@dataclass(frozen=True)
class AltFigure:
    """A figure with its alternative text, shown by Jupyter when it is the last value of a cell.

    Charts are SVG. Grids of images, which SVG would only wrap, are PNG.
    """

    figure: Figure
    alt: str
    mime: str = "image/svg+xml"

    @styled
    def _repr_mimebundle_(self, **_: object) -> tuple[dict, dict]:
        content = _draw_png(self.figure) if self.mime == "image/png" else _draw_svg(self.figure)
        return {self.mime: content, "text/plain": self.alt}, {self.mime: {"alt": self.alt}}


def _draw_svg(figure: Figure) -> str:
    """Return a figure as SVG, laid out before it is saved: ``savefig`` would draw it twice."""
    if layout := figure.get_layout_engine():
        layout.execute(figure)
        with matplotlib.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _draw_png(figure: Figure) -> bytes:
    """Return a figure as PNG; one without colors has a single channel of 16 tones, a third of the size."""
    figure.set_dpi(DPI)
    canvas, file = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    if (pixels == pixels[..., :1]).all():
        pixels = np.round(pixels[..., 0] / 17).astype(np.uint8) * 17
    Image.fromarray(pixels).save(file, "png", dpi=(DPI, DPI))
    return file.getvalue()


def series_color(place: int) -> str:
    return to_hex(f"C{place}")


def series_style(place: int) -> dict[str, Any]:
    """Return color, marker and line style of series number ``place``: the first 280 series (7 · 8 · 5) all differ."""
    marker, line_style = MARKERS[place % len(MARKERS)], LINE_STYLES[place % len(LINE_STYLES)]
    return {"color": series_color(place), "marker": marker, "linestyle": line_style}


def draw_bars(axes: Axes, place: int, n_series: int, values: Any, **settings: Any) -> BarContainer:
    """Draw series number ``place`` of ``n_series`` as one bar per group, next to those of the other series."""
    width = 0.8 / n_series
    places = np.arange(len(values)) + width * (place - (n_series - 1) / 2)
    return axes.bar(places, values, width, color=series_color(place), hatch=("", "//")[place % 2], **settings)


def add_legend(figure: Figure) -> None:
    """Put one legend above all axes, in as many columns (at most 3) as fit, and grow the figure for a tall one.

    Each label has one entry: error bars first, then other artists, then reported values.
    """
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    bars = [label for label, artist in handles.items() if isinstance(artist, ErrorbarContainer)]
    labels = sorted(dict.fromkeys([*bars, *handles]), key=lambda label: label.startswith("reported, "))
    artists = [handles[label] for label in labels]
    for columns in (3, 2, 1):
        figure.legends.clear()
        legend = figure.legend(artists, labels, loc="outside upper center", ncols=columns)
        if legend.get_window_extent().width < figure.bbox.width:
            break
    rows_beyond_two = -(-len(labels) // columns) - 2
    figure.set_figheight(figure.get_figheight() + 0.2 * max(0, rows_beyond_two))
