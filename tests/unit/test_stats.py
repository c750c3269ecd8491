import itertools
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit, stdtrit
from scipy.stats import friedmanchisquare, sem, t, ttest_1samp

from noisy_digits import stats
from noisy_digits.errors import UserError

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20)
FIELDS = ["mean", "std", "n", "ci_low", "ci_high"]

RUNS = pd.DataFrame(
    {
        "recipe": "corrected",
        "scale": [4.0, 4.0, 0.0, 0.0],
        "seed": [0, 1, 0, 1],
        "train_accuracy": [0.5, 0.5, 0.9, 1.0],
        "test_accuracy": [0.25, 0.75, 0.8, 0.6],
        "diverged": [1.0, np.nan, np.nan, np.nan],
    }
)


@given(VALUES)
def test_summarize_gives_students_interval(values):
    summary = stats.summarize(values)
    assert summary.n == len(values)
    assert summary.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert summary.std == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    if summary.std > 1e-6:
        low, high = t.interval(0.95, len(values) - 1, summary.mean, sem(values))
        assert (summary.ci_low, summary.ci_high) == (pytest.approx(low), pytest.approx(high))


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=20))
def test_summarize_computes_with_double_precision(values):
    assert stats.summarize(np.array(values, np.float32)) == stats.summarize(values)


def test_summarize_gives_one_value_neither_deviation_nor_interval():
    summary = stats.summarize([0.5])
    assert np.isnan([summary.std, summary.ci_low, summary.ci_high]).all()
    assert str(summary) == "0.5000 (n = 1)"
    assert str(stats.summarize([0.5, 0.7])) == "0.6000 ± 0.1414 (n = 2)"
    assert str(stats.summarize([0.5, 0.5])) == "0.5000 ± 0.0000 (n = 2)"


@pytest.mark.parametrize(("values", "message"), [([], "no values"), ([0.5, np.nan], "not a number")])
def test_summarize_refuses_what_it_cannot_summarize(values, message):
    with pytest.raises(ValueError, match=f"^stats.summarize: {message}"):
        stats.summarize(values)


def test_aggregate_seeds_has_a_row_per_point_and_metric_in_order_of_appearance():
    summary = stats.aggregate_seeds(RUNS, by=["recipe", "scale"])
    assert list(summary.columns) == ["recipe", "scale", "metric", *FIELDS]
    assert list(zip(summary["scale"], summary["metric"], strict=True)) == [
        (4.0, "train_accuracy"),
        (4.0, "test_accuracy"),
        (4.0, "diverged"),
        (0.0, "train_accuracy"),
        (0.0, "test_accuracy"),
    ]
    rows = summary.set_index(["scale", "metric"])
    assert rows.loc[(0.0, "test_accuracy"), "mean"] == pytest.approx(0.7)
    assert rows.loc[(4.0, "train_accuracy"), "std"] == 0
    assert rows.loc[(4.0, "test_accuracy"), "n"] == 2


@given(
    values=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3) | st.none()), min_size=1
    )
)
def test_aggregate_seeds_summarizes_the_values_of_each_point_in_the_order_of_the_rows(values):
    runs = pd.DataFrame(values, columns=["recipe", "loss", "accuracy"]).astype({"accuracy": float})
    runs.insert(1, "seed", runs.groupby("recipe").cumcount())
    summary = stats.aggregate_seeds(runs, by=["recipe"]).set_index(["recipe", "metric"])
    measured = {}
    for recipe, loss, accuracy in values:
        measured.setdefault((recipe, "loss"), []).append(loss)
        if accuracy is not None:
            measured.setdefault((recipe, "accuracy"), []).append(accuracy)
    assert set(summary.index) == set(measured)
    for point, replicates in measured.items():
        found = stats.summarize(replicates, stats.find_bounds(point[1]))
        expected = [getattr(found, field) for field in FIELDS]
        assert np.array_equal(summary.loc[point, FIELDS].to_numpy(float), expected, equal_nan=True)


def test_aggregate_seeds_leaves_out_of_n_what_was_not_measured():
    summary = stats.aggregate_seeds(RUNS[RUNS["scale"] == 4.0], metrics=["diverged"])
    assert list(summary["n"]) == [1]
    assert list(summary["mean"]) == [1.0]
    assert list(summary.columns) == ["metric", *FIELDS]


