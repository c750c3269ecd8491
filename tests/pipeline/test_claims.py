"""Claims: the arithmetic behind each verdict."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits import stats
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_interval
from noisy_digits.pipeline.claims import UNDECIDED, Outcome, Verdict, evaluate_claim, format_condition
from noisy_digits.pipeline.config import Claim

SPREAD = (-0.01, 0.0, 0.01)


def replicates(metric, mean, *, spread=SPREAD, **point):
    """Return tidy rows: three seeds around ``mean`` at one point."""
    rows = [{**point, "seed": seed, "metric": metric, "value": mean + noise} for seed, noise in enumerate(spread)]
    return pd.DataFrame(rows)


def table(*, spread=SPREAD, **means):
    """Return replicates around the means given, by recipe and scale: ``corrected={0.1: 0.9}``."""
    rows = [
        replicates("test_accuracy", mean, spread=spread, recipe=recipe, scale=scale)
        for recipe, levels in means.items()
        for scale, mean in levels.items()
    ]
    return pd.concat(rows)[["recipe", "scale", "seed", "metric", "value"]]


def claim(metric="test_accuracy", **parts):
    return Claim(statement="…", notebook="2_train", metric=metric, **parts)


def evaluate(made, rows):
    return evaluate_claim(made, rows, "as_submitted", "corrected")


def word(made, rows=None, **means):
    return evaluate(made, table(**means) if rows is None else rows).word


HIGH = claim(at={"scale": 0.1}, greater_than=0.8, cause={"mistake": "a slip"})


@pytest.mark.parametrize(
    ("original", "corrected", "expected"),
    [
        (0.9, 0.9, "supported"),
        (0.5, 0.9, "supported"),
        (0.5, 0.5, "refuted"),
        (0.9, 0.5, "artefact"),
        (0.9, 0.8, "inconclusive"),
        (0.5, 0.8, "inconclusive"),
        (0.8, 0.5, "refuted"),
    ],
)
def test_evaluate_claim_lets_the_corrected_recipe_decide(original, corrected, expected):
    verdict = evaluate(HIGH, table(as_submitted={0.1: original}, corrected={0.1: corrected}))
    assert verdict.word == expected
    assert verdict.cause == ("a slip" if expected == "artefact" else "")


def test_evaluate_claim_lets_another_recipe_decide_if_the_claim_names_it():
    other = HIGH.model_copy(update={"decided_by": "pixel_units"})
    assert word(other, corrected={0.1: 0.5}, pixel_units={0.1: 0.9}) == "supported"
    assert word(other, corrected={0.1: 0.9}, pixel_units={0.1: 0.5}) == "refuted"
    assert word(other, as_submitted={0.1: 0.9}, corrected={0.1: 0.9}, pixel_units={0.1: 0.5}) == "artefact"
    assert word(other, corrected={0.1: 0.9}) == "not decided"


def test_evaluate_claim_takes_the_names_of_the_recipes_from_its_arguments():
    rows = table(first={0.1: 0.9}, second={0.1: 0.5})
    assert evaluate_claim(HIGH, rows, "first", "second").word == "artefact"
    assert evaluate_claim(HIGH, rows, "second", "first").word == "supported"


def test_evaluate_claim_does_not_decide_without_the_corrected_recipe():
    verdict = evaluate(HIGH, table(as_submitted={0.1: 0.9}))
    assert verdict.word == "not decided"
    assert verdict.findings["as_submitted"].outcome is Outcome.HOLDS


@given(st.floats(-2, 2), st.floats(0.001, 0.5))
def test_evaluate_claim_compares_the_interval_with_the_region(mean, spread):
    rows = table(corrected={0.1: mean}, spread=(-spread, 0.0, spread))
    found = stats.summarize(rows["value"], stats.find_bounds(HIGH.metric))
    expected = "supported" if found.ci_low > 0.8 else "refuted" if found.ci_high <= 0.8 else "inconclusive"
    assert word(HIGH, rows) == expected


def test_evaluate_claim_decides_nothing_with_too_few_seeds():
    few = table(corrected={0.1: 0.9}, spread=(0.0, 0.01))
    verdict = evaluate(HIGH, few)
    assert verdict.word == "not decided"
    assert verdict.findings["corrected"].explanation == "needs 3 seeds, has 2"
    assert word(HIGH, few.iloc[:0]) == "not decided"
    lost = evaluate(HIGH, table(corrected={0.2: 0.9})).findings["corrected"]
    assert lost.explanation == "test accuracy at scale 0.1: not recorded"


def test_evaluate_claim_takes_an_exact_number_from_one_row():
    exact = claim(at={"scale": 0.1}, greater_than=0.8, exact=True)
    assert word(exact, corrected={0.1: 0.9}, spread=(0.0,)) == "supported"


def test_evaluate_claim_requires_every_change_along_a_column():
    falls = claim(at={"scale": [0.1, 1.0, 2.0]}, along="scale", less_than=0.0)
    assert word(falls, corrected={0.1: 0.9, 1.0: 0.7, 2.0: 0.5}) == "supported"
    verdict = evaluate(falls, table(corrected={0.1: 0.9, 1.0: 0.95, 2.0: 0.5}))
    assert verdict.word == "refuted"
    assert "scale 0.1 to 1: 0.0500" in verdict.findings["corrected"].explanation


def test_evaluate_claim_pairs_changes_within_seeds():
    falls = claim(at={"scale": [0.1, 1.0]}, along="scale", less_than=0.0)
    assert word(falls, corrected={0.1: 0.9, 1.0: 0.89}, spread=(-0.3, 0.0, 0.3)) == "supported"


def test_evaluate_claim_compares_the_largest_change_with_every_other():
    last = claim(at={"scale": [0.1, 1.0, 2.0]}, along="scale", largest_change_at=2.0, less_than=0.0)
    assert word(last, corrected={0.1: 0.9, 1.0: 0.8, 2.0: 0.3}) == "supported"
    assert word(last, corrected={0.1: 0.9, 1.0: 0.3, 2.0: 0.2}) == "refuted"


def test_evaluate_claim_requires_a_difference_from_every_other_point():
    best = claim(at={"scale": 1.0}, minus={"at": {"scale": [0.1, 2.0]}}, greater_than=0.0)
    assert word(best, corrected={0.1: 0.8, 1.0: 0.9, 2.0: 0.7}) == "supported"
    assert word(best, corrected={0.1: 0.95, 1.0: 0.9, 2.0: 0.7}) == "refuted"


def test_evaluate_claim_subtracts_a_metric_at_the_same_point():
    chance = claim(at={"scale": [0.1, 1.0]}, minus={"metric": "majority_baseline"}, less_than=0.05)
    rows = table(corrected={0.1: 0.12, 1.0: 0.9})
    both = pd.concat([rows, rows.assign(metric="majority_baseline", value=0.11)])
    assert word(chance, both) == "refuted"
    assert word(chance, both[both["scale"] == 0.1]) == "not decided"


def test_evaluate_claim_subtracts_a_metric_that_depends_on_fewer_coordinates():
    """The share of the most frequent class is the same at every noise level."""
    chance = claim("accuracy", at={"noise_level": [0.5, 1.0]}, minus={"metric": "majority_baseline"}, less_than=0.05)
    rows = [replicates("accuracy", mean, noise_level=level) for level, mean in ((0.5, 0.12), (1.0, 0.1))]
    assert word(chance, pd.concat([*rows, replicates("majority_baseline", 0.11)])) == "supported"
    assert word(chance, pd.concat([*rows, replicates("majority_baseline", 0.01)])) == "refuted"
    assert word(chance, pd.concat(rows)) == "not decided"
    assert word(chance, replicates("majority_baseline", 0.11)) == "not decided", "no row has a noise level"


def test_evaluate_claim_subtracts_a_metric_at_another_coordinate():
    fewer = claim("macs", at={"model": "cnn"}, minus={"at": {"model": "mlp"}}, less_than=0.0, exact=True)
    rows = [replicates("macs", value, spread=(0,), model=model) for model, value in (("mlp", 100), ("cnn", 900))]
    assert word(fewer, pd.concat(rows)) == "refuted"


def test_evaluate_claim_never_pools_rows_with_other_coordinates():
    rows = pd.concat(
        [
            replicates("accuracy", 0.9),
            replicates("accuracy", 0.5, noise_level=0.4),
            replicates("accuracy", 0.7, test_noise="clean"),
        ]
    )
    for at, expected in (({}, "0.9000"), ({"noise_level": 0.4}, "0.5000"), ({"test_noise": "clean"}, "0.7000")):
        verdict = evaluate(claim("accuracy", at=at, greater_than=0.0), rows)
        assert verdict.word == "supported"
        assert f": {expected} ±" in verdict.findings[""].explanation
    assert word(claim("accuracy", at={"layer": 1}, greater_than=0.0), rows) == "not decided"


def test_evaluate_claim_never_pools_grid_points_as_seeds():
    with pytest.raises(UserError, match="several values for one seed at recipe corrected: name one of scale in"):
        evaluate(claim(greater_than=0.8), table(corrected={0.1: 0.9, 1.0: 0.9}))


def test_evaluate_claim_decides_without_recipes():
    verdict = evaluate(claim(at={"scale": 0.1}, greater_than=0.8), table(corrected={0.1: 0.5}).drop(columns="recipe"))
    assert (verdict.word, verdict.cause) == ("refuted", "")
    assert list(verdict.findings) == [""]


@pytest.mark.parametrize(
    ("alone", "without", "expected"),
    [
        (0.9, 0.5, "artefact"),
        (0.5, 0.5, "refuted"),
        (0.9, 0.9, "refuted"),
        (0.8, 0.5, "refuted"),
        (0.9, 0.8, "refuted"),
    ],
)
def test_evaluate_claim_finds_an_artefact_only_where_its_mistake_is_isolated(alone, without, expected):
    isolated = {"mistake": "a slip", "alone": "slip", "without": "original_without"}
    levels = {"as_submitted": 0.9, "corrected": 0.5, "slip": alone, "original_without": without, "another": 0.9}
    rows = table(**{recipe: {0.1: mean} for recipe, mean in levels.items()})
    verdict = evaluate(claim(at={"scale": 0.1}, greater_than=0.8, cause=isolated), rows)
    assert verdict.word == expected
    assert list(verdict.findings) == ["as_submitted", "corrected", "slip", "original_without"]
    del levels["slip"]
    fewer = table(**{recipe: {0.1: mean} for recipe, mean in levels.items()})
    assert evaluate(claim(at={"scale": 0.1}, greater_than=0.8, cause=isolated), fewer).word == "refuted"


def test_evaluate_claim_divides_changes_by_the_distance_of_their_levels():
    parts = {"at": {"scale": [0.0, 1.0, 3.0]}, "along": "scale", "largest_change_at": 3.0, "less_than": 0.0}
    levels = {"corrected": {0.0: 0.9, 1.0: 0.7, 3.0: 0.4}}
    assert word(claim(**parts), **levels) == "supported"
    assert word(claim(**parts, per_unit=True), **levels) == "refuted"


def test_evaluate_claim_supports_a_pvalue_or_is_inconclusive():
    test = claim(at={"scale": 0.1}, pvalue_less_than=0.05)
    assert word(test, corrected={0.1: 0.01}, spread=(0.0,)) == "supported"
    assert word(test, corrected={0.1: 0.5}, spread=(0.0,)) == "inconclusive"

    assert word(test, corrected={0.1: 0.05}, spread=(0.0,)) == "inconclusive"


def explanation(made, rows=None, **means):
    return evaluate(made, table(**means) if rows is None else rows).findings["corrected"].explanation


FALLS = {"at": {"scale": [0.1, 1.0, 2.0]}, "along": "scale", "less_than": 0.0}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            {"at": {"scale": 0.1}, "greater_than": 0.5},
            "test accuracy at scale 0.1: 0.9000 ± 0.0100 (n = 3), 95 % interval 0.8723 to 0.9222",
        ),
        ({"at": {"scale": 0.1}, "greater_than": 0.5, "exact": True}, "test accuracy at scale 0.1: 0.9000, exact"),
        ({"at": {"scale": 0.1}, "pvalue_less_than": 0.05}, "test accuracy at scale 0.1: 0.9000"),
        (
            {"at": {"scale": 1.0}, "minus": {"at": {"scale": 0.1}}, "less_than": 0.0, "exact": True},
            "test accuracy at scale 1 minus scale 0.1: -0.2000, exact",
        ),
        (
            {"at": {"scale": 1.0}, "minus": {"metric": "test_accuracy", "at": {"scale": 0.1}}, "less_than": 0.0}
            | {"exact": True},
            "test accuracy at scale 1 minus test accuracy at scale 0.1: -0.2000, exact",
        ),
        (FALLS | {"exact": True}, "test accuracy, scale 1 to 2: -0.1000, exact"),
        (
            FALLS | {"largest_change_at": 1.0, "exact": True},
            "change to scale 1 minus test accuracy, scale 1 to 2: -0.1000, exact",
        ),
        (
            FALLS | {"largest_change_at": 1.0, "per_unit": True, "exact": True},
            "change to scale 1 minus test accuracy, scale 1 to 2: -0.1222, exact",
        ),
    ],
)
def test_evaluate_claim_explains_its_finding_with_the_number_that_decides(parts, expected):
    assert explanation(claim(**parts), corrected={0.1: 0.9, 1.0: 0.7, 2.0: 0.6}) == expected


@pytest.mark.parametrize(
    ("levels", "decisive"),
    [
        ({0.1: 0.9, 1.0: 0.92, 2.0: 0.99}, "scale 1 to 2: 0.0700"),
        ({0.1: 0.9, 1.0: 0.97, 2.0: 0.99}, "scale 0.1 to 1: 0.0700"),
        ({0.1: 0.9, 1.0: 0.6, 2.0: 0.55}, "scale 1 to 2: -0.0500"),
        ({0.1: 0.9, 1.0: 0.85, 2.0: 0.55}, "scale 0.1 to 1: -0.0500"),
    ],
)
def test_evaluate_claim_explains_with_the_change_furthest_outside_or_nearest_to_the_edge(levels, decisive):
    assert f"test accuracy, {decisive}" in explanation(claim(**FALLS), corrected=levels)


@pytest.mark.parametrize(("other", "decisive"), [(0.85, 0.72), (0.75, 0.88), (0.72, 0.6), (0.88, 0.95)])
def test_evaluate_claim_explains_with_the_number_nearest_to_either_limit(other, decisive):
    between = claim(at={"scale": [0.1, 1.0]}, greater_than=0.7, less_than=0.9, exact=True)
    assert explanation(between, corrected={0.1: other, 1.0: decisive}).endswith(f"scale 1: {decisive:.4f}, exact")


def test_evaluate_claim_explains_with_the_first_of_equal_changes():
    equal = explanation(claim(**FALLS), corrected={0.1: 1.0, 1.0: 0.75, 2.0: 0.5}, spread=(0.0,) * 3)
    assert "scale 0.1 to 1: -0.2500" in equal


@pytest.mark.parametrize(
    "parts",
    [
        {"at": {"scale": [0.1, 1.0]}, "along": "scale", "greater_than": 0.0},
        {"at": {"scale": 1.0}, "minus": {"at": {"scale": 0.1}}, "greater_than": 0.0},
    ],
)
def test_evaluate_claim_sets_no_bounds_to_differences_and_changes(parts):
    """That of two accuracies may be negative."""
    first, second = (0.0, 0.0, 0.0), (-0.05, 0.0, 0.05)
    rows = pd.concat([table(corrected={0.1: 0.5}, spread=first), table(corrected={1.0: 0.6}, spread=second)])
    found = stats.summarize([0.05, 0.1, 0.15])
    assert found.ci_low < 0
    assert f"95 % interval {format_interval(*found.interval)}" in explanation(claim(**parts), rows)
    assert word(claim(**parts), rows) == "inconclusive"


def test_evaluate_claim_explains_with_a_change_that_fails_rather_than_with_an_unclear_one():
    spreads = {0.1: (0.0, 0.0, 0.0), 1.0: (-0.3, 0.0, 0.3), 2.0: (-0.3, 0.0, 0.3)}
    rows = [table(corrected={scale: 0.5 + scale / 20}, spread=spread) for scale, spread in spreads.items()]
    assert "scale 1 to 2: 0.0500" in explanation(claim(**FALLS), pd.concat(rows))
    assert word(claim(**FALLS), pd.concat(rows)) == "refuted"


@pytest.mark.parametrize(
    ("value", "limits", "expected"),
    [
        (0.8, {"greater_than": 0.8}, "refuted"),
        (0.8, {"less_than": 0.8}, "refuted"),
        (0.8, {"greater_than": 0.7, "less_than": 0.9}, "supported"),
        (0.6, {"greater_than": 0.7, "less_than": 0.9}, "refuted"),
        (0.95, {"greater_than": 0.7, "less_than": 0.9}, "refuted"),
    ],
)
def test_evaluate_claim_leaves_the_limits_out_of_the_region(value, limits, expected):
    exact = claim(at={"scale": 0.1}, exact=True, **limits)
    assert word(exact, corrected={0.1: value}, spread=(0.0,)) == expected


@pytest.mark.parametrize(
    ("limit", "end", "expected"),
    [
        ("greater_than", "ci_low", "inconclusive"),
        ("greater_than", "ci_high", "refuted"),
        ("less_than", "ci_low", "refuted"),
        ("less_than", "ci_high", "inconclusive"),
    ],
)
def test_evaluate_claim_does_not_count_an_interval_that_touches_a_limit_as_inside(limit, end, expected):
    rows = table(corrected={0.1: 0.9})
    found = stats.summarize(rows["value"], stats.find_bounds("test_accuracy"))
    assert word(claim(at={"scale": 0.1}, **{limit: getattr(found, end)}), rows) == expected


@pytest.mark.parametrize("parts", [FALLS, {"at": {"scale": 1.0}, "minus": {"at": {"scale": 0.1}}, "less_than": 0.0}])
def test_evaluate_claim_leaves_out_seeds_that_one_side_of_a_difference_lacks(parts):
    rows = table(corrected={0.1: 0.9, 1.0: 0.7, 2.0: 0.5})
    more = rows[rows["scale"] == 1.0].assign(seed=lambda rows: rows["seed"] + 2)
    assert "(n = 3)" in explanation(claim(**parts), pd.concat([rows, more[more["seed"] > 2]]))


def test_evaluate_claim_takes_changes_at_every_other_coordinate_in_the_order_of_the_levels():
    rows = pd.concat(
        table(corrected={0.1: 0.9, 1.0: second, 2.0: 0.1}).assign(depth=depth)
        for depth, second in ((1, 0.5), (3, 0.95))
    )
    unsorted = {"at": {"depth": [1, 3], "scale": [2.0, 0.1, 1.0]}, "along": "scale", "less_than": 0.0}
    assert "test accuracy at depth 3, scale 0.1 to 1: 0.0500" in explanation(claim(**unsorted), rows)
    assert word(claim(**unsorted), rows) == "refuted"


def test_evaluate_claim_lets_the_first_recipe_decide_if_none_is_named():
    rows, high = table(first={0.1: 0.9}, second={0.1: 0.5}), claim(at={"scale": 0.1}, greater_than=0.8)
    verdict = evaluate_claim(high, rows)
    assert (verdict.word, verdict.cause, list(verdict.findings)) == ("supported", "", ["first"])


def test_undecided_is_the_verdict_without_any_number():
    assert Verdict("not decided", "", {}) == UNDECIDED == evaluate_claim(HIGH, table(first={0.1: 0.9}).iloc[:0])


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"at": {"scale": 0.1}, "greater_than": 0.8}, "0.8 < test accuracy at scale 0.1"),
        ({"greater_than": 0.8, "less_than": 0.9}, "0.8 < test accuracy < 0.9"),
        (
            {"at": {"scale": [0.1, 1.0]}, "along": "scale", "per_unit": True, "greater_than": 0.5},
            "0.5 < every change per unit of scale of test accuracy at scale 0.1, 1",
        ),
        (
            {"at": {"scale": 0.1, "denoiser": "none"}, "minus": {"at": {"denoiser": "median_3"}}, "less_than": 0.0},
            "test accuracy at scale 0.1; denoiser none minus denoiser median 3 < 0",
        ),
        (
            {"at": {"noise_level": [0.1, 1.0]}, "along": "noise_level", "less_than": 0.0},
            "every change of test accuracy at noise level 0.1, 1 < 0",
        ),
        (
            {"at": {"scale": [0.1, 1.0, 2.0]}, "along": "scale", "largest_change_at": 1.0, "less_than": 0.0},
            "change of test accuracy at scale 0.1, 1, 2 to scale 1 minus any other < 0",
        ),
        (
            {"minus": {"metric": "majority_baseline"}, "less_than": 0.01},
            "test accuracy minus majority baseline < 0.01",
        ),
        ({"pvalue_less_than": 0.05}, "test accuracy < 0.05"),
    ],
)
def test_format_condition(parts, expected):
    assert format_condition(claim(**parts)) == expected
