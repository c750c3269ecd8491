"""Projects to build in: a small made-up one, and a copy of this one."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import psutil
import pytest
import yaml

from noisy_digits import params, storage

REPOSITORY = Path(__file__).parents[1]

hypothesis.settings.register_profile("no deadline", deadline=None)  # no test asserts a time
hypothesis.settings.load_profile("no deadline")

PATIENCE_S = 600
"""How long a test waits for what must happen before it calls it hung, however slow the machine."""

TOY_PARAMS = """\
title: A toy assignment
question: What does a toy measure?
order: 1
recipes:
  as_submitted: {learning_rate: 0.5}
  corrected: {learning_rate: 1.0}
notebooks:
  1_measure:
    title: Measuring
    fixed: {epochs: 3}
    grid: {recipe: [as_submitted, corrected], scale: [0.5, 2.0]}
    overrides:
      - {where: {recipe: as_submitted, scale: 2.0}, set: {epochs: 7}}
    seeds: 2
    quick: {epochs: 1, seeds: 1}
    headline: test_accuracy
    submitted:
      - {recipe: as_submitted, scale: 0.5, test_accuracy: 0.25}
  2_summary:
    title: Summing up
    reads: [1_measure]
"""
MEASURE = """\
measured = {seed: {"test_accuracy": learning_rate / (1 + scale) + seed / 100} for seed in range(seeds)}
results.record(measured)"""
MEASURE_PARAMETERS = """\
scale: float = 0.5  # standard deviation of the noise
learning_rate: float = 1.0  # of nothing
noise_level: float = 0.1  # fraction of pixels
scales: list = [0.1]  # standard deviations
epochs: int = 2  # passes
seeds: int = 1  # replicates"""
SUMMARY = """\
table = results.read("toy", "1_measure", collection)
print(table["value"].sum())"""
SMALL = {
    "mlp_noise": {
        "1_noise": {"grid": {"recipe": ["corrected"]}},
        "2_training": {"grid": {"recipe": ["as_submitted", "corrected"], "scale": [0.0, 0.1]}, "overrides": []},
        "3_with_and_without": {},
        "4_scale_sweep": {},
    },
    "denoising": {"3a_cnn": {}, "4a_autoencoder": {"grid": {"architecture": ["dense"]}}, "4d_generation": {}},
}
"""What is kept of this project's params files, and what of it is changed: all kinds of runs, in half a minute."""
FEW = {"epochs": 1, "train_size": 500, "test_size": 200, "seeds": 1}


def write_notebook(path: Path, parameters: str, *cells: str) -> None:
    """A notebook with a heading, an import, a parameters cell and more code cells."""
    sources = [("# A toy notebook", None), ("from noisy_digits import results", []), (parameters, ["parameters"])]
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
    (root / "params" / "toy.yml").write_text(TOY_PARAMS)
    write_notebook(root / "notebooks" / "toy" / "1_measure.ipynb", MEASURE_PARAMETERS, MEASURE)
    write_notebook(root / "notebooks" / "toy" / "2_summary.ipynb", 'collection: str = "auto"', SUMMARY)
    shutil.copytree(REPOSITORY / "workflow", root / "workflow")
    return root


def environment() -> dict[str, str]:
    """This process's environment without real MNIST, so that results do not depend on the machine."""
    return {key: value for key, value in os.environ.items() if key not in ("NOISY_DIGITS_DATA", "CONDA_DEFAULT_ENV")}


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
    """Give the notebook kernels among processes, any of which may end meanwhile."""
    kernels = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if "ipykernel_launcher" in " ".join(process.cmdline()):
                kernels.append(process)
    return kernels


@pytest.fixture(scope="session")
def copied(tmp_path_factory) -> Path:
    """This project as a newcomer has it, nothing run yet; of the many noises only a few, to save minutes."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("notebooks", "params", "workflow"):
        shutil.copytree(
            REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "Untitled*")
        )
    for name, column, few in (
        ("mlp_noise", "scale", "[0.0, 0.1, 1.0]"),
        ("cnn_noise", "scale", "[0.0, 0.1, 3.0]"),
        ("beyond", "trained_on", "[clean, salt_and_pepper_0.4]"),
        ("beyond", "scale", "[0.5]"),
    ):
        file = root / "params" / f"{name}.yml"
        shortened = re.sub(rf"(?m)^( +{column}: )\[.*?\]", rf"\g<1>{few}", file.read_text())
        assert few in shortened
        file.write_text(shortened)
    return root


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """This project with few notebooks and grid points and very short trainings, not yet built."""
    root = tmp_path_factory.mktemp("small")
    for folder in ("notebooks", "workflow"):
        shutil.copytree(REPOSITORY / folder, root / folder)
    (root / "params").mkdir()
    for name, notebooks in SMALL.items():
        described = yaml.safe_load((REPOSITORY / f"params/{name}.yml").read_text())
        described = {key: described[key] for key in ("title", "question", "order", "recipes") if key in described} | {
            "notebooks": {key: described["notebooks"][key] | changes for key, changes in notebooks.items()}
        }
        for key, notebook in described["notebooks"].items():
            known = params.declared(root / f"notebooks/{name}/{key}.ipynb")
            notebook["quick"] = {parameter: value for parameter, value in FEW.items() if parameter in known}
        (root / f"params/{name}.yml").write_text(yaml.safe_dump(described, sort_keys=False))
    return root


@pytest.fixture(scope="session")
def uninterrupted(small, tmp_path_factory) -> tuple[Path, float]:
    """A build of it that nothing disturbed, and the seconds it took."""
    root = shutil.copytree(small, tmp_path_factory.mktemp("uninterrupted") / "project")
    began = time.monotonic()
    done = build(root)
    assert done.returncode == 0, done.stderr
    return root, time.monotonic() - began


def contents(root):
    """Every result of a collection by its path, which records and models there are, and which whole pages."""
    results = {
        path: path.read_bytes() for path in [*root.glob("results/**/metrics.json"), *root.glob("results/*/*.csv")]
    }
    results |= {path.parent / "whole": storage.complete(path.parent) for path in root.glob("results/**/run.json")}
    pages = {path: path.read_text().endswith("</html>\n") for path in root.glob("reports/**/*.html")}
    return {path.relative_to(root): content for path, content in (results | pages).items()}
