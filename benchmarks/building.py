"""What a build costs beyond its trainings: noise, starting a run, memory, many runs, a page, nothing to do."""

import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import yaml

from noisy_digits import noise, params, storage
from noisy_digits.execution import PEAK_UNIT

ROOT = Path(__file__).parents[1]
GRID_POINTS = (1, 2, 4, 8, 16, 32)
LARGE_GRIDS = (100, 500, 2000)
NOTEBOOK = "mlp_noise/2_training"
UNUSED = ("submitted", "overrides")
PEAK = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
"""A small process that starts another and prints its peak memory: a process begins with that of what started it."""


def noises() -> dict[str, tuple[float, float]]:
    """Seconds to make noise for MNIST's 60,000 training images, and the bytes beyond the result, by kind."""
    images = np.random.default_rng(0).random((60_000, 28, 28), dtype=np.float32)
    measured = {}
    for name, make in (("gaussian", noise.gaussian), ("salt_and_pepper", noise.salt_and_pepper)):
        seconds = []
        for seed in range(5):
            began = time.perf_counter()
            make(images, 0.5, np.random.default_rng(seed))
            seconds.append(time.perf_counter() - began)
        tracemalloc.start()
        noisy = make(images, 0.5, np.random.default_rng(0))
        measured[name] = float(np.median(seconds)), tracemalloc.get_traced_memory()[1] - noisy.nbytes
        tracemalloc.stop()
    return measured


