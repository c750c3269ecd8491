"""One run: a notebook at one grid point, executed by papermill with a kernel of its own."""

import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from noisy_digits import data, progress, storage
from noisy_digits.errors import UserError
from noisy_digits.params import Run
from noisy_digits.project import PRECISION

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
THREADS = 1
"""As many runs as there are processors, each on one thread, train more than fewer on several; see benchmarks/."""
START_TIMEOUT_S = 120
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit in which the operating system tells a process's peak memory."""


class PrivateKernelManager(AsyncKernelManager):
    """A kernel spoken to through Unix sockets in a folder of its own: nothing to race for, nothing on the network."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.transport = "ipc"
        self.connection_file = str(Path(os.environ["IPYTHONDIR"]) / "kernel.json")

    async def start_kernel(self, **settings: object) -> None:
        """Start it with its own standard error closed; what the notebook prints there is captured in its outputs."""
        await super().start_kernel(stderr=subprocess.DEVNULL, **settings)


def execute(run: Run, root: Path, collection: storage.Collection) -> None:
    """Execute ``run`` and put metrics.json and run.json into its folder below results/<collection>.

    Both appear only once the whole notebook has run; the executed notebook, notebook.ipynb beside them, is kept
    whatever happens. Raises UserError naming the failing cell.
    """
    folder = root / "results" / collection.name / run.path
    storage.lock(folder, wait=True)
    for stale in (folder / "metrics.json", folder / "run.json", *folder.glob("*.keras")):
        stale.unlink(missing_ok=True)
    notebook = root / "notebooks" / run.assignment / f"{run.notebook}.ipynb"
    supplied = dict(zip(storage.SUPPLIED, (collection.dataset, collection.name), strict=True))
    parameters = {name: supplied.get(name, value) for name, value in run.parameters.items()}
    private = Path(tempfile.mkdtemp(prefix="noisy-digits-", dir="/tmp"))  # the path of a socket must be short
    recorded = private / "recorded"
    recorded.mkdir()
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(THREADS))
    os.environ |= {"IPYTHONDIR": str(private), storage.RECORD: str(recorded)}
    os.environ |= {PRECISION: collection.precision, progress.PROGRESS: str(private / "progress")}
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several runs share a GPU; each takes the memory that it needs
    if named := os.environ.get("NOISY_DIGITS_DATA"):
        os.environ["NOISY_DIGITS_DATA"] = str(Path(named).resolve())
    started = time.time()
    told = (run.path, private / "progress", run.parameters.get("seeds", 1))
    threading.Thread(target=progress.tell, args=told, daemon=True).start()
    try:
        _papermill(notebook, folder / "notebook.ipynb", parameters)
        measured = _collect(recorded, folder)
        epochs = progress.epochs_ended(private / "progress")
    except PapermillExecutionError as error:
        message = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise UserError(f"{run.path}: cell {error.exec_count} failed: {message}") from None
    except DeadKernelError:
        raise UserError(f"{run.path}: its kernel died: interrupted, or for want of memory") from None
    finally:
        shutil.rmtree(private, ignore_errors=True)
    recorded_it = (run.headline in metrics or "diverged" in metrics for metrics in measured.values())
    if run.headline and not (measured and all(recorded_it)):
        raise UserError(f"{run.path}: the notebook recorded no {run.headline}, the headline its params file names")
    storage.write_json(folder / "metrics.json", measured)
    storage.write_json(
        folder / "run.json",
        {
            "parameters": parameters,
            "models": sorted(kept.name for kept in folder.glob("*.keras")),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.time() - started, 1),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * PEAK_UNIT / 1e6),
            "threads": THREADS,
            "device": epochs[-1]["device"] if epochs else None,
            "precision": collection.precision,
            "machine": f"{platform.system()} {platform.machine()}",
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("tensorflow", "keras", "numpy")},
            "revision": _revision(root),
            "data_sha256": data.digest(collection.dataset),
        },
    )


def end_with_parent() -> None:
    """Interrupt this process, and so its kernel, once the process that started it has ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _collect(recorded: Path, folder: Path) -> dict:
    """What the notebook measured; the models it kept are moved to the run's folder."""
    for kept in recorded.glob("*.keras"):
        shutil.move(kept, folder / kept.name)
    metrics = recorded / "metrics.json"
    return json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {}


def _papermill(notebook: Path, executed: Path, parameters: dict) -> None:
    """Execute, trying a kernel that does not come up a second time."""
    for last in (False, True):
        try:
            papermill.execute_notebook(
                notebook,
                executed,
                parameters,
                cwd=notebook.parent,
                kernel_name="python3",
                kernel_manager_class=PrivateKernelManager,
                start_timeout=START_TIMEOUT_S,
                progress_bar=False,
                shutdown_kernel="immediate",
            )
            return
        except DeadKernelError:
            raise
        except RuntimeError:
            if last:
                raise


def _revision(root: Path) -> str | None:
    """The git revision of the project, with a plus sign where files differ from it; None outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
