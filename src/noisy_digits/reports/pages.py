"""Write the pages of a collection: one per run, from its executed notebook and its record."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import nbformat

from noisy_digits._files import RunRecord, TrainingRecord, read_metrics, read_record, write_text
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_duration
from noisy_digits.pipeline.config import load_assignment
from noisy_digits.pipeline.datasets import load_datasets
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.status import diverged_seeds, run_status
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import read_project
from noisy_digits.reports.figures import read_notebook

QUICK_NOTICE = "Quick profile: short trainings on little data. They show that everything runs; they are not results."
PRECISION_NOTICES = {
    "mixed_bfloat16": "Precision: computed in bfloat16, weights kept in float32 (Keras's policy mixed_bfloat16). "
    "Reported numbers are compared only in float32.",
}


def notices(root: Path, collection: Collection) -> list[str]:
    """Return what every page of a collection says first: its data set, whether it is a result, and its precision."""
    found = [
        load_datasets(read_project(root)).dataset_notice(collection.dataset),
        QUICK_NOTICE if collection.profile == "quick" else None,
        PRECISION_NOTICES.get(collection.precision),
    ]
    return [notice for notice in found if notice]


def check_renderable(root: Path, run: Run) -> None:
    """Check before a run that its notebook can become a page. Raises UserError naming a formula that cannot."""
    from noisy_digits.reports.markdown import Outline, render_markdown

    file = root / "notebooks" / run.assignment / f"{run.notebook}.ipynb"
    for cell in nbformat.read(file, as_version=4).cells:
        if cell.cell_type == "markdown":
            try:
                render_markdown(cell.source, Outline(), cell.get("attachments", {}))
            except ValueError as error:
                raise UserError(f"{file.relative_to(root)}: {error}") from None


def write_page(root: Path, run: Run, collection: Collection) -> Path:
    """Render the executed notebook of ``run``, failed or not, below reports/<collection>; return the page's path."""
    from noisy_digits.reports.page import render_page

    folder = root / "results" / collection.name / run.path
    html = render_page(
        nbformat.read(folder / "notebook.ipynb", as_version=4),
        title=load_assignment(root / "params" / f"{run.assignment}.yml").title,
        point=run.point,
        notices=[*notices(root, collection), *run.notes, *_divergence_notices(folder)],
        failed=run_status(folder, run) == "failed",
        facts=_facts(read_record(folder)),
        home="../" * run.path.count("/") + "index.html",
    )
    path = root / "reports" / collection.name / f"{run.path}.html"
    write_text(path, html)
    return path


def refresh_pages(root: Path, runs: Sequence[Run], statuses: Mapping[str, str], collection: Collection) -> None:
    """Render the pages of failed runs, missing pages, and pages that are older than the code that renders them."""
    folder = Path(__file__).parent
    renderer_time = max(file.stat().st_mtime for file in [*folder.glob("*.py"), *folder.glob("templates/*")])
    for run in runs:
        notebook = root / "results" / collection.name / run.path / "notebook.ipynb"
        page = root / "reports" / collection.name / f"{run.path}.html"
        outdated = statuses[run.path] == "failed" or not page.is_file() or page.stat().st_mtime < renderer_time
        if outdated and read_notebook(notebook):
            write_page(root, run, collection)


def describe_origin(records: Sequence[RunRecord]) -> dict[str, str]:
    """Return where and with what runs were made: every value that their records name."""
    versions = {package: version for record in records for package, version in record["versions"].items()}
    return {
        "machine": _join(record["machine"] for record in records),
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
        "revision": _join(record["revision"] or "not under version control" for record in records),
        "data, SHA-256": _join(record["data_sha256"] for record in records),
    }


def _join(values: Iterable[str | None]) -> str:
    return ", ".join(sorted({value for value in values if value}))


def _divergence_notices(folder: Path) -> list[str]:
    seeds = diverged_seeds(folder)
    if not seeds:
        return []
    total = len({row["seed"] for row in read_metrics(folder)})
    return [
        f"Diverged: {len(seeds)} of {total} seeds ({', '.join(map(str, seeds))}). Their loss ended above the "
        "divergence threshold or was not finite."
    ]


def _describe_trainings(trainings: Sequence[TrainingRecord]) -> str | None:
    """Return how many trainings were made in a run, and how many were restored and where these were made."""
    restored = [training for training in trainings if training["restored"]]
    if not restored:
        return f"{len(trainings)} made in this run" if trainings else None
    days = _join(training["made"][:10] for training in restored)
    revisions = _join(training["revision"] or "not under version control" for training in restored)
    made = format_duration(sum(training["seconds"] for training in restored))
    return (
        f"{len(trainings) - len(restored)} made in this run, {len(restored)} restored, which were made in {made} on "
        f"{days} at revision {revisions}"
    )


def _facts(record: RunRecord | None) -> dict[str, str | None]:
    if not record:
        return {}
    return {
        "started": record["started"].replace("T", " ").replace("Z", " UTC"),
        "time": format_duration(record["seconds"]),
        "peak memory": f"{record['peak_memory_mb']:,} MB",
        "device": record["device"],
        "threads": str(record["threads"]),
        "trainings": _describe_trainings(record["trainings"]),
        **describe_origin([record]),
    }