def test_aggregate_seeds_leaves_out_rows_without_the_column_it_groups_by():
    runs = pd.DataFrame(
        {"seed": [0, 0], "noise_level": [np.nan, 0.4], "accuracy": [np.nan, 0.9], "baseline": [0.1, np.nan]}
    )
    by_level = stats.aggregate_seeds(runs, by=["noise_level"])
    assert list(by_level[["noise_level", "metric", "mean"]].itertuples(index=False, name=None)) == [
        (0.4, "accuracy", 0.9)
    ]
    assert list(stats.aggregate_seeds(runs, metrics=["baseline"])["mean"]) == [0.1]


def test_aggregate_seeds_takes_numbers_alone_and_the_metrics_in_the_order_asked_for():
    runs = RUNS.assign(notes="…", curve=[[0.1, 0.2]] * 4)
    assert "notes" not in set(stats.aggregate_seeds(runs, by=["recipe", "scale"])["metric"])
    asked = stats.aggregate_seeds(runs, by=["scale"], metrics=["test_accuracy", "train_accuracy"])
    assert list(asked["metric"]) == ["test_accuracy", "train_accuracy"] * 2


def test_aggregate_seeds_never_pools_grid_points_as_replicates():
    message = (
        "stats.aggregate_seeds: train_accuracy has several values for one seed at one point: name the columns in "
        "which these rows differ in `by`, or select other `metrics`"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        stats.aggregate_seeds(RUNS, by=["recipe"], metrics=["train_accuracy"])
    with pytest.raises(UserError, match="scale has several values"):
        stats.aggregate_seeds(RUNS)


def test_aggregate_seeds_of_no_runs_has_its_columns():
    assert list(stats.aggregate_seeds(RUNS.iloc[:0], by=["scale"]).columns) == ["scale", "metric", *FIELDS]


ROUNDING = 1e-12
FRACTIONS = st.lists(st.floats(0, 1), min_size=2, max_size=8)


@given(FRACTIONS)
def test_intervals_of_fractions_and_losses_are_possible_and_hold_the_mean(values):
    for bounds in ((0.0, 1.0), (0.0, np.inf)):
        summary = stats.summarize(values, bounds)
        losses = np.isinf(bounds[1]) and np.min(values) > 0  # whose prediction interval holds the geometric mean
        middle = np.exp(np.mean(np.log(values))) if losses else summary.mean
        for held, (low, high) in (
            (summary.mean, summary.interval),
            (middle, stats.prediction_interval(values, bounds)),
        ):
            if bounds[0] < summary.mean < bounds[1]:
                assert bounds[0] <= low <= held + ROUNDING
                assert held - ROUNDING <= high <= bounds[1]
            else:
                assert summary.std == pytest.approx(0, abs=1e-12)


@given(st.lists(st.floats(0.2, 0.8), min_size=4, max_size=8).filter(lambda values: np.std(values) > 1e-3))
def test_intervals_are_those_of_the_delta_method_on_the_scale_of_their_bounds(values):
    free = stats.summarize(values)
    for bounds, scale, slope in (
        ((0.0, 1.0), logit, 1 / (free.mean * (1 - free.mean))),
        ((0.0, np.inf), np.log, 1 / free.mean),
    ):
        reach = (free.ci_high - free.mean) * slope
        low, high = stats.summarize(values, bounds).interval
        assert scale(high) - scale(free.mean) == pytest.approx(reach)
        assert scale(free.mean) - scale(low) == pytest.approx(reach)


@given(FRACTIONS.filter(lambda values: np.std(values) > 1e-3), st.integers(-8, 8), st.integers(1, 8))
def test_intervals_move_and_stretch_with_their_bounds(values, start, width):
    moved = start + width * np.array(values)
    for high in (1.0, np.inf):
        expected, bounds = stats.summarize(values, (0.0, high)).interval, (float(start), start + width * high)
        low_and_high = np.array(stats.summarize(moved, bounds).interval)
        assert low_and_high == pytest.approx(start + width * np.array(expected), rel=1e-6, abs=1e-6)


@given(st.integers(0, 64), st.sampled_from([(0.0, 1.0), (0.0, np.inf), (0.0, 0.5), stats.UNBOUNDED]))
def test_values_that_agree_have_an_interval_without_width_even_at_a_bound(sixtyfourths, bounds):
    summary = stats.summarize([sixtyfourths / 64] * 3, bounds)
    assert summary.interval == (summary.mean, summary.mean)
    assert stats.prediction_interval([sixtyfourths / 64] * 3, bounds) == pytest.approx(summary.interval)


@pytest.mark.parametrize(("values", "bounds"), [([-1.0, 1.0], (0.0, np.inf)), ([0.5, 1.5], (0.0, 1.0))])
def test_values_outside_their_bounds_have_the_interval_without_bounds(values, bounds):
    assert stats.summarize(values, bounds) == stats.summarize(values)


@given(st.lists(st.floats(0.4, 0.6), min_size=4, max_size=8))
def test_bounds_far_away_change_an_interval_little(values):
    free, bounded = stats.summarize(values), stats.summarize(values, (0.0, 1.0))
    assert np.allclose(free.interval, bounded.interval, atol=0.05)


@pytest.mark.parametrize(
    ("metric", "bounds"),
    [
        ("test_accuracy", (0, 1)),
        ("level_at_accuracy", (0, 1)),
        ("error", (0, 1)),
        ("crossover_level", (0, 1)),
        ("val_loss", (0, np.inf)),
        ("val_cross_entropy", (0, np.inf)),
        ("val_loss_logarithm", (-np.inf, np.inf)),
        ("accuracy_change", (-np.inf, np.inf)),
        ("train_accuracy_same_noise", (0, 1)),
        ("max_val_accuracy_so_far", (0, 1)),
        ("confident_fraction", (0, 1)),
        ("psnr", (-np.inf, np.inf)),
    ],
)
def test_find_bounds_goes_by_the_end_of_a_name(metric, bounds):
    assert stats.find_bounds(metric) == bounds


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_prediction_interval_is_students_for_one_more_replicate(values):
    summary = stats.summarize(values)
    half = (summary.ci_high - summary.mean) * np.sqrt(summary.n) * np.sqrt(1 + 1 / summary.n)
    assert np.allclose(stats.prediction_interval(values), (summary.mean - half, summary.mean + half))


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8), st.floats(-5, 5))
def test_prediction_interval_of_losses_is_that_of_their_logarithms(logarithms, bound):
    expected = np.array(stats.prediction_interval(logarithms))
    ends = np.array(stats.prediction_interval(bound + np.exp(logarithms), (bound, np.inf)))
    assert np.allclose(ends, bound + np.exp(expected), rtol=1e-6)


