"""Measure what a build costs besides its trainings: noise, starting a run, memory, many runs, a page, nothing to do."""

import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import psutil
import yaml

from noisy_digits._files import read_record
from noisy_digits.noise import NOISES
from noisy_digits.pipeline.execute import PEAK_UNIT
from noisy_digits.pipeline.parameters import read_parameters
from noisy_digits.pipeline.plan import Run, plan_runs
from noisy_digits.pipeline.store import Collection
from noisy_digits.reports.pages import write_page

ROOT = Path(__file__).parents[1]
GRID_POINTS = (1, 2, 4, 8, 16, 32)
LARGE_GRIDS = (100, 500, 2000)
ASSIGNMENT, NOTEBOOK = "mlp_noise", "2_train"
ASSIGNMENT_KEYS = ("title", "question", "order", "recipes", "original_recipe", "corrected_recipe")
UNUSED_KEYS = ("reported", "deviations", "overrides", "extra_grids")
COLLECTION = Collection("digits", "quick")
SNAKEFILE = "src/noisy_digits/pipeline/Snakefile"
PEAK = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
"""A small process that starts another and prints its peak memory: a process begins with that of what started it."""


def time_noises() -> dict[str, tuple[float, float]]:
    """Return, by noise, the seconds for MNIST's 60,000 training images and the bytes used beyond the result."""
    images = np.random.default_rng(0).random((60_000, 28, 28), dtype=np.float32)
    measured = {}
    for name, noise in NOISES.items():
        seconds = []
        for seed in range(5):
            start = time.perf_counter()
            noise.function(images, 0.5, np.random.default_rng(seed))
            seconds.append(time.perf_counter() - start)
        tracemalloc.start()
        noisy = noise.function(images, 0.5, np.random.default_rng(0))
        measured[name] = float(np.median(seconds)), tracemalloc.get_traced_memory()[1] - noisy.nbytes
        tracemalloc.stop()
    return measured


