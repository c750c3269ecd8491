"""What figures show and what their alternative text says; how they look is for eyes."""

import functools
import inspect
import io
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noisy_digits import models, plots, stats
from noisy_digits.errors import UserError
from noisy_digits.plots import _alt_text, _figure, charts, images
from noisy_digits.plots import models as model_plots
from noisy_digits.training import History

RNG = np.random.default_rng(0)
IMAGES = RNG.random((20, 28, 28), dtype=np.float32)
RUNS = pd.DataFrame(
    {
        "recipe": recipe,
        "scale": scale,
        "seed": seed,
        "train_accuracy": 0.99 - scale / 5 + seed / 100,
        "test_accuracy": 0.9 - scale / 5 + seed / 100,
        "test_loss": 0.1 + scale,
    }
    for recipe in ("as_submitted", "corrected")
    for scale in (0.0, 0.1, 4.0)
    for seed in (0, 1)
)
SUMMARY = stats.aggregate_seeds(RUNS, by=["recipe", "scale"])
REPORTED = pd.DataFrame({"recipe": ["as_submitted"] * 2, "scale": [0.1, 4.0], "test_accuracy": [0.8, np.nan]})
HISTORY = History(
    {"train_loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "train_accuracy": [0.5, 0.9], "val_accuracy": [0.4, 0.8]}
)
HEAT = pd.DataFrame({"clean": [0.9, 0.8], "gaussian_0.4": [0.3, 0.7]}, index=["clean", "gaussian_0.4"])
LEVEL = stats.summarize([1.0, 1.1, 1.2])


def draw_sweep(y="test_accuracy", **settings):
    return plots.sweep(SUMMARY, "scale", y, xlabel="noise scale (pixel units)", **settings)


CURVES = np.array([[0.5, 0.8, 0.9], [0.4, 0.7, np.nan]])


DRAWN = {
    "curve_grid": lambda: plots.curve_grid(
        {("corrected", "scale 0"): {"training": CURVES}, ("submitted", "scale 1"): {"training": CURVES[:1]}}, "accuracy"
    ),
    "epoch_curves": lambda: plots.epoch_curves({"layer 1": [[1.0, 0.5], [1.0, 0.4]]}, "norm", logy=True),
    "forest_plot": lambda: plots.forest_plot({"MLP": LEVEL, "CNN": LEVEL}, {"CNN": 0.9}, "error (fraction)"),
    "grouped_bars": lambda: plots.grouped_bars(
        SUMMARY, "scale", col="recipe", xlabel="scale", metrics=["test_accuracy"]
    ),
    "heatmaps": lambda: plots.heatmaps({"MLP": HEAT, "CNN": HEAT / 2}, ("trained on", "tested on"), "accuracy"),
    "image_grid": lambda: plots.image_grid(IMAGES[:12], ["seven\n0.93"] * 12),
    "image_rows": lambda: plots.image_rows({"clean": IMAGES[:3], "noisy": IMAGES[3:6]}, [1, 2, 3]),
    "learning_curves": lambda: plots.learning_curves([HISTORY, HISTORY]),
    "histogram": lambda: plots.histogram({"clean": IMAGES, "noisy": IMAGES + 1}, "pixel value"),
    "line_plot": lambda: plots.line_plot(
        np.array([1.0, 2.0]), {"a": np.array([3.0, 4.0])}, ("x", "y"), marks={"a": ([1.0], [3.0])}, logx=True
    ),
    "loss_map": lambda: plots.loss_map({"noisy": IMAGES[0], "clean": IMAGES[1]}, IMAGES[2]),
    "model_diagram": lambda: plots.model_diagram(models.dense_autoencoder()),
    "prediction_panel": lambda: plots.prediction_panel(
        {"clean": IMAGES[0], "noisy": IMAGES[1]}, {"MLP": np.eye(3)[0], "CNN": np.eye(3)[1]}, ["one", "two", "three"]
    ),
    "show_source": lambda: plots.show_source(models.dense_autoencoder),
    "sweep": lambda: draw_sweep(col="recipe"),
}
"""One call of every public function of the package."""


def legend_labels(drawn):
    (legend,) = drawn.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def left_titles(drawn):
    return [axes.get_title(loc="left") for axes in drawn.figure.axes]


def test_every_public_function_is_drawn_here_and_exported():
    exported = {name for name, value in vars(plots).items() if inspect.isfunction(value)}
    defined = {
        name
        for module in (charts, images, model_plots)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert set(DRAWN) == exported == defined


@pytest.mark.parametrize("name", DRAWN)
def test_every_plot_is_shown_with_words_beside_it(name):
    bundle = DRAWN[name]()._repr_mimebundle_()
    if name == "show_source":
        assert set(bundle) == {"text/markdown", "text/plain"}
        return
    data, metadata = bundle
    ((mime, said),) = metadata.items()
    assert mime in ("image/svg+xml", "image/png")
    assert data[mime]
    assert data["text/plain"] == said["alt"]
    assert said["alt"].endswith(".")
    assert "\n" not in said["alt"]


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_has_the_projects_style(name):
    drawn = DRAWN[name]()
    if isinstance(drawn, plots.AltFigure):
        assert drawn.figure.get_layout_engine() is not None, "decorate the function with @styled"


def test_importing_and_drawing_leave_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    assert before["font.size"] == mpl.rcParamsDefault["font.size"]
    draw_sweep(col="recipe")._repr_mimebundle_()
    assert dict(mpl.rcParams) == before


def test_svg_is_the_same_every_time_and_keeps_its_text():
    first, second = (DRAWN["line_plot"]()._repr_mimebundle_()[0]["image/svg+xml"] for _ in range(2))
    assert first == second
    assert "<text" in first


@pytest.mark.parametrize("n", [7, 20])
def test_series_never_run_out_of_styles_that_differ(n):
    runs = pd.concat([RUNS.assign(denoiser=f"filter_{place}") for place in range(n)])
    summary = stats.aggregate_seeds(runs[runs["recipe"] == "corrected"], by=["denoiser", "scale"])
    drawn = plots.sweep(summary, "scale", "test_accuracy", xlabel="scale", hue="denoiser")
    lines = [bars.lines[0] for bars in drawn.figure.axes[0].containers]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == n, "without the line styles"
    assert legend_labels(drawn) == [f"filter {place}" for place in range(n)]


def test_series_styles_differ_in_all_three_from_their_neighbors():
    styles = [_figure.styled(_figure.series_style)(place) for place in range(280)]
    assert len({tuple(style.values()) for style in styles}) == 280
    assert all(first[key] != second[key] for first, second in pairwise(styles) for key in first)


def test_colors_are_those_of_the_okabe_ito_palette():
    palette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}
    drawn = plots.epoch_curves({legend: [[1.0]] for legend in "abcdefghi"}, "norm")
    assert {line.get_color() for line in drawn.figure.axes[0].lines} == palette


def test_a_sweep_has_a_panel_per_recipe_and_diamonds_for_reported_values():
    drawn = draw_sweep(["train_accuracy", "test_accuracy"], col="recipe", logx=True, reported=REPORTED)
    panels = drawn.figure.axes
    assert left_titles(drawn) == ["as submitted", "corrected"]
    assert [[len(line.get_xdata()) for line in axes.lines if line.get_marker() == "D"] for axes in panels] == [[1], []]
    assert legend_labels(drawn) == ["train accuracy", "test accuracy", "reported, test accuracy"]
    assert "corrected, test accuracy: 0.905 at 0, 0.885 at 0.1, 0.105 at 4" in drawn.alt
    assert "as submitted, test accuracy, reported: 0.8 at 0.1" in drawn.alt
    assert [axes.get_ylabel() for axes in panels] == ["accuracy (fraction)", ""]
    assert {axes.get_xscale() for axes in panels} == {"symlog"}
    assert [text.get_text() for text in panels[0].get_xticklabels()] == ["0", "0.1", "4"]


def test_a_sweep_without_col_has_a_panel_per_metric_with_its_largest_mean():
    drawn = draw_sweep(["test_accuracy", "test_loss"], hue="recipe")
    assert left_titles(drawn)[0] == "largest mean 0.905, at 0, as submitted"
    assert [axes.get_yscale() for axes in drawn.figure.axes] == ["linear", "log"]
    assert [axes.get_ylabel() for axes in drawn.figure.axes] == ["accuracy (fraction)", "loss (nats)"]
    one = plots.sweep(SUMMARY[SUMMARY["recipe"] == "corrected"], "scale", "test_loss", xlabel="scale")
    assert left_titles(one) == ["largest mean 4.1, at 4"]


def test_a_sweep_with_col_and_hue_has_a_line_per_value_of_hue():
    runs = pd.concat([RUNS.assign(penalty=penalty) for penalty in ("with L2", "without L2")])
    summary = stats.aggregate_seeds(runs, by=["recipe", "scale", "penalty"])
    drawn = plots.sweep(summary, "scale", "test_accuracy", xlabel="scale", col="recipe", hue="penalty")
    assert legend_labels(drawn) == ["with L2", "without L2"]
    assert [len(axes.containers) for axes in drawn.figure.axes] == [2, 2]
    assert "corrected, without L2: 0.905 at 0" in drawn.alt


def test_a_metric_on_the_secondary_axis_is_drawn_there():
    drawn = draw_sweep(["test_accuracy", "test_loss"], col="recipe", secondary_y="test_loss")
    left, _, first, last = drawn.figure.axes
    assert [len(axes.containers) for axes in drawn.figure.axes] == [1, 1, 1, 1]
    assert (left.get_ylabel(), first.get_ylabel(), last.get_ylabel()) == ("accuracy (fraction)", "", "loss (nats)")
    assert first.get_ylim() == last.get_ylim()
    assert first.get_ylim()[0] == 0


def test_a_level_is_marked_with_its_interval_and_a_reference_drawn():
    drawn = draw_sweep(hue="recipe", vspans={"corrected": LEVEL, "unknown": LEVEL}, hlines={"Hinton": 0.85})
    assert "corrected is marked at 1.1, 95 % interval 0.852 to 1.35" in drawn.alt
    assert "Hinton as a horizontal line at 0.85" in drawn.alt
    assert "unknown" not in drawn.alt
    assert legend_labels(drawn) == ["as submitted", "corrected", "Hinton"]


def test_a_reference_leaves_the_axis_of_levels_as_it_is():
    plain, with_line = (
        draw_sweep(hue="recipe", logx=True, hlines=hlines).figure.axes[0] for hlines in ({}, {"Hinton": 0.85})
    )
    assert with_line.get_xlim() == pytest.approx(plain.get_xlim())
    assert plain.get_xlim()[1] > 4, "the last point is not at the edge"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"y": "test_acuracy"}, "did you mean test_accuracy"),
        ({"col": "recipy"}, 'no column "recipy"; did you mean recipe'),
        ({}, "several rows at one point of a line"),
        ({"y": ["test_accuracy", "test_loss"], "col": "recipe", "hue": "recipe"}, "one metric at a time"),
        ({"y": ["test_accuracy", "test_loss"], "secondary_y": ["test_loss"]}, "needs col"),
    ],
)
def test_a_sweep_rejects_what_it_cannot_draw(settings, message):
    with pytest.raises(UserError, match=message):
        draw_sweep(**settings)


