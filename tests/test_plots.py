"""What figures and tables say; how they look is for eyes."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noisy_digits import plots, statistics
from noisy_digits.training import History

SWEEP = pd.DataFrame(
    {"recipe": recipe, "scale": scale, "seed": seed, "metric": metric, "value": value - scale / 5 + seed / 100}
    for recipe in ("as_submitted", "corrected")
    for scale in (0.0, 0.1, 4.0)
    for seed in (0, 1)
    for metric, value in (("training_accuracy", 0.99), ("test_accuracy", 0.9))
)
PUBLISHED = pd.DataFrame([{"recipe": "as_submitted", "scale": 0.1, "metric": "test_accuracy", "value": 0.8}])


def labels(picture):
    (legend,) = picture.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_a_sweep_has_a_panel_a_recipe_and_diamonds_where_numbers_were_published():
    summary = statistics.over_seeds(SWEEP)
    settings = {"along": "scale", "unit": "pixels", "metrics": ["training_accuracy", "test_accuracy"]}
    picture = plots.against(summary, PUBLISHED, panels="recipe", xscale="log", **settings)
    panels = picture.figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["as submitted", "corrected"]
    assert [sum(line.get_marker() == "D" for line in axes.lines) for axes in panels] == [1, 0]
    assert labels(picture) == ["training accuracy", "test accuracy", "published, test accuracy"]
    assert "corrected, test accuracy: 0.905 at 0, 0.885 at 0.1, 0.105 at 4" in picture.alt
    assert panels[0].get_ylabel() == "accuracy (fraction)"


def test_a_level_is_marked_with_its_interval_and_a_reference_drawn():
    summary = statistics.over_seeds(SWEEP)
    level = statistics.summarise([1.0, 1.1, 1.2])
    picture = plots.against(
        summary,
        along="scale",
        unit="pixels",
        metrics=["test_accuracy"],
        lines="recipe",
        marked={"corrected": level},
        reference={"Hinton": 0.85},
    )
    assert "corrected is marked at 1.1, 95 % interval 0.852 to 1.35" in picture.alt
    assert "Hinton as a horizontal line" in picture.alt
    assert labels(picture) == ["Hinton", "as submitted", "corrected"]
    assert picture.figure.axes[0].get_title(loc="left") == "largest mean 0.905, at 0, as submitted"


def test_a_reference_leaves_the_axis_of_levels_as_it_is():
    settings = {"along": "scale", "unit": "pixels", "metrics": ["test_accuracy"], "lines": "recipe", "xscale": "log"}
    plain, referred = (
        plots.against(statistics.over_seeds(SWEEP), **settings, reference=reference).figure.axes[0]
        for reference in ({}, {"Hinton": 0.85})
    )
    assert referred.get_xlim() == pytest.approx(plain.get_xlim())


@pytest.mark.parametrize("words", [1, 2, 5])
def test_a_legend_is_as_narrow_as_its_figure(words):
    reference = {f"{name} {'of a long name ' * words}": 0.9 for name in "abc"}
    settings = {"along": "scale", "unit": "pixels", "metrics": ["test_accuracy"], "lines": "recipe"}
    figure = plots.against(statistics.over_seeds(SWEEP), **settings, reference=reference).figure
    (legend,) = figure.legends
    assert 0 < legend.get_window_extent().width < figure.bbox.width


def test_heat_maps_share_one_scale_and_say_their_extremes():
    table = pd.DataFrame({"clean": [0.9, 0.8], "gaussian_0.4": [0.3, 0.7]}, index=["clean", "gaussian_0.4"])
    picture = plots.heat_maps({"MLP": table, "CNN": table / 2}, ("trained on", "tested on"), "accuracy")
    panels = picture.figure.axes[:2]
    assert [axes.images[0].get_clim() for axes in panels] == [(0, 1), (0, 1)]
    assert [text.get_text() for text in panels[0].texts] == ["0.90", "0.30", "0.80", "0.70"]
    assert "MLP: largest 0.90 for clean at clean, smallest 0.30 for clean at gaussian 0.4" in picture.alt
    assert "CNN: largest 0.45" in picture.alt


def test_curves_of_different_length_are_drawn_as_far_as_they_go():
    whole = {f"{part}_loss": [2.0, 1.0, 0.5] for part in ("training", "validation")}
    short = {name: [np.nan] for name in whole}
    picture = plots.learning_curves([History(whole), History(short)])
    assert "training loss goes from 2 to 0.5 in 3 epochs" in picture.alt
    assert picture.figure.axes[0].get_yscale() == "log"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.97131, "0.9713"), (1.24e-05, "1.2e-05"), (0.0, "0.0000"), (28015.03, "28,015"), (18144960.0, "1.81e+07")],
)
def test_numbers_are_readable_at_every_size(value, shown):
    assert statistics.number(value) == shown
    assert f">{shown}<" in plots.Table(pd.DataFrame({"a": ["x"], "b": [value]}), "c")._repr_html_()


def test_a_table_without_rows_says_so():
    assert "nothing to show" in plots.Table(pd.DataFrame({"a": []}), "Empty")._repr_html_()


def test_a_grid_of_images_is_stored_without_colours_and_with_the_pixels_that_were_drawn():
    picture = plots.digit_rows({"noisy": np.random.default_rng(0).random((3, 28, 28), np.float32)}, [1, 2, 3])
    picture.figure.set_layout_engine("none")  # which moves a little from drawing to drawing
    drawn = io.BytesIO()
    picture.figure.savefig(drawn, format="png", dpi=plots.DPI)
    data, _ = picture._repr_mimebundle_()
    stored = Image.open(io.BytesIO(data["image/png"]))
    assert stored.mode == "L"
    assert len(data["image/png"]) < 0.7 * len(drawn.getvalue())
    assert np.array_equal(stored.convert("RGBA"), Image.open(drawn))


def test_a_figure_with_colours_keeps_them():
    picture = plots.heat_maps({"a": pd.DataFrame([[0.0, 1.0]], index=["x"], columns=["y", "z"])}, ("r", "c"), "q")
    data, _ = picture._repr_mimebundle_()
    assert Image.open(io.BytesIO(data["image/png"])).mode == "RGB"
