"""Evaluate the claims of a write-up against the replicates."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd

from noisy_digits import stats
from noisy_digits.formatting import format_interval, format_label, format_number
from noisy_digits.pipeline.config import Claim
from noisy_digits.results import list_points, select_values

MIN_SEEDS = 3
"""Replicates that a verdict needs at least."""


class Outcome(Enum):
    """The judgment of the numbers on a claim; the value is the word of the verdict."""

    HOLDS = "supported"
    FAILS = "refuted"
    UNCLEAR = "inconclusive"
    UNKNOWN = "not decided"


@dataclass(frozen=True)
class Finding:
    """The ``outcome`` for one recipe, and its ``explanation`` with the numbers behind it."""

    outcome: Outcome
    explanation: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim.

    ``word`` is supported, refuted, artefact, inconclusive or not decided; ``cause`` is the mistake behind an artefact,
    otherwise ""; ``findings`` holds the finding of each recipe that takes part ("" for a notebook without recipes).
    """

    word: str
    cause: str
    findings: Mapping[str, Finding]


UNDECIDED = Verdict(Outcome.UNKNOWN.value, "", {})


def format_condition(claim: Claim) -> str:
    """Return the condition under which ``claim`` holds, as text: "0.8 < test accuracy at scale 0.1"."""
    if claim.pvalue_less_than is not None:
        return f"{format_label(claim.metric)} < {claim.pvalue_less_than:g}"
    low = f"{claim.greater_than:g} < " if claim.greater_than is not None else ""
    high = f" < {claim.less_than:g}" if claim.less_than is not None else ""
    number = _describe(claim.metric, claim.at)
    change = f"change per unit of {format_label(claim.along)}" if claim.per_unit else "change"
    if claim.largest_change_at is not None:
        number = f"{change} of {number} to {format_label(claim.along)} {claim.largest_change_at:g} minus any other"
    elif claim.along:
        number = f"every {change} of {number}"
    elif claim.minus:
        number += f" minus {_describe(claim.minus.metric or '', claim.minus.at)}"
    return f"{low}{number}{high}"


def evaluate_claim(
    claim: Claim, table: pd.DataFrame, original_recipe: str | None = None, corrected_recipe: str | None = None
) -> Verdict:
    """Return the verdict on ``claim``.

    ``table`` is tidy: the grid and coordinate columns of the claim's notebook (a coordinate is empty in rows whose
    metric does not depend on it), then seed, metric and value. The claim holds if the 95 % interval of each of its
    numbers lies inside its region, and fails if one lies outside. Of several recipes that of ``claim.decided_by``
    decides, or else ``corrected_recipe``, or else the first one. A claim that fails there but holds for
    ``original_recipe`` is an artefact of its cause if it also holds with this mistake alone, and fails without it.
    Raises UserError if a number has two values for the same seed.
    """
    recipes = list(dict.fromkeys(table["recipe"])) if "recipe" in table else [""]
    deciding = recipes[0] if recipes == [""] else claim.decided_by or corrected_recipe or next(iter(recipes), None)
    expected = {}
    if cause := claim.cause:
        expected = {original_recipe: Outcome.HOLDS, cause.alone or original_recipe: Outcome.HOLDS}
        expected |= {deciding: Outcome.FAILS, cause.without or deciding: Outcome.FAILS}
    taking_part = [str(each) for each in dict.fromkeys([original_recipe, deciding, *expected]) if each in recipes]
    findings = {recipe: _find(claim, table, {"recipe": recipe} if recipe else {}) for recipe in taking_part}
    if deciding not in findings:
        return Verdict(Outcome.UNKNOWN.value, "", findings)
    if cause and all(each in findings and findings[each].outcome is outcome for each, outcome in expected.items()):
        return Verdict("artefact", cause.mistake, findings)
    return Verdict(findings[deciding].outcome.value, "", findings)


