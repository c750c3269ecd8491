"""Write the pages of a collection: one per run, from its executed notebook and its record."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import nbformat

from noisy_digits._environment import PRECISIONS
from noisy_digits._files import RunRecord, TrainingRecord, read_metrics, read_record, write_text
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_duration, format_label, format_point
from noisy_digits.pipeline.config import load_assignment
from noisy_digits.pipeline.datasets import load_datasets
from noisy_digits.pipeline.plan import PROFILES, Run
from noisy_digits.pipeline.status import diverged_seeds, run_status
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import read_project
from noisy_digits.reports.figures import read_notebook

QUICK_NOTICE = "Quick profile: short trainings on little data. They show that everything runs; they are not results."
PRECISION_NOTICES = {
    "mixed_bfloat16": "Precision: computed in bfloat16, weights kept in float32 (Keras's policy mixed_bfloat16). "
    "Reported numbers are compared only in float32.",
}


def collect_notices(root: Path, collection: Collection) -> list[str]:
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


def write_page(root: Path, run: Run, collection: Collection, plan: Sequence[Run]) -> Path:
    """Render the executed notebook of ``run``, failed or not, below reports/<collection>; return the page's path.

    The page links to those of other runs in ``plan``.
    """
    from noisy_digits.reports.page import render_page

    folder = root / "results" / collection.name / run.path
    html = render_page(
        nbformat.read(folder / "notebook.ipynb", as_version=4),
        title=load_assignment(root / "params" / f"{run.assignment}.yml").title,
        point=run.point,
        notices=[*collect_notices(root, collection), *run.notes, *_divergence_notices(folder)],
        failed=run_status(folder, run) == "failed",
        facts=_describe_source(run, collection) | _facts(read_record(folder)),
        metrics=(folder / "metrics.json").read_text(encoding="utf-8") if (folder / "metrics.json").is_file() else None,
        links=find_links(run, plan),
        top="../" * run.path.count("/"),
    )
    path = root / "reports" / collection.name / f"{run.path}.html"
    write_text(path, html)
    return path


def find_links(run: Run, plan: Sequence[Run]) -> list[tuple[str, str]]:
    """Return what the page of ``run`` links to, as pairs of words and the path of a run.

    These are the previous and the next grid point, the same point with other recipes, and the summaries that read it.
    """
    links = []
    same_notebook = [each for each in plan if (each.assignment, each.notebook) == (run.assignment, run.notebook)]
    if run.point:
        column = list(run.point)[-1]
        along = [each for each in same_notebook if _differ(run, each) <= {column}]
        place = along.index(run)
        for word, found in (("previous", along[:place][-1:]), ("next", along[place + 1 :][:1])):
            links += [(f"{word}: {format_point({column: each.point[column]})}", each) for each in found]
        others = [each for each in same_notebook if _differ(run, each) == {"recipe"} and column != "recipe"]
        links += [(f"here with recipe {format_label(each.point['recipe'])}", each) for each in others]
    summaries = [each for each in plan if run.path in each.depends_on and not each.point]
    links += [(f"read by {each.assignment}/{each.notebook}", each) for each in summaries]
    return [(words, each.path) for words, each in links]


def _differ(run: Run, other: Run) -> set[str]:
    return {column for column, level in run.point.items() if other.point[column] != level}


def refresh_pages(root: Path, runs: Sequence[Run], statuses: Mapping[str, str], collection: Collection) -> None:
    """Render the pages of failed runs, missing pages, and pages that are older than the code that renders them.

    A page is rendered again, too, if it does not link to what it should in the plan ``runs``.
    """
    folder = Path(__file__).parent
    renderer_time = max(file.stat().st_mtime for file in [*folder.glob("*.py"), *folder.glob("templates/*")])
    for run in runs:
        notebook = root / "results" / collection.name / run.path / "notebook.ipynb"
        page = root / "reports" / collection.name / f"{run.path}.html"
        outdated = statuses[run.path] == "failed" or not page.is_file() or page.stat().st_mtime < renderer_time
        if (outdated or _lacks_links(page, run, runs)) and read_notebook(notebook):
            write_page(root, run, collection, runs)


def _lacks_links(page: Path, run: Run, plan: Sequence[Run]) -> bool:
    html, top = page.read_text(encoding="utf-8"), "../" * run.path.count("/")
    return not all(f'href="{top}{quote(path)}.html"' in html for _, path in find_links(run, plan))


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


def _describe_source(run: Run, collection: Collection) -> dict[str, str]:
    """Return which notebook a run executed, and the command that executes it again."""
    options = {"dataset": collection.dataset, "profile": collection.profile, "precision": collection.precision}
    usual = {"profile": PROFILES[0], "precision": PRECISIONS[0]}
    words = [f"--{name} {value}" for name, value in options.items() if value and value != usual.get(name)]
    return {
        "notebook": f"notebooks/{run.assignment}/{run.notebook}.ipynb",
        "run again": " ".join(["noisy-digits run", run.path, *words]),
    }


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