def copy(folder: Path, described: dict[str, dict]) -> None:
    """This project in ``folder``, with the params files ``described``, by name."""
    for part in ("src", "notebooks", "workflow"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params").mkdir()
    for name, content in described.items():
        (folder / "params" / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def copy_with_grid(folder: Path, points: int) -> None:
    """A project in ``folder`` of ``points`` runs of W1's training notebook, cut down to one step of training."""
    described = yaml.safe_load((ROOT / "params/mlp_noise.yml").read_text(encoding="utf-8"))
    _, notebook = NOTEBOOK.split("/")
    training = described["notebooks"][notebook]
    training["grid"] = {"recipe": ["corrected"], "scale": [float(scale) for scale in range(points)]}
    training["quick"] = {"epochs": 1, "train_size": 128, "test_size": 100, "seeds": 1}
    kept = {key: described[key] for key in ("title", "question", "order", "recipes")}
    used = {key: training[key] for key in training if key not in UNUSED}
    copy(folder, {"mlp_noise.yml": kept | {"notebooks": {notebook: used}}})


def copy_with_one_epoch(folder: Path) -> None:
    """The whole project in ``folder``, its quick profile being two replicates of one epoch, on all images."""
    described = {}
    for source in (ROOT / "params").glob("*.yml"):
        described[source.name] = yaml.safe_load(source.read_text(encoding="utf-8"))
        for name, notebook in described[source.name]["notebooks"].items():
            known = params.declared(ROOT / "notebooks" / source.stem / f"{name}.ipynb")
            notebook["quick"] = {key: value for key, value in {"epochs": 1, "seeds": 2}.items() if key in known}
    copy(folder, described)


def command(folder: Path, *words: str, dataset: str = "digits") -> float:
    """Seconds that ``noisy-digits`` takes in the project ``folder``, in the quick profile."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "noisy_digits", *words, "--dataset", dataset, "--profile", "quick"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def memory(folder: Path) -> dict[str, float]:
    """The peak memory in bytes of a run on all of MNIST, by its path: the last one of each notebook with replicates.

    Two replicates of one epoch each; the three of twelve epochs that W2's CNN has in full took 3 % more. Runs that
    these read are there, too.
    """
    copy_with_one_epoch(folder)
    plan = {run.path: run for run in params.plan(folder, "quick")}
    last = {(run.assignment, run.notebook): run for run in plan.values() if "seeds" in run.parameters}
    peaks = {}
    for path in dict.fromkeys(path for run in last.values() for path in (*run.reads, run.path)):
        command(folder, "run", path, dataset="mnist")
        record = storage.read_record(folder / "results/mnist-quick" / path)
        peaks[path] = record["peak_memory_mb"] * 1e6
        print(f"{path}: {record['peak_memory_mb']} MB", flush=True)
    return peaks


def run(folder: Path) -> float:
    """Seconds of one run, page included, beyond those of the cell that trains: the median of 5."""
    copy_with_grid(folder, 1)
    (planned,) = params.plan(folder, "quick")
    executed = folder / "results/digits-quick" / planned.path / "notebook.ipynb"
    beyond = []
    for _ in range(5):
        whole = command(folder, "run", planned.path)
        cells = nbformat.read(executed, as_version=4).cells
        (trains,) = (cell.metadata.papermill.duration for cell in cells if "training.fit" in cell.source)
        beyond.append(whole - trains)
    return float(np.median(beyond))


def page(folder: Path) -> float:
    """Seconds to render the page of the run in ``folder``: the median of 5."""
    from noisy_digits.html import reports

    (planned,) = params.plan(folder, "quick")
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        reports.write_page(folder, planned, storage.Collection("digits", "quick"))
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def builds(folder: Path) -> dict[int, tuple[float, float]]:
    """Seconds of a build and of a second one with nothing to do, by the number of grid points."""
    measured = {}
    for points in GRID_POINTS:
        place = folder / str(points)
        copy_with_grid(place, points)
        built = command(place, "build")
        measured[points] = built, float(np.median([command(place, "build") for _ in range(3)]))
        print(
            f"{points} grid points: {measured[points][0]:.1f} s, nothing to do {measured[points][1]:.1f} s", flush=True
        )
    return measured


@dataclass(frozen=True)
class Planned:
    """What a large study costs before and after its runs: seconds, and the most memory of a process in bytes."""

    checking: float
    planning: float
    nothing: float
    index: float
    memory: float


def plans(folder: Path) -> dict[int, Planned]:
    """What planning studies of many runs takes, by their number of grid points.

    Their runs are not executed: results of one stand for those of all, and Snakemake is told that they are made.
    """
    return {points: _plan(folder / f"plan-{points}", points) for points in LARGE_GRIDS}


def _plan(folder: Path, points: int) -> Planned:
    copy_with_grid(folder, points)
    collection = storage.Collection("digits", "quick")
    results, reports = (folder / kind / collection.name for kind in ("results", "reports"))
    settings = ("collection=digits-quick", "dataset=digits", "profile=quick", "precision=float32")
    snakemake = ["-m", "snakemake", "--snakefile", "workflow/Snakefile", "--cores", "1", "--quiet", "all", "--config"]
    began = time.perf_counter()
    first, *others = params.plan(folder, "quick")
    checking = time.perf_counter() - began
    planning, _ = _timed(folder, *snakemake, *settings, "--dry-run")
    command(folder, "run", first.path)
    for other in others:
        shutil.copytree(results / first.path, results / other.path)
        shutil.copy(reports / f"{first.path}.html", reports / f"{other.path}.html")
    index, index_memory = _timed(folder, "-m", "noisy_digits", "index", "--dataset", "digits", "--profile", "quick")
    _timed(folder, *snakemake, *settings, "--touch")
    build = ("-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick")
    nothing, memory = _timed(folder, *build)
    print(f"{points} grid points planned in {planning:.1f} s, nothing to do {nothing:.1f} s", flush=True)
    return Planned(checking, planning, nothing, index, max(memory, index_memory))


def _timed(folder: Path, *words: str) -> tuple[float, float]:
    """Seconds and peak memory in bytes of Python with these arguments in the project ``folder``."""
    began = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    measured = [sys.executable, "-c", PEAK, sys.executable, *words]
    peak = subprocess.run(measured, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - began, float(peak) * PEAK_UNIT