@pytest.mark.parametrize("bounds", [stats.UNBOUNDED, (0.0, 1.0), (0.0, np.inf)])
def test_prediction_interval_needs_replicates(bounds):
    assert np.isnan(stats.prediction_interval([0.5], bounds)).all()


@given(st.floats(-1, 1), st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=10))
def test_classify_differences_decides_as_the_test_of_scipy_does(mean, spread):
    values = [mean + each for each in spread]
    summary = stats.summarize(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pvalue = ttest_1samp(values, 0).pvalue
    if abs(pvalue - 0.05) > 1e-9 and summary.std > 1e-12:
        expected = ("higher" if summary.mean > 0 else "lower") if pvalue < 0.05 else "inconclusive"
        assert stats.classify_differences([summary])[0] == expected
    assert stats.classify_differences([stats.summarize(values[:1])])[0] == "needs replicates"


BELOW_THRESHOLDS = [0.99 * 0.05 / n for n in range(1, 7)]  # of up to six differences


@given(st.lists(st.sampled_from(BELOW_THRESHOLDS) | st.floats(0.001, 0.5), min_size=1, max_size=6))
def test_classify_differences_corrects_for_their_number_by_holms_method(pvalues):
    def with_pvalue(pvalue):
        return stats.Summary(float(stdtrit(3, 1 - pvalue / 2)), 2.0, 4, np.nan, np.nan)

    answers = stats.classify_differences([with_pvalue(pvalue) for pvalue in pvalues])
    order, rejected = np.argsort(pvalues, kind="stable"), set()
    for rank, place in enumerate(order):
        if pvalues[place] * (len(pvalues) - rank) >= 0.05:
            break
        rejected.add(place)
    assert [answer == "higher" for answer in answers] == [place in rejected for place in range(len(pvalues))]


def test_classify_differences_takes_the_rows_of_aggregate_seeds():
    values = {"lower": [-0.2, -0.21], "higher": [0.2, 0.21], "inconclusive": [-0.2, 0.3], "none": [0.0, 0.0]}
    runs = pd.DataFrame(
        {"expected": expected, "seed": seed, "change": change}
        for expected, changes in values.items()
        for seed, change in enumerate(changes)
    )
    rows = stats.aggregate_seeds(runs, by=["expected"])
    assert stats.classify_differences(rows) == list(rows["expected"]) == list(values)


def test_classify_differences_says_where_there_is_none():
    assert stats.classify_differences([stats.summarize([0.0, 0.0]), stats.summarize([0.1])]) == [
        "none",
        "needs replicates",
    ]


def test_classify_differences_decides_where_replicates_agree_and_not_where_they_cancel():
    differences = [stats.summarize(values) for values in ([0.5, 0.5], [-0.5, -0.5], [-0.5, 0.5])]
    assert stats.classify_differences(differences) == ["higher", "lower", "inconclusive"]


def test_classify_differences_uses_the_words_it_is_given():
    assert stats.classify_differences([stats.summarize([-0.2, -0.21])], ("worse", "better"))[0] == "worse"
    assert stats.classify_differences([stats.summarize([0.2, 0.21])], ("worse", "better"))[0] == "better"


def test_friedman_test_sees_a_treatment_that_always_wins_and_none_in_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(10, 4))
    assert stats.friedman_test(noise + np.array([0, 0, 0, 10]))["significant"] is True
    assert stats.friedman_test(noise)["significant"] is False


