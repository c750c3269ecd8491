"""A project of another subject, which needs nothing but notebooks and a params file."""

import csv
import json
import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from noisy_digits.pipeline.plan import plan_runs
from tests.conftest import noisy_digits

WINE = Path(__file__).parent / "wine"
RUNS = {
    *(f"wine/1_classify/standardized~{scaled}/n_neighbors~{n}" for scaled in (False, True) for n in (1, 15)),
    "wine/2_compare",
}


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    """The wine project, copied into an empty folder and built there."""
    root = shutil.copytree(WINE, tmp_path_factory.mktemp("wine") / "project")
    done = noisy_digits(root, "build", "--cores", "2")
    assert done.returncode == 0, done.stderr
    return root


def read_words(page):
    """Return the visible text of a page, apart from the name of the package in code and command lines."""
    html = re.sub(r"(?s)<(style|svg|script)\b.*?</\1>", " ", page.read_text())
    text = unescape(re.sub(r"<[^>]+>", " ", html))
    return " ".join(re.sub("noisy[_-]digits", "", text).split())


def test_wine_has_every_grid_point_with_every_seed(wine):
    assert {path.parent.relative_to(wine / "results/full") for path in wine.glob("results/**/run.json")} == {
        Path(path) for path in RUNS
    }
    with (wine / "results/full/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["assignment", "notebook", "standardized", "n_neighbors", "seed", "metric", "value"]
    assert [row["seed"] for row in rows[::2]] == ["0", "1", "2"] * 4
    assert {row["metric"] for row in rows} == {"train_accuracy", "test_accuracy"}
    assert json.loads((wine / "results/full/wine/2_compare/run.json").read_text())["data_sha256"] is None


def test_wine_has_every_page_with_its_figure_and_table(wine):
    reports = wine / "reports/full"
    assert {str(page.relative_to(reports)) for page in reports.glob("**/*.html")} == {
        *("index.html", "compare.html"),
        *(f"{path}.html" for path in RUNS),
    }
    assert "neighbors that vote" in read_words(reports / "wine/2_compare.html")
    assert "<img" in (reports / "wine/2_compare.html").read_text()
    assert "KNeighborsClassifier" in read_words(reports / "wine/1_classify/standardized~True/n_neighbors~15.html")


def test_wine_has_its_verdict_on_the_index(wine):
    words = read_words(wine / "reports/full/index.html")
    assert re.search(r"Standardized features are classified better\. .* supported", words)
    assert "Telling wines apart" in words


def test_wine_pages_show_nothing_of_digits(wine):
    for page in wine.glob("reports/**/*.html"):
        assert not re.findall(r"(?i)digit|mnist|noise|noisy|pixel|float32|precision", read_words(page)), page


def test_wine_has_no_data_sets_to_choose(wine):
    assert {run.path for run in plan_runs(wine, "full")} == RUNS
    done = noisy_digits(wine, "build", "--dataset", "mnist")
    assert done.returncode == 2
    assert 'unknown dataset "mnist"' in done.stderr
