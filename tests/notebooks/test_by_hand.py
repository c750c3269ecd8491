"""Notebooks opened by hand: “Run all” in a kernel, without a build before, as a student does."""

import json

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from noisy_digits import results
from noisy_digits._environment import RunContext

from ..conftest import PATIENCE_S, REPOSITORY, copy_project, environment

pytestmark = pytest.mark.slow

PUBLISHED = pd.read_csv(REPOSITORY / "results/mnist/results.csv", dtype=str, keep_default_na=False)
IS_FIRST_EDITION = not list((REPOSITORY / "results/mnist").rglob("arrays.npz"))
WAITS = pytest.mark.skipif(
    IS_FIRST_EDITION,
    reason="the published study is that of the first edition, without arrays; it has to be published again",
)
COMPARISONS = (
    pytest.param("denoising/2d_l2_compare", marks=WAITS),
    "denoising/4c_compare_denoisers",
    "beyond/2_transfer_compare",
    pytest.param("beyond/4_resampling_compare", marks=WAITS),
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
    """This project as a newcomer clones it: with the published results, and nothing built."""
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
    known, again = ({_plain(key): value for key, value in each.items()} for each in (before, after))
    assert {key: again.get(key) for key in known} == known
    assert IS_FIRST_EDITION or again.keys() == known.keys()


def _plain(key):
    """Return a key whose numbers do not depend on how they are written."""
    return tuple(str(float(part)) if part.replace(".", "").replace("e-", "").isdecimal() else part for part in key)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("mlp_noise/4_noise_sweep", marks=WAITS),
        pytest.param("cnn_noise/3_clean_vs_noisy", marks=WAITS),
        pytest.param("cnn_noise/4_noise_sweep", marks=WAITS),
        pytest.param("depth/2_depth_compare", marks=WAITS),
        "beyond/6_literature",
    ],
)
def test_a_summary_opened_in_a_fresh_clone_shows_the_published_study(clone, name):
    notebook = run_all(clone, name)
    assert "Read from results/mnist." in read_texts(notebook)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("text/markdown" in output["data"] for output in shown), "the answer"


def test_a_training_notebook_runs_by_hand_leaves_only_its_training_and_says_what_it_restores(clone):
    first, second = (run_all(clone, "depth/2_train") for _ in range(2))
    assert [path.name for path in (clone / "results").iterdir()] == ["mnist"]
    assert len(list((clone / "trainings").glob("*.npz"))) == 1
    assert "restored a training of" not in read_texts(first)
    assert "restored a training of" in read_texts(second)


def test_a_notebook_that_needs_models_says_in_one_line_what_to_run(clone):
    with pytest.raises(CellExecutionError) as caught:
        run_all(clone, "denoising/4b_gallery")
    assert caught.value.ename == "UserError"
    assert "make quick" in caught.value.evalue
    assert caught.value.traceback.count("\n") < 40


def test_results_of_a_fresh_clone_are_those_of_the_published_study(clone, monkeypatch):
    monkeypatch.chdir(clone)
    runs = results.load_metrics("mlp_noise/2_train")
    assert runs.attrs["collection"] == "mnist"
    published = PUBLISHED[PUBLISHED["assignment"] + "/" + PUBLISHED["notebook"] == "mlp_noise/2_train"]
    assert len(runs) == len(published.drop_duplicates(["recipe", "scale", "seed"]))
    assert runs["test_accuracy"].between(0, 1).all()
