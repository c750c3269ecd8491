"""A quick build of this project on scikit-learn's digits: every notebook runs once, and the pages hold together."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
import time
from urllib.parse import unquote

import pytest

from noisy_digits import training
from noisy_digits._files import read_record
from noisy_digits.pipeline.config import load_assignments
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.store import Collection
from noisy_digits.reports.pages import collect_notices

from ..browser import browser, open_pages
from ..conftest import PATIENCE_S, REPOSITORY, build, environment, noisy_digits
from .test_by_hand import read_texts, run_all

pytestmark = pytest.mark.slow

COLLECTION = "digits-quick"


@pytest.fixture(scope="session")
def quick(copied):
    """A quick build of this project, on scikit-learn's digits."""
    done = build(copied)
    assert done.returncode == 0, done.stderr
    return copied


@pytest.fixture(scope="session")
def index(quick):
    return (quick / f"reports/{COLLECTION}/index.html").read_text()


def test_the_quick_build_makes_a_page_for_every_grid_point(quick):
    reports = quick / "reports" / COLLECTION
    pages = {str(page.relative_to(reports)).removesuffix(".html") for page in reports.rglob("*.html")}
    assert pages == {run.path for run in plan_runs(quick, "quick", dataset="digits")} | {"index", "compare", "play"}


def test_a_run_records_which_device_trained(quick):
    """Those that have epochs do train."""
    for run in plan_runs(quick, "quick", dataset="digits"):
        record = read_record(quick / "results" / COLLECTION / run.path)
        assert record["device"] == (training.device_name() if "epochs" in run.parameters else None), run.path


def read_rows(quick):
    with (quick / f"results/{COLLECTION}/results.csv").open() as file:
        return list(csv.DictReader(file))


def test_results_csv_has_a_column_per_coordinate_and_whole_numbers(quick):
    rows = read_rows(quick)
    assert list(rows[0])[:2] == ["assignment", "notebook"]
    assert list(rows[0])[-3:] == ["seed", "metric", "value"]
    assert {row["n_hidden_layers"] for row in rows} == {"", "1", "3"}
    assert {row["layer"] for row in rows} == {"", "1", "2", "3"}
    with_digit = {row["metric"] for row in rows if re.search(r"\d", row["metric"].replace("l2", ""))}
    assert not with_digit, "a coordinate in a metric's name"


def test_quick_learns_something(quick):
    clean = {
        row["assignment"]: float(row["value"])
        for row in read_rows(quick)
        if (row["recipe"], row["scale"], row["metric"]) == ("corrected", "0.0", "test_accuracy")
    }
    assert clean["mlp_noise"] > 0.7
    assert clean["cnn_noise"] > 0.7


