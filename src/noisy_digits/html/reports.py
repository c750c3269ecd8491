"""Pages and index of a collection, put together from its plan and its results."""

import json
from pathlib import Path

import nbformat

from noisy_digits import params, results, statistics
from noisy_digits.errors import UserError
from noisy_digits.html import index

DATA_BANNERS = {
    "digits": "Data: scikit-learn's 1,797 scanned digits, brought to 28 × 28 pixels. They are not MNIST, and no number "
    "here is comparable with a published one.",
    "fashion_mnist": "Data: Fashion-MNIST, pictures of garments in MNIST's format. No number here is comparable with "
    "one published for MNIST.",
}
QUICK_BANNER = (
    "Quick profile: a short training on a small part of the data, which shows that everything runs. It is not a result."
)
DATA_TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "scikit-learn's digits"}
INTRODUCTION = (
    "Course assignments on noisy digits, answered twice: as submitted, with the mistakes of the write-up, so that its "
    "numbers reappear, and corrected. The test set serves as the validation set everywhere, as in the write-ups."
)


def banners(dataset: str, profile: str) -> list[str]:
    """What every page of a collection must say first: whose images these are, and whether it is a result."""
    return [banner for banner in (DATA_BANNERS.get(dataset), QUICK_BANNER if profile == "quick" else None) if banner]


def check(root: Path, run: params.Run) -> None:
    """Find out before anything is trained whether the notebook of ``run`` can become a page.

    Raises UserError naming the formula that cannot be shown.
    """
    from noisy_digits.html import page

    file = root / "notebooks" / run.assignment / f"{run.notebook}.ipynb"
    try:
        page.render(
            nbformat.read(file, as_version=4),
            title="",
            identity={},
            banners=[],
            status="ok",
            facts={},
            home="",
        )
    except ValueError as error:
        raise UserError(f"{file.relative_to(root)}: {error}") from None


def write_page(root: Path, run: params.Run, dataset: str, profile: str) -> Path:
    """Render the executed notebook of ``run``, failed or not, below reports/<collection>; return the page's path."""
    from noisy_digits.html import page

    collection = results.collection_name(dataset, profile)
    folder = root / "results" / collection / run.path
    html = page.render(
        nbformat.read(folder / "notebook.ipynb", as_version=4),
        title=params.load(root / "params" / f"{run.assignment}.yml").title,
        identity={key: str(value) for key, value in run.point.items()},
        banners=[*banners(dataset, profile), *_divergence(folder)],
        status=status(folder, run),
        facts=_facts(folder),
        home="../" * run.path.count("/") + "index.html",
    )
    path = root / "reports" / collection / f"{run.path}.html"
    results.write_text(path, html)
    return path


def write_index(root: Path, plan: list[params.Run], dataset: str, profile: str) -> None:
    """Write results.csv, the pages of failed runs and index.html of a collection."""
    collection = results.collection_name(dataset, profile)
    folder = root / "results" / collection
    results.write_text(folder / "results.csv", results.tidy(folder, plan).to_csv(index=False))
    for run in plan:
        if (folder / run.path / "notebook.ipynb").is_file() and _needs_page(root, collection, run):
            write_page(root, run, dataset, profile)
    seconds = sum(_record(folder / run.path).get("seconds", 0) for run in plan)
    html = index.render(
        {
            "title": f"Noisy Digits: {DATA_TITLES[dataset]}" + (", quick profile" if profile == "quick" else ""),
            "introduction": INTRODUCTION,
            "banners": banners(dataset, profile),
            "facts": {"runs": str(len(plan)), "time of all runs": _duration(seconds)},
            "assignments": [
                {
                    "name": name,
                    "title": assignment.title,
                    "question": assignment.question,
                    "notebooks": [
                        _notebook(
                            root,
                            collection,
                            key,
                            spec,
                            [r for r in plan if (r.assignment, r.notebook) == (name, key)],
                        )
                        for key, spec in assignment.notebooks.items()
                    ],
                }
                for name, assignment in params.assignments(root).items()
            ],
        }
    )
    results.write_text(root / "reports" / collection / "index.html", html)


def status(folder: Path, run: params.Run) -> str:
    """What became of a run: ok, diverged, stale (made with other parameters), failed (begun, not ended) or missing."""
    if (folder / "metrics.json").is_file() and (record := _record(folder)):
        made = {k: v for k, v in record["parameters"].items() if k not in results.SUPPLIED}
        if made != {k: v for k, v in run.parameters.items() if k not in results.SUPPLIED}:
            return "stale"
        return "diverged" if _divergence(folder) else "ok"
    return "failed" if (folder / "notebook.ipynb").is_file() else "missing"


def _divergence(folder: Path) -> list[str]:
    """A sentence for the page of a run in which replicates diverged."""
    metrics = _metrics(folder)
    seeds = [seed for seed, measured in metrics.items() if "diverged" in measured]
    if not seeds:
        return []
    return [
        f"Diverged: {len(seeds)} of {len(metrics)} replicates (seed {', '.join(seeds)}). Their training loss rose "
        "above a hundred times that of guessing, or was not a finite number any more."
    ]


def _needs_page(root: Path, collection: str, run: params.Run) -> bool:
    """Whether a run failed, or its page is older than what renders it."""
    page = root / "reports" / collection / f"{run.path}.html"
    renderers = [file.stat().st_mtime for file in Path(__file__).parent.iterdir() if file.is_file()]
    failed = status(root / "results" / collection / run.path, run) == "failed"
    return failed or not page.is_file() or page.stat().st_mtime < max(renderers)


def _notebook(root: Path, collection: str, key: str, spec: params.Notebook, runs: list[params.Run]) -> dict:
    rows = []
    for run in runs:
        folder = root / "results" / collection / run.path
        record, page = _record(folder), f"{run.path}.html"
        rows.append(
            {
                "point": {name: str(value) for name, value in run.point.items()},
                "href": page if (root / "reports" / collection / page).is_file() or record else None,
                "status": status(folder, run),
                "headline": _headline(folder, run.headline),
                "headline_name": (spec.headline or "").replace("_", " "),
                "time": _duration(record["seconds"]) if record else None,
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
    values = [metrics[metric] for metrics in _metrics(folder).values() if metric in metrics]
    return str(statistics.summarise(values)) if values else None


def _metrics(folder: Path) -> dict[str, dict]:
    file = folder / "metrics.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _record(folder: Path) -> dict:
    file = folder / "run.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _facts(folder: Path) -> dict[str, str]:
    record = _record(folder)
    if not record:
        return {}
    return {
        "made": record["started"].replace("T", " ").replace("Z", " UTC"),
        "time": _duration(record["seconds"]),
        "threads": str(record["threads"]),
        "machine": record["machine"],
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "revision": record["revision"] or "not under version control",
        "data, SHA-256": record["data_sha256"],
    }


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
