"""Where the runs of a collection put what they measured, in files that are there whole or not at all."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from noisy_digits.errors import UserError, near

RECORD = "NOISY_DIGITS_RECORD"
"""Environment variable with the folder for what a run records; set by the build, absent in Jupyter."""

COMPARABLE = "mnist"
"""The one collection whose numbers may be held against the published ones: real MNIST, full profile, float32."""

PRECISIONS = ("float32", "mixed_bfloat16")

SUPPLIED = ("dataset", "collection")
"""Parameters that the build fills in where a notebook declares them; they say which collection is being made."""


@dataclass(frozen=True)
class Collection:
    """What is built as one: a data set, a profile (full or quick) and a precision (a dtype policy of Keras).

    Raises UserError for a precision that is not one of ``PRECISIONS``.
    """

    dataset: str
    profile: str = "full"
    precision: str = PRECISIONS[0]

    def __post_init__(self) -> None:
        """Refuse a precision that is not known."""
        if self.precision not in PRECISIONS:
            raise UserError(f'precision "{self.precision}" is not known{near(self.precision, PRECISIONS)}')

    @property
    def name(self) -> str:
        """The folder below results/ and reports/: the data set, with the profile and precision that are not usual."""
        profile, precision = self.profile, self.precision
        unusual = [profile] * (profile != "full") + [precision] * (precision != PRECISIONS[0])
        return "-".join([self.dataset, *unusual])


def lock(folder: Path, *, wait: bool) -> None:
    """Hold ``folder``, made if need be, for as long as this process lives, also through an ``exec``.

    Where another process holds it: waits for that to end, or raises UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(handle, True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise UserError(f"{folder} is being built by another process; wait for it to end") from None


class Record(TypedDict):
    """What a run was made with, as its run.json says."""

    parameters: dict[str, Any]
    models: list[str]
    started: str
    seconds: float
    peak_memory_mb: int
    threads: int
    device: str | None
    precision: str
    machine: str
    versions: dict[str, str]
    revision: str | None
    data_sha256: str


Metrics = dict[Annotated[str, Field(pattern=r"^\d+$")], dict[str, FiniteFloat | list[Any]]]
"""What a run measured, as its metrics.json says: for each seed numbers, or lists of them, by name."""

_RECORD, _METRICS = TypeAdapter(Record), TypeAdapter(Metrics)


def read_record(folder: Path) -> Record:
    """A run's run.json, empty where there is none. Raises UserError naming a file that is none."""
    return _read(folder / "run.json", _RECORD)


def read_metrics(folder: Path) -> Metrics:
    """A run's metrics.json, empty where there is none. Raises UserError naming a file that is none."""
    return _read(folder / "metrics.json", _METRICS)


def _read(path: Path, kind: TypeAdapter) -> Any:
    try:
        return kind.validate_json(path.read_bytes()) if path.is_file() else {}
    except ValidationError as error:
        found = error.errors()[0]
        reason = ": ".join([*map(str, found["loc"]), found["msg"]])
        raise UserError(f"{path} is damaged ({reason}): delete it and run `make reports` again") from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write ``content`` to ``path`` whole or not at all; floats keep every digit, keys are sorted."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def complete(folder: Path) -> bool:
    """Whether a run's folder holds its record, its metrics and every model that it kept."""
    try:
        record = read_record(folder)
    except UserError:
        return False
    return bool(record) and all((folder / name).is_file() for name in ("metrics.json", *record["models"]))
