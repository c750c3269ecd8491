"""Every claim of this project's params files: numbers inside and outside its region change its verdict."""

import itertools

import pandas as pd
import pytest

from noisy_digits.pipeline.claims import evaluate_claim
from noisy_digits.pipeline.config import list_levels, load_assignments

from ..conftest import REPOSITORY

CLAIMS = [
    pytest.param(assignment, claim, id=f"{name}.{key}")
    for name, assignment in load_assignments(REPOSITORY).items()
    for key, claim in assignment.claims.items()
]
every_claim = pytest.mark.parametrize(("assignment", "claim"), CLAIMS)
SPREAD = 1e-4
BASE = 0.5


def choose_number(claim, holds):
    """Return a number inside the region of a claim, or outside."""
    if claim.pvalue_less_than is not None:
        return claim.pvalue_less_than * (0.5 if holds else 2)
    low, high = claim.greater_than, claim.less_than
    if holds and low is not None and high is not None:
        return (low + high) / 2
    step = 0.05 if holds else -0.05
    return low + step if low is not None else high - step


def make_values(claim, number):
    """Yield (point, metric, value) such that each number of the claim is ``number``."""
    columns = {column: list_levels(levels) for column, levels in claim.at.items()}
    if claim.along:
        levels = sorted(columns.pop(claim.along))
        for rest in itertools.product(*columns.values()):
            value = BASE
            for before, level in zip([None, *levels], levels, strict=False):
                moves = before is not None and claim.largest_change_at in (None, level)
                value += moves * number * (level - before if claim.per_unit and moves else 1)
                yield {**dict(zip(columns, rest, strict=True)), claim.along: level}, claim.metric, value
        return
    base = BASE if claim.minus else 0
    for levels in itertools.product(*columns.values()):
        point = dict(zip(columns, levels, strict=True))
        yield point, claim.metric, base + number
        if claim.minus and claim.minus.at:
            others = {column: list_levels(levels) for column, levels in claim.minus.at.items()}
            for other in itertools.product(*others.values()):
                yield point | dict(zip(others, other, strict=True)), claim.minus.metric or claim.metric, base
    if claim.minus and not claim.minus.at:
        yield {}, claim.minus.metric, base


def make_table(assignment, claim, outcomes):
    """Return the tidy table in which the claim holds (True) or fails (False) for each recipe in ``outcomes``."""
    notebook = assignment.notebooks[claim.notebook]
    single = claim.exact or claim.pvalue_less_than is not None
    spread = (0.0,) if single else (-SPREAD, 0.0, SPREAD)
    rows = []
    for recipe, holds in outcomes.items():
        for point, metric, value in make_values(claim, choose_number(claim, holds)):
            points = [point]
            if metric == "majority_baseline":  # it is recorded at every grid point, without coordinates
                grid = {key: list_levels(claim.at[key]) for key in claim.at if key in notebook.grid}
                points = [dict(zip(grid, levels, strict=True)) for levels in itertools.product(*grid.values())]
            rows += [
                {
                    **({"recipe": recipe} if recipe else {}),
                    **each,
                    "seed": seed,
                    "metric": metric,
                    "value": value + noise,
                }
                for each in points
                for seed, noise in enumerate(spread if metric == claim.metric else [0.0] * len(spread))
            ]
    columns = dict.fromkeys([*notebook.grid, *notebook.coordinates, "seed", "metric", "value"])
    return pd.DataFrame(rows, columns=list(columns)).drop_duplicates([*columns][:-1])


def judge(assignment, claim, outcomes):
    table = make_table(assignment, claim, outcomes)
    return evaluate_claim(claim, table, assignment.original_recipe, assignment.corrected_recipe).word


def list_recipes(assignment, claim):
    return assignment.notebooks[claim.notebook].levels.get("recipe", [""])


@every_claim
def test_a_claim_is_supported_inside_its_region_and_not_outside(assignment, claim):
    recipes = list_recipes(assignment, claim)
    assert judge(assignment, claim, dict.fromkeys(recipes, True)) == "supported"
    outside = "inconclusive" if claim.pvalue_less_than is not None else "refuted"
    assert judge(assignment, claim, dict.fromkeys(recipes, False)) == outside


@pytest.mark.parametrize(("assignment", "claim"), [case for case in CLAIMS if case.values[1].cause])
def test_an_artefact_needs_the_mistake_alone_and_its_absence(assignment, claim):
    recipes = list_recipes(assignment, claim)
    holding = {assignment.original_recipe, claim.cause.alone or assignment.original_recipe}
    deciding = claim.decided_by or assignment.corrected_recipe
    failing = {deciding, claim.cause.without or deciding}
    outcomes = {recipe: recipe in holding for recipe in recipes}
    assert judge(assignment, claim, outcomes) == "artefact"
    for recipe in holding | failing:
        word = judge(assignment, claim, outcomes | {recipe: not outcomes[recipe]})
        assert word == ("supported" if recipe == deciding else "refuted"), recipe
