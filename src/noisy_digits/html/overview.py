"""What the index says of a collection, put together from its plan, its params files and its results."""

from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from noisy_digits import claims, params, results, schema, statistics
from noisy_digits.html import index, reports

DATA_TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "scikit-learn's digits"}
INTRODUCTION = (
    "Course assignments on noisy digits, answered twice: as submitted, with the mistakes of the write-up, so that its "
    "numbers reappear, and corrected. The test set serves as the validation set everywhere, as in the write-ups."
)
MADE = ("ok", "diverged")
"""What a run must be for its numbers to count."""


def write_index(root: Path, plan: list[params.Run], dataset: str, profile: str) -> None:
    """Write results.csv, the pages of failed runs and index.html of a collection."""
    collection = results.collection_name(dataset, profile)
    folder = root / "results" / collection
    results.write_text(folder / "results.csv", results.tidy(folder, plan).to_csv(index=False))
    reports.renew_pages(root, plan, dataset, profile)
    statuses = reports.statuses(folder, plan)
    described = {
        "title": f"Noisy Digits: {DATA_TITLES[dataset]}" + (", quick profile" if profile == "quick" else ""),
        "introduction": INTRODUCTION,
        "banners": reports.banners(dataset, profile),
        "comparable": collection == results.COMPARABLE,
        "facts": _facts([results.read_json(folder / run.path / "run.json") for run in plan], len(plan)),
        "assignments": [
            _assignment(root, collection, name, assignment, [run for run in plan if run.assignment == name], statuses)
            for name, assignment in params.assignments(root).items()
        ],
    }
    results.write_text(root / "reports" / collection / "index.html", index.render(described))


def _assignment(
    root: Path,
    collection: str,
    name: str,
    assignment: schema.Assignment,
    plan: list[params.Run],
    statuses: dict[str, str],
) -> dict[str, Any]:
    folder = root / "results" / collection
    runs = {key: [run for run in plan if run.notebook == key] for key in assignment.notebooks}
    tables = {
        key: results.tidy(folder, [run for run in runs[key] if statuses[run.path] in MADE], list(spec.grid))
        for key, spec in assignment.notebooks.items()
    }
    return {
        "name": name,
        "title": assignment.title,
        "question": assignment.question,
        "figure": _figure(folder, f"{name}/{assignment.figure}") if assignment.figure else None,
        "notebooks": [
            _notebook(root, collection, key, spec, runs[key], statuses) for key, spec in assignment.notebooks.items()
        ],
        "claims": [_claim(claim, tables[claim.notebook], collection) for claim in assignment.claims.values()],
        "published": [
            row
            for key, spec in assignment.notebooks.items()
            for row in _published(root, collection, spec, tables[key], runs[key], statuses)
        ],
    }


def _figure(folder: Path, path: str) -> dict[str, str] | None:
    """The key figure with the page that explains it, where that was made."""
    from noisy_digits.html import page

    executed = folder / path / "notebook.ipynb"
    if not (folder / path / "metrics.json").is_file():
        return None
    found = page.first_figure(nbformat.read(executed, as_version=4))
    return found and found | {"href": f"{path}.html"}


def _notebook(
    root: Path,
    collection: str,
    key: str,
    spec: schema.Notebook,
    runs: list[params.Run],
    statuses: dict[str, str],
) -> dict[str, Any]:
    rows = []
    for run in runs:
        folder = root / "results" / collection / run.path
        record = results.read_json(folder / "run.json")
        rows.append(
            {
                "point": {name: str(value) for name, value in run.point.items()},
                "href": _page(root, collection, run),
                "status": statuses[run.path],
                "headline": _headline(folder, run.headline),
                "headline_name": (spec.headline or "").replace("_", " "),
                "time": reports.duration(record["seconds"]) if record else None,
            }
        )
    return {
        "name": key,
        "title": spec.title,
        "summary": bool(spec.reads) and not spec.grid,
        "columns": list(spec.grid),
        "runs": rows,
    }


def _page(root: Path, collection: str, run: params.Run) -> str | None:
    """The page of a run, relative to the index, where there is one."""
    return f"{run.path}.html" if (root / "reports" / collection / f"{run.path}.html").is_file() else None


def _headline(folder: Path, metric: str | None) -> str | None:
    measured = results.read_json(folder / "metrics.json").values()
    values = [metrics[metric] for metrics in measured if metric in metrics]
    diverged = sum("diverged" in metrics for metrics in measured)
    return f"{statistics.summarise(values)}{f', {diverged} diverged' if diverged else ''}" if values else None


def _claim(claim: schema.Claim, table: pd.DataFrame, collection: str) -> dict[str, Any]:
    verdict = claims.decide(claim, table) if collection == results.COMPARABLE else claims.UNDECIDED
    return {
        "says": claim.says,
        "condition": claims.condition(claim),
        "verdict": verdict.word,
        "mistake": verdict.mistake,
        "findings": {statistics.shown(recipe) or "finding": found.said for recipe, found in verdict.findings.items()},
        "notebook": claim.notebook,
    }


def _published(
    root: Path,
    collection: str,
    spec: schema.Notebook,
    table: pd.DataFrame,
    runs: list[params.Run],
    statuses: dict[str, str],
) -> list[dict[str, Any]]:
    """A row for every number submitted, with ours as submitted and corrected, and the page they come from."""
    summary, theirs = statistics.over_seeds(table), results.submitted(spec)
    ours = statistics.lookup(summary)
    beside = results.beside_published(summary, theirs, collection)
    rows = []
    for (*levels, metric, _), told in zip(theirs.itertuples(index=False), beside.to_dict("records"), strict=True):
        point = dict(zip(spec.grid, levels, strict=True))
        run = next((run for run in runs if dict(run.point) == point), None)
        status = statuses[run.path] if run else "not run"
        corrected = ours.get((*(point | {"recipe": "corrected"}).values(), metric)) if "recipe" in point else None
        where = ", ".join(f"{statistics.shown(k)} {statistics.shown(v)}" for k, v in point.items() if k != "recipe")
        rows.append(
            {
                "notebook": spec.title,
                "where": where,
                "metric": statistics.shown(metric),
                "published": f"{told['published']:.10g}",
                "ours": told["ours"] if status in MADE else status,
                "difference": told["difference"],
                "allowed": told["seed noise allows it"],
                "corrected": str(corrected or "–"),
                "href": _page(root, collection, run) if run else None,
            }
        )
    return rows


def _facts(records: list[dict[str, Any]], planned: int) -> dict[str, str]:
    """Where and how the collection was made: every value that its runs name, most are the same for all."""
    made = [record for record in records if record]
    facts = {"runs": str(planned)}
    if made:
        versions = {name: number for record in made for name, number in record["versions"].items()}
        facts |= {
            "time of all runs": reports.duration(sum(record["seconds"] for record in made)),
            "made": " to ".join(sorted({min(r["started"][:10] for r in made), max(r["started"][:10] for r in made)})),
            "machine": ", ".join(sorted({record["machine"] for record in made})),
            "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
            "revision": ", ".join(sorted({record["revision"] or "not under version control" for record in made})),
            "data, SHA-256": ", ".join(sorted({record["data_sha256"] for record in made})),
        }
    return facts
