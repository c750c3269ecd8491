"""The pages of a collection, each put together from a run's plan and its results."""

import json
from collections.abc import Mapping
from pathlib import Path

import nbformat

from noisy_digits import params, schema, storage
from noisy_digits.errors import UserError
from noisy_digits.progress import duration

DATA_BANNERS = {
    "digits": "Data: scikit-learn's 1,797 scanned digits, brought to 28 × 28 pixels. They are not MNIST, and no number "
    "here is comparable with a published one.",
    "fashion_mnist": "Data: Fashion-MNIST, pictures of garments in MNIST's format. No number here is comparable with "
    "one published for MNIST.",
}
QUICK_BANNER = (
    "Quick profile: a short training on a small part of the data, which shows that everything runs. It is not a result."
)
PRECISION_BANNERS = {
    "mixed_bfloat16": "Precision: computed in bfloat16, weights kept in float32 (Keras's policy mixed_bfloat16). The "
    "published numbers are compared in float32 alone.",
}

MADE = ("ok", "diverged")
"""The statuses of runs whose numbers are those of the plan."""


def banners(collection: storage.Collection) -> list[str]:
    """What every page of a collection must say first: whose images, whether it is a result, how exact."""
    told = (
        DATA_BANNERS.get(collection.dataset),
        QUICK_BANNER if collection.profile == "quick" else None,
        PRECISION_BANNERS.get(collection.precision),
    )
    return list(filter(None, told))


def check(root: Path, run: params.Run) -> None:
    """Find out before anything is trained whether the notebook of ``run`` can become a page.

    Raises UserError naming the formula that cannot be shown.
    """
    from noisy_digits.html import markdown

    file = root / "notebooks" / run.assignment / f"{run.notebook}.ipynb"
    try:
        for cell in nbformat.read(file, as_version=4).cells:
            if cell.cell_type == "markdown":
                markdown.to_html(cell.source, markdown.Outline(), cell.get("attachments", {}))
    except ValueError as error:
        raise UserError(f"{file.relative_to(root)}: {error}") from None


def write_page(root: Path, run: params.Run, collection: storage.Collection) -> Path:
    """Render the executed notebook of ``run``, failed or not, below reports/<collection>; return the page's path."""
    from noisy_digits.html import page

    folder = root / "results" / collection.name / run.path
    html = page.render(
        nbformat.read(folder / "notebook.ipynb", as_version=4),
        title=schema.load(root / "params" / f"{run.assignment}.yml").title,
        identity={key: str(value) for key, value in run.point.items()},
        banners=[*banners(collection), *_divergence(folder)],
        status=status(folder, run),
        facts=_facts(folder),
        home="../" * run.path.count("/") + "index.html",
    )
    path = root / "reports" / collection.name / f"{run.path}.html"
    storage.write_text(path, html)
    return path


def renew_pages(
    root: Path, plan: list[params.Run], statuses: Mapping[str, str], collection: storage.Collection
) -> None:
    """Render the pages of failed runs, those that are missing, and those older than what renders them."""
    of_results, of_pages = (root / kind / collection.name for kind in ("results", "reports"))
    renderers = max(file.stat().st_mtime for file in Path(__file__).parent.iterdir() if file.is_file())
    for run in plan:
        folder, page = of_results / run.path, of_pages / f"{run.path}.html"
        outdated = statuses[run.path] == "failed" or not page.is_file() or page.stat().st_mtime < renderers
        if outdated and is_whole(folder / "notebook.ipynb"):
            write_page(root, run, collection)


def is_whole(notebook: Path) -> bool:
    """Whether an executed notebook is there, and not cut off as one is whose run was killed while it wrote."""
    try:
        nbformat.validate(json.loads(notebook.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, AttributeError, TypeError, nbformat.ValidationError):
        return False
    return True


def status(folder: Path, run: params.Run) -> str:
    """What became of a run: ok, diverged, stale (made with other parameters), failed (begun, not ended) or missing."""
    if (folder / "metrics.json").is_file() and (record := storage.read_record(folder)):
        made = {k: v for k, v in record["parameters"].items() if k not in storage.SUPPLIED}
        if made != {k: v for k, v in run.parameters.items() if k not in storage.SUPPLIED}:
            return "stale"
        return "diverged" if _divergence(folder) else "ok"
    return "failed" if (folder / "notebook.ipynb").is_file() else "missing"


def statuses(folder: Path, plan: list[params.Run]) -> dict[str, str]:
    """What became of every run of a plan, by path; one is stale, too, that read a run which is not as planned."""
    found: dict[str, str] = {}
    for run in plan:
        own = status(folder / run.path, run)
        outdated = own in MADE and any(found[path] not in MADE for path in run.reads)
        found[run.path] = "stale" if outdated else own
    return found


def _divergence(folder: Path) -> list[str]:
    """A sentence for the page of a run in which replicates diverged."""
    metrics = storage.read_metrics(folder)
    seeds = [seed for seed, measured in metrics.items() if "diverged" in measured]
    if not seeds:
        return []
    return [
        f"Diverged: {len(seeds)} of {len(metrics)} replicates (seed {', '.join(seeds)}). Their training ended "
        "with a loss above a hundred times that of guessing, or with none that is a finite number."
    ]


def _facts(folder: Path) -> dict[str, str]:
    record = storage.read_record(folder)
    if not record:
        return {}
    return {
        "made": record["started"].replace("T", " ").replace("Z", " UTC"),
        "time": duration(record["seconds"]),
        "peak memory": f"{record['peak_memory_mb']:,} MB",
        **({"trained on": record["device"]} if record["device"] else {}),
        "threads": str(record["threads"]),
        "precision": record["precision"],
        "machine": record["machine"],
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "revision": record["revision"] or "not under version control",
        "data, SHA-256": record["data_sha256"],
    }
