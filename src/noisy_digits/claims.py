"""A claim of a write-up, and what the replicates say of it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from noisy_digits import statistics
from noisy_digits.schema import Claim
from noisy_digits.statistics import Summary

REPLICATES = 3
"""A verdict needs at least as many."""


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds in one recipe: True, False, "not distinguishable", or None for want of replicates.

    ``quantity`` says which of the claim's quantities decided, and ``summary`` is its mean with the interval.
    """

    holds: bool | str | None
    quantity: str = ""
    summary: Summary | None = None

    def __str__(self) -> str:
        if self.summary is None:
            return "–"
        interval = f", 95 % interval {statistics.number(self.summary.low)} to {statistics.number(self.summary.high)}"
        return f"{self.quantity}: {self.summary}{interval if self.summary.n > 1 else ''}"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: the ``word``, and the finding in each recipe ("" where there are none)."""

    word: str
    findings: Mapping[str, Finding]


def decide(claim: Claim, table: pd.DataFrame) -> Verdict:
    """The verdict on ``claim`` from ``table``: grid columns, seed, metric and value of the claim's notebook.

    The claim holds where the 95 % interval of each of its quantities lies inside its region, and not where one lies
    outside; the corrected recipe decides. What holds as submitted and not corrected is an artefact of the mistake.
    """
    recipes = list(dict.fromkeys(table["recipe"])) if "recipe" in table and "recipe" not in claim.at else [""]
    findings = {recipe: _find(claim, table, {"recipe": recipe} if recipe else {}) for recipe in recipes}
    return Verdict(_word(claim, findings), findings)


def _word(claim: Claim, findings: Mapping[str, Finding]) -> str:
    holds = findings.get("corrected", next(iter(findings.values()), Finding(None))).holds
    if holds is None:
        return "not decided"
    if holds is False and findings.get("as_submitted", Finding(None)).holds is True:
        return f"artefact: {claim.mistake}"
    return {True: "supported", False: "refuted"}.get(holds, holds)


def _find(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Finding:
    low, high = (-np.inf if claim.above is None else claim.above), (np.inf if claim.below is None else claim.below)
    decisive, smallest = Finding(None), np.inf
    for quantity, values in _quantities(claim, table, recipe):
        if values.empty or (len(values) < REPLICATES and not claim.exact):
            return Finding(None)
        found = statistics.summarise(values)
        first, last = (found.mean, found.mean) if found.n == 1 else (found.low, found.high)
        margin = min(first - low, high - last)
        holds = True if margin > 0 else False if last <= low or first >= high else "not distinguishable"
        if (holds is not False, margin) < (decisive.holds is not False, smallest):
            decisive, smallest = Finding(holds, quantity, found), margin
    return decisive


def _quantities(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Iterator[tuple[str, pd.Series]]:
    """The numbers a claim is about, each with its name and its value in every replicate."""
    if claim.along:
        yield from _steps(claim, table, recipe)
        return
    for at in _points(claim.at):
        values = _values(table, claim.metric, {**recipe, **at})
        if claim.minus is None:
            yield _name(claim.metric, at), values
            continue
        for other in _points(claim.minus.at):
            metric = claim.minus.metric or claim.metric
            subtracted = _values(table, metric, {**recipe, **at, **other})
            name = f"{_name(claim.metric, at)} minus {_name(metric if claim.minus.metric else '', other)}"
            yield name.strip(), (values - subtracted).dropna()


def _steps(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Iterator[tuple[str, pd.Series]]:
    """From level to level of a grid column; with ``steepest``, that step minus each of the others."""
    levels = sorted(claim.at[claim.along])
    values = {level: _values(table, claim.metric, {**recipe, **claim.at, claim.along: level}) for level in levels}
    steps = {(a, b): (values[b] - values[a]).dropna() for a, b in itertools.pairwise(levels)}
    for (a, b), step in steps.items():
        name = f"{_name(claim.metric, {})} from {claim.along} {a:g} to {b:g}"
        if claim.steepest is None:
            yield name, step
        elif b != claim.steepest:
            (chosen,) = ((key, value) for key, value in steps.items() if key[1] == claim.steepest)
            yield f"step to {chosen[0][1]:g} minus step to {b:g}", (chosen[1] - step).dropna()


def _points(at: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = [value if isinstance(value, list) else [value] for value in at.values()]
    return [dict(zip(at, combination, strict=True)) for combination in itertools.product(*lists)]


def _values(table: pd.DataFrame, metric: str, at: Mapping[str, Any]) -> pd.Series:
    rows = table[table["metric"] == metric]
    for column, value in at.items():
        rows = rows[rows[column] == value]
    return rows.set_index("seed")["value"]


def _name(metric: str, at: Mapping[str, Any]) -> str:
    where = ", ".join(f"{statistics.shown(column)} {statistics.shown(value)}" for column, value in at.items())
    return f"{statistics.shown(metric)}{' at ' if metric and where else ''}{where}"
