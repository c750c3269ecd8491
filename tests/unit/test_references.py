"""Reported numbers and results from the literature, next to measured ones; what mistakes did."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from noisy_digits import references, results, stats
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_interval

from .results_project import build, make_project


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project in whose folder the test works."""
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root / "notebooks" / "toy")
    return root


def test_load_reported_is_wide(root):
    reported = references.load_reported("toy/1_train")
    assert list(reported) == ["recipe", "use_l2", "n_layers", "scale", "noise_level", "accuracy", "loss", "ssim"]
    assert reported["accuracy"].tolist()[:2] == [0.5, 0.9]
    assert reported["loss"].isna().tolist() == [False, True, True]
    assert references.load_reported("toy/2_compare").empty


def test_literature_is_shown_in_the_reference_collection_only(root):
    literature = references.load_literature("toy/1_train")
    assert literature.loc[0, ["recipe", "source", "value"]].tolist() == ["corrected", "LeCun et al. 1998", 0.99]
    assert references.literature_values("toy/1_train", "mnist") == {"LeCun et al. 1998": 0.99}
    assert references.literature_values("toy/1_train", "digits") == {}
    assert references.literature_values("toy/2_compare", "mnist") == {}


RUNS = pd.DataFrame(
    [
        {"recipe": "as_submitted", "scale": 0.0, "seed": seed, "test_accuracy": accuracy, "diverged": lost}
        for seed, (accuracy, lost) in enumerate([(0.70, None), (0.72, None), (0.71, None), (None, 1.0)])
    ]
    + [{"recipe": "corrected", "scale": 0.0, "seed": 0, "test_accuracy": 0.9, "train_accuracy": 0.95}]
)


def reported_numbers():
    reported = pd.DataFrame(
        [
            {"recipe": "as_submitted", "scale": 0.0, "test_accuracy": 0.72},
            {"recipe": "as_submitted", "scale": 0.0, "test_accuracy": 0.9},
            {"recipe": "corrected", "scale": 0.0, "test_accuracy": 0.9, "train_accuracy": 0.9},
            {"recipe": "corrected", "scale": 9.0, "test_accuracy": 0.9},
        ]
    )
    reported.attrs["keys"] = ["recipe", "scale"]
    return reported


def test_compare_with_reported_in_the_reference_collection(root):
    compared = references.compare_with_reported(RUNS, reported_numbers(), "mnist")
    assert list(compared) == [
        "recipe",
        "scale",
        "metric",
        "reported",
        "ours",
        references.DIFFERENCE,
        references.INTERVAL,
        "inside",
    ]
    half = special.stdtrit(2, 0.975) * 0.01 * np.sqrt(1 + 1 / 3) / (0.71 * 0.29)
    interval = format_interval(*special.expit(special.logit(0.71) + np.array([-half, half])))
    assert compared.to_numpy().tolist() == [
        ["as submitted", "0", "test accuracy", 0.72, "0.7100 ± 0.0100 (n = 3), 1 diverged", "+0.0100", interval, "yes"],
        ["as submitted", "0", "test accuracy", 0.9, "0.7100 ± 0.0100 (n = 3), 1 diverged", "+0.1900", interval, "no"],
        ["corrected", "0", "test accuracy", 0.9, "0.9000 (n = 1)", "+0.0000", "needs replicates", "–"],
        ["corrected", "0", "train accuracy", 0.9, "0.9500 (n = 1)", "-0.0500", "needs replicates", "–"],
        ["corrected", "9", "test accuracy", 0.9, "not recorded", "–", "–", "–"],
    ]


def test_compare_with_reported_allows_for_one_image_and_for_rounding(root):
    ours = pd.DataFrame({"seed": range(3), "test_accuracy": 0.1135})
    for reported, inside in ((0.1136, "yes"), (0.1138, "no")):
        theirs = pd.DataFrame({"test_accuracy": [reported]})
        assert references.compare_with_reported(ours, theirs, "mnist", keys=())["inside"].tolist() == [inside]


def test_compare_with_reported_elsewhere_compares_nothing(root):
    compared = references.compare_with_reported(RUNS, reported_numbers(), "digits-quick")
    assert compared["ours"].iloc[0] == "0.7100 ± 0.0100 (n = 3), 1 diverged"
    assert set(compared[references.DIFFERENCE].iloc[:4]) == {"not comparable"}
    assert set(compared["inside"].iloc[:4]) == set(compared[references.INTERVAL].iloc[:4]) == {"–"}