def test_friedman_test_is_exact_enough_where_the_chi_squared_distribution_is_not():
    always = stats.friedman_test(np.tile(np.arange(5.0), (3, 1)))
    assert always["statistic"] == pytest.approx(12)
    assert always["pvalue"] < 0.001, "exactly 1 in 14,400; chi-squared says 0.017"
    assert always["n"] == 3


def test_friedman_test_of_ties_alone_has_no_statistic_and_warns_of_nothing():
    with warnings.catch_warnings(action="error"):
        test = stats.friedman_test(np.zeros((3, 5)))
    assert np.isnan(test["statistic"])
    assert (test["pvalue"], test["significant"]) == (1, False)


@pytest.mark.parametrize("seed", range(4))
def test_friedman_test_counts_all_orders_within_the_rows_where_they_are_few(seed):
    values = np.random.default_rng(seed).normal(size=(3, 3))
    orders = itertools.product(*(itertools.permutations(row) for row in values))
    statistics = np.array([friedmanchisquare(*zip(*rows, strict=True)).statistic for rows in orders])
    test = stats.friedman_test(values)
    assert test["pvalue"] == pytest.approx((statistics >= test["statistic"] - 1e-9).mean())


def test_friedman_test_corrects_its_statistic_for_ties():
    values = np.array([[1, 1, 2], [1, 2, 3], [2, 1, 3], [1, 2, 2]])
    assert stats.friedman_test(values)["statistic"] == pytest.approx(friedmanchisquare(*values.T).statistic)


def test_friedman_test_gives_the_same_p_value_every_time():
    values = np.random.default_rng(1).normal(size=(8, 4))  # with more orders than are tried
    assert stats.friedman_test(values) == stats.friedman_test(values)


def test_friedman_test_does_not_decide_with_too_few_replicates():
    test = stats.friedman_test(np.zeros((2, 5)))
    assert (test["n"], test["significant"]) == (2, None)
    assert np.isnan([test["statistic"], test["pvalue"]]).all()


def test_describe_difference_pairs_seeds_and_leaves_out_those_without_a_pair():
    changed, before = pd.Series({0: 1.0, 1: 2.0, 2: 4.0, 3: np.nan}), pd.Series({0: 1.0, 1: 1.0, 2: 2.0, 4: 9.0})
    assert stats.describe_difference(changed, before) == stats.describe_change(stats.summarize([0.0, 1.0, 2.0]))
    arrays = np.array([3.0, 5.0]), np.array([1.0, 1.0])
    assert stats.describe_difference(*arrays) == stats.describe_change(stats.summarize([2.0, 4.0]))


def test_summarize_epochs_finds_the_best_epoch_of_each_replicate():
    summaries = stats.summarize_epochs(np.array([[0.1, 0.3, 0.2], [0.6, 0.4, 0.5]]))
    means = {name: summary.mean for name, summary in summaries.items()}
    assert means == pytest.approx({"best epoch": 1.5, "after the first": 0.35, "best": 0.45, "after the last": 0.35})


def test_describe_change_is_the_same_for_a_summary_and_a_row():
    summary = stats.summarize([0.1, 0.2, 0.6])
    (_, row), *_ = stats.aggregate_seeds(pd.DataFrame({"seed": [0, 1, 2], "change": [0.1, 0.2, 0.6]})).iterrows()
    assert stats.describe_change(summary) == stats.describe_change(row) == "+0.3000 (-0.3572 to 0.9572)"
