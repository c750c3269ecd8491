"""Write the pages of a collection: one per run, from its executed notebook and its record."""

import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import nbformat
import pandas as pd
from markupsafe import escape

from noisy_digits._environment import PRECISIONS
from noisy_digits._files import RunRecord, TrainingRecord, read_metrics, read_record, write_text
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_duration, format_label, format_point
from noisy_digits.pipeline.config import load_assignment, load_assignments
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


Link = tuple[str, str]
"""Words, and the path of the run to whose page they link."""


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


def write_page(root: Path, run: Run, collection: Collection, links: Sequence[Link]) -> Path:
    """Render the executed notebook of ``run``, failed or not, below reports/<collection>; return the page's path.

    ``links`` are those of ``find_links``.
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
        metrics=_encode_metrics(folder),
        links=links,
        top="../" * run.path.count("/"),
    )
    path = root / "reports" / collection.name / f"{run.path}.html"
    write_text(path, html)
    return path


def _encode_metrics(folder: Path) -> str:
    """Return a zip file in Base64 of what a run measured as CSV, a number per line; nothing if there are no metrics."""
    rows = read_metrics(folder)
    return base64.b64encode(zip_text("metrics.csv", pd.DataFrame(rows).to_csv(index=False))).decode() if rows else ""


def zip_text(name: str, text: str) -> bytes:
    """Return a zip file that holds ``text`` as the file ``name``: the same bytes for the same text."""
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr(ZipInfo(name), text, ZIP_DEFLATED, 9)
    return file.getvalue()


def find_links(plan: Sequence[Run]) -> Mapping[str, list[Link]]:
    """Return what the page of each run in ``plan`` links to, by the path of the run.

    These are the previous and the next grid point, the same point with other recipes, and the summaries that read it.
    """
    links: dict[str, list[Link]] = defaultdict(list)
    for row in _group_points(plan, lambda point: list(point.items())[:-1]):
        column = list(row[0].point)[-1]
        for run, following in pairwise(row):
            links[following.path].append((f"previous: {format_point({column: run.point[column]})}", run.path))
            links[run.path].append((f"next: {format_point({column: following.point[column]})}", following.path))
    for same in _group_points(plan, lambda point: [item for item in point.items() if item[0] != "recipe"]):
        for run, other in permutations(same, 2) if list(same[0].point)[-1] != "recipe" else ():
            links[run.path].append((f"here with recipe {format_label(other.point['recipe'])}", other.path))
    for summary in plan:
        for path in summary.depends_on if not summary.point else ():
            links[path].append((f"read by {summary.assignment}/{summary.notebook}", summary.path))
    return links


def _group_points(plan: Sequence[Run], key: Callable[[Mapping[str, Any]], list]) -> Iterable[list[Run]]:
    """Return the runs of each notebook that have a point, in groups whose points have the same ``key``."""
    groups: dict[tuple, list[Run]] = defaultdict(list)
    for run in plan:
        if run.point:
            groups[run.assignment, run.notebook, *key(run.point)].append(run)
    return groups.values()


def refresh_pages(root: Path, runs: Sequence[Run], statuses: Mapping[str, str], collection: Collection) -> None:
    """Render the pages of failed runs, missing pages, and pages that are older than the code that renders them.

    A page is rendered again, too, if it does not name its assignment, or link to what it should in the plan ``runs``.
    """
    folder = Path(__file__).parent
    links, assignments = find_links(runs), load_assignments(root)
    renderer_time = max(file.stat().st_mtime for file in [*folder.glob("*.py"), *folder.glob("templates/*")])
    for run in runs:
        notebook = root / "results" / collection.name / run.path / "notebook.ipynb"
        page = root / "reports" / collection.name / f"{run.path}.html"
        outdated = statuses[run.path] == "failed" or not page.is_file() or page.stat().st_mtime < renderer_time
        title = assignments[run.assignment].title
        if (outdated or not _is_current(page, run, title, links[run.path])) and read_notebook(notebook):
            write_page(root, run, collection, links[run.path])


def _is_current(page: Path, run: Run, title: str, links: Sequence[Link]) -> bool:
    html, top = page.read_text(encoding="utf-8"), "../" * run.path.count("/")
    return f"<li>{escape(title)}</li>" in html and all(f'href="{top}{quote(path)}.html"' in html for _, path in links)


def describe_origin(records: Sequence[RunRecord]) -> dict[str, str]:
    """Return where and with what runs were made: every value that their records name."""
    packages = dict.fromkeys(package for record in records for package in record["versions"])
    versions = {package: _join(record["versions"].get(package) for record in records) for package in packages}
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
    options["seeds"] = run.parameters.get("n_seeds")
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