@pytest.mark.parametrize("words", [1, 2, 5])
def test_a_legend_is_as_narrow_as_its_figure(words):
    figure = draw_sweep(hue="recipe", hlines={f"{name} {'of a long name ' * words}": 0.9 for name in "abc"}).figure
    (legend,) = figure.legends
    assert 0 < legend.get_window_extent().width < figure.bbox.width


def test_grouped_bars_keep_their_place_if_a_point_lacks_a_metric():
    lost = SUMMARY[~((SUMMARY["scale"] == 0.0) & (SUMMARY["metric"] == "test_accuracy"))]
    drawn = plots.grouped_bars(
        lost, "scale", col="recipe", xlabel="recipe and scale", metrics=["train_accuracy", "test_accuracy"]
    )
    (axes,) = drawn.figure.axes
    assert [len(bars) for bars in axes.containers if hasattr(bars, "patches")] == [6, 6]
    assert "train accuracy: 0.995 for as submitted at 0, " in drawn.alt
    assert axes.get_xlabel() == "recipe and scale"


def test_a_forest_plot_has_a_diamond_where_the_literature_has_a_value():
    drawn = DRAWN["forest_plot"]()
    (diamonds,) = (line for line in drawn.figure.axes[0].lines if line.get_marker() == "D")
    assert list(diamonds.get_ydata()) == [1], "the second row"
    assert "CNN: ours 1.1000, literature 0.9000" in drawn.alt
    assert legend_labels(drawn) == ["ours, 95 % interval", "literature"]


