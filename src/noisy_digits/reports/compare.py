"""Write compare.html: the numbers of a collection as a chart and a table that the reader chooses."""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from noisy_digits._files import NOT_COORDINATES, read_metrics, write_text
from noisy_digits.formatting import axis_label, format_label, format_number, format_spread
from noisy_digits.pipeline.config import load_assignments
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.status import FINISHED
from noisy_digits.reports._templates import TEMPLATES
from noisy_digits.reports.overview import Overview
from noisy_digits.stats import summarize

SCRIPTS = ("vendor/libraries.min.js", "templates/compare.js")
"""What the page runs, in this order: the libraries, then what uses them."""


def write_compare(overview: Overview, title: str, notices: Sequence[str]) -> None:
    """Write compare.html of a collection: one file that loads nothing and runs only ``SCRIPTS``, by their hashes."""
    folder = Path(__file__).parent
    results = tabulate_results(overview)
    scripts = [(folder / script).read_text(encoding="utf-8") for script in SCRIPTS]
    html = TEMPLATES.get_template("compare.html.j2").render(
        title=title,
        notices=notices,
        results=embed_json(results) if results["points"] else None,
        scripts=scripts,
        hashes=[hash_script(script) for script in scripts],
    )
    write_text(overview.reports / "compare.html", html)


def hash_script(script: str) -> str:
    """Return the source by which a content-security policy allows an inline ``script``: 'sha256-…' in quotes."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def embed_json(content: Any) -> str:
    """Return ``content`` as compact JSON that cannot end the script element in which it stands."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def tabulate_results(overview: Overview) -> dict[str, Any]:
    """Return every number of results.csv, summarized over seeds, in the form that compare.js reads.

    ``points`` has one list per field; a point is a metric of a run at its coordinates. ``run`` and ``measure`` are
    places in ``runs`` and ``measures``. ``levels`` of a run are its assignment, notebook and grid point, those of a
    point its coordinates; ``columns`` labels them all. The other maps say what assignments and notebooks are called.
    """
    measures: dict[tuple[str, ...], int] = {}
    points = []
    for place, run in enumerate(overview.runs):
        for (metric, *coordinates), values in _group_seeds(read_metrics(overview.results / run.path)).items():
            levels = dict(coordinates)
            measure = measures.setdefault((metric, *levels), len(measures))
            points.append({"run": place, "measure": measure, "levels": levels, **_summarize(values)})
    runs = [_describe_run(overview, run) for run in overview.runs]
    columns = {column: axis_label(column) for row in [*runs, *points] for column in row["levels"]}
    assignments = load_assignments(overview.root)
    return {
        "assignments": {name: assignment.title for name, assignment in assignments.items()},
        "notebooks": {
            f"{name}/{key}": {
                "assignment": name,
                "title": notebook.title,
                "headline": "/".join(filter(None, [notebook.headline_metric, *sorted(notebook.headline_at)])),
            }
            for name, assignment in assignments.items()
            for key, notebook in assignment.notebooks.items()
        },
        "columns": columns,
        "measures": [_describe_measure(*measure) for measure in measures],
        "runs": runs,
        "points": {field: [point[field] for point in points] for field in points[0]} if points else {},
    }


def _group_seeds(rows: Iterable[Mapping[str, Any]]) -> dict[tuple, list[float]]:
    """Return the values of all seeds by metric and coordinates: (metric, (column, level), …)."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        coordinates = [(column, _to_level(level)) for column, level in row.items() if column not in NOT_COORDINATES]
        groups.setdefault((row["metric"], *coordinates), []).append(row["value"])
    return groups


def _summarize(values: Sequence[float]) -> dict[str, Any]:
    """Return mean (7 significant digits), standard deviation (4; None if n is 1), n, and the first two as text."""
    summary = summarize(values)
    spread = summary.std if summary.n > 1 else None
    return {
        "mean": float(f"{summary.mean:.7g}"),
        "std": None if spread is None else float(f"{spread:.4g}"),
        "n": summary.n,
        "mean_text": format_number(summary.mean, uncertainty=summary.std),
        "std_text": "–" if spread is None else format_spread(spread, summary.mean),
    }


def _describe_run(overview: Overview, run: Run) -> dict[str, Any]:
    page, status = f"{run.path}.html", overview.statuses[run.path]
    names = {"assignment": run.assignment, "notebook": f"{run.assignment}/{run.notebook}"}
    return {
        "page": quote(page) if (overview.reports / page).is_file() else None,
        "status": None if status in FINISHED else status,
        "levels": names | {column: _to_level(level) for column, level in run.point.items()},
    }


def _describe_measure(metric: str, *coordinates: str) -> dict[str, str]:
    by = f" by {' and '.join(map(format_label, coordinates))}" if coordinates else ""
    return {
        "name": "/".join([metric, *coordinates]),
        "label": format_label(metric) + by,
        "axis": axis_label(metric),
    }


def _to_level(level: Any) -> int | float | str:
    """Return a level of a column as a finite number or as text."""
    return level if type(level) in (int, float) and math.isfinite(level) else str(level)