def copy_project(folder: Path, params: dict[str, dict]) -> None:
    """Copy this project into ``folder``, with ``params`` as the contents of its params files, by file name."""
    for part in ("src", "notebooks", "workflow"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "project.yml", folder)
    (folder / "params").mkdir()
    for name, content in params.items():
        (folder / "params" / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def copy_with_grid(folder: Path, n_points: int) -> None:
    """Create a project in ``folder`` with ``n_points`` runs of W1's training notebook, one training step each."""
    assignment = yaml.safe_load((ROOT / f"params/{ASSIGNMENT}.yml").read_text(encoding="utf-8"))
    notebook = {key: value for key, value in assignment["notebooks"][NOTEBOOK].items() if key not in UNUSED_KEYS}
    notebook["grid"] = {"recipe": ["corrected"], "scale": [float(scale) for scale in range(n_points)]}
    notebook["quick"] = {"epochs": 1, "train_size": 128, "test_size": 100, "n_seeds": 1}
    kept = {key: assignment[key] for key in ASSIGNMENT_KEYS}
    copy_project(folder, {f"{ASSIGNMENT}.yml": kept | {"notebooks": {NOTEBOOK: notebook}}})


def copy_with_one_epoch(folder: Path) -> None:
    """Copy the whole project into ``folder``; its quick profile has two seeds of one epoch, on all images.

    With several draws of noise per image it has as many epochs as show each draw equally often.
    """
    params = {}
    for source in (ROOT / "params").glob("*.yml"):
        params[source.name] = yaml.safe_load(source.read_text(encoding="utf-8"))
        for name, notebook in params[source.name]["notebooks"].items():
            known = read_parameters(ROOT / "notebooks" / source.stem / f"{name}.ipynb")
            epochs = math.lcm(*notebook.get("fixed", {}).get("draw_counts", [1]))
            notebook["quick"] = {key: value for key, value in {"epochs": epochs, "n_seeds": 2}.items() if key in known}
    copy_project(folder, params)


def time_command(folder: Path, *words: str, dataset: str = "digits") -> float:
    """Return the seconds that ``noisy-digits`` takes in the project ``folder``, in the quick profile."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "noisy_digits", *words, "--dataset", dataset, "--profile", "quick"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


def measure_memory(folder: Path) -> dict[str, float]:
    """Return the peak memory in bytes of the notebooks that have seeds, on all of MNIST.

    They train two seeds for one epoch each; the three seeds of twelve epochs that W2's CNN has in full took 3 % more.
    Of each the last run is measured, and those that others depend on; the largest counts.
    """
    copy_with_one_epoch(folder)
    peaks: dict[str, float] = {}
    for path in select_runs(plan_runs(folder, "quick", dataset="mnist")):
        time_command(folder, "run", path, dataset="mnist")
        record = read_record(folder / "results/mnist-quick" / path)
        notebook = "/".join(path.split("/")[:2])
        peaks[notebook] = max(peaks.get(notebook, 0.0), record["peak_memory_mb"] * 1e6)
        print(f"{path}: {record['peak_memory_mb']} MB", flush=True)
    return peaks


def select_runs(plan: Sequence[Run]) -> list[str]:
    """Return the paths of the last run of each notebook that has seeds, and of the runs that it depends on."""
    last = {(run.assignment, run.notebook): run for run in plan if "n_seeds" in run.parameters}
    return list(dict.fromkeys(path for run in last.values() for path in (*run.depends_on, run.path)))


def measure_own_memory(folder: Path) -> float:
    """Return the memory in bytes of a build's own processes: Snakemake, and the warm one that its runs fork from.

    It is the median of the time when notebooks run. What processes share, as the warm one does with its runs, counts
    for each in equal parts. Pages of files, such as TensorFlow's library, are left out: the system drops them when
    memory is short.
    """
    copy_with_grid(folder, 8)
    command = [sys.executable, "-m", "noisy_digits", "build", "--dataset", COLLECTION.dataset, "--profile", "quick"]
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    taken = []
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as build:
        while build.poll() is None:
            processes = [psutil.Process(build.pid), *psutil.Process(build.pid).children(recursive=True)]
            with contextlib.suppress(psutil.NoSuchProcess, OSError):  # a process that ends meanwhile
                if any(process.name() == "ipykernel" for process in processes):
                    taken.append(sum(map(_count_own, processes)))
            time.sleep(0.1)
    if build.returncode:
        raise subprocess.CalledProcessError(build.returncode, command)
    return float(np.median(taken))


def _count_own(process: psutil.Process) -> int:
    """Return the bytes of a process that belongs to a build, 0 if it belongs to a run."""
    is_own = process.name().startswith("python") and {"snakemake", "noisy_digits.pipeline.warm"} & {*process.cmdline()}
    mapped = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8") if is_own else ""
    return sum(1024 * int(kilobytes) for kilobytes in re.findall(r"Pss_Anon: +(\d+)", mapped))


def time_cold_run(folder: Path) -> float:
    """Return the seconds of one run by hand with its page, without the cell that trains: the median of 5."""
    copy_with_grid(folder, 1)
    (run,) = plan_runs(folder, "quick")
    seconds = []
    for _ in range(5):
        whole = time_command(folder, "run", run.path)
        seconds.append(whole - _time_training_cell(folder))
    return float(np.median(seconds))


def time_warm_run(folder: Path) -> float:
    """Return the seconds of one more run of a build on one processor, with its page, without the cell that trains."""
    few, many = 2, 10
    times = {}
    for n_points in (few, many):
        copy_with_grid(folder / str(n_points), n_points)
        times[n_points] = time_command(folder / str(n_points), "build", "--cores", "1")
    return (times[many] - times[few]) / (many - few) - _time_training_cell(folder / str(many))


def _time_training_cell(folder: Path) -> float:
    """Return the seconds of the cell that trains: the median over the runs in a project ``folder``."""
    seconds = []
    for executed in (folder / "results" / COLLECTION.name).rglob("notebook.ipynb"):
        cells = nbformat.read(executed, as_version=4).cells
        seconds.append(sum(cell.metadata.papermill.duration for cell in cells if "train(seed)" in cell.source))
    return float(np.median(seconds))


def time_page(folder: Path) -> float:
    """Return the seconds to render the page of the run in ``folder``: the median of 5."""
    (run,) = plan_runs(folder, "quick", dataset=COLLECTION.dataset)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        write_page(folder, run, COLLECTION, [])
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


@dataclass(frozen=True)
class BuildTimes:
    """The seconds of builds: every run started cold, from the warm process, with restored trainings; nothing to do."""

    cold: float
    warm: float
    restored: float
    nothing: float


def time_builds(folder: Path) -> dict[int, BuildTimes]:
    """Return the seconds of builds by number of grid points."""
    (folder / "cold").mkdir(parents=True)  # as on a cluster, without a warm process
    (folder / "cold/profile.yaml").write_text(f"executor: local\ncores: {os.cpu_count()}\n", encoding="utf-8")
    measured = {}
    for n_points in GRID_POINTS:
        project = folder / str(n_points)
        copy_with_grid(project, n_points)
        cold = time_command(project, "build", "--profile-dir", str(folder / "cold"))
        warm = time_command(project, "build", "--fresh")
        shutil.rmtree(project / "results")
        restored = time_command(project, "build")
        nothing = float(np.median([time_command(project, "build") for _ in range(3)]))
        measured[n_points] = BuildTimes(cold, warm, restored, nothing)
        print(f"{n_points} grid points: {measured[n_points]}", flush=True)
    return measured


@dataclass(frozen=True)
class PlanningCost:
    """What a large study costs before and after its runs: seconds, and the most memory of a process in bytes."""

    checking: float
    planning: float
    nothing: float
    index: float
    memory: float


def measure_planning(folder: Path) -> dict[int, PlanningCost]:
    """Return what studies of many runs cost without their runs, by number of grid points.

    The runs are not executed: the results of one are copied for all, and Snakemake is told that they are made.
    """
    return {n_points: _measure_plan(folder / f"plan-{n_points}", n_points) for n_points in LARGE_GRIDS}


def _measure_plan(folder: Path, n_points: int) -> PlanningCost:
    copy_with_grid(folder, n_points)
    results, reports = (folder / kind / COLLECTION.name for kind in ("results", "reports"))
    settings = (f"collection={COLLECTION.name}", "dataset=digits", "profile=quick", "precision=float32")
    snakemake = ["-m", "snakemake", "--snakefile", SNAKEFILE, "--cores", "1", "--quiet", "all", "--config", *settings]
    start = time.perf_counter()
    first, *others = plan_runs(folder, "quick", dataset=COLLECTION.dataset)
    checking = time.perf_counter() - start
    planning, _ = _time_python(folder, *snakemake, "--dry-run")
    time_command(folder, "run", first.path)
    for other in others:
        shutil.copytree(results / first.path, results / other.path)
        shutil.copy(reports / f"{first.path}.html", reports / f"{other.path}.html")
    options = ("--dataset", "digits", "--profile", "quick")
    _time_python(folder, "-m", "noisy_digits", "index", *options)  # which gives the copied pages their own links
    index, index_memory = _time_python(folder, "-m", "noisy_digits", "index", *options)
    _time_python(folder, *snakemake, "--touch")
    nothing, memory = _time_python(folder, "-m", "noisy_digits", "build", *options)
    print(f"{n_points} grid points planned in {planning:.1f} s, nothing to do {nothing:.1f} s", flush=True)
    return PlanningCost(checking, planning, nothing, index, max(memory, index_memory))


def _time_python(folder: Path, *words: str) -> tuple[float, float]:
    """Return seconds and peak memory in bytes of Python with these arguments in the project ``folder``."""
    start = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-c", PEAK, sys.executable, *words]
    peak = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - start, float(peak) * PEAK_UNIT
