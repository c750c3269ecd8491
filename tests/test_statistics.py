import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from noisy_digits import statistics

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20)


@given(VALUES)
def test_the_interval_is_students(values):
    found = statistics.summarise(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    if found.deviation > 1e-6:
        low, high = stats.t.interval(0.95, len(values) - 1, found.mean, stats.sem(values))
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_value_has_neither_deviation_nor_interval():
    found = statistics.summarise([0.5])
    assert np.isnan([found.deviation, found.low, found.high]).all()
    assert str(found) == "0.5000 (n = 1)"


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="no values"):
        statistics.summarise([])


def tidy(**scales):
    rows = [
        {"recipe": "corrected", "scale": float(scale[1:]), "seed": seed, "metric": metric, "value": value}
        for scale, metrics in scales.items()
        for metric, values in metrics.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


TABLE = tidy(
    s0={"training_accuracy": [0.9, 1.0], "test_accuracy": [0.8, 0.6]},
    s4={"training_accuracy": [0.5, 0.5], "test_accuracy": [0.25, 0.75]},
)


def test_summaries_by_grid_point():
    rows = statistics.lookup(statistics.over_seeds(TABLE))
    assert rows["corrected", 0.0, "test_accuracy"].mean == pytest.approx(0.7)
    assert rows["corrected", 4.0, "training_accuracy"].deviation == 0
    assert rows["corrected", 4.0, "test_accuracy"].n == 2


def test_differences_pair_within_replicates():
    gap = statistics.difference(TABLE, "training_accuracy", "test_accuracy", name="gap")
    assert list(gap["value"]) == pytest.approx([0.1, 0.4, 0.25, -0.25])
    assert set(gap["metric"]) == {"gap"}
    assert list(gap.columns) == list(TABLE.columns)


def test_the_wide_table_has_a_row_a_point_and_the_metrics_in_the_order_asked_for():
    wide = statistics.wide(statistics.over_seeds(TABLE), ["test_accuracy", "training_accuracy"])
    assert list(wide.columns) == ["recipe", "scale", "test accuracy", "training accuracy"]
    assert list(wide["scale"]) == ["0", "4"]
    assert wide.iloc[0]["training accuracy"] == "0.9500 ± 0.0707 (n = 2)"
    assert list(statistics.wide(statistics.over_seeds(TABLE), ["test_loss"])["test loss"]) == ["–", "–"]


def test_the_wide_table_counts_diverged_replicates():
    lost = TABLE.iloc[:1].assign(metric="diverged", value=1.0)
    wide = statistics.wide(statistics.over_seeds(pd.concat([TABLE, lost])), ["test_accuracy"])
    assert list(wide["diverged"]) == [1, 0]


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        statistics.summarise([0.5, np.nan])


@given(st.integers(0, 1000))
def test_beating_the_majority_is_an_exact_binomial_test(right):
    labels = np.repeat(np.arange(10), 100)
    expected = stats.binomtest(right, 1000, 0.1, alternative="greater").pvalue < 0.01
    assert statistics.beats_majority(right / 1000, labels) == expected


def test_the_majority_rate():
    assert statistics.majority_rate(np.array([0, 1, 1, 2])) == 0.5


def test_friedman_sees_a_treatment_that_always_wins_and_none_in_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(10, 4))
    better = np.array([0, 0, 0, 10])
    assert statistics.friedman(noise + better)["differ"] is True
    assert statistics.friedman(noise)["differ"] is False


def test_friedmans_p_is_exact_enough_where_the_chi_squared_distribution_is_not():
    always = np.tile(np.arange(5.0), (3, 1))
    assert statistics.friedman(always)["chi2"] == pytest.approx(12)
    assert statistics.friedman(always)["p"] < 0.001, "exactly 1 in 14,400; chi-squared says 0.017"
    assert statistics.friedman(np.zeros((3, 5)))["p"] == 1


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10))
def test_a_sign_is_told_only_where_the_interval_leaves_zero_out(values):
    found = statistics.summarise(values)
    expected = "higher" if found.low > 0 else "lower" if found.high < 0 else "not distinguishable"
    assert statistics.sign(found) == expected
    assert statistics.sign(statistics.summarise(values[:1])) == "needs replicates"


def test_friedman_does_not_decide_with_too_few_replicates():
    assert statistics.friedman(np.zeros((2, 5)))["differ"] is None
