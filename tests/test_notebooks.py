"""The notebooks: their style, and that they run, by hand and in a build."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from nbclient import NotebookClient

from noisy_digits import params, results, storage, training
from noisy_digits.html import reports

from .browser import browser, open_pages
from .conftest import PATIENCE_S, REPOSITORY, build, environment, noisy_digits

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*/[0-9]*.ipynb"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in NOTEBOOKS]
MARCH = ["Question", "Data", "Noise", "Model", "Training", "Evaluation", "Reading the result"]


def cells(path, kind):
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebooks_are_thin(path):
    code = cells(path, "code")
    lines = sorted(len([line for line in cell.splitlines() if line.strip()]) for cell in code)
    without_formulas = re.sub(r"(\$\$?).*?\1", "formula", "\n".join(cells(path, "markdown")), flags=re.DOTALL)
    words = sum(len(line.split()) for line in without_formulas.splitlines() if not line.startswith("#"))
    assert 8 <= len(code) <= 14
    assert lines[len(lines) // 2] <= 8
    assert lines[-1] <= 25
    assert not re.search(r"^\s*(def|class) ", "\n".join(code), re.MULTILINE)
    assert 3 <= words / sum(lines) <= 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebooks_are_committed_clean_and_with_one_parameters_cell(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert params.declared(path)
    (cell,) = (cell for cell in code if "parameters" in cell["metadata"].get("tags", []))
    lines = "".join(cell["source"]).splitlines()
    assert all(re.match(r"\w+: \w+ = .+  # .+", line) for line in lines), "name: type = value  # help"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_prose_holds_no_measured_number(path):
    """Prose must be true at every grid point: a number with a decimal point in it would be a typed-in result."""
    prose = " ".join(cells(path, "markdown"))
    assert not re.search(r"\d\.\d", prose)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_every_notebook_marches_in_the_same_order(path):
    prose = "\n".join(cells(path, "markdown"))
    headings = [h for h in re.findall(r"^## (.+)$", prose, re.MULTILINE) if h in MARCH]
    assert prose.startswith("# ")
    assert "**Question.**" in prose
    assert headings == sorted(headings, key=MARCH.index)
    assert headings[0] == "Data"
    assert headings[-1] == "Reading the result"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("/ (2 * sigma**2)", "/ sigma**2", "not the ridge solution"),
        ("alpha / 2 *", "alpha *", "not the ridge solution"),
        ("x.T @ (p - t)", "x.T @ (p - t) / 2", "gradients differ"),
    ],
)
def test_a_wrong_factor_of_one_half_makes_the_theory_fail(right, wrong, message):
    """The notebook's own cells, once as they are and once with the mistake, in this process."""
    code = cells(REPOSITORY / "notebooks/depth/1_theory.ipynb", "code")
    whole = "\n".join(code)
    assert whole.count(right) == 1
    namespace = {}
    exec(whole.replace('dataset: str = "auto"', 'dataset: str = "digits"'), namespace)
    with pytest.raises(AssertionError, match=message):
        exec(whole.replace('dataset: str = "auto"', 'dataset: str = "digits"').replace(right, wrong), {})


READERS = [
    f"{run.assignment}/{run.notebook}" for run in params.plan(REPOSITORY, "quick") if run.reads and not run.point
]
FIRST_READER = "mlp_noise/3_with_and_without"


def run_all(root, names):
    """Open notebooks by hand, two at a time, and run all their cells with their defaults; how long each took, s."""

    def one(name):
        began = time.monotonic()
        notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
        folder = str((root / "notebooks" / name).parent)
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, kernel_name="python3", timeout=PATIENCE_S, resources=resources).execute(
            env=environment()
        )
        return time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


@pytest.fixture(scope="session")
def opened(copied):
    """Every notebook that reads no others', and one that does, run by hand where nothing was built before."""
    alone = [name for name in NAMES if name not in READERS]
    return run_all(copied, alone) | run_all(copied, [FIRST_READER])


def test_run_all_works_by_hand_without_a_build_before(opened):
    assert set(opened) == {*NAMES} - {*READERS} | {FIRST_READER}


def test_nothing_is_recorded_by_a_notebook_run_by_hand(copied, opened):
    """All results there are belong to what the first reader reads, and to what loads a model that is not there."""
    made = {
        "/".join(path.relative_to(copied / "results").parts[1:3]) for path in copied.glob("results/**/metrics.json")
    }
    needed = {"/".join(path.split("/")[:2]) for run in params.plan(copied, "quick") for path in run.reads}
    assert "mlp_noise/2_training" in made
    assert made <= needed