def _find(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Finding:
    """Return the finding for the number that is furthest outside the region, or else nearest to its edge."""
    findings = []
    for name, values in _numbers(claim, table, recipe):
        margin, finding = _judge(claim, name, values)
        if finding.outcome is Outcome.UNKNOWN or claim.pvalue_less_than is not None:
            return finding
        findings.append((finding.outcome is not Outcome.FAILS, margin, finding))
    return min(findings, key=lambda found: found[:2])[2]


def _judge(claim: Claim, name: str, values: pd.Series) -> tuple[float, Finding]:
    """Compare one number of a claim with its region; return the distance to the nearer edge, negative if outside."""
    if values.empty:
        return np.nan, Finding(Outcome.UNKNOWN, f"{name}: not recorded")
    single = claim.minus is None and claim.along is None
    found = stats.summarize(values.tolist(), stats.find_bounds(claim.metric) if single else stats.UNBOUNDED)
    if claim.pvalue_less_than is not None:
        outcome = Outcome.HOLDS if found.mean < claim.pvalue_less_than else Outcome.UNCLEAR
        return np.nan, Finding(outcome, f"{name}: {format_number(found.mean)}")
    if found.n < MIN_SEEDS and not claim.exact:
        return np.nan, Finding(Outcome.UNKNOWN, f"needs {MIN_SEEDS} seeds, has {found.n}")
    low = -np.inf if claim.greater_than is None else claim.greater_than
    high = np.inf if claim.less_than is None else claim.less_than
    first, last = (found.mean, found.mean) if claim.exact else found.interval
    if last <= low or first >= high:
        outcome = Outcome.FAILS
    else:
        outcome = Outcome.HOLDS if first > low and last < high else Outcome.UNCLEAR
    exact, interval = f"{format_number(found.mean)}, exact", f"{found}, 95 % interval {format_interval(first, last)}"
    return min(first - low, high - last), Finding(outcome, f"{name}: {exact if claim.exact else interval}")


def _numbers(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Iterator[tuple[str, pd.Series]]:
    """Yield each number that a claim is about: its name, and its values by seed."""
    if claim.along:
        yield from _changes(claim, claim.along, table, recipe)
        return
    for at in list_points(claim.at):
        values = select_values(table, claim.metric, {**recipe, **at})
        if claim.minus is None:
            yield _describe(claim.metric, at), values
            continue
        metric = claim.minus.metric or claim.metric
        for other in list_points(claim.minus.at):
            subtracted = select_values(table, metric, {**_shared(table, metric, {**recipe, **at}), **other})
            name = f"{_describe(claim.metric, at)} minus {_describe(claim.minus.metric or '', other)}"
            yield name, (values - subtracted).dropna()


def _changes(
    claim: Claim, column: str, table: pd.DataFrame, recipe: Mapping[str, str]
) -> Iterator[tuple[str, pd.Series]]:
    """Yield the change between neighboring levels of ``column``, or the largest change minus each of the others."""
    levels: Any = claim.at[column]
    for at in list_points({key: value for key, value in claim.at.items() if key != column}):
        values = {x: select_values(table, claim.metric, {**recipe, **at, column: x}) for x in sorted(levels)}
        changes = {
            (a, b): (values[b] - values[a]) / (b - a if claim.per_unit else 1) for a, b in itertools.pairwise(values)
        }
        chosen = next((change for (_, b), change in changes.items() if b == claim.largest_change_at), None)
        for (a, b), change in changes.items():
            name = f"{_describe(claim.metric, at)}, {format_label(column)} {a:g} to {b:g}"
            if claim.largest_change_at is None:
                yield name, change.dropna()
            elif b != claim.largest_change_at:
                name = f"change to {format_label(column)} {claim.largest_change_at:g} minus {name}"
                yield name, (chosen - change).dropna()


def _shared(table: pd.DataFrame, metric: str, at: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of ``at`` that ``metric`` depends on."""
    filled = table.loc[table["metric"] == metric].notna()
    return {column: level for column, level in at.items() if column in filled and filled[column].any()}


def _describe(metric: str, at: Mapping[str, Any]) -> str:
    """Return a metric and where it is taken, as text: "test accuracy at scale 0.1, 1; denoiser none"."""

    def levels(value: Any) -> str:
        return ", ".join(map(format_label, value)) if isinstance(value, list) else format_label(value)

    where = "; ".join(f"{format_label(column)} {levels(value)}" for column, value in at.items())
    return " at ".join(part for part in (format_label(metric), where) if part)
