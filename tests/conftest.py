"""Projects to build in: a small made-up one, and a copy of this one."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
import yaml

from noisy_digits import _environment
from noisy_digits._files import is_complete
from noisy_digits.pipeline.config import list_levels
from noisy_digits.pipeline.parameters import read_parameters

REPOSITORY = Path(__file__).parents[1]

hypothesis.settings.register_profile("no deadline", deadline=None)  # no test asserts a time
hypothesis.settings.load_profile("no deadline")

os.environ[_environment.FRESH] = "1"  # a test that trains does train, and leaves nothing in this project's folder
_trainings = tempfile.TemporaryDirectory(prefix="noisy-digits-tests-")  # removed when the tests end
os.environ[_environment.TRAININGS] = _trainings.name

PATIENCE_S = 600
"""How long a test waits for what must happen before it calls it hung, however slow the machine."""

TOY_PROJECT = """\
title: Toys
datasets: noisy_digits.data
reference_collection: mnist
"""
TOY_PARAMS = """\
title: A toy assignment
question: What does a toy measure?
order: 1
recipes:
  as_submitted: {learning_rate: 0.5}
  corrected: {learning_rate: 1.0}
original_recipe: as_submitted
corrected_recipe: corrected
notebooks:
  1_measure:
    title: Measuring
    fixed: {epochs: 3}
    grid: {recipe: [as_submitted, corrected], scale: [0.5, 2.0]}
    overrides:
      - {where: {recipe: as_submitted, scale: 2.0}, set: {epochs: 7}}
    n_seeds: 2
    quick: {epochs: 1, n_seeds: 1}
    headline_metric: test_accuracy
    reported:
      - {recipe: as_submitted, scale: 0.5, test_accuracy: 0.25}
  2_summary:
    title: Summing up
    depends_on: [1_measure]
"""
IMPORTS = """\
from noisy_digits import results
from noisy_digits.types import Count, Fraction, NonNegative, Positive"""
MEASURE = """\
rows = [{"seed": seed, "test_accuracy": learning_rate / (1 + scale) + seed / 100} for seed in range(n_seeds)]
results.save_metrics(rows)"""
MEASURE_PARAMETERS = """\
scale: NonNegative = 0.5  # standard deviation of the noise
learning_rate: Positive = 1.0  # of nothing
noise_level: Fraction = 0.1  # fraction of pixels
scales: list[NonNegative] = [0.1]  # standard deviations
epochs: Count = 2  # passes
n_seeds: Count = 1  # replicates"""
SUMMARY = """\
runs = results.load_metrics("toy/1_measure", collection=collection)
print(runs["test_accuracy"].sum())"""
SUMMARY_PARAMETERS = 'collection: str = "auto"'
SMALL = {
    "mlp_noise": {
        "1_noise": {"grid": {"recipe": ["corrected"]}},
        "2_train": {
            "grid": {"recipe": ["as_submitted", "corrected"], "scale": [0.0, 0.1]},
            "extra_grids": [
                {"recipe": ["strong_noise"], "scale": [0.1]},
                {"recipe": ["corrected", "other_validation_noise"], "scale": [1.0]},
            ],
            "overrides": [],
        },
        "3_clean_vs_noisy": {},
        "4_noise_sweep": {},
    },
    "denoising": {
        "3a_cnn": {},
        "4a_autoencoder": {"grid": {"autoencoder": ["dense"]}, "overrides": []},
        "4d_generation": {},
    },
}
"""The notebooks of this project that ``small`` keeps, with what it changes: all kinds of runs, in half a minute."""
FEW_LEVELS = {
    "mlp_noise": {"scale": [0.0, 0.1, 1.0]},
    "cnn_noise": {"scale": [0.0, 0.1, 3.0]},
    "depth": {"n_hidden_layers": [1, 3]},
    "beyond": {"train_noise": ["clean", "salt_and_pepper_0.4"], "scale": [0.5]},
}
"""The levels of their grids that ``copied`` keeps, by assignment."""
FEW = {"epochs": 1, "train_size": 500, "test_size": 200, "n_seeds": 1}