@pytest.fixture(scope="session")
def quick(copied, opened):
    """A quick build of this project, on scikit-learn's digits."""
    done = build(copied)
    assert done.returncode == 0, done.stderr
    return copied


def test_notebooks_that_read_others_run_by_hand_on_what_is_built(quick):
    names = [name for name in READERS if name != FIRST_READER]
    assert set(run_all(quick, names)) == set(names)


def test_the_quick_build_makes_a_page_for_every_grid_point(quick):
    reports = quick / "reports/digits-quick"
    pages = {str(page.relative_to(reports)).removesuffix(".html") for page in reports.rglob("*.html")}
    assert pages == {run.path for run in params.plan(quick, "quick")} | {"index"}


def test_a_run_says_which_device_trained(quick):
    """Those that have epochs do train."""
    for run in params.plan(quick, "quick"):
        record = storage.read_record(quick / "results/digits-quick" / run.path)
        assert record["device"] == (training.device() if "epochs" in run.parameters else None), run.path


def test_the_readme_shows_what_the_results_give(quick):
    chart, grid = (f"reports/digits-quick/denoising/{name}" for name in ("4c_summary.svg", "4b_gallery.png"))
    kept = "![kept](reports/mnist/denoising/4c_summary.svg)\n"
    told = f"# Digits\n{kept}![old]({chart}) ![old]({grid})\n<!-- verdicts -->\nold\n<!-- end of verdicts -->\nEnd.\n"
    (quick / "README.md").write_text(told)
    done = noisy_digits(quick, "readme", "--dataset", "digits", "--profile", "quick")
    assert (done.returncode, done.stderr) == (0, "")
    text = (quick / "README.md").read_text()
    claims = [claim for assignment in params.assignments(quick).values() for claim in assignment.claims.values()]
    assert all(f"| {claim.says} | **not decided** |" in text for claim in claims)
    assert text.startswith(f"# Digits\n{kept}![")
    assert f"]({chart}) ![" in text
    assert f"]({grid})\n<!-- verdicts -->" in text
    assert text.endswith("<!-- end of verdicts -->\nEnd.\n")
    assert "old" not in text
    assert "</svg>" in (quick / chart).read_text()
    assert (quick / grid).read_bytes().startswith(b"\x89PNG")


def test_a_figure_in_the_readme_that_was_not_made_is_named(built):
    (built / "README.md").write_text("![a](reports/digits-quick/toy/3_more.png)\n")
    done = noisy_digits(built, "readme", "--dataset", "digits", "--profile", "quick")
    assert done.returncode == 2
    assert done.stderr == (
        "noisy-digits: README.md shows the figure of toy/3_more, which digits-quick has not: make it first\n"
    )


def test_quick_learns_something(quick):
    with (quick / "results/digits-quick/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    clean = {
        row["assignment"]: float(row["value"])
        for row in rows
        if (row["recipe"], row["scale"], row["metric"]) == ("corrected", "0.0", "test_accuracy")
    }
    assert clean["mlp_noise"] > 0.7
    assert clean["cnn_noise"] > 0.7


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
    with browser() as chromium:
        page = chromium.new_page()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                page.goto(f"{lab}/beyond/playground.ipynb")
                break
            except Exception:
                time.sleep(1)
        page.wait_for_function(
            "window.jupyterapp && document.body.innerText.includes('| Idle')", timeout=PATIENCE_S * 1000
        )
        page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(picture, timeout=PATIENCE_S * 1000)
        seen = [page.evaluate(picture)]
        for slider in range(3):
            handle = page.locator(".widget-interact .noUi-handle").nth(slider)
            handle.focus()
            handle.press("ArrowRight")
            page.wait_for_function(f"!{json.dumps(seen)}.includes({picture})", timeout=PATIENCE_S * 1000)
            seen.append(page.evaluate(picture))
        assert all(source.startswith("data:image/png") for source in seen)


def test_nothing_published_is_compared_with_a_quick_run(quick):
    pages = list(quick.glob("reports/digits-quick/*_noise/4_scale_sweep.html"))
    assert len(pages) == 2
    for page in pages:
        text = page.read_text()
        assert "not comparable" in text
        assert "Quick profile" in text
        assert "not MNIST" in text


