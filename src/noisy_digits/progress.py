"""How far a build has come, in words."""

import contextlib
import os
import sys
import time
from pathlib import Path

PROGRESS = "NOISY_DIGITS_PROGRESS"
"""Environment variable with a file to which every epoch of a training adds a line; set by the build."""

TELL_EVERY_S = 30


def epoch_ended(epoch: int, epochs: int) -> None:
    """Note that a training has ended its epoch number ``epoch``, from 1, of ``epochs``; in Jupyter nothing is noted."""
    if progress := os.environ.get(PROGRESS):
        with Path(progress).open("a", encoding="utf-8") as file:
            print(f"epoch {epoch} of {epochs}", file=file)


def tell(path: str, progress: Path) -> None:
    """Say now and then, for ever, how far the trainings of the run ``path`` have come, as ``progress`` has it."""
    said, epochs = 0, []
    while True:
        time.sleep(TELL_EVERY_S)
        with contextlib.suppress(FileNotFoundError):
            epochs = progress.read_text(encoding="utf-8").splitlines()
        if len(epochs) > said:
            said = len(epochs)
            training = sum(line.startswith("epoch 1 of") for line in epochs)
            print(f"{path}: training {training}, {epochs[-1]}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds for reading: 41 s, 7 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
