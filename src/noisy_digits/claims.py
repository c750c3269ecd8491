"""A claim of a write-up, and what the replicates say of it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from noisy_digits import statistics
from noisy_digits.schema import Claim

REPLICATES = 3
"""A verdict needs at least as many."""

UNCLEAR = "not distinguishable"


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds in one recipe: True, False, UNCLEAR, or None where it cannot be told; and ``said``, why."""

    holds: bool | str | None
    said: str


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: the ``word``, the ``mistake`` behind it, and the finding by recipe ("" without any)."""

    word: str
    mistake: str
    findings: Mapping[str, Finding]


UNDECIDED = Verdict("not decided", "", {})


def condition(claim: Claim) -> str:
    """What must be so for the claim to hold, in words."""
    if claim.p_below is not None:
        return f"{statistics.shown(claim.metric)} < {claim.p_below:g}"
    low = f"{claim.above:g} < " if claim.above is not None else ""
    high = f" < {claim.below:g}" if claim.below is not None else ""
    number = _name(claim.metric, claim.at)
    if claim.steepest is not None:
        number = f"change of {number} to {claim.along} {claim.steepest:g} minus any other change"
    elif claim.along:
        number = f"every change of {number}"
    elif claim.minus:
        number += f" minus {_name(claim.minus.metric or '', claim.minus.at)}"
    return f"{low}{number}{high}"


def decide(claim: Claim, table: pd.DataFrame) -> Verdict:
    """The verdict on ``claim`` from ``table``: grid columns, seed, metric and value of the claim's notebook.

    The claim holds where the 95 % interval of each of its numbers lies inside its region, and not where one lies
    outside. The corrected recipe decides; what held as submitted and is not supported there is an artefact of the
    mistake.
    """
    recipes = list(dict.fromkeys(table["recipe"])) if "recipe" in table else [""]
    findings = {recipe: _find(claim, table, {"recipe": recipe} if recipe else {}) for recipe in recipes}
    if not findings:
        return UNDECIDED
    holds = findings.get("corrected", next(iter(findings.values()))).holds
    if holds in (False, UNCLEAR) and claim.mistake:
        if "as_submitted" in findings and findings["as_submitted"].holds is True:
            return Verdict("artefact", claim.mistake, findings)
        if "" in findings:
            return Verdict("refuted" if holds is False else UNCLEAR, claim.mistake, findings)
    return Verdict({True: "supported", False: "refuted", None: "not decided"}.get(holds, UNCLEAR), "", findings)


def _find(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Finding:
    """The finding for the number that leaves least room: the one furthest outside the region or nearest its edge."""
    low, high = (-np.inf if claim.above is None else claim.above), (np.inf if claim.below is None else claim.below)
    findings = []
    for name, values in _numbers(claim, table, recipe):
        if values.empty:
            return Finding(None, f"{name}: not recorded")
        found = statistics.summarise(values)
        if claim.p_below is not None:
            return Finding(True if found.mean < claim.p_below else UNCLEAR, f"{name}: {statistics.number(found.mean)}")
        if found.n < REPLICATES and not claim.exact:
            return Finding(None, f"needs {REPLICATES} replicates, has {found.n}")
        first, last = (found.mean, found.mean) if claim.exact else (found.low, found.high)
        holds = False if last <= low or first >= high else True if first > low and last < high else UNCLEAR
        interval = f", 95 % interval {statistics.number(first)} to {statistics.number(last)}"
        said = f"{name}: {statistics.number(found.mean)}, exact" if claim.exact else f"{name}: {found}{interval}"
        findings.append((holds is not False, min(first - low, high - last), Finding(holds, said)))
    return min(findings, key=lambda finding: finding[:2])[2]


def _numbers(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Iterator[tuple[str, pd.Series]]:
    """The numbers a claim is about, each with its name and its value in every replicate."""
    if claim.along:
        yield from _changes(claim, table, recipe)
        return
    for at in _points(claim.at):
        values = _values(table, claim.metric, {**recipe, **at})
        if claim.minus is None:
            yield _name(claim.metric, at), values
            continue
        for other in _points(claim.minus.at):
            subtracted = _values(table, claim.minus.metric or claim.metric, {**recipe, **at, **other})
            name = f"{_name(claim.metric, at)} minus {_name(claim.minus.metric or '', other)}"
            yield name, (values - subtracted).dropna()


def _changes(claim: Claim, table: pd.DataFrame, recipe: Mapping[str, str]) -> Iterator[tuple[str, pd.Series]]:
    """From level to level of a grid column; with ``steepest``, the change to it minus each of the others."""
    column = claim.along
    for at in _points({key: value for key, value in claim.at.items() if key != column}):
        values = {x: _values(table, claim.metric, {**recipe, **at, column: x}) for x in sorted(claim.at[column])}
        changes = {(a, b): values[b] - values[a] for a, b in itertools.pairwise(values)}
        chosen = next((change for (_, b), change in changes.items() if b == claim.steepest), None)
        for (a, b), change in changes.items():
            name = f"{_name(claim.metric, at)}, {column} {a:g} to {b:g}"
            if claim.steepest is None:
                yield name, change.dropna()
            elif b != claim.steepest:
                yield f"change to {column} {claim.steepest:g} minus {name}", (chosen - change).dropna()


def _points(at: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = [value if isinstance(value, list) else [value] for value in at.values()]
    return [dict(zip(at, combination, strict=True)) for combination in itertools.product(*lists)]


def _values(table: pd.DataFrame, metric: str, at: Mapping[str, Any]) -> pd.Series:
    """The metric's value in each replicate of one grid point, by seed."""
    rows = table[table["metric"] == metric]
    for column, value in at.items():
        rows = rows[rows[column] == value]
    if rows["seed"].duplicated().any():
        raise ValueError(f"claims: {metric} has duplicate seeds at {dict(at)}: a grid column is not told")
    return rows.set_index("seed")["value"]


def _name(metric: str, at: Mapping[str, Any]) -> str:
    def listed(value: Any) -> str:
        return ", ".join(map(statistics.shown, value)) if isinstance(value, list) else statistics.shown(value)

    where = "; ".join(f"{statistics.shown(column)} {listed(value)}" for column, value in at.items())
    return " at ".join(part for part in (statistics.shown(metric), where) if part)
