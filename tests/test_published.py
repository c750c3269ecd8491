"""The published study: index, pages, README, results.csv, revision and version belong together."""

import re
import subprocess
import tomllib
from html import unescape
from statistics import median
from urllib.parse import unquote
from zipfile import ZipFile

import pandas as pd
import pytest
import yaml

from noisy_digits._files import read_metrics, read_plan, read_record
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.project import COMPUTES
from noisy_digits.reports.figures import IMAGE_SUFFIXES, Figure
from noisy_digits.stats import summarize

from .browser import open_page
from .conftest import REPOSITORY
from .renaming import COLUMNS, NOTEBOOKS, SAMPLING
from .study import REPORTS, RESULTS, as_committed, second_edition

README, CHANGELOG = ((REPOSITORY / f"{name}.md").read_text() for name in ("README", "CHANGELOG"))
REVISION = r'<th scope="row">revision</th><td>([^<]*)</td>'
DECIMAL = r"(?<![\w.])\d+\.\d+"
pytestmark = as_committed


def index():
    return (REPORTS / "index.html").read_text()


def pages():
    return {page.relative_to(REPORTS).as_posix().removesuffix(".html") for page in REPORTS.rglob("*/*.html")}


def measured():
    """Return the rows of results.csv by run: the path of the run, with numbers in their shortest form."""
    grids = {}
    for page in map(rename_page, pages()):
        assignment, notebook, *point = page.split("/")
        grids[assignment, notebook] = [part.partition("~")[0] for part in point]
    table = pd.read_csv(RESULTS / "results.csv", dtype=str, keep_default_na=False)
    runs = {}
    for row in table.to_dict("records"):
        names = row["assignment"], row["notebook"]
        point = [f"{key}~{row[key]}" for key in grids.get(names, ())]
        runs.setdefault(run_key("/".join([*names, *point])), []).append(row)
    return runs


def rename_page(path):
    """Return the path of a run in today's names."""
    assignment, notebook, *point = path.split("/")
    parts = [part.partition("~") for part in point]
    renamed = [f"{COLUMNS.get(key, key)}~{SAMPLING.get(value, value)}" for key, _, value in parts]
    return "/".join([NOTEBOOKS.get(f"{assignment}/{notebook}", f"{assignment}/{notebook}"), *renamed])


def run_key(path):
    """Return the parts of a run's path in today's names, without order and with numbers in their shortest form."""
    return frozenset(shorten(part) for part in rename_page(path).split("/"))


def shorten(part):
    key, tilde, value = part.partition("~")
    try:
        return f"{key}{tilde}{float(value):g}"
    except ValueError:
        return part


def test_the_index_links_every_page():
    linked = {unquote(link) for link in re.findall(r'href="([^"#]+)\.html"', index())}
    assert linked - {"compare", "play"} == pages()
    found = open_page(REPORTS / "index.html")
    assert (found["errors"], found["broken"], found["requests"]) == ([], [], [])


def test_every_run_finished_and_every_claim_was_judged():
    body = index().partition("</style>")[2]
    assert body.count('class="ok"')
    assert not re.search(r"not decided|not run|missing|failed|stale|No answer yet", body)


def test_every_number_in_results_csv_belongs_to_a_page():
    assert measured().keys() <= set(map(run_key, pages()))


@second_edition
def test_results_csv_holds_the_metrics_of_every_run():
    with ZipFile(REPORTS / "results.zip") as archive:
        assert archive.read("results.csv") == (RESULTS / "results.csv").read_bytes()
    runs = [run.path for runs in (read_plan(RESULTS) or {}).values() for run in runs]
    recorded = {run_key(path): list_numbers(read_metrics(RESULTS / path)) for path in runs}
    assert {key: list_numbers(rows) for key, rows in measured().items()} == {
        key: numbers for key, numbers in recorded.items() if numbers
    }


def list_numbers(rows):
    return sorted((int(row["seed"]), row["metric"], float(row["value"])) for row in rows)


@second_edition
def test_the_numbers_on_the_index_are_summaries_of_results_csv():
    summaries = {key: set(map(str, summarize_metrics(rows))) for key, rows in measured().items()}
    compared = 0
    for row in re.findall(r'<tr>.*?</tr>|<p class="single".*?</p>', index(), re.DOTALL):
        link, number = (
            re.search(r'href="([^"#]+)\.html"', row),
            re.search(r"[^\s>]+(?: ± (?:&lt; )?\S+)? \(n = \d+\)", row),
        )
        if link and number:
            assert unescape(number[0]) in summaries[run_key(unquote(link[1]))], (link[1], number[0])
            compared += 1
    assert compared


def summarize_metrics(rows):
    """Return the summary over seeds of every metric in the rows of a run, at each of its coordinates."""
    groups = {}
    for row in rows:
        point = tuple((key, value) for key, value in row.items() if key not in ("seed", "value"))
        groups.setdefault(point, []).append(float(row["value"]))
    return [summarize(values) for values in groups.values()]