def test_heatmaps_share_one_scale_and_name_their_extremes():
    drawn = DRAWN["heatmaps"]()
    panels = drawn.figure.axes[:2]
    assert [axes.images[0].get_clim() for axes in panels] == [(0, 1), (0, 1)]
    assert [text.get_text() for text in panels[0].texts] == ["0.90", "0.30", "0.80", "0.70"]
    assert "MLP: largest 0.90 for clean at clean, smallest 0.30 for clean at gaussian 0.4" in drawn.alt
    assert "CNN: largest 0.45" in drawn.alt


def test_curves_of_different_length_are_drawn_as_far_as_they_go():
    whole = {name: [2.0, 1.0, 0.5] for name in ("train_loss", "val_loss")}
    short = {name: [np.nan] for name in whole}
    drawn = plots.learning_curves([History(whole), History(short)])
    assert "training loss goes from 2 to 0.5 in 3 epochs" in drawn.alt
    assert drawn.figure.axes[0].get_yscale() == "log"


@pytest.mark.parametrize(("n", "n_lines", "n_bands"), [(1, 4, 0), (5, 12, 0), (6, 2, 2)])
def test_learning_curves_draw_many_seeds_as_a_band(n, n_lines, n_bands):
    loss, _ = plots.learning_curves([HISTORY] * n).figure.axes
    assert (len(loss.lines), len(loss.collections)) == (n_lines, n_bands)


