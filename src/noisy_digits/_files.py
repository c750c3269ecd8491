"""Read and write the files of a run. All writes are atomic: a file appears whole or not at all."""

import errno
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import FiniteFloat, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from noisy_digits.errors import UserError


@with_config(strict=True)
class MetricRow(TypedDict, extra_items=bool | int | FiniteFloat | str):
    """A measured number with its seed and, as extra items, the coordinates that it depends on."""

    seed: int
    metric: str
    value: int | FiniteFloat


NOT_COORDINATES = ("seed", "metric", "value")
"""The keys of a row of metrics that are no coordinates."""


class TrainingRecord(TypedDict):
    """A training of a run: its key in the store (None if it is not kept there), and where it was made."""

    key: str | None
    restored: bool
    made: str
    revision: str | None
    device: str
    seconds: float


class RunRecord(TypedDict):
    """The circumstances of a run, as its run.json holds them."""

    point: dict[str, Any]
    parameters: dict[str, Any]
    files: list[str]
    started: str
    seconds: float
    peak_memory_mb: int
    threads: int
    device: str | None
    trainings: list[TrainingRecord]
    precision: str
    machine: str
    onednn: bool
    versions: dict[str, str]
    revision: str | None
    data_sha256: str | None


@dataclass(frozen=True)
class StoredRun:
    """A run of a collection: its folder below results/<collection>, and its grid point."""

    path: str
    point: dict[str, Any]


class StoredPlan(TypedDict):
    """The runs of a collection by notebook, as its plan.json holds them."""

    notebooks: dict[str, list[StoredRun]]


ARRAYS = "arrays.npz"

_adapter = cache(TypeAdapter)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of a run's metrics.json; none if there is no such file. Raises UserError if it is damaged."""
    return _read(folder / "metrics.json", list[MetricRow]) or []


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Read a run's arrays.npz; nothing if there is no such file. Raises UserError if it is damaged."""
    path = folder / ARRAYS
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds for damaged files
        raise _damaged(path, repr(error)) from None


def read_record(folder: Path) -> RunRecord | None:
    """Read a run's run.json. Raises UserError if it is damaged."""
    return _read(folder / "run.json", RunRecord)


def read_plan(folder: Path) -> dict[str, list[StoredRun]] | None:
    """Read the runs by notebook from a collection's plan.json. Raises UserError if it is damaged."""
    plan = _read(folder / "plan.json", StoredPlan)
    return plan and plan["notebooks"]


def is_complete(folder: Path, *, published: bool = False) -> bool:
    """Return True if a run's folder holds its record, its metrics, neither damaged, and every other file that it saved.

    A ``published`` run may lack its models.
    """
    try:
        record = read_record(folder)
        read_metrics(folder)
    except UserError:
        return False
    if record is None:
        return False
    files = [name for name in record["files"] if name == ARRAYS or not published]
    return all((folder / name).is_file() for name in ("metrics.json", *files))


def _read(path: Path, kind: Any) -> Any:
    try:
        return _adapter(kind).validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError as error:
        found = error.errors()[0]
        raise _damaged(path, ": ".join([*map(str, found["loc"]), found["msg"]])) from None


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): delete it and run `make reports` again")


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill the file ``path``, creating its folder. After a power cut, too, it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")  # another machine may have the same pids
    try:
        with partial.open("wb") as file:
            write(file)
        flush(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    try:
        flush(path.parent)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a file system that cannot flush folders
            raise


def flush(path: Path) -> None:
    """Wait until the disk holds the content of a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, creating its folder."""
    write_file(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: object) -> None:
    """Write ``content`` to ``path``. Floats keep every digit, keys their order."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_metrics(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a run's metrics.json, one row per line."""
    lines = ",\n".join(json.dumps(row, sort_keys=True, allow_nan=False) for row in rows)
    write_text(folder / "metrics.json", f"[\n{lines}\n]\n")


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a run's arrays.npz; equal arrays make equal files."""
    write_file(folder / ARRAYS, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
