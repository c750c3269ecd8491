"""Execute one run: a notebook at one grid point, by papermill, with a kernel of its own."""

import platform
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

# jsonschema would otherwise compile a grammar of IRIs, which no notebook holds: more than a second per run.
sys.modules.setdefault("rfc3987_syntax", None)  # pyright: ignore[reportArgumentType]

import papermill
from jupyter_client.manager import KernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from noisy_digits._environment import (
    ONEDNN,
    THREADS,
    RunContext,
    find_vector_instructions,
    kernel_variables,
    read_trainings,
)
from noisy_digits._files import ARRAYS, NOT_COORDINATES, flush, read_metrics, write_json, write_metrics
from noisy_digits.errors import UserError
from noisy_digits.pipeline.datasets import load_datasets
from noisy_digits.pipeline.kernels import make_kernel_manager
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.progress import PROGRESS_FILE, report_progress
from noisy_digits.pipeline.store import INJECTED_PARAMETERS, Collection, acquire_lock
from noisy_digits.project import read_project, read_revision

START_TIMEOUT_S = 120
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes per unit of the peak memory that the operating system reports."""


def execute_run(run: Run, root: Path, collection: Collection) -> None:
    """Execute ``run`` and write metrics.json and run.json to its folder below results/<collection>.

    Both are written only after the whole notebook has run. The executed notebook, notebook.ipynb, is always kept.
    Raises UserError naming the cell that failed, or what the notebook should have recorded.
    """
    folder = root / "results" / collection.name / run.path
    acquire_lock(folder, wait=True)
    progress_file = folder / PROGRESS_FILE
    for stale in (
        folder / "metrics.json",
        folder / "run.json",
        folder / ARRAYS,
        progress_file,
        *folder.glob("*.keras"),
    ):
        stale.unlink(missing_ok=True)
    parameters, project = _inject(run.parameters, collection), read_project(root)
    started, revision = time.time(), read_revision(root)
    # The path of a socket must be short, so the private folder is in /tmp.
    with (
        tempfile.TemporaryDirectory(prefix="noisy-digits-", dir="/tmp", ignore_cleanup_errors=True) as private,
        ExitStack() as stack,
    ):
        stack.callback(progress_file.unlink, missing_ok=True)
        recorded = Path(private) / "recorded"
        recorded.mkdir()
        context = RunContext(recorded, progress_file, collection.precision, collection.name)
        _start_reporting(run, progress_file)
        _execute_notebook(run, root, folder / "notebook.ipynb", parameters, make_kernel_manager(Path(private), context))
        metrics, trainings = read_metrics(recorded), read_trainings(progress_file)
        saved = sorted(file.name for file in [*recorded.glob("*.keras"), *recorded.glob(ARRAYS)])
        for name in saved:
            shutil.move(recorded / name, folder / name)
    for name in ("notebook.ipynb", *saved):  # before the run counts as finished, which a power cut may not undo
        flush(folder / name)
    check_metrics(run, metrics)
    write_metrics(folder, metrics)
    record = {
        "point": dict(run.point),
        "parameters": parameters,
        "files": saved,
        "device": trainings[-1]["device"] if trainings else None,
        "trainings": trainings,
        "precision": collection.precision,
        "revision": revision,
        "data_sha256": load_datasets(project).dataset_sha256(collection.dataset),
    }
    write_json(folder / "run.json", record | _describe_machine(project.packages) | _cost(started))


def check_metrics(run: Run, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError unless the tidy rows ``metrics`` are what the params file declares for ``run``.

    Their coordinates must be declared, and every seed that did not diverge must have recorded the headline metric.
    """
    recorded = dict.fromkeys(key for row in metrics for key in row if key not in NOT_COORDINATES)
    if unknown := [name for name in recorded if name not in run.coordinates]:
        raise UserError(
            f"{run.path}: the notebook recorded metrics by {unknown[0]}, which its params file does not declare. "
            f"Add it there: `coordinates: [{', '.join([*run.coordinates, unknown[0]])}]`"
        )
    seeds = {row["seed"] for row in metrics}
    for row in metrics:
        if row["metric"] == "diverged" or run.is_headline(row):
            seeds.discard(row["seed"])
    if run.headline_metric and (seeds or not metrics):
        where = "".join(f", {name} {value}" for name, value in run.headline_at.items())
        whose = f" for seed {min(seeds)}" if seeds else ""
        raise UserError(
            f"{run.path}: the notebook recorded no {run.headline_metric}{where}{whose}; "
            "its params file names it as the headline_metric"
        )


def _inject(parameters: Mapping[str, Any], collection: Collection) -> dict[str, Any]:
    """Return the parameters with those that say which collection is being built."""
    injected: dict[str, Any] = dict(zip(INJECTED_PARAMETERS, (collection.dataset, collection.name), strict=True))
    return {name: injected.get(name, value) for name, value in parameters.items()}


def _start_reporting(run: Run, progress_file: Path) -> None:
    arguments = (run.path, progress_file, run.parameters.get("n_seeds", 1))
    threading.Thread(target=report_progress, args=arguments, daemon=True).start()


def _execute_notebook(
    run: Run, root: Path, executed: Path, parameters: Mapping[str, Any], kernel_manager: type[KernelManager]
) -> None:
    """Execute the notebook of ``run`` into ``executed``. Raises UserError naming the cell that failed."""
    notebook = root / "notebooks" / run.assignment / f"{run.notebook}.ipynb"
    try:
        _execute_with_retry(notebook, executed, parameters, kernel_manager)
    except PapermillExecutionError as error:
        message = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise UserError(f"{run.path}: cell {error.exec_count} failed: {message}") from None
    except DeadKernelError:
        shutil.copyfile(notebook, executed)  # without outputs: papermill saves none of a kernel that died
        raise UserError(f"{run.path}: its kernel died: it was killed, or memory ran out") from None
    except RuntimeError as error:
        raise UserError(f"{run.path}: its kernel did not start: {error}") from None


def _execute_with_retry(
    notebook: Path, executed: Path, parameters: Mapping[str, Any], kernel_manager: type[KernelManager]
) -> None:
    """Execute a notebook; start the kernel a second time if it does not answer the first time."""
    for last_attempt in (False, True):
        try:
            papermill.execute_notebook(
                notebook,
                executed,
                parameters,
                cwd=notebook.parent,
                kernel_name="python3",
                kernel_manager_class=kernel_manager,
                start_timeout=START_TIMEOUT_S,
                progress_bar=False,
                request_save_on_cell_execute=False,
                shutdown_kernel="immediate",
            )
            return
        except DeadKernelError:
            raise
        except RuntimeError:
            if last_attempt:
                raise


def _cost(started: float) -> dict[str, Any]:
    """Return when a run started and what it took; ``started`` is in seconds since the epoch."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * PEAK_UNIT / 1e6),
        "threads": THREADS,
    }


def _describe_machine(packages: Sequence[str]) -> dict[str, Any]:
    """Return the operating system, the processor and the versions that a run was made with."""
    versions = {"python": platform.python_version()} | {package: version(package) for package in packages}
    described = [f"{platform.system()} {platform.machine()}", *find_vector_instructions()]
    onednn = kernel_variables()[ONEDNN].lower() in ("1", "true")  # as TensorFlow reads it
    return {"machine": " ".join(described), "onednn": onednn, "versions": versions}