def test_crowded_labels_of_a_logarithmic_axis_are_left_out():
    rows = stats.aggregate_seeds(
        pd.DataFrame({"scale": [0.0, 0.0308108, 0.1, 0.154054, 0.2], "seed": 0, "accuracy": [0.9, 0.8, 0.7, 0.6, 0.5]}),
        by=["scale"],
    )
    for logx, last in ((True, ""), (False, "0.2")):
        drawn = plots.sweep(rows, "scale", "accuracy", xlabel="scale", logx=logx)
        labels = [label.get_text() for label in drawn.figure.axes[0].get_xticklabels()]
        assert labels == ["0", "0.03081", "0.1", "0.1541", last]


@pytest.mark.parametrize("draw", [plots.epoch_curves, plots.curve_grid])
def test_curves_on_a_logarithmic_axis_are_averaged_by_their_logarithms(draw):
    replicates = np.array([[1.0, 100.0]] * 3 + [[1.0, 1.0]] * 3)
    name = ("", "panel") if draw is plots.curve_grid else "line"
    curves = {name: {"line": replicates}} if draw is plots.curve_grid else {name: replicates}
    (axes,) = draw(curves, "norm", logy=True).figure.axes
    (line,) = axes.lines
    assert line.get_ydata() == pytest.approx([1, 10])
    (band,) = axes.collections
    low, high = band.get_datalim(axes.transData).intervaly
    assert low * high == pytest.approx(100)


def test_learning_curves_have_the_last_validation_value_in_the_title():
    drawn = plots.learning_curves([HISTORY])
    assert left_titles(drawn) == ["validation loss 1.5000 at the end", "validation accuracy 0.8000 at the end"]


def test_long_series_are_described_by_their_ends_and_extremes():
    assert _alt_text.describe_series([0.0, 4.0], [1.0, 0.5]) == "1 at 0, 0.5 at 4"
    values = [0.5, 0.9, 0.6, np.nan, 0.1, 0.2, 0.3]
    assert _alt_text.describe_series(range(7), values) == "from 0.5 at 0 to 0.3 at 6, highest 0.9 at 1, lowest 0.1 at 4"
    assert _alt_text.describe_series(range(7), [*sorted(values[:3] + values[4:]), 1]) == "from 0.1 at 0 to 1 at 6"


def test_a_grid_of_images_is_stored_without_colors_in_the_nearest_of_sixteen_tones():
    drawn = DRAWN["image_rows"]()
    drawn.figure.set_layout_engine("none")  # which moves a little from drawing to drawing
    file = io.BytesIO()
    _figure.styled(drawn.figure.savefig)(file, format="png", dpi=_figure.DPI)
    data, _ = drawn._repr_mimebundle_()
    stored = Image.open(io.BytesIO(data["image/png"]))
    assert stored.mode == "L"
    assert len(data["image/png"]) < 0.5 * len(file.getvalue())
    tones = np.asarray(stored)
    assert set(np.unique(tones)) <= set(range(0, 256, 17))
    assert np.abs(tones.astype(int) - np.asarray(Image.open(file).convert("L"))).max() <= 8


def test_a_figure_with_colors_keeps_them():
    data, _ = DRAWN["loss_map"]()._repr_mimebundle_()
    assert Image.open(io.BytesIO(data["image/png"])).mode == "RGB"


def test_an_image_grid_of_one_row_is_drawn():
    drawn = plots.image_grid(IMAGES[:2], ["a", "b"], columns=2)
    assert [text.get_text() for text in drawn.figure.axes[0].texts] == ["a", "b"]


def test_the_loss_map_says_where_the_loss_is():
    loss = np.zeros((28, 28))
    loss[0, 0] = 784.0
    alt = plots.loss_map({"noisy": IMAGES[0], "clean": IMAGES[1]}, loss).alt
    assert "mean 1.0000" in alt
    assert "100%" in alt


def test_the_diagram_names_every_layer_with_its_parameters_and_hatches_the_bottleneck():
    drawn = DRAWN["model_diagram"]()
    assert "226,416 parameters" in drawn.alt
    assert drawn.alt.count("Dense") == 4
    assert "Dense relu 96 12,384 parameters (bottleneck); " in drawn.alt
    assert "Dense sigmoid 784 101,136 parameters" in drawn.alt
    assert [bool(box.get_hatch()) for box in drawn.figure.axes[0].patches].count(True) == 1


def test_show_source_shows_the_function_behind_a_partial():
    def builder(n):
        return n

    shown = plots.show_source(functools.partial(functools.partial(builder, 1)))
    assert shown._repr_mimebundle_()["text/markdown"] == "```python\ndef builder(n):\n    return n\n```"
    assert shown._repr_mimebundle_()["text/plain"].startswith("def builder")


def test_show_source_rejects_what_has_no_source():
    with pytest.raises(TypeError):
        plots.show_source(len)
