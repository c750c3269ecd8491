"""Notebooks opened by hand: “Run all” in a kernel, without a build before, as a student does."""

import json
import socket
import subprocess
import sys
import time

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from noisy_digits import results
from noisy_digits._environment import RunContext

from ..browser import browser
from ..conftest import PATIENCE_S, REPOSITORY, copy_project, environment
from .test_project import quick  # noqa: F401  (the fixture)

PUBLISHED = pd.read_csv(REPOSITORY / "results/mnist/results.csv", dtype=str, keep_default_na=False)
COMPARISONS = (
    "denoising/2d_l2_compare",
    "denoising/4c_compare_denoisers",
    "beyond/2_transfer_compare",
    "beyond/4_resampling_compare",
    "beyond/5_human_limit",
)
"""The notebooks that compute what they record from the results of others."""


def run_all(root, name, **variables):
    """Run all cells of a notebook with its defaults; return it with its outputs."""
    notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str((root / "notebooks" / name).parent)}}
    client = NotebookClient(notebook, kernel_name="python3", timeout=PATIENCE_S, resources=resources)
    return client.execute(env=environment() | variables)


def read_texts(notebook):
    """Return all that a notebook printed."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "".join(output["text"] for output in outputs if output.output_type == "stream")


@pytest.fixture
def clone(tmp_path):
    """This project as a newcomer clones it: with the published results.csv, and nothing built."""
    return copy_project(tmp_path / "clone", "notebooks", "params", "results/mnist")


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_opened_in_a_fresh_clone_gives_the_published_numbers(clone, tmp_path, name):
    """Recorded again from the published results.csv, to the last digit."""
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    notebook = run_all(clone, name, **RunContext(record_folder=recorded).to_environment())
    assert "Read from results/mnist." in read_texts(notebook)
    columns = ["assignment", "notebook", "seed", "metric", "value"]
    published = PUBLISHED[PUBLISHED["assignment"] + "/" + PUBLISHED["notebook"] == name]
    coordinates = [column for column in published.columns.drop(columns) if (published[column] != "").any()]
    before = {
        tuple(row[key] for key in (*coordinates, "seed", "metric")): float(row["value"])
        for row in published.to_dict("records")
    }
    after = {
        tuple(str(row.get(key, "")) for key in (*coordinates, "seed", "metric")): row["value"]
        for row in json.loads((recorded / "metrics.json").read_text())
    }
    assert before
    assert {_plain(key): value for key, value in after.items()} == {_plain(key): value for key, value in before.items()}


def _plain(key):
    """Return a key whose numbers do not depend on how they are written."""
    return tuple(str(float(part)) if part.replace(".", "").replace("e-", "").isdecimal() else part for part in key)


def test_a_training_notebook_runs_by_hand_and_leaves_nothing_behind(clone):
    run_all(clone, "depth/2_train")
    assert [path.name for path in (clone / "results").iterdir()] == ["mnist"]


def test_a_notebook_that_needs_models_says_in_one_line_what_to_run(clone):
    with pytest.raises(CellExecutionError) as caught:
        run_all(clone, "denoising/4b_gallery")
    assert caught.value.ename == "UserError"
    assert "make quick" in caught.value.evalue
    assert caught.value.traceback.count("\n") < 40


def test_summaries_read_what_was_built_before_what_was_published(quick):  # noqa: F811
    notebook = run_all(quick, "mlp_noise/3_clean_vs_noisy")
    assert "Read from results/digits-quick." in read_texts(notebook)


@pytest.fixture
def lab(quick, tmp_path):  # noqa: F811
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


def test_results_of_a_fresh_clone_are_those_of_the_published_study(clone, monkeypatch):
    monkeypatch.chdir(clone)
    runs = results.load_metrics("mlp_noise/2_train")
    assert runs.attrs["collection"] == "mnist"
    assert len(runs) == 2 * 6 * 3
    assert runs["test_accuracy"].between(0, 1).all()