def test_compare_with_reported_uses_the_columns_that_both_have(root):
    ours = RUNS.query("recipe == 'corrected'").drop(columns=["recipe", "scale"])
    theirs = reported_numbers().query("recipe == 'corrected' and scale == 0").drop(columns="recipe")
    compared = references.compare_with_reported(ours, theirs, "mnist")
    assert list(compared)[:3] == ["metric", "reported", "ours"]
    assert compared["metric"].tolist() == ["test accuracy", "train accuracy"]


def test_compare_with_reported_pools_no_grid_points(root):
    reported = reported_numbers().drop(columns="recipe")
    with pytest.raises(UserError, match="test_accuracy has several values for one seed at one point"):
        references.compare_with_reported(RUNS.drop(columns="recipe"), reported, "mnist")


def test_compare_with_reported_matches_coordinates(root, monkeypatch):
    build(root, monkeypatch)
    reported = references.load_reported("toy/1_train")
    by_level = results.load_metrics("toy/1_train", coordinate="noise_level")
    compared = references.compare_with_reported(by_level, reported, "mnist")
    assert compared["noise_level"].tolist() == ["", "", "", "0.4"]
    assert compared["ours"].tolist() == ["not recorded"] * 3 + ["0.1333 (n = 1)"]


def test_reported_table_keeps_the_rows_at_a_point_and_at_values_of_the_runs(root, monkeypatch):
    build(root, monkeypatch)
    runs = results.load_metrics("toy/1_train").query("recipe == 'as_submitted' and not use_l2 and scale < 0.5")
    table = references.reported_table(runs.drop(columns="recipe"), "toy/1_train", recipe="as_submitted")
    assert table.caption.startswith("Reported and reproduced.")
    assert list(table.frame)[:4] == ["use_l2", "n_layers", "scale", "metric"]
    assert table.frame[["scale", "metric", "reported", references.DIFFERENCE]].to_numpy().tolist() == [
        ["0", "accuracy", 0.5, "+0.3250"],
        ["0", "loss", 2.0, "+1.9000"],
        ["0", "accuracy", 0.9, "+0.7250"],
    ]
    assert references.reported_table(runs.drop(columns="recipe"), "toy/1_train", recipe="corrected").frame.empty


def test_reported_table_of_coordinates_and_elsewhere(root, monkeypatch):
    build(root, monkeypatch)
    by_level = results.load_metrics("toy/1_train", coordinate="noise_level")
    assert references.reported_table(by_level, "toy/1_train").frame["noise_level"].tolist() == ["0.4"]
    by_level.attrs["collection"] = "none"
    assert references.reported_table(by_level, "toy/1_train").frame[references.DIFFERENCE].tolist() == [
        "not comparable"
    ]


ACCURACY = st.floats(0.01, 0.99)


@given(reported=ACCURACY, values=st.lists(ACCURACY, min_size=2, max_size=6))
def test_compare_number_measures_the_distance_in_half_widths_of_the_interval(reported, values):
    found = references.compare_number("test_accuracy", reported, values, 0, comparable=True)
    low, high = found.interval
    edge = high + references.TOLERANCE if reported > found.ours.mean else low - references.TOLERANCE
    assert found.ours.mean + found.distance * abs(edge - found.ours.mean) == pytest.approx(reported)
    assert found.inside == (abs(found.distance) <= 1) == (found.describe()["inside"] == "yes")
    if not min(abs(reported - low), abs(reported - high)) < 2 * references.TOLERANCE:
        assert found.inside == (low < reported < high)


@given(reported=st.floats(1e-2, 1e9), logarithms=st.lists(st.floats(0, 8), min_size=3, max_size=8))
def test_compare_number_measures_the_distance_of_a_loss_by_logarithms(reported, logarithms):
    found = references.compare_number("val_loss", reported, 10 ** np.array(logarithms), 0, comparable=True)
    low, high = found.interval
    middle = np.mean(logarithms)
    assert np.sign(found.distance) == np.sign(np.log10(reported) - middle) or abs(found.distance) < 1e-6
    if abs(reported - low) > 2 * references.TOLERANCE < abs(reported - high):
        assert found.inside == (low < reported < high)


@pytest.mark.parametrize(("values", "comparable"), [([0.5, 0.6], False), ([0.5], True), ([], True)])
def test_compare_number_gives_no_distance_without_an_interval(values, comparable):
    found = references.compare_number("test_accuracy", 0.5, values, 0, comparable)
    assert (found.interval, found.distance, found.inside) == (None, None, None)


