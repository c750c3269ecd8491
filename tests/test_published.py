"""The study that the repository publishes: whole, small, and told by the README as its index tells it."""

import re
import subprocess
from html import unescape
from urllib.parse import unquote

import pytest

from .browser import open_page
from .conftest import REPOSITORY

REPORTS = REPOSITORY / "reports/mnist"
README = (REPOSITORY / "README.md").read_text()
CHANGED = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", REPORTS], cwd=REPOSITORY, check=False).returncode == 1
pytestmark = pytest.mark.skipif(CHANGED, reason="reports/mnist is not as committed: a build of your own is in it")


def index():
    return (REPORTS / "index.html").read_text()


def test_the_index_leads_to_every_page():
    linked = {unquote(link) for link in re.findall(r'href="([^"#]+\.html)"', index())}
    assert linked == {str(page.relative_to(REPORTS)) for page in REPORTS.rglob("*/*.html")}
    found = open_page(REPORTS / "index.html")
    assert (found["errors"], found["broken"], found["requests"]) == ([], [], [])


def test_every_run_ended_and_every_claim_was_judged():
    body = index().partition("</style>")[2]
    assert body.count('class="ok"')
    assert not re.search(r"not decided|not run|missing|failed|stale", body)


def test_the_readme_gives_the_verdicts_of_the_index():
    judged = r'<th scope="row"><a href="[^"]*">([^<]*)</a></th>\s*<td>[^<]*</td><td><b>([^<]*)</b>([^<]*)</td>'
    claims = [tuple(map(unescape, claim)) for claim in re.findall(judged, index())]
    assert claims
    assert re.findall(r"(?m)^\| [^|]+ \| ([^|]+) \| \*\*([^|*]+)\*\*([^|]*) \|$", README) == claims


def test_the_readmes_pictures_are_in_the_repository():
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(shown) == 4
    assert all((REPOSITORY / picture).is_file() for picture in shown)


def test_the_publication_is_small():
    assert sum(file.stat().st_size for file in REPORTS.rglob("*") if file.is_file()) <= 10e6