def test_the_readme_gives_the_verdicts_of_the_index():
    judged = r'<th scope="row"><a href="[^"]*">([^<]*)</a></th>\s*<td>([^<]*)</td>.*?<td><b>([^<]*)</b>([^<]*)</td>'
    claims = [
        (f"*{statement}*" if stated_in.endswith("a claim of ours") else statement, word, cause)
        for statement, stated_in, word, cause in (map(unescape, claim) for claim in re.findall(judged, index()))
    ]
    assert claims
    assert re.findall(r"(?m)^\| [^|]+ \| ([^|]+) \| \*\*([^|*]+)\*\*([^|]*) \|$", README) == claims


def pictures(below):
    """Return alt text and path of the README's pictures in or not in the published reports."""
    shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README)
    return [(alt, path) for alt, path in shown if path.startswith("reports/mnist/") is below]


def test_the_readme_shows_pictures_and_figures_of_runs():
    assert pictures(below=False)
    assert all((REPOSITORY / path).is_file() for _, path in pictures(below=False))
    planned = {run.path for run in plan_runs(REPOSITORY, "full", dataset="mnist")}
    shown = {path.removeprefix("reports/mnist/").rpartition(".")[0] for _, path in pictures(below=True)}
    assert shown
    assert shown <= planned | pages()


@second_edition
def test_the_readme_shows_figures_of_the_pages():
    mimes = {suffix: mime for mime, suffix in IMAGE_SUFFIXES.items()}
    for alt, path in pictures(below=True):
        file = REPOSITORY / path
        figure = Figure(mimes[file.suffix[1:]], file.read_bytes(), alt)
        assert figure.url in unescape(file.with_suffix(".html").read_text())


@second_edition
def test_every_number_in_the_readmes_findings_is_in_an_answer_that_they_link_to():
    findings = re.findall(r"(?m)^- (.*\(reports/mnist/.*)$", README)
    assert len(findings) == 5
    for finding in findings:
        linked = [REPOSITORY / unquote(path) for path in re.findall(r"\((reports/mnist/[^)]+\.html)\)", finding)]
        answers = [re.search(r'<div class="answer".*?</div>', page.read_text(), re.DOTALL)[0] for page in linked]
        numbers = re.findall(DECIMAL, re.sub(r"\]\([^)]*\)", "", finding))
        assert numbers, finding
        assert set(numbers) <= set(re.findall(DECIMAL, " ".join(answers))), finding


def test_the_readme_is_short():
    assert len(README.splitlines()) < 100


@second_edition
def test_index_pages_and_records_name_one_revision_without_a_plus():
    (revision,) = re.findall(REVISION, index())
    assert re.fullmatch("[0-9a-f]{7,}", revision)
    assert {read_record(path.parent)["revision"] for path in RESULTS.rglob("run.json")} == {revision}
    named = {page: re.findall(REVISION, (REPORTS / f"{page}.html").read_text()) for page in pages()}
    assert {page: revisions for page, revisions in named.items() if revisions != [revision]} == {}


@second_edition
def test_the_revision_is_that_of_what_computes_where_the_study_was_committed():
    if git("rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("this clone is without its history")
    published = git("log", "-1", "--format=%H", "--", "reports/mnist/index.html")
    assert git("log", "-1", "--format=%H", published, "--", *COMPUTES).startswith(re.search(REVISION, index())[1])


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_changelog_citation_and_package_have_one_version():
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"] == version
    heading = re.search(r"(?m)^## (.+)$", CHANGELOG)[1]
    assert heading == re.sub(r"\.dev\d+$", " (in preparation)", version)


@second_edition
def test_the_changelog_names_the_revision_of_the_study_in_its_latest_version():
    latest = re.search(r"(?ms)^## [\d.]+$(.*?)(?=^## |\Z)", CHANGELOG)[1]
    assert f"revision `{re.search(REVISION, index())[1]}`" in latest


@second_edition
def test_the_published_runs_are_those_that_are_planned_today():
    assert pages() == {run.path for run in plan_runs(REPOSITORY, "full", dataset="mnist")}


@second_edition
def test_no_published_run_took_more_than_1_5_gb():
    peaks = {file: read_record(file.parent)["peak_memory_mb"] for file in RESULTS.rglob("run.json")}
    assert peaks
    assert max(peaks.values()) <= 1500, max(peaks, key=peaks.get)


def test_the_publication_is_small():
    assert sum(file.stat().st_size for file in REPORTS.rglob("*") if file.is_file()) <= 12e6


@second_edition
def test_index_and_pages_are_small():
    assert (REPORTS / "index.html").stat().st_size <= 400e3
    assert (REPORTS / "compare.html").stat().st_size <= 600e3
    assert (REPORTS / "play.html").stat().st_size <= 1.5e6
    assert median(page.stat().st_size for page in REPORTS.rglob("*/*.html")) <= 150e3
