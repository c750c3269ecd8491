"""Compare measured numbers with those of the write-ups and of the literature, and runs with and without mistakes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from noisy_digits import stats, tables
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_interval, format_label, format_number, format_point
from noisy_digits.results import is_reference, list_points, load_rows, read_params, select_values
from noisy_digits.stats import Summary

DIFFERENCE = "reported minus ours"
INTERVAL = "95 % prediction interval"
MISTAKES_CAPTION = (
    "Each mistake alone: the metric with it minus the metric without it, within the replicates. The effects that one "
    "notebook measures are tested together (Student's test with Holm's correction)."
)
TOLERANCE = 1.5e-4
"""What a difference must exceed to count."""
TOLERANCE_WORDS = f"a tolerance of {TOLERANCE:.5f}: one of 10,000 test images, and the rounding of four decimals"
REPORTED_CAPTION = f"Reported and reproduced. Inside: with {TOLERANCE_WORDS}."


@dataclass(frozen=True)
class Comparison:
    """A reported number next to ours.

    ``ours`` is None if no replicate recorded the metric, and ``n_diverged`` counts those that diverged. ``comparable``
    is False anywhere but in the reference collection. ``interval`` is the 95 % prediction interval for one more
    replicate, None for numbers that are not compared.
    """

    metric: str
    reported: float
    ours: Summary | None
    n_diverged: int
    comparable: bool
    interval: tuple[float, float] | None

    @property
    def distance(self) -> float | None:
        """Return how far the reported number lies from our mean, from -1 to 1 for a number inside the interval.

        The unit is the half width of the interval on the side of the reported number, and ``TOLERANCE``. The distance
        of a loss is that of its logarithm from the middle of the interval's.
        """
        if self.ours is None or self.interval is None:
            return None
        low, high = self.interval
        if stats.find_bounds(self.metric) == stats.POSITIVE and min(low, self.reported) > 0:
            half_width = np.log(high / low) / 2 + TOLERANCE / self.reported
            return float(np.log(self.reported / np.sqrt(low * high)) / half_width)
        difference = self.reported - self.ours.mean
        half_width = high - self.ours.mean if difference > 0 else self.ours.mean - low
        return difference / (half_width + TOLERANCE)

    @property
    def inside(self) -> bool | None:
        """Return True for a number inside the interval, None for one that is not compared."""
        return None if self.distance is None else abs(self.distance) <= 1

    def describe(self) -> dict[str, Any]:
        """Return the line of a table: metric, reported, ours, the difference, the interval, and inside."""
        diverged = f", {self.n_diverged} diverged" if self.n_diverged else ""
        difference, interval, inside = "–", "–", "–"
        if self.ours and not self.comparable:
            difference = "not comparable"
        elif self.ours:
            difference = format_number(self.reported - self.ours.mean, "+", TOLERANCE)
            interval = "needs replicates"
        if self.interval:
            interval, inside = format_interval(*self.interval), "yes" if self.inside else "no"
        return {
            "metric": format_label(self.metric),
            "reported": self.reported,
            "ours": f"{self.ours or 'not recorded'}{diverged}",
            DIFFERENCE: difference,
            INTERVAL: interval,
            "inside": inside,
        }


@dataclass(frozen=True)
class Effect:
    """What a mistake alone does to a metric: the ``summary`` over replicates of the metric with it minus without it.

    ``at`` says where; ``word`` is "higher", "lower" or another answer of ``stats.classify_differences``.
    """

    mistake: str
    metric: str
    at: str
    summary: Summary
    word: str


def load_reported(notebook: str) -> pd.DataFrame:
    """Load the write-up's own numbers for ``notebook`` from its params file, one line per row there.

    What a row does not give is NaN. ``attrs["keys"]`` lists the columns that are no metrics: grid and coordinates.
    """
    described = read_params(notebook)
    rows, grid = described.get("reported", []), described.get("grid", {})
    keys = [*grid, *(key for key in described.get("coordinates", []) if any(key in row for row in rows))]
    reported = pd.DataFrame(rows, columns=list(dict.fromkeys([*keys, *(key for row in rows for key in row)])))
    reported.attrs["keys"] = keys
    return reported


def load_literature(notebook: str) -> pd.DataFrame:
    """Load the results from the literature for ``notebook``: grid columns, network, source, differs, metric, value."""
    references = read_params(notebook).get("literature", [])
    return pd.DataFrame([{**reference.pop("at", {}), **reference} for reference in references])


def literature_values(notebook: str, collection: str) -> dict[str, float]:
    """Return the values from the literature by source; nothing unless ``collection`` is the reference collection."""
    references = load_literature(notebook).to_dict("records") if is_reference(collection) else []
    return {reference["source"]: reference["value"] for reference in references}


def compare_with_reported(
    runs: pd.DataFrame, reported: pd.DataFrame, collection: str, keys: Sequence[str] | None = None
) -> pd.DataFrame:
    """Compare measured with reported numbers: key columns, metric, reported, ours, their difference, interval, inside.

    ``keys`` are the columns of ``reported`` that identify a point, by default its ``attrs["keys"]``; those that
    ``runs`` lacks are left out. Anywhere but in the reference collection the numbers are "not comparable". Raises
    UserError if a seed has two values at one point.
    """
    known = list(reported.attrs["keys"] if keys is None else keys)
    keys = [key for key in known if key in reported and key in runs]
    metrics = [column for column in reported if column not in known]
    rows, comparable = [], is_reference(collection)
    for line in reported.to_dict("records"):
        ours = runs
        for key in keys:
            ours = ours.loc[ours[key].isna() if pd.isna(line[key]) else ours[key] == line[key]]
        point = {key: "" if pd.isna(line[key]) else format_label(line[key]) for key in keys}
        n_diverged = len(ours["diverged"].dropna()) if "diverged" in ours else 0
        for metric in (metric for metric in metrics if pd.notna(line[metric])):
            values = ours.set_index("seed")[metric].dropna() if metric in ours else pd.Series()
            if values.index.has_duplicates:
                raise UserError(
                    f"references.compare_with_reported: {metric} has several values for one seed at one point"
                )
            found = compare_number(metric, line[metric], values.tolist(), n_diverged, comparable)
            rows.append(point | found.describe())
    return pd.DataFrame(rows, columns=[*keys, "metric", "reported", "ours", DIFFERENCE, INTERVAL, "inside"])


def compare_number(
    metric: str, reported: float, values: Sequence[float], n_diverged: int, comparable: bool
) -> Comparison:
    """Compare a reported number with the ``values`` of our replicates at the same point."""
    bounds = stats.find_bounds(metric)
    ours = stats.summarize(values, bounds) if len(values) else None
    interval = stats.prediction_interval(values, bounds) if comparable and len(values) > 1 else None
    return Comparison(metric, reported, ours, n_diverged, comparable, interval)


def reported_table(runs: pd.DataFrame, notebook: str, **point: Any) -> tables.Table:
    """Compare ``runs`` with what was reported for ``notebook`` at the grid ``point``, such as ``autoencoder="dense"``.

    Reported rows at grid values or coordinates that ``runs`` does not have are left out.
    """
    reported = load_reported(notebook)
    for key, value in point.items():
        reported = reported.loc[reported[key] == value].drop(columns=key)
    for key in reported.columns.intersection(runs.columns).intersection(reported.attrs["keys"]):
        reported = reported.loc[reported[key].isin(runs[key])]
    return tables.Table(compare_with_reported(runs, reported, runs.attrs["collection"]), REPORTED_CAPTION)


def measure_effects(rows: pd.DataFrame, mistakes: Iterable[Mapping[str, Any]]) -> list[Effect]:
    """Return what each of the ``mistakes`` in the params file of a notebook did.

    ``rows`` are those of ``results.load_rows``. The metric without the mistake is subtracted seed by seed; all effects
    are tested together by ``stats.classify_differences``. An effect without a pair of replicates is left out.
    """
    found: list[tuple[str, str, str, Summary]] = []
    for mistake in mistakes:
        without = mistake["without"]
        name = f"{mistake['mistake']} ({mistake['note']})" if mistake.get("note") else mistake["mistake"]
        for metric, point in ((metric, point) for metric in mistake["metrics"] for point in list_points(mistake["at"])):
            mended = select_values(rows, metric, point | without)
            change = (select_values(rows, metric, point) - mended).dropna()
            where = format_point({key: level for key, level in point.items() if key not in without})
            if len(change):
                found.append((name, metric, where or "–", stats.summarize(change.tolist())))
    words = stats.classify_differences([summary for *_, summary in found])
    return [Effect(*each, word) for each, word in zip(found, words, strict=True)]


def describe_effects(effects: Iterable[Effect]) -> pd.DataFrame:
    """Return effects as text: mistake, at, metric, effect, 95 % interval, direction."""
    rows = [
        [
            *(each.mistake, each.at, format_label(each.metric), str(each.summary)),
            format_interval(*each.summary.interval) if each.summary.n > 1 else "needs replicates",
            each.word if each.summary.n > 1 else "–",
        ]
        for each in effects
    ]
    return pd.DataFrame(rows, columns=["mistake", "at", "metric", "effect", "95 % interval of the mean", "direction"])


def mistakes_table(notebook: str, collection: str = "auto") -> tables.Table:
    """Return what each mistake that the params file lists for ``notebook`` did, as a table."""
    mistakes = read_params(notebook).get("mistakes", [])
    effects = measure_effects(load_rows(notebook, collection=collection), mistakes)
    return tables.Table(describe_effects(effects), MISTAKES_CAPTION)
