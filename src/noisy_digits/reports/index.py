"""Write the index of a collection: every assignment, question and grid point, with its status and number."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from noisy_digits._files import read_record, write_file, write_text
from noisy_digits.errors import UserError
from noisy_digits.formatting import format_duration, format_label, format_number, format_point
from noisy_digits.pipeline.claims import format_condition
from noisy_digits.pipeline.datasets import load_datasets
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.store import Collection
from noisy_digits.references import MISTAKES_CAPTION, TOLERANCE_WORDS
from noisy_digits.reports._templates import TEMPLATES
from noisy_digits.reports.compare import write_compare
from noisy_digits.reports.overview import Overview
from noisy_digits.reports.pages import collect_notices, describe_origin, refresh_pages, zip_text
from noisy_digits.reports.reproduction import EDGE, lay_out_strips
from noisy_digits.results import collect_metrics

TEMPLATES.filters |= {
    "label": format_label,
    "condition": format_condition,
    "format_point": format_point,
    "number": format_number,
}
TEMPLATES.globals |= {"edge": EDGE, "mistakes_caption": MISTAKES_CAPTION, "tolerance": TOLERANCE_WORDS}


def write_index(root: Path, runs: Sequence[Run], collection: Collection) -> None:
    """Write outdated pages, index.html, results.csv and compare.html of the collection whose plan is ``runs``.

    Beside the pages results.csv is zipped. The page of the module that project.yml names as ``extra_page`` is written,
    too.

    Raises UserError, after writing index.html, for a metric that a params file names and no run recorded. Without
    results.csv Snakemake makes the index again, so that every build fails until the params file is mended.
    """
    from noisy_digits.reports.markdown import render_markdown_text

    overview = Overview(root, runs, collection)
    refresh_pages(root, runs, overview.statuses, collection)
    dataset = load_datasets(overview.project).dataset_title(collection.dataset)
    quick = ", quick profile" if collection.profile == "quick" else ""
    sections = overview.sections()
    unrecorded = [line for section in sections for line in section["unrecorded"]]
    title = ": ".join(filter(None, [overview.project.title, dataset])) + quick
    notices = collect_notices(root, collection)
    html = TEMPLATES.get_template("index.html.j2").render(
        title=title,
        project=overview.project,
        is_reference=overview.is_reference,
        notices=notices,
        extra_page=_write_extra_page(overview, notices),
        facts=_facts(overview),
        unrecorded=unrecorded,
        strips=lay_out_strips(sections),
        sections=sections,
        render_markdown_text=render_markdown_text,
    )
    write_text(overview.reports / "index.html", html)
    if unrecorded:
        raise UserError("; ".join(unrecorded))
    table = collect_metrics(overview.results, runs).to_csv(index=False)
    write_file(overview.reports / "results.zip", lambda file: file.write(zip_text("results.csv", table)))
    write_text(overview.results / "results.csv", table)
    write_compare(overview, title, notices)


def _write_extra_page(overview: Overview, notices: list[str]) -> dict[str, str] | None:
    """Write the page that the project's own module makes of a collection; return its title and its address.

    The module has ``TITLE`` and ``render_page(collection, notices)``, which returns None where it makes no page.
    """
    name = overview.project.extra_page
    if name is None:
        return None
    try:
        module = importlib.import_module(name)
        title, render_page = module.TITLE, module.render_page
    except Exception as error:  # a module can raise anything
        raise UserError(f"project.yml: extra_page: {name} cannot be used: {type(error).__name__}: {error}") from None
    path = overview.reports / f"{name.rpartition('.')[2]}.html"
    html = render_page(overview.name, notices)
    if html is None:
        path.unlink(missing_ok=True)
        return None
    write_text(path, html)
    return {"title": title, "href": path.name}


def _facts(overview: Overview) -> dict[str, str]:
    """Return when, where and with what the collection was made."""
    records = [record for run in overview.runs if (record := read_record(overview.results / run.path))]
    runs = str(len(overview.runs))
    if not records:
        return {"runs": runs}
    trainings = {(each["key"], each["made"]): each["seconds"] for record in records for each in record["trainings"]}
    days = sorted(record["started"][:10] for record in records)
    return {
        "runs": runs,
        "time of all runs": format_duration(sum(record["seconds"] for record in records)),
        "trainings": f"{len(trainings):,}, made in {format_duration(sum(trainings.values()))}" if trainings else "",
        "started": days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}",
        **describe_origin(records),
    }