def write_notebook(path: Path, parameters: str, *cells: str) -> None:
    """Write a notebook with a heading, imports, a parameters cell and more code cells."""
    sources = [("# A toy notebook", None), (IMPORTS, []), (parameters, ["parameters"])]
    sources += [(cell, []) for cell in cells]
    content = [
        {"cell_type": "markdown", "id": f"c{i}", "metadata": {}, "source": source}
        if tags is None
        else {
            "cell_type": "code",
            "id": f"c{i}",
            "metadata": {"tags": tags},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for i, (source, tags) in enumerate(sources)
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"cells": content, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )


@pytest.fixture
def toy(tmp_path) -> Path:
    """A project with one assignment that trains nothing: four points and a summary."""
    return make_toy(tmp_path / "toy project")


@pytest.fixture(scope="session")
def built_once(tmp_path_factory) -> Path:
    root = make_toy(tmp_path_factory.mktemp("toy") / "toy project")
    done = build(root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def built(built_once, tmp_path) -> Path:
    """The toy project after a quick build."""
    return shutil.copytree(built_once, tmp_path / "built project")


def make_toy(root: Path) -> Path:
    """Write the toy project to ``root``."""
    (root / "params").mkdir(parents=True)
    (root / "project.yml").write_text(TOY_PROJECT)
    (root / "params" / "toy.yml").write_text(TOY_PARAMS)
    write_notebook(root / "notebooks" / "toy" / "1_measure.ipynb", MEASURE_PARAMETERS, MEASURE)
    write_notebook(root / "notebooks" / "toy" / "2_summary.ipynb", SUMMARY_PARAMETERS, SUMMARY)
    return root


def environment() -> dict[str, str]:
    """Return this process's environment without real MNIST: results do not depend on the machine."""
    left_out = (_environment.DATA, _environment.FRESH, _environment.TRAININGS, "CONDA_DEFAULT_ENV")
    return {key: value for key, value in os.environ.items() if key not in left_out}


def noisy_digits(root: Path, *arguments: str, **settings) -> subprocess.CompletedProcess:
    """Run the command line in ``root``."""
    command = [sys.executable, "-m", "noisy_digits", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment(), **settings)


def build(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Build the quick collection of scikit-learn's digits in ``root``."""
    return noisy_digits(root, "build", "--dataset", "digits", "--profile", "quick", "--cores", "2", *arguments)


def start(root: Path, stderr: int = subprocess.DEVNULL) -> subprocess.Popen:
    """Start such a build, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick", "--cores", "2"],
        cwd=root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell ignores it
    )


def kernels_among(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return the notebook kernels among processes, any of which may end meanwhile."""
    kernels = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "ipykernel" or "ipykernel_launcher" in " ".join(process.cmdline()):
                kernels.append(process)
    return kernels


def warm_processes(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those among processes that are, or are forks of, the warm one of a build."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if "noisy_digits.pipeline.warm" in process.cmdline():
                found.append(process)
    return found


def copy_project(root: Path, *folders: str) -> Path:
    """Copy folders of this project, and its project.yml, to ``root`` as a newcomer has them."""
    for folder in folders:
        ignored = shutil.ignore_patterns(".ipynb_checkpoints", "Untitled*")
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=ignored)
    shutil.copy(REPOSITORY / "project.yml", root)
    return root


def keep_levels(notebook: dict, levels: Mapping[str, list]) -> dict:
    """Return a notebook's part of a params file with only these levels of its grid, and no overrides for others."""

    def keep(column: str, values: Any) -> list:
        return [value for value in list_levels(values) if value in levels.get(column, [value])]

    grids = [
        {column: keep(column, values) for column, values in grid.items()}
        for grid in (notebook.get("grid", {}), *notebook.get("extra_grids", ()))
    ]
    overrides = [
        each | {"where": {column: keep(column, values) for column, values in each["where"].items()}}
        for each in notebook.get("overrides", ())
    ]
    return notebook | {
        "grid": grids[0],
        "extra_grids": [grid for grid in grids[1:] if all(grid.values())],
        "overrides": [each for each in overrides if all(each["where"].values())],
    }


@pytest.fixture(scope="session")
def copied(tmp_path_factory) -> Path:
    """This project as a newcomer has it, nothing run yet; of the many grid points only a few, to save minutes."""
    root = copy_project(tmp_path_factory.mktemp("project"), "notebooks", "params", "workflow")
    for name, levels in FEW_LEVELS.items():
        file = root / f"params/{name}.yml"
        assignment = yaml.safe_load(file.read_text())
        kept = {key: keep_levels(notebook, levels) for key, notebook in assignment["notebooks"].items()}
        file.write_text(yaml.safe_dump(assignment | {"notebooks": kept}, sort_keys=False))
    return root


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """This project with few notebooks and grid points and very short trainings, not yet built."""
    root = copy_project(tmp_path_factory.mktemp("small"), "notebooks")
    (root / "params").mkdir()
    for name, notebooks in SMALL.items():
        assignment = yaml.safe_load((REPOSITORY / f"params/{name}.yml").read_text())
        kept = {key: assignment["notebooks"][key] | changes for key, changes in notebooks.items()}
        for key, notebook in kept.items():
            known = read_parameters(root / f"notebooks/{name}/{key}.ipynb")
            notebook["quick"] = {parameter: value for parameter, value in FEW.items() if parameter in known}
        dropped = ("claims", "questions")
        assignment = {key: value for key, value in assignment.items() if key not in dropped} | {"notebooks": kept}
        (root / f"params/{name}.yml").write_text(yaml.safe_dump(assignment, sort_keys=False))
    return root


@pytest.fixture(scope="session")
def uninterrupted(small, tmp_path_factory) -> tuple[Path, float]:
    """A build of it that nothing disturbed, and the seconds it took."""
    root = shutil.copytree(small, tmp_path_factory.mktemp("uninterrupted") / "project")
    began = time.monotonic()
    done = build(root)
    assert done.returncode == 0, done.stderr
    return root, time.monotonic() - began


def contents(root: Path) -> dict[Path, object]:
    """Return what a build made: every result by its path, which runs are complete, and which pages are whole."""
    files = [*root.glob("results/**/metrics.json"), *root.glob("results/*/*.csv"), *root.glob("results/*/plan.json")]
    results: dict[Path, object] = {path: path.read_bytes() for path in files}
    results |= {path.parent / "complete": is_complete(path.parent) for path in root.glob("results/**/run.json")}
    pages = {path: path.read_text().endswith("</html>") for path in root.glob("reports/**/*.html")}
    return {path.relative_to(root): content for path, content in (results | pages).items()}
