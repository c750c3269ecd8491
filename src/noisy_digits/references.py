"""Compare measured numbers with those of the write-ups and of the literature."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from noisy_digits import stats, tables
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_interval, format_label, format_number
from noisy_digits.results import is_reference, read_params

INTERVAL = "95 % prediction interval"
TOLERANCE = 1.5e-4
"""What a difference must exceed to count: one of 10,000 test images, and the rounding of a number of four decimals."""


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
    """Compare measured with reported numbers: key columns, metric, reported, ours, difference, interval, inside.

    ``keys`` are the columns of ``reported`` that identify a point, by default its ``attrs["keys"]``; those that
    ``runs`` lacks are left out. The interval is that of ``stats.prediction_interval``. Anywhere but in the reference
    collection the numbers are "not comparable". Raises UserError if a seed has two values at one point.
    """
    known = list(reported.attrs["keys"] if keys is None else keys)
    keys = [key for key in known if key in reported and key in runs]
    metrics = [column for column in reported if column not in known]
    comparable = is_reference(collection)
    rows = []
    for line in reported.to_dict("records"):
        ours = runs
        for key in keys:
            ours = ours.loc[ours[key].isna() if pd.isna(line[key]) else ours[key] == line[key]]
        point = ["" if pd.isna(line[key]) else format_label(line[key]) for key in keys]
        for metric in (metric for metric in metrics if pd.notna(line[metric])):
            rows.append([*point, format_label(metric), line[metric], *_compare(ours, metric, line[metric], comparable)])
    return pd.DataFrame(rows, columns=[*keys, "metric", "reported", "ours", "difference", INTERVAL, "inside"])


def _compare(ours: pd.DataFrame, metric: str, reported: float, comparable: bool) -> tuple[str, str, str, str]:
    lost = len(ours["diverged"].dropna()) if "diverged" in ours else 0
    diverged = f", {lost} diverged" if lost else ""
    measured = ours.dropna(subset=[metric]) if metric in ours else ours.iloc[:0]
    if measured.empty:
        return f"not recorded{diverged}", "–", "–", "–"
    if measured["seed"].duplicated().any():
        raise UserError(f"references.compare_with_reported: {metric} has several values for one seed at one point")
    bounds = stats.find_bounds(metric)
    summary = stats.summarize(measured[metric].to_numpy(), bounds)
    if not comparable:
        return f"{summary}{diverged}", "not comparable", "–", "–"
    difference = format_number(summary.mean - reported, sign="+")
    if summary.n < 2:
        return f"{summary}{diverged}", difference, "needs replicates", "–"
    low, high = stats.prediction_interval(summary, bounds)
    inside = low - TOLERANCE <= reported <= high + TOLERANCE
    return f"{summary}{diverged}", difference, format_interval(low, high), "yes" if inside else "no"


def reported_table(runs: pd.DataFrame, notebook: str, **point: Any) -> tables.Table:
    """Compare ``runs`` with what was reported for ``notebook`` at the grid ``point``, such as ``autoencoder="dense"``.

    Reported rows at grid values or coordinates that ``runs`` does not have are left out.
    """
    reported = load_reported(notebook)
    for key, value in point.items():
        reported = reported.loc[reported[key] == value].drop(columns=key)
    for key in reported.columns.intersection(runs.columns).intersection(reported.attrs["keys"]):
        reported = reported.loc[reported[key].isin(runs[key])]
    return tables.Table(compare_with_reported(runs, reported, runs.attrs["collection"]), "Reported and reproduced")
