"""How far a build has come, in words."""

import json
import os
import sys
import time
from pathlib import Path

PROGRESS = "NOISY_DIGITS_PROGRESS"
"""Environment variable with a file to which every epoch of a training adds a line; set by the build."""

TELL_EVERY_S = 30


def epoch_ended(epoch: int, epochs: int, device: str) -> None:
    """Note that a training on ``device`` has ended its epoch number ``epoch``, from 1, of ``epochs``.

    In Jupyter nothing is noted.
    """
    if progress := os.environ.get(PROGRESS):
        with Path(progress).open("a", encoding="utf-8") as file:
            print(json.dumps({"epoch": epoch, "epochs": epochs, "device": device}), file=file)


def epochs_ended(progress: Path) -> list[dict]:
    """What was noted in the file ``progress``: an epoch's number, of how many, and the device that trained."""
    if not progress.is_file():
        return []
    return [json.loads(line) for line in progress.read_text(encoding="utf-8").splitlines()]


def tell(path: str, progress: Path, trainings: int) -> None:
    """Say now and then, for ever, how far the ``trainings`` of the run ``path`` have come, as ``progress`` has it."""
    said, began = 0, time.monotonic()
    while True:
        time.sleep(TELL_EVERY_S)
        if len(ended := epochs_ended(progress)) > said:
            said = len(ended)
            print(f"{path}: {_how_far(ended, trainings, time.monotonic() - began)}", file=sys.stderr, flush=True)


def _how_far(ended: list[dict], trainings: int, seconds: float) -> str:
    last = ended[-1]
    training = sum(epoch["epoch"] == 1 for epoch in ended)
    left = max(trainings * last["epochs"] - len(ended), 0)
    return (
        f"training {training} of {trainings}, epoch {last['epoch']} of {last['epochs']} on {last['device']}, "
        f"{duration(seconds / len(ended) * left)} left"
    )


def duration(seconds: float) -> str:
    """Seconds for reading: 41 s, 7 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
