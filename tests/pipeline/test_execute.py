"""One run: its environment, what it must record, and how it fails."""

import subprocess
from dataclasses import replace

import pytest

from noisy_digits._files import read_record
from noisy_digits.errors import UserError
from noisy_digits.pipeline.execute import check_metrics, execute_run
from noisy_digits.pipeline.plan import Run, plan_runs
from noisy_digits.pipeline.progress import format_progress
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import read_revision
from tests.conftest import MEASURE, MEASURE_PARAMETERS, noisy_digits, write_notebook

PATH = "toy/1_measure/recipe~corrected/scale~2.0"
RUN = Run(
    assignment="toy",
    notebook="1_measure",
    point={},
    parameters={},
    notes=(),
    depends_on=(),
    reference_values=(),
    headline_metric="accuracy",
    headline_at={"noise_level": 0.4},
    coordinates=("noise_level", "layer"),
)
COMMIT = ("-c", "user.name=A reader", "-c", "user.email=reader@example.org", "commit", "--quiet", "--message")
HEADLINE = {"seed": 0, "noise_level": 0.4, "metric": "accuracy", "value": 0.9}
DIVERGED = {"seed": 1, "metric": "diverged", "value": 1.0}


def execute(toy, cell):
    """Run one point of the toy project, whose measuring cell is ``cell``."""
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, cell)
    return noisy_digits(toy, "run", PATH, "--dataset", "digits", "--profile", "quick")


@pytest.mark.parametrize(
    "rows",
    [
        [HEADLINE],
        [HEADLINE, DIVERGED],
        [DIVERGED],
        [HEADLINE, {"seed": 0, "layer": 1, "metric": "bias_gradient_norm", "value": 0.1}],
    ],
)
def test_check_metrics_accepts_what_is_declared(rows):
    check_metrics(RUN, rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"recorded no accuracy, noise_level 0\.4; its params file"),
        ([HEADLINE | {"noise_level": 0.5}], "recorded no accuracy, noise_level 0.4 for seed 0"),
        ([HEADLINE | {"layer": 1}], "recorded no accuracy"),
        ([HEADLINE, HEADLINE | {"seed": 1, "metric": "loss"}], "recorded no accuracy, noise_level 0.4 for seed 1"),
        ([HEADLINE | {"test_noise": "clean"}], r"by test_noise, .*: `coordinates: \[noise_level, layer, test_noise\]`"),
    ],
)
def test_check_metrics_refuses_what_is_not_declared(rows, message):
    with pytest.raises(UserError, match=message):
        check_metrics(RUN, rows)


def test_check_metrics_accepts_nothing_without_a_headline():
    check_metrics(replace(RUN, headline_metric=None, headline_at={}), [])


def test_format_progress():
    epochs = [{"epoch": epoch, "epochs": 2, "device": "CPU"} for epoch in (1, 2, 1)]
    assert format_progress(epochs, 3, 6.0) == "training 2 of 3, epoch 1 of 2 on CPU, about 6 s left"
    assert format_progress(epochs, 1, 6.0) == "training 2, epoch 1 of 2 on CPU", "several trainings with a seed"


def test_a_run_writes_its_own_plan_results_and_page(toy):
    done = execute(toy, MEASURE)
    assert done.returncode == 0, done.stderr
    folder = toy / "results/digits-quick"
    assert (folder / "plan.json").is_file()
    assert {path.name for path in (folder / PATH).iterdir()} == {".lock", "metrics.json", "notebook.ipynb", "run.json"}
    assert (toy / f"reports/digits-quick/{PATH}.html").is_file()


def test_a_run_that_fails_leaves_no_results_of_the_run_before(toy):
    assert execute(toy, MEASURE).returncode == 0
    assert execute(toy, "1 / 0").returncode == 2
    left = {path.name for path in (toy / "results/digits-quick" / PATH).iterdir()}
    assert left == {".lock", "notebook.ipynb"}


def test_threads_are_set_by_the_run_whatever_the_shell_has_set(toy, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    cell = "import os\nresults.save_metrics([{'seed': 0, 'test_accuracy': float(os.environ['OMP_NUM_THREADS'])}])"
    done = execute(toy, cell)
    assert done.returncode == 0, done.stderr
    (metrics,) = toy.glob("results/**/metrics.json")
    assert '"value": 1.0' in metrics.read_text()


def test_a_killed_kernel_fails_its_run_in_one_line(toy):
    done = execute(toy, f"import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n{MEASURE}")
    assert done.returncode == 2
    assert "its kernel died" in done.stderr
    assert not list(toy.glob("results/**/metrics.json"))


def test_a_run_names_the_revision_that_it_was_started_at(toy):
    for command in (["init", "--quiet"], ["add", "params"], [*COMMIT, "First"]):
        subprocess.run(["git", *command], cwd=toy, check=True)
    first = read_revision(toy)
    change = f"""
import pathlib, subprocess
params = pathlib.Path({str(toy / "params/toy.yml")!r})
params.write_text(params.read_text() + "# changed")
subprocess.run(["git", *{[*COMMIT, "Second", "params"]!r}], cwd=params.parents[1], check=True)
"""
    done = execute(toy, f"{change}\n{MEASURE}")
    assert done.returncode == 0, done.stderr
    (record,) = toy.glob("results/**/run.json")
    assert first != read_revision(toy)
    assert read_record(record.parent)["revision"] == first


def test_a_kernel_that_does_not_start_fails_its_run_in_one_line(toy, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("Kernel died before replying to kernel_info")

    (run, *_) = plan_runs(toy, "quick", dataset="digits")
    monkeypatch.setattr("papermill.execute_notebook", fail)
    with pytest.raises(UserError, match=f"{run.path}: its kernel did not start: Kernel died before replying"):
        execute_run(run, toy, Collection("digits", "quick"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("results.save_metrics([{'seed': 0, 'accuracy': 1.0}])", "recorded no test_accuracy for seed 0"),
        (
            "results.save_metrics([{'seed': 0, 'layer': 1, 'test_accuracy': 1.0}], coordinates=['layer'])",
            "recorded metrics by layer",
        ),
    ],
)
def test_a_run_fails_that_does_not_record_what_its_params_file_declares(toy, cell, message):
    done = execute(toy, cell)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(toy.glob("results/**/metrics.json"))


def test_a_formula_that_cannot_be_shown_is_found_before_the_kernel_starts(toy):
    notebook = toy / "notebooks/toy/1_measure.ipynb"
    notebook.write_text(notebook.read_text().replace("# A toy notebook", r"# A toy notebook\n\n$\\nonsense{x}$"))
    done = noisy_digits(toy, "run", PATH, "--dataset", "digits", "--profile", "quick")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert not list(toy.glob("results/**/notebook.ipynb"))
