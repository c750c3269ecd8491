"""Report how far the trainings of a run have come."""

import sys
import time
from pathlib import Path
from typing import Any

from noisy_digits._environment import read_epochs
from noisy_digits.formatting import format_duration

REPORT_EVERY_S = 30
PROGRESS_FILE = ".progress"
"""The file in the folder of a run, while it is running, that holds its finished epochs."""


def report_progress(path: str, progress_file: Path, n_trainings: int) -> None:
    """Print progress to stderr every 30 s until the process exits.

    ``path`` names the run, ``progress_file`` holds its finished epochs, ``n_trainings`` is the number of its seeds.
    Nothing is printed if no epoch has finished since the last report.
    """
    reported, started = 0, time.monotonic()
    while True:
        time.sleep(REPORT_EVERY_S)
        if len(epochs := read_epochs(progress_file)) > reported:
            reported = len(epochs)
            line = format_progress(epochs, n_trainings, time.monotonic() - started)
            print(f"{path}: {line}", file=sys.stderr, flush=True)


def format_progress(epochs: list[dict[str, Any]], n_trainings: int, seconds: float) -> str:
    """Return how far a run is as text, with its device and the time left; ``epochs`` finished in ``seconds``.

    A notebook that trains several times with a seed has no time left that is known.
    """
    done = f"{format_epochs(epochs, n_trainings)} on {epochs[-1]['device']}"
    if _count_trainings(epochs) > n_trainings:
        return done
    return f"{done}, about {format_duration(seconds / fraction_done(epochs, n_trainings) - seconds)} left"


def format_epochs(epochs: list[dict[str, Any]], n_trainings: int) -> str:
    """Return how far a run is as text: training 2 of 5, epoch 3 of 12; just training 6 if there are more than 5."""
    training = _count_trainings(epochs)
    total = f" of {n_trainings}" if training <= n_trainings else ""
    return f"training {training}{total}, epoch {epochs[-1]['epoch']} of {epochs[-1]['epochs']}"


def fraction_done(epochs: list[dict[str, Any]], n_trainings: int) -> float:
    """Return the fraction of a run's epochs that are finished."""
    return min(len(epochs) / (n_trainings * epochs[-1]["epochs"]), 1.0)


def _count_trainings(epochs: list[dict[str, Any]]) -> int:
    return sum(epoch["epoch"] == 1 for epoch in epochs)