def effect_rows(*numbers):
    """Return the rows of four replicates, with a metric that depends on a coordinate as well."""
    rows = [
        {"recipe": recipe, "scale": scale, "level": level, "seed": seed, "metric": metric, "value": value + seed}
        for recipe, scale, level, metric, value, spread in numbers
        for seed, value in enumerate(value + np.array([0, spread, -spread, 0]))
    ]
    return pd.DataFrame(rows)


MISTAKE = {
    "mistake": "too much noise",
    "note": "as it was",
    "metrics": ["accuracy", "loss"],
    "at": {"recipe": "noisy", "scale": [0.1, 4.0]},
    "without": {"recipe": "corrected"},
}
MEASURED = [
    ("corrected", 0.1, None, "accuracy", 0.9, 0.0),
    ("noisy", 0.1, None, "accuracy", 0.2, 0.01),
    ("corrected", 4.0, None, "accuracy", 0.3, 0.0),
    ("noisy", 4.0, None, "accuracy", 0.3, 0.01),
    ("corrected", 0.1, 1.0, "accuracy", 0.0, 0.0),  # at a level of the coordinate: another number
    ("noisy", 0.1, 1.0, "accuracy", 1.0, 0.0),
    ("noisy", 0.1, None, "loss", 2.0, 0.0),  # without its counterpart
]


def test_measure_effects_pairs_replicates_at_each_point():
    low, none = references.measure_effects(effect_rows(*MEASURED), [MISTAKE])
    assert (low.mistake, low.metric, low.at) == ("too much noise (as it was)", "accuracy", "scale 0.1")
    assert low.summary.n == 4
    assert low.summary.mean == pytest.approx(-0.7)
    assert low.summary.std == pytest.approx(0.01 * np.sqrt(2 / 3))
    assert (low.word, none.at, none.word) == ("lower", "scale 4", "inconclusive")


def test_measure_effects_turns_with_the_numbers():
    turned = [("noisy" if row[0] == "corrected" else "corrected", *row[1:]) for row in MEASURED]
    high, none = references.measure_effects(effect_rows(*turned), [MISTAKE])
    assert (high.word, none.word) == ("higher", "inconclusive")
    assert high.summary.mean == pytest.approx(0.7)


def test_measure_effects_selects_coordinates_and_tests_all_mistakes_together():
    at_level = {"mistake": "m", "metrics": ["accuracy"], "at": {"recipe": "noisy", "scale": 0.1, "level": 1.0}}
    (effect,) = references.measure_effects(effect_rows(*MEASURED), [at_level | {"without": {"recipe": "corrected"}}])
    assert (effect.at, effect.word, effect.summary.mean) == ("scale 0.1, level 1", "higher", pytest.approx(1.0))
    rows = effect_rows(("corrected", 0.1, None, "accuracy", 0.9, 0.0), ("noisy", 0.1, None, "accuracy", 0.914, 0.01))
    alone = references.measure_effects(rows, [MISTAKE])
    together = references.measure_effects(rows, [MISTAKE] * 3)
    assert [effect.word for effect in (*alone, *together)] == ["higher"] + ["inconclusive"] * 3


def test_describe_effects_needs_replicates():
    effects = references.measure_effects(effect_rows(*MEASURED).query("seed == 0"), [MISTAKE])
    lines = references.describe_effects(effects).to_numpy().tolist()
    assert lines[0] == [
        *("too much noise (as it was)", "scale 0.1", "accuracy", "-0.7000 (n = 1)"),
        *("needs replicates", "–"),
    ]


def test_mistakes_table_reads_the_params_file_and_the_results(root, monkeypatch):
    build(root, monkeypatch)
    table = references.mistakes_table("toy/1_train")
    assert table.caption == references.MISTAKES_CAPTION
    effect = stats.summarize([-12 / 7, 0.0])  # of 24 grid points the two are twelve apart
    where = "use l2 False, n layers 1, scale 0.5"
    assert table.frame.to_numpy().tolist() == [
        ["a slip", where, "accuracy", str(effect), format_interval(*effect.interval), "inconclusive"],
        ["a slip", where, "n parameters", "-12.0000 (n = 1)", "needs replicates", "–"],
    ]
    assert references.mistakes_table("toy/2_compare").frame.empty
