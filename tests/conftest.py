"""Projects to build in: a small made-up one, and a copy of this one."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

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


def start(root: Path) -> subprocess.Popen:
    """Start such a build, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick", "--cores", "2"],
        cwd=root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell ignores it
    )


@pytest.fixture(scope="session")
def copied(tmp_path_factory) -> Path:
    """This project as a newcomer has it, nothing run yet; of the many scales of noise only three, to save minutes."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("notebooks", "params", "workflow"):
        shutil.copytree(
            REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "Untitled*")
        )
    for name, few in {"mlp_noise": "[0.0, 0.1, 1.0]", "cnn_noise": "[0.0, 0.1, 3.0]"}.items():
        file = root / "params" / f"{name}.yml"
        shortened = re.sub(r"(?m)^( +scale: )\[.*?\]", rf"\g<1>{few}", file.read_text())
        assert few in shortened
        file.write_text(shortened)
    return root
