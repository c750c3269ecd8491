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


def tell(path: str, progress: Path) -> None:
    """Say now and then, for ever, how far the trainings of the run ``path`` have come, as ``progress`` has it."""
    said = 0
    while True:
        time.sleep(TELL_EVERY_S)
        ended = epochs_ended(progress)
        if len(ended) > said:
            said, last = len(ended), ended[-1]
            training = sum(epoch["epoch"] == 1 for epoch in ended)
            line = f"{path}: training {training}, epoch {last['epoch']} of {last['epochs']} on {last['device']}"
            print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds for reading: 41 s, 7 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