def test_every_page_opens_in_a_browser_with_the_network_off(quick):
    pages = sorted(quick.glob("reports/**/*.html"))
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
        assert "1_noise" not in str(page) or (found["images"] and found["formulas"]), page


def test_pages_say_in_alternative_text_what_their_figures_show(quick):
    for page in quick.glob("reports/digits-quick/*/*/**/*.html"):
        images = re.findall(r"<img[^>]*>", page.read_text())
        assert images
        assert all(len(re.search(r'alt="([^"]*)"', image)[1]) > 30 for image in images), page


def test_pages_are_small(quick):
    sizes = sorted(page.stat().st_size for page in quick.glob("reports/digits-quick/**/*.html"))
    assert sizes[len(sizes) // 2] <= 150_000
    assert sizes[-1] <= 1_500_000


PUBLISHED = {
    "mlp_noise": "0.13065 0.9829 0.9840 2.30462 0.1135 0.1447 2.30092 0.1135 2.30094 0.1136 "
    "2.30103 0.1135 2.30104 0.1135",
    "cnn_noise": "2.30254 0.1137 0.86216 0.8232 0.54680 0.8823 0.62660 0.8601 0.83446 0.8125 "
    "1.12745 0.6738 2.03743 0.3513",
    "denoising": "0.0961 0.9702 0.9822 0.9823 0.9833 0.9833 0.9833 0.0302 0.9912 0.1149 0.1199 "
    "0.9539 0.9528 0.9505 0.9408 0.9192 0.8621 0.7292 0.5143 0.3191 0.1758 0.1012 "
    "0.9909 0.9651 0.8956 0.7867 0.6482 0.4901 0.3310 0.2289 0.1612 0.1209 0.0981",
    "beyond": "",
    "depth": "0.705 0.856 0.222 0.668 0.807 0.100 0.493 0.553 0.100 28015.0312 0.594 18144960",
}
"""What the write-ups printed, as the assignments' brief lists it."""


def test_the_index_shows_a_key_figure_and_every_published_number_of_each_assignment(quick):
    index = (quick / "reports/digits-quick/index.html").read_text()
    described = params.assignments(quick).values()
    assert index.count("<figure ") == len(described) == 5
    rows = {
        name: [row.value for spec in assignment.notebooks.values() for row in results.submitted(spec).itertuples()]
        for name, assignment in params.assignments(quick).items()
    }
    assert {name: sorted(values) for name, values in rows.items()} == {
        name: sorted(map(float, values.split())) for name, values in PUBLISHED.items()
    }
    every = sum(map(len, rows.values()))
    left_out = index.count("<td>not run</td>")
    assert left_out == 2 * 3 + 2 * 4, "loss and accuracy at the scales that this copy of the project leaves out"
    assert index.count("not comparable") == 2 * (every - left_out)
    assert index.count("<b>not decided</b>") == sum(len(assignment.claims) for assignment in described)


def test_every_link_of_the_index_leads_to_a_page(quick):
    reports = quick / "reports/digits-quick"
    links = re.findall(r'href="([^"#]+\.html)"', (reports / "index.html").read_text())
    assert len(set(links)) == len(params.plan(quick, "quick"))
    assert all((reports / link.replace("%7E", "~")).is_file() for link in links)


@pytest.mark.skipif(
    not os.environ.get("NOISY_DIGITS_DATA"), reason="real MNIST is needed: set NOISY_DIGITS_DATA to its folder"
)
def test_a_run_on_real_mnist_learns_and_is_called_mnist(copied):
    path = "mlp_noise/2_training/recipe~corrected/scale~0.0"
    command = [sys.executable, "-m", "noisy_digits", "run", path, "--dataset", "mnist", "--profile", "quick"]
    subprocess.run(command, cwd=copied, check=True)
    (metrics,) = json.loads((copied / f"results/mnist-quick/{path}/metrics.json").read_text()).values()
    page = (copied / f"reports/mnist-quick/{path}.html").read_text()
    assert metrics["test_accuracy"] > 0.8
    assert "Quick profile" in page
    assert "not MNIST" not in page


def test_only_other_data_and_the_quick_profile_need_a_banner():
    assert reports.banners(storage.Collection("mnist")) == []
    assert len(reports.banners(storage.Collection("digits"))) == 1
    assert len(reports.banners(storage.Collection("mnist", "quick"))) == 1
    assert len(reports.banners(storage.Collection("fashion_mnist", "quick"))) == 2