def test_the_readme_shows_figures_of_any_collection_and_keeps_the_verdicts_of_the_reference(quick):
    chart, grid = (f"reports/{COLLECTION}/denoising/{name}" for name in ("4c_compare_denoisers.svg", "4b_gallery.png"))
    kept = "![kept](reports/mnist/denoising/4c_compare_denoisers.svg)\n"
    text = (
        f"# Digits\n{kept}![chart]({chart}) ![grid]({grid})\n<!-- verdicts -->\nold\n<!-- end of verdicts -->\nEnd.\n"
    )
    (quick / "README.md").write_text(text)
    done = noisy_digits(quick, "readme", "--dataset", "digits", "--profile", "quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert (quick / "README.md").read_text() == text
    assert "</svg>" in (quick / chart).read_text()
    assert (quick / grid).read_bytes().startswith(b"\x89PNG")


def test_a_figure_in_the_readme_that_was_not_made_is_named(built):
    (built / "README.md").write_text(f"![a](reports/{COLLECTION}/toy/3_more.png)\n")
    done = noisy_digits(built, "readme", "--dataset", "digits", "--profile", "quick")
    assert done.returncode == 2
    assert "toy/3_more" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_reported_is_compared_with_a_quick_run(quick):
    pages = list(quick.glob(f"reports/{COLLECTION}/*_noise/4_noise_sweep.html"))
    assert len(pages) == 2
    for page in pages:
        text = page.read_text()
        assert "not comparable" in text
        assert "Quick profile" in text
        assert "not MNIST" in text


def test_pages_of_every_notebook_open_in_a_browser_with_the_network_off(quick):
    """The index, and the first and the last grid point of each notebook: the others are made of the same cells."""
    reports = quick / "reports" / COLLECTION
    by_notebook: dict = {}
    for page in sorted(reports.rglob("*.html")):
        by_notebook.setdefault(page.relative_to(reports).with_suffix("").parts[:2], []).append(page)
    pages = sorted({page for group in by_notebook.values() for page in (group[0], group[-1])})
    for page, found in zip(pages, open_pages(pages), strict=True):
        assert found["requests"] == [], page
        assert found["console"] == [], page
        assert found["errors"] == [], page
        assert found["broken"] == [], page
        assert found["violations"] == [], page
        assert found["headings"] == 1, page
        assert found["overflow"] <= 0, page
        assert all(width > 0 for width in found["images"]), page
        assert all(min(box) > 0 for box in found["formulas"]), page
        assert "1_noise" not in str(page) or found["images"], page


WITHOUT_FIGURES = ("3b_dense_vs_conv",)


def test_pages_describe_their_figures(quick):
    for page in quick.glob(f"reports/{COLLECTION}/*/**/*.html"):
        html = page.read_text()
        assert "Not shown: " not in html, page
        images = re.findall(r"<img[^>]*>", html)
        assert images or page.stem in WITHOUT_FIGURES, page
        assert all(len(re.search(r'alt="([^"]*)"', image)[1]) > 30 for image in images), page


def test_pages_are_small(quick):
    sizes = sorted(page.stat().st_size for page in quick.glob(f"reports/{COLLECTION}/**/*.html"))
    assert sizes[len(sizes) // 2] <= 150_000
    assert sizes[-1] <= 1_500_000


REPORTED = {
    "mlp_noise": "0.13065 0.9829 0.0171 0.9950 2.30462 0.1135 2.2507 0.1447 2.30092 0.1135 2.2955 0.1176 "
    "2.30094 0.1136 2.3016 0.1158 2.30103 0.1135 2.3013 0.1144 2.30104 0.1135 2.3079 0.1135",
    "cnn_noise": "2.30254 0.1137 2.3043 0.1093 0.86216 0.8232 1.1146 0.6775 0.54680 0.8823 0.7342 0.7748 "
    "0.62660 0.8601 0.8362 0.7390 0.83446 0.8125 1.0713 0.6713 1.12745 0.6738 1.3538 0.5500 "
    "2.03743 0.3513 2.1549 0.2210",
    "denoising": "0.0961 0.9702 0.0674 0.9799 0.0900 0.9933 0.1180 0.9808 0.9822 0.9823 0.9833 0.9833 0.9833 "
    "0.0302 0.9912 0.0040 0.9986 0.1149 0.1199 "
    "0.9539 0.9528 0.9505 0.9408 0.9192 0.8621 0.7292 0.5143 0.3191 0.1758 0.1012 "
    "0.9909 0.9651 0.8956 0.7867 0.6482 0.4901 0.3310 0.2289 0.1612 0.1209 0.0981",
    "beyond": "",
    "depth": "0.705 0.856 1.7132 0.5813 0.222 0.188 5.5241 6.4662 0.668 0.807 1.2754 0.5608 0.100 0.088 3.3858 3.2872 "
    "0.493 0.553 1.5290 1.3253 0.100 0.111 3.7903 3.4499 28015.0312 0.594 18144960 17167.5762 0.687",
}
"""What the write-ups printed, as the assignments' brief lists it."""


def test_the_index_answers_every_question_and_shows_every_reported_number_of_each_assignment(quick, index):
    assignments = load_assignments(quick)
    questions = [question for assignment in assignments.values() for question in assignment.questions.values()]
    assert index.count("<figure ") == sum(question.figure for question in questions)
    assert index.count('class="answer"') == len(questions)
    numbers = {
        name: [
            value
            for notebook in assignment.notebooks.values()
            for row in notebook.reported
            for key, value in row.items()
            if key not in (*notebook.grid, *notebook.coordinates)
        ]
        for name, assignment in assignments.items()
    }
    assert {name: sorted(numbers[name]) for name in REPORTED} == {
        name: sorted(map(float, values.split())) for name, values in REPORTED.items()
    }
    every = sum(map(len, numbers.values()))
    left_out = index.count(">not run</td>")
    assert left_out == 4 * 3 + 4 * 4 + 2 * 4, (
        "losses and accuracies at the scales and the depth that this copy leaves out"
    )
    assert index.count("<td>not comparable</td>") == every - left_out
    shown_twice = sum(len(question.claims) for question in questions)
    claims = sum(len(assignment.claims) for assignment in assignments.values())
    assert index.count("<b>not decided</b>") == claims + shown_twice


def test_every_link_of_the_index_leads_to_a_page(quick, index):
    links = set(re.findall(r'href="([^"#]+\.html)"', index))
    runs = {f"{run.path}.html" for run in plan_runs(quick, "quick", dataset="digits")}
    assert set(map(unquote, links)) == runs | {"compare.html", "play.html"}
    assert all((quick / "reports" / COLLECTION / unquote(link)).is_file() for link in links)


def test_summaries_read_what_was_built_before_what_was_published(quick):
    notebook = run_all(quick, "mlp_noise/3_clean_vs_noisy")
    assert "Read from results/digits-quick." in read_texts(notebook)


@pytest.fixture
def lab(quick, tmp_path):
    """JupyterLab on this project's notebooks, at the address given, with settings of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        f"--ip=127.0.0.1 --port={port} --allow-root --no-browser "
        "--IdentityProvider.token= --LabApp.expose_app_in_browser=True"
    )
    places = {
        name: str(tmp_path) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    }
    command = [sys.executable, "-m", "jupyterlab", *options.split()]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=quick / "notebooks", env=environment() | places, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}/lab/tree"
    server.terminate()
    server.wait(PATIENCE_S)


def test_moving_a_slider_of_the_playground_changes_the_picture(lab):
    """In JupyterLab, with a kernel, as a student would."""
    picture = "document.querySelector('.widget-interact img')?.src"
    patience = PATIENCE_S * 1000
    with browser() as chromium:
        page = chromium.new_page()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                page.goto(f"{lab}/beyond/playground.ipynb")
                break
            except Exception:
                time.sleep(1)
        page.wait_for_function("window.jupyterapp && document.body.innerText.includes('| Idle')", timeout=patience)
        page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(picture, timeout=patience)
        seen = [page.evaluate(picture)]
        for slider in range(3):
            handle = page.locator(".widget-interact .noUi-handle").nth(slider)
            handle.focus()
            handle.press("ArrowRight")
            page.wait_for_function(f"!{json.dumps(seen)}.includes({picture})", timeout=patience)
            seen.append(page.evaluate(picture))
        assert all(source.startswith("data:image/png") for source in seen)


@pytest.mark.skipif(
    not os.environ.get("NOISY_DIGITS_DATA"), reason="real MNIST is needed: set NOISY_DIGITS_DATA to its folder"
)
def test_a_run_on_real_mnist_learns_and_is_called_mnist(copied):
    path = "mlp_noise/2_train/recipe~corrected/scale~0.0"
    command = [sys.executable, "-m", "noisy_digits", "run", path, "--dataset", "mnist", "--profile", "quick"]
    subprocess.run(command, cwd=copied, check=True)
    rows = json.loads((copied / f"results/mnist-quick/{path}/metrics.json").read_text())
    page = (copied / f"reports/mnist-quick/{path}.html").read_text()
    assert next(row["value"] for row in rows if row["metric"] == "test_accuracy") > 0.8
    assert "Quick profile" in page
    assert "not MNIST" not in page


def test_only_other_data_and_the_quick_profile_need_a_notice():
    assert collect_notices(REPOSITORY, Collection("mnist")) == []
    assert len(collect_notices(REPOSITORY, Collection("digits"))) == 1
    assert len(collect_notices(REPOSITORY, Collection("mnist", "quick"))) == 1
    assert len(collect_notices(REPOSITORY, Collection("fashion_mnist", "quick"))) == 2
