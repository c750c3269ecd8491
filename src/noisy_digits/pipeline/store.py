"""Name collections, lock their folders, and store what they consist of."""

import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from noisy_digits._environment import PRECISIONS
from noisy_digits._files import write_json
from noisy_digits.errors import UserError, check_name
from noisy_digits.pipeline.plan import Run

INJECTED_PARAMETERS = ("dataset", "collection")
"""Parameters whose values the build supplies where a notebook declares them: the data set and the collection's name."""


@dataclass(frozen=True)
class Collection:
    """The results of one build: a data set (None in a project without any), a profile, and a dtype policy of Keras.

    Raises UserError for a precision not in ``PRECISIONS``.
    """

    dataset: str | None
    profile: str = "full"
    precision: str = PRECISIONS[0]

    def __post_init__(self) -> None:
        check_name("precision", self.precision, PRECISIONS)

    @property
    def name(self) -> str:
        """Return the folder below results/ and reports/: data set, then what is unusual; without one, the profile."""
        profile = "" if self.profile == "full" and self.dataset else self.profile
        precision = "" if self.precision == PRECISIONS[0] else self.precision
        return "-".join(filter(None, [self.dataset, profile, precision]))


def acquire_lock(folder: Path, wait: bool) -> None:
    """Lock ``folder``, created if necessary, until this process ends; an ``exec`` keeps the lock.

    Waits for another process that holds the lock to end; without ``wait`` raises UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(handle, True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise UserError(f"{folder} is being built by another process; wait for it to end") from None


def write_plan(folder: Path, runs: Iterable[Run]) -> None:
    """Write plan.json into a collection's ``folder``, through which notebooks find the results of other notebooks."""
    notebooks: dict[str, list] = {}
    for run in runs:
        stored = {"path": run.path, "point": dict(run.point)}
        notebooks.setdefault(f"{run.assignment}/{run.notebook}", []).append(stored)
    write_json(folder / "plan.json", {"notebooks": notebooks})
