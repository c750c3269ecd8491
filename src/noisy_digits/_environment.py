"""The environment variables through which a build and its notebooks speak, and those that belong to the user."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

RECORD = "NOISY_DIGITS_RECORD"
PROGRESS = "NOISY_DIGITS_PROGRESS"
PRECISION = "NOISY_DIGITS_PRECISION"
COLLECTION = "NOISY_DIGITS_COLLECTION"
DATA = "NOISY_DIGITS_DATA"
TRAININGS = "NOISY_DIGITS_TRAININGS"
KERAS_HOME = "KERAS_HOME"
FRESH = "NOISY_DIGITS_FRESH"
WARM = "NOISY_DIGITS_WARM"

PRECISIONS = ("float32", "mixed_bfloat16")
"""The dtype policies of Keras that models may be built with, the usual one first."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
THREADS = 1
"""Per notebook. One single-threaded notebook per processor is faster than fewer with several; see benchmarks/."""


VECTOR_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instruction sets that decide how fast a processor trains, as Linux names them."""


@dataclass(frozen=True)
class RunContext:
    """The folder for a notebook's metrics and models, the file for its progress, its precision and its collection.

    Opened by hand, a notebook has no folder, file or collection, and records nothing.
    """

    record_folder: Path | None = None
    progress_file: Path | None = None
    precision: str = PRECISIONS[0]
    collection: str | None = None

    @classmethod
    def from_environment(cls) -> Self:
        precision = os.environ.get(PRECISION) or PRECISIONS[0]
        return cls(_path(RECORD), _path(PROGRESS), precision, os.environ.get(COLLECTION))

    def to_environment(self) -> dict[str, str]:
        values = {RECORD: self.record_folder, PROGRESS: self.progress_file, COLLECTION: self.collection}
        return {name: str(value) for name, value in values.items() if value} | {PRECISION: self.precision}


def find_vector_instructions() -> list[str]:
    """Return which of ``VECTOR_INSTRUCTIONS`` the processor has; none where the system does not tell as Linux does."""
    described = Path("/proc/cpuinfo")
    flags = set(described.read_text(encoding="utf-8").split()) if described.is_file() else set()
    return [name for name in VECTOR_INSTRUCTIONS if name in flags]


def kernel_variables() -> dict[str, str]:
    """Return the variables that every notebook's kernel must be started with: TensorFlow and Keras read most once."""
    variables = dict.fromkeys(THREAD_VARIABLES, str(THREADS)) | {
        "KERAS_BACKEND": "tensorflow",
        ONEDNN: os.environ.get(ONEDNN, "1"),  # TensorFlow's default needs AVX-512
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # several notebooks share a GPU; each takes the memory that it needs
    }
    folders = {name: _path(name) for name in (DATA, KERAS_HOME, TRAININGS)}  # a kernel works elsewhere
    return variables | {name: str(folder.resolve()) for name, folder in folders.items() if folder}


def describe_arithmetic() -> str:
    """Return the settings of this process that decide in which order numbers are added: threads, and oneDNN."""
    return " ".join(f"{name}={os.environ.get(name)}" for name in (*THREAD_VARIABLES, ONEDNN))


def data_folder() -> Path | None:
    return _path(DATA)


def keras_home() -> Path | None:
    return _path(KERAS_HOME)


def trainings_folder() -> Path | None:
    return _path(TRAININGS)


def request_fresh_trainings() -> None:
    """Let this process, and those that it starts, make every training again."""
    os.environ[FRESH] = "1"


def announce_warm_process(address: str) -> None:
    """Let the processes that this one starts find the build's warm process."""
    os.environ[WARM] = address


def find_warm_process() -> str | None:
    """Return the address of the build's warm process, None if there is none."""
    return os.environ.get(WARM)


def wants_fresh_trainings() -> bool:
    return os.environ.get(FRESH, "0") not in ("", "0")


def log_epoch(epoch: int, epochs: int, device: str) -> None:
    """Add a line to the progress file, if there is one: ``epoch`` (from 1) of ``epochs`` is over, on ``device``."""
    _log({"epoch": epoch, "epochs": epochs, "device": device})


def log_training(**described: Any) -> None:
    """Add a line to the progress file, if there is one: a training is over, or was restored."""
    _log({"training": described})


def read_epochs(path: Path) -> list[dict[str, Any]]:
    """Return what ``log_epoch`` wrote to a progress file, line by line; nothing if there is no such file."""
    return [line for line in _read_log(path) if "epoch" in line]


def read_trainings(path: Path) -> list[dict[str, Any]]:
    """Return what ``log_training`` wrote to a progress file; nothing if there is no such file."""
    return [line["training"] for line in _read_log(path) if "training" in line]


def _log(line: Mapping[str, Any]) -> None:
    if file := RunContext.from_environment().progress_file:
        with file.open("a", encoding="utf-8") as lines:
            print(json.dumps(line), file=lines)


def _read_log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else None
