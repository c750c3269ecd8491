"""Report how far the trainings of a run have come."""

import sys
import time
from pathlib import Path
from typing import Any

from noisy_digits._environment import read_epochs
from noisy_digits.formatting import format_duration

REPORT_EVERY_S = 30


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
    """Return how far a run is as text; ``epochs`` finished in ``seconds``."""
    last = epochs[-1]
    training = sum(epoch["epoch"] == 1 for epoch in epochs)
    remaining = max(n_trainings * last["epochs"] - len(epochs), 0)
    return (
        f"training {training} of {n_trainings}, epoch {last['epoch']} of {last['epochs']} on {last['device']}, "
        f"about {format_duration(seconds / len(epochs) * remaining)} left"
    )
