"""Keep every training in a folder, under a key made of all that decides its result, so that it is made only once.

The folder is ``$NOISY_DIGITS_TRAININGS``, or trainings/ in the project. An entry is a NumPy archive, read without
pickle: the weights and random states after the training, its history, and when and at which revision it was made.
"""

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from noisy_digits._environment import RunContext, trainings_folder
from noisy_digits._files import write_file
from noisy_digits.errors import UserError
from noisy_digits.project import find_project_root

MAX_BYTES = 10 * 2**30
"""Size of all entries together; beyond it, those unused for the longest time go first."""
PACKAGES = ("keras", "numpy", "tensorflow")
MODULES = ("_batches", "_memory", "_optimizers", "_tracing", "training")
"""Modules of this package whose code decides what every training gives."""
MODULES_OF_FUNCTIONS = ("epoch_metrics",)
"""Modules whose code counts only for trainings that use functions of theirs."""


@dataclass(frozen=True)
class Origin:
    """When, at which revision, on which device and in how many seconds a training was made."""

    made: str
    revision: str | None
    device: str
    seconds: float

    def __str__(self) -> str:
        revision = f" at {self.revision}" if self.revision else ""
        return f"a training of {self.seconds:g} s, made {self.made[:10]}{revision}"


@dataclass(frozen=True)
class Training:
    """What a training left behind: its curves, the values of the model's variables, the steps made, and its origin."""

    curves: dict[str, list]
    variables: list[np.ndarray]
    steps: int
    origin: Origin


class _Description(TypedDict):
    """What an entry holds besides the values of the variables."""

    key: str
    curves: dict[str, list[float | list[float]]]
    steps: Annotated[int, Field(ge=0, lt=2**63)]
    origin: Origin


_description = TypeAdapter(_Description)


def compute_key(*parts: str | np.ndarray) -> str:
    """Return the key of a training: a digest of ``parts``, of the versions of ``PACKAGES`` and of the training code."""
    digest = hashlib.sha256()
    versions = (f"{package} {version(package)}" for package in PACKAGES)
    for part in (*parts, *versions, *(_simplify_code(_SOURCES[name]) for name in MODULES)):
        array = np.frombuffer(part.encode(), np.uint8) if isinstance(part, str) else np.ascontiguousarray(part)
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def describe_function(function: Callable) -> list[str | np.ndarray] | None:
    """Return what decides the results of a function of this package: name, its module's code, what it holds.

    Returns None for any other function, whose code may depend on anything, and for values of other types than arrays,
    numbers and text.
    """
    package, _, module = getattr(function, "__module__", "").rpartition(".")
    if package != __package__ or module not in MODULES_OF_FUNCTIONS:
        return None
    enclosed = [cell.cell_contents for cell in function.__closure__ or ()]
    held = [*enclosed, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    values = [each for value in held for each in (value if isinstance(value, list) else [value])]
    if not all(isinstance(value, np.ndarray | np.number | int | float | str) for value in values):
        return None
    code = [function.__qualname__, _simplify_code(_SOURCES[module])]
    return [*code, *(each if isinstance(each, np.ndarray) else repr(each) for each in values)]


@contextlib.contextmanager
def lock_training(key: str) -> Iterator[None]:
    """Hold ``key`` for this process: another one that wants the same training waits for it, then finds it made.

    The lock is a byte of one file, which the operating system frees however the process ends.
    """
    with contextlib.ExitStack() as stack:
        if folder := _folder():
            with contextlib.suppress(OSError):  # without a lock a training may be made twice, with the same result
                folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context(open(folder / ".lock", "a", opener=_open_lock))
                place = int(key[:15], 16)
                try:
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                except BlockingIOError:
                    if not RunContext.from_environment().record_folder:  # by hand, where it could seem to hang
                        print("another process makes the same training; waiting for it", file=sys.stderr)
                    fcntl.lockf(lock, fcntl.LOCK_EX, 1, place)
        yield


def load_training(key: str, shapes: Sequence[tuple[int, ...]]) -> Training | None:
    """Return the training kept under ``key`` if there is one; of a damaged one only a warning remains.

    ``shapes`` are those of the model's variables.
    """
    if not (folder := _folder()):
        return None
    path = folder / f"{key}.npz"
    try:
        with open(path, "rb", opener=_open_entry) as file:
            training = _read(file, key, shapes)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        warnings.warn(f"{path} cannot be read ({error.strerror}); the training is made again", stacklevel=3)
        return None
    except Exception as error:  # zipfile and NumPy raise a dozen kinds for damaged files
        warnings.warn(f"{path} is damaged ({error!r}); the training is made again", stacklevel=3)
        return None
    with contextlib.suppress(OSError):  # it may be another user's
        os.utime(path)
    return training


def save_training(key: str, training: Training) -> None:
    """Write a training under ``key``, whole or not at all; one that cannot be written is lost, with a warning."""
    if not (folder := _folder()):
        return
    described = {"key": key, "curves": training.curves, "steps": training.steps, "origin": asdict(training.origin)}
    content: Any = {f"variable_{place}": value for place, value in enumerate(training.variables)}
    try:
        write_file(folder / f"{key}.npz", lambda file: np.savez(file, described=json.dumps(described), **content))
        _remove_oldest(folder)
    except (OSError, TypeError) as error:  # no file for it, or a curve of no numbers
        warnings.warn(f"this training is not kept: {error}", stacklevel=3)


def _open_entry(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # waits for no other end of a pipe


def _open_lock(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW, mode=0o666)


def _folder() -> Path | None:
    """Return the folder of all trainings; None outside a project, unless the environment names one."""
    with contextlib.suppress(UserError, OSError):
        return trainings_folder() or find_project_root() / "trainings"


def _read(file: BinaryIO, key: str, shapes: Sequence[tuple[int, ...]]) -> Training:
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > os.fstat(file.fileno()).st_size:
            raise ValueError("it holds more than its size")  # entries are not compressed
        if damaged := archive.testzip():
            raise ValueError(f"checksum of {damaged}")
    file.seek(0)
    with np.load(file, allow_pickle=False) as content:
        described = _description.validate_python(json.loads(str(content["described"])))
        variables = [content[f"variable_{place}"] for place in range(len(content.files) - 1)]
    if described["key"] != key or [value.shape for value in variables] != list(shapes):
        raise ValueError("it is another training's")
    if not all(value.dtype.kind in "biuf" for value in variables):
        raise ValueError("it holds other things than numbers")
    return Training(described["curves"], variables, described["steps"], described["origin"])


def _remove_oldest(folder: Path) -> None:
    used = []
    for path in folder.glob("*.npz*"):  # also what a killed process left half written
        with contextlib.suppress(OSError):  # another process removes some, too
            if path.is_file():
                status = path.lstat()
                used.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in used)
    for _, size, path in sorted(used):
        if total <= MAX_BYTES:
            break
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            total -= size


def _read_sources(package: Path) -> dict[str, str]:
    names = (*MODULES, *MODULES_OF_FUNCTIONS)
    return {name: (package / f"{name}.py").read_text(encoding="utf-8") for name in names}


_SOURCES = _read_sources(Path(__file__).parent)
"""As imported: the files may change while a kernel runs."""


@cache
def _simplify_code(source: str) -> str:
    """Return code without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            body[:] = [line for line in body if not _is_text(line)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
