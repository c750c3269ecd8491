"""A small project whose results are written by hand: no notebook is executed."""

import shutil
from pathlib import Path

from nbformat import v4

from noisy_digits._files import write_json, write_metrics, write_text
from noisy_digits.pipeline.plan import Run, plan_runs
from noisy_digits.pipeline.store import Collection

from .samples import SVG, display

FULL = Collection(None, "full")
PROJECT = """\
title: A toy study
introduction: It measures nothing.
reference_collection: full
"""
PARAMS = """\
title: A toy assignment
question: What does a toy measure?
order: 1
recipes:
  original: {factor: 2.0}
  corrected: {factor: 1.0}
original_recipe: original
corrected_recipe: corrected
notebooks:
  1_measure:
    title: Measuring
    grid: {recipe: [original, corrected], scale: [0.5, 2.0]}
    coordinates: [noise_level]
    n_seeds: 3
    headline_metric: accuracy
    headline_at: {noise_level: 0.4}
    reported:
      - {recipe: original, scale: 0.5, noise_level: 0.4, accuracy: 0.8}
      - {recipe: original, scale: 0.5, test_loss: 0.25}
      - {recipe: original, scale: 9.0, test_loss: 0.25}
  2_compare:
    title: Comparing
    depends_on: [1_measure]
questions:
  T.1:
    asked: Is the toy accurate?
    notebook: 2_compare
    claims: [accurate]
claims:
  accurate:
    statement: The toy is accurate.
    stated_in: the conclusion
    notebook: 1_measure
    metric: accuracy
    at: {scale: 0.5, noise_level: 0.4}
    greater_than: 0.7
    cause: {mistake: the factor is twice too large}
"""
RECORD = {
    "files": [],
    "started": "2025-01-01T12:00:00Z",
    "seconds": 41.0,
    "peak_memory_mb": 1200,
    "threads": 1,
    "onednn": True,
    "device": "CPU",
    "trainings": [],
    "precision": "float32",
    "machine": "a toy computer",
    "versions": {"python": "3.11.7", "toy": "1.0"},
    "revision": "0123abc",
    "data_sha256": None,
}


def make_project(root: Path) -> list[Run]:
    """Write a project to ``root`` in which every run of the collection ``FULL`` finished; return its plan."""
    write_text(root / "project.yml", PROJECT)
    write_text(root / "params/toy.yml", PARAMS)
    write_text(root / "README.md", "# Toy\n")
    parameters = "scale: float = 0.5\nfactor: float = 1.0\nn_seeds: int = 1"
    write_notebook(root / "notebooks/toy/1_measure.ipynb", parameters)
    write_notebook(root / "notebooks/toy/2_compare.ipynb", 'collection: str = "auto"')
    runs = plan_runs(root, "full")
    for run in runs:
        finish_run(root, run)
    return runs


def write_notebook(path: Path, parameters: str, *outputs) -> None:
    """Write a notebook with a formula, a parameters cell and a cell that has ``outputs``."""
    cells = [
        v4.new_markdown_cell("# A toy notebook\n\n$x^2$"),
        v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        v4.new_code_cell("draw()", outputs=list(outputs), execution_count=2),
    ]
    write_text(path, v4.writes(v4.new_notebook(cells=cells)))


def finish_run(root: Path, run: Run) -> None:
    """Write the results of a run that finished: for each seed a loss, and an accuracy at two noise levels."""
    folder = root / "results" / FULL.name / run.path
    accuracy = 0.4 * run.parameters.get("factor", 1.0)
    seeds = range(run.parameters.get("n_seeds", 1)) if run.notebook == "1_measure" else []
    rows = [
        row
        for seed in seeds
        for row in (
            {"seed": seed, "metric": "test_loss", "value": 0.2 + seed / 100},
            {"seed": seed, "noise_level": 0.1, "metric": "accuracy", "value": 0.9},
            {"seed": seed, "noise_level": 0.4, "metric": "accuracy", "value": accuracy + seed / 100},
        )
    ]
    answer = display("text/markdown", "Yes.", answer=True)
    write_notebook(folder / "notebook.ipynb", "scale = 0.5", answer, display("image/svg+xml", SVG, alt="A [curve]"))
    write_metrics(folder, rows)
    write_json(folder / "run.json", RECORD | {"point": dict(run.point), "parameters": dict(run.parameters)})


def fail_run(root: Path, run: Run) -> None:
    """Leave of a run what an error leaves: its executed notebook."""
    folder = root / "results" / FULL.name / run.path
    (folder / "metrics.json").unlink()
    (folder / "run.json").unlink()


def remove_run(root: Path, run: Run) -> None:
    """Leave nothing of a run."""
    shutil.rmtree(root / "results" / FULL.name / run.path)
