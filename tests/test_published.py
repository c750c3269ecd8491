"""The published study: its index, pages, README and results.csv agree with each other."""

import re
import subprocess
from html import unescape
from pathlib import Path
from statistics import median
from urllib.parse import unquote

import pandas as pd
import pytest

from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.reports.figures import IMAGE_SUFFIXES, Figure
from noisy_digits.stats import summarize

from .browser import open_page
from .renaming import COLUMNS, NOTEBOOKS, SAMPLING

REPOSITORY = Path(__file__).parents[1]
REPORTS, RESULTS = REPOSITORY / "reports/mnist", REPOSITORY / "results/mnist/results.csv"
README = (REPOSITORY / "README.md").read_text()
CHANGED = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", REPORTS, RESULTS], cwd=REPOSITORY, check=False)
pytestmark = pytest.mark.skipif(
    CHANGED.returncode == 1, reason="reports/mnist or results/mnist is not as committed: it holds a build of your own"
)

FIRST_EDITION_NOTEBOOK = "mlp_noise/2_training"
"""A notebook whose name only the first edition has. While the published study has it, today's notebooks are not held
against that study: it waits to be published again."""


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
    table = pd.read_csv(RESULTS, dtype=str, keep_default_na=False)
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
    assert linked - {"compare"} == pages()
    found = open_page(REPORTS / "index.html")
    assert (found["errors"], found["broken"], found["requests"]) == ([], [], [])


def test_every_run_finished_and_every_claim_was_judged():
    body = index().partition("</style>")[2]
    assert body.count('class="ok"')
    assert not re.search(r"not decided|not run|missing|failed|stale", body)


def test_every_number_in_results_csv_belongs_to_a_page():
    assert measured().keys() <= set(map(run_key, pages()))


def wait_for_the_second_edition():
    """Skip a test while the published study is that of the first edition."""
    if any(page.startswith(f"{FIRST_EDITION_NOTEBOOK}/") for page in pages()):
        pytest.skip("the published study is that of the first edition; it has to be published again")


def test_the_numbers_on_the_index_are_summaries_of_results_csv():
    wait_for_the_second_edition()
    summaries = {key: set(map(str, summarize_metrics(rows))) for key, rows in measured().items()}
    compared = 0
    for row in re.split(r'<tr>|<p class="single"', index()):
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
    judged = r'<th scope="row"><a href="[^"]*">([^<]*)</a></th>\s*<td>[^<]*</td><td><b>([^<]*)</b>([^<]*)</td>'
    claims = [tuple(map(unescape, claim)) for claim in re.findall(judged, index())]
    assert claims
    assert re.findall(r"(?m)^\| [^|]+ \| ([^|]+) \| \*\*([^|*]+)\*\*([^|]*) \|$", README) == claims


def test_the_readme_shows_figures_of_the_pages():
    shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README)
    assert len(shown) == 4
    assert all((REPOSITORY / path).is_file() for _, path in shown)
    wait_for_the_second_edition()
    mimes = {suffix: mime for mime, suffix in IMAGE_SUFFIXES.items()}
    for alt, path in shown[1:]:
        file = REPOSITORY / path
        figure = Figure(mimes[file.suffix[1:]], file.read_bytes(), alt)
        assert figure.url in unescape(file.with_suffix(".html").read_text())


def test_the_published_runs_are_those_that_are_planned_today():
    wait_for_the_second_edition()
    assert pages() <= {run.path for run in plan_runs(REPOSITORY, "full", dataset="mnist")}


def test_the_index_is_small():
    wait_for_the_second_edition()
    assert (REPORTS / "index.html").stat().st_size <= 400e3


def test_the_publication_is_small():
    assert sum(file.stat().st_size for file in REPORTS.rglob("*") if file.is_file()) <= 12e6
    wait_for_the_second_edition()
    assert (REPORTS / "index.html").stat().st_size <= 400e3
    assert (REPORTS / "compare.html").stat().st_size <= 600e3
    assert (REPORTS / "play.html").stat().st_size <= 1.5e6
    assert median(page.stat().st_size for page in REPORTS.rglob("*/*.html")) <= 150e3
