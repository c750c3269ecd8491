"""Draw the figures of the notebooks, one style for all, each with alternative text.

Every function but ``show_source`` returns an ``AltFigure``, which Jupyter shows as the last value of a cell.
"""
# ruff: noqa: F401 – what is imported here is the public interface

from noisy_digits.formatting import QUANTITIES
from noisy_digits.plots._figure import AltFigure
from noisy_digits.plots.charts import (
    curve_grid,
    epoch_curves,
    forest_plot,
    grouped_bars,
    learning_curves,
    line_plot,
    sweep,
)
from noisy_digits.plots.images import heatmaps, histogram, image_grid, image_rows, loss_map, prediction_panel
from noisy_digits.plots.models import model_diagram, show_source
