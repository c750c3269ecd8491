"""What the index says of a collection, put together from its plan, its params files and its results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from noisy_digits import claims, params, progress, results, schema, statistics, storage
from noisy_digits.html import index, reports

DATA_TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "scikit-learn's digits"}
INTRODUCTION = (
    "Course assignments on noisy digits, answered twice: as submitted, with the mistakes of the write-up, so that its "
    "numbers reappear, and corrected. The test set serves as the validation set everywhere, as in the write-ups."
)


@dataclass(frozen=True)
class Collection:
    """A collection with what became of its runs, by path."""

    root: Path
    name: str
    statuses: dict[str, str]

    @property
    def folder(self) -> Path:
        """The folder of its results."""
        return self.root / "results" / self.name

    def page(self, run: params.Run) -> str | None:
        """The page of a run, relative to the index, where there is one."""
        return f"{run.path}.html" if (self.root / "reports" / self.name / f"{run.path}.html").is_file() else None

    def counts(self, run: params.Run) -> bool:
        """Whether the numbers of a run are those of the plan."""
        return self.statuses[run.path] in reports.MADE


def write_index(root: Path, plan: list[params.Run], made: storage.Collection) -> None:
    """Write results.csv, the pages of failed runs and index.html of a collection."""
    collection = collected(root, plan, made)
    name, folder = collection.name, collection.folder
    storage.write_text(folder / "results.csv", results.tidy(folder, plan).to_csv(index=False))
    reports.renew_pages(root, plan, collection.statuses, made)
    described = {
        "title": f"Noisy Digits: {DATA_TITLES[made.dataset]}" + (", quick profile" if made.profile == "quick" else ""),
        "introduction": INTRODUCTION,
        "banners": reports.banners(made),
        "comparable": name == storage.COMPARABLE,
        "facts": _facts([storage.read_record(folder / run.path) for run in plan], len(plan)),
        "assignments": assignments(collection, plan),
    }
    storage.write_text(root / "reports" / name / "index.html", index.render(described))


def collected(root: Path, plan: list[params.Run], made: storage.Collection) -> Collection:
    """What became of every run of a plan."""
    return Collection(root, made.name, reports.statuses(root / "results" / made.name, plan))


def assignments(collection: Collection, plan: list[params.Run]) -> list[dict[str, Any]]:
    """What the index says of every assignment; html.index gives the keys."""
    return [
        _assignment(collection, key, assignment, [run for run in plan if run.assignment == key])
        for key, assignment in params.assignments(collection.root).items()
    ]


def _assignment(
    collection: Collection, name: str, assignment: schema.Assignment, plan: list[params.Run]
) -> dict[str, Any]:
    runs = {key: [run for run in plan if run.notebook == key] for key in assignment.notebooks}
    tables = {
        key: results.tidy(collection.folder, filter(collection.counts, runs[key]), list(spec.grid))
        for key, spec in assignment.notebooks.items()
    }
    return {
        "name": name,
        "title": assignment.title,
        "question": assignment.question,
        "figure": figure(collection, f"{name}/{assignment.figure}") if assignment.figure else None,
        "notebooks": [_notebook(collection, key, spec, runs[key]) for key, spec in assignment.notebooks.items()],
        "claims": [_claim(claim, tables[claim.notebook], collection.name) for claim in assignment.claims.values()],
        "published": [
            row
            for key, spec in assignment.notebooks.items()
            for row in _published(collection, spec, tables[key], runs[key])
        ],
    }


def figure(collection: Collection, path: str) -> dict[str, str] | None:
    """The first figure of a run (url, alt) with the page that explains it (href), where that was made."""
    from noisy_digits.html import page

    executed = collection.folder / path / "notebook.ipynb"
    if not (executed.with_name("metrics.json").is_file() and reports.is_whole(executed)):
        return None
    found = page.first_figure(nbformat.read(executed, as_version=4))
    return found and found | {"href": f"{path}.html"}


def _notebook(collection: Collection, key: str, spec: schema.Notebook, runs: list[params.Run]) -> dict[str, Any]:
    rows = []
    for run in runs:
        folder = collection.folder / run.path
        record = storage.read_record(folder)
        rows.append(
            {
                "point": {name: str(value) for name, value in run.point.items()},
                "href": collection.page(run),
                "status": collection.statuses[run.path],
                "headline": _headline(folder, run.headline),
                "headline_name": (spec.headline or "").replace("_", " "),
                "time": progress.duration(record["seconds"]) if record else None,
            }
        )
    return {
        "name": key,
        "title": spec.title,
        "summary": bool(spec.reads) and not spec.grid,
        "columns": list(spec.grid),
        "runs": rows,
    }


def _headline(folder: Path, metric: str | None) -> str | None:
    measured = storage.read_metrics(folder).values()
    values = [metrics[metric] for metrics in measured if metric in metrics]
    diverged = sum("diverged" in metrics for metrics in measured)
    return f"{statistics.summarise(values)}{f', {diverged} diverged' if diverged else ''}" if values else None


def _claim(claim: schema.Claim, table: pd.DataFrame, collection: str) -> dict[str, Any]:
    verdict = claims.decide(claim, table) if collection == storage.COMPARABLE else claims.UNDECIDED
    return {
        "says": claim.says,
        "condition": claims.condition(claim),
        "verdict": verdict.word,
        "mistake": verdict.mistake,
        "findings": {statistics.shown(recipe) or "finding": found.said for recipe, found in verdict.findings.items()},
        "notebook": claim.notebook,
    }


def _published(
    collection: Collection, spec: schema.Notebook, table: pd.DataFrame, runs: list[params.Run]
) -> list[dict[str, Any]]:
    """A row for every number submitted, with ours as submitted and corrected, and the page they come from."""
    summary, theirs = statistics.over_seeds(table), results.submitted(spec)
    ours = statistics.lookup(summary)
    beside = results.beside_published(summary, theirs, collection.name)
    rows = []
    for (*levels, metric, _), told in zip(theirs.itertuples(index=False), beside.to_dict("records"), strict=True):
        point = dict(zip(spec.grid, levels, strict=True))
        run = next((run for run in runs if dict(run.point) == point), None)
        corrected = ours.get((*(point | {"recipe": "corrected"}).values(), metric)) if "recipe" in point else None
        where = ", ".join(f"{statistics.shown(k)} {statistics.shown(v)}" for k, v in point.items() if k != "recipe")
        rows.append(
            {
                "notebook": spec.title,
                "where": where,
                "metric": statistics.shown(metric),
                "published": f"{told['published']:.10g}",
                "ours": "not run"
                if not run
                else told["ours"]
                if collection.counts(run)
                else collection.statuses[run.path],
                "difference": told["difference"],
                "allowed": told["seed noise allows it"],
                "corrected": str(corrected or "–"),
                "href": collection.page(run) if run else None,
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
            "time of all runs": progress.duration(sum(record["seconds"] for record in made)),
            "made": " to ".join(sorted({min(r["started"][:10] for r in made), max(r["started"][:10] for r in made)})),
            "machine": ", ".join(sorted({record["machine"] for record in made})),
            "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
            "revision": ", ".join(sorted({record["revision"] or "not under version control" for record in made})),
            "data, SHA-256": ", ".join(sorted({record["data_sha256"] for record in made})),
        }
    return facts
