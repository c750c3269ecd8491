"""Claims, and what decides them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits import claims, statistics
from noisy_digits.schema import Claim

SPREAD = (-0.01, 0.0, 0.01)


def table(*, spread=SPREAD, **means):
    """Replicates around the means given, by recipe and scale: ``corrected={0.1: 0.9}``."""
    rows = [
        {"recipe": recipe, "scale": scale, "seed": seed, "metric": "test_accuracy", "value": mean + noise}
        for recipe, levels in means.items()
        for scale, mean in levels.items()
        for seed, noise in enumerate(spread)
    ]
    return pd.DataFrame(rows)


def claim(**parts):
    return Claim(says="…", notebook="2_training", metric="test_accuracy", **parts)


HIGH = claim(at={"scale": 0.1}, above=0.8, mistake="a slip")


def word(made, **means):
    return claims.decide(made, table(**means)).word


@pytest.mark.parametrize(
    ("submitted", "corrected", "expected"),
    [
        (0.9, 0.9, "supported"),
        (0.5, 0.9, "supported"),
        (0.5, 0.5, "refuted"),
        (0.9, 0.5, "artefact"),
        (0.9, 0.8, "artefact"),
        (0.5, 0.8, "not distinguishable"),
        (0.8, 0.5, "refuted"),
    ],
)
def test_the_corrected_recipe_decides_and_what_holds_only_as_submitted_is_an_artefact(submitted, corrected, expected):
    verdict = claims.decide(HIGH, table(as_submitted={0.1: submitted}, corrected={0.1: corrected}))
    assert verdict.word == expected
    assert verdict.mistake == ("a slip" if expected == "artefact" else "")


@given(st.floats(-2, 2), st.floats(0.001, 0.5))
def test_a_claim_holds_where_the_interval_is_inside_and_not_where_it_is_outside(mean, spread):
    replicates = table(corrected={0.1: mean}, spread=(-spread, 0.0, spread))
    found = statistics.summarise(replicates["value"])
    expected = "supported" if found.low > 0.8 else "refuted" if found.high <= 0.8 else "not distinguishable"
    assert claims.decide(HIGH, replicates).word == expected


def test_too_few_replicates_decide_nothing():
    few = table(corrected={0.1: 0.9}, spread=(0.0, 0.01))
    verdict = claims.decide(HIGH, few)
    assert verdict.word == "not decided"
    assert verdict.findings["corrected"].said == "needs 3 replicates, has 2"
    assert claims.decide(HIGH, few.iloc[:0]).word == "not decided"
    lost = claims.decide(HIGH, table(corrected={0.2: 0.9})).findings["corrected"]
    assert lost.said == "test accuracy at scale 0.1: not recorded"
    one = claim(at={"scale": 0.1}, above=0.8, exact=True)
    assert claims.decide(one, table(corrected={0.1: 0.9}, spread=(0.0,))).word == "supported"


def test_every_step_must_fall():
    falls = claim(at={"scale": [0.1, 1.0, 2.0]}, along="scale", below=0.0)
    assert word(falls, corrected={0.1: 0.9, 1.0: 0.7, 2.0: 0.5}) == "supported"
    assert word(falls, corrected={0.1: 0.9, 1.0: 0.95, 2.0: 0.5}) == "refuted"
    verdict = claims.decide(falls, table(corrected={0.1: 0.9, 1.0: 0.95, 2.0: 0.5}))
    assert "scale 0.1 to 1: 0.0500" in verdict.findings["corrected"].said


def test_steps_are_paired_within_replicates():
    falls = claim(at={"scale": [0.1, 1.0]}, along="scale", below=0.0)
    seeds = table(corrected={0.1: 0.9, 1.0: 0.89}, spread=(-0.3, 0.0, 0.3))
    assert claims.decide(falls, seeds).word == "supported"


def test_the_steepest_step():
    last = claim(at={"scale": [0.1, 1.0, 2.0]}, along="scale", steepest=2.0, below=0.0)
    assert word(last, corrected={0.1: 0.9, 1.0: 0.8, 2.0: 0.3}) == "supported"
    assert word(last, corrected={0.1: 0.9, 1.0: 0.3, 2.0: 0.2}) == "refuted"


def test_a_difference_from_several_points_must_hold_for_all():
    best = claim(at={"scale": 1.0}, minus={"at": {"scale": [0.1, 2.0]}}, above=0.0)
    assert word(best, corrected={0.1: 0.8, 1.0: 0.9, 2.0: 0.7}) == "supported"
    assert word(best, corrected={0.1: 0.95, 1.0: 0.9, 2.0: 0.7}) == "refuted"


def test_a_metric_is_subtracted_at_the_same_point():
    chance = claim(at={"scale": [0.1, 1.0]}, minus={"metric": "majority_rate"}, below=0.05)
    rows = table(corrected={0.1: 0.12, 1.0: 0.9})
    both = pd.concat([rows, rows.assign(metric="majority_rate", value=0.11)])
    assert claims.decide(chance, both).word == "refuted"
    assert claims.decide(chance, both[both["scale"] == 0.1]).word == "not decided"


def test_a_notebook_without_recipes_is_supported_or_refuted():
    plain = table(corrected={0.1: 0.5}).drop(columns="recipe")
    verdict = claims.decide(HIGH, plain)
    assert (verdict.word, verdict.mistake) == ("refuted", "a slip")
    assert list(verdict.findings) == [""]


def test_a_p_value_supports_or_does_not_tell():
    test = claim(at={"scale": 0.1}, p_below=0.05)
    assert claims.decide(test, table(corrected={0.1: 0.01}, spread=(0.0,))).word == "supported"
    assert claims.decide(test, table(corrected={0.1: 0.5}, spread=(0.0,))).word == "not distinguishable"


def test_grid_points_are_never_pooled_as_replicates():
    with pytest.raises(ValueError, match="duplicate"):
        claims.decide(claim(above=0.8), table(corrected={0.1: 0.9, 1.0: 0.9}))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"at": {"scale": 0.1}, "above": 0.8}, "0.8 < test accuracy at scale 0.1"),
        (
            {"at": {"scale": [0.1, 1.0]}, "along": "scale", "below": 0.0},
            "every change of test accuracy at scale 0.1, 1 < 0",
        ),
        ({"minus": {"metric": "majority_rate"}, "below": 0.01}, "test accuracy minus majority rate < 0.01"),
        ({"p_below": 0.05}, "test accuracy < 0.05"),
    ],
)
def test_what_a_claim_needs_is_said(parts, said):
    assert claims.condition(claim(**parts)) == said


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(-1, 1))
def test_seed_noise_allows_what_the_prediction_interval_holds(values, published):
    found = statistics.summarise(values)
    allowed = statistics.allows(found, published)
    half = (found.high - found.mean) * np.sqrt(found.n) * np.sqrt(1 + 1 / found.n) + statistics.PRINTED
    if abs(abs(published - found.mean) - half) > 1e-9:
        assert allowed == (abs(published - found.mean) < half)
    assert statistics.allows(statistics.summarise(values[:1]), published) is None


def test_seed_noise_allows_what_is_equal_as_printed():
    assert statistics.allows(statistics.summarise([0.10000000149] * 3), 0.1) is True
