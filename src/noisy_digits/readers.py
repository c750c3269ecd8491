"""Read and merge what people read in noisy digits: the files of the reading test on play.html."""

import csv
import re
import reprlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pandas as pd

from noisy_digits._files import write_text
from noisy_digits.errors import UserError
from noisy_digits.project import find_project_root

FILE = Path("notebooks/beyond/5_human_limit.csv")
"""Where a project keeps its readers: next to the notebook that shows them, whose name it has."""
N_TEST_IMAGES = {"mnist": 10_000, "digits": 360}
"""Test images of each data set that a test can show."""
LEVELS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""The levels of salt-and-pepper noise in a test."""
DIGITS_PER_LEVEL = 5
COLUMNS = {
    "reader": "[0-9a-f]{8}",
    "dataset": "|".join(N_TEST_IMAGES),
    "trial": "[1-9][0-9]?",
    "image": "0|[1-9][0-9]{0,3}",
    "level": "|".join(f"{level:g}".replace(".", r"\.") for level in LEVELS),
    "label": "[0-9]",
    "answer": "[0-9]",
}
"""The columns of a file, and the regular expressions of what they hold."""
N_TRIALS = DIGITS_PER_LEVEL * len(LEVELS)
MAX_BYTES = 5_000_000

Trial = dict[str, str]


def read_tests(path: Path) -> dict[str, list[Trial]]:
    """Read the tests in a CSV file, one or many, by reader. Raises UserError naming the file and what is wrong."""
    if not path.is_file():
        raise UserError(f"{path.name} is not a file: leave only the files of the reading test in this folder")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path.name} is larger than {MAX_BYTES / 1e6:g} MB, and no file of the reading test is")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            trials = list(_parse(csv.reader(file, strict=True), path.name))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path.name} is not a CSV file in UTF-8 ({error}): download it from the page again") from None
    if not trials:
        raise UserError(f"{path.name} holds no answers: download it from the page again")
    tests: dict[str, list[Trial]] = {}
    for reader, group in groupby(trials, key=lambda trial: trial["reader"]):
        if reader in tests:
            raise UserError(f"{path.name}: the lines of reader {reader} are not together; download it again")
        tests[reader] = list(group)
        if problem := _find_problem(tests[reader]):
            raise UserError(f"{path.name}: the test of reader {reader} {problem}; download it from the page again")
    return tests


def _parse(lines: Iterator[list[str]], name: str) -> Iterator[Trial]:
    """Yield the trials of a file called ``name`` after checking every cell by itself."""
    if next(lines, None) != list(COLUMNS):
        raise UserError(f"{name} is not a file of the reading test: its first line must be {','.join(COLUMNS)}")
    for number, cells in enumerate(lines, 2):
        if len(cells) != len(COLUMNS):
            raise UserError(f"{name}: line {number} has {len(cells)} cells instead of {len(COLUMNS)}")
        for (column, pattern), cell in zip(COLUMNS.items(), cells, strict=True):
            if not re.fullmatch(pattern, cell, re.ASCII):
                raise UserError(f"{name}: line {number}: the {column} cannot be {reprlib.repr(cell)}")
        yield dict(zip(COLUMNS, cells, strict=True))


def _find_problem(trials: list[Trial]) -> str | None:
    """Return what is wrong with a test as a whole; None if it could have been made by the page."""
    if [trial["trial"] for trial in trials] != [str(number) for number in range(1, N_TRIALS + 1)]:
        return f"does not hold the trials 1 to {N_TRIALS} in their order"
    if len({trial["dataset"] for trial in trials}) > 1:
        return "has digits of two data sets"
    if any(int(trial["image"]) >= N_TEST_IMAGES[trial["dataset"]] for trial in trials):
        return "shows an image that its data set does not have"
    if len({trial["image"] for trial in trials}) < N_TRIALS:
        return "shows one image twice"
    levels = [float(trial["level"]) for trial in trials]
    if any(levels.count(level) != DIGITS_PER_LEVEL for level in LEVELS):
        return f"does not show {DIGITS_PER_LEVEL} digits at each level"
    return None


def merge_readers(folder: Path) -> str:
    """Add the tests in the CSV files of ``folder`` to those of the project; return what there is then, in words.

    A test that is there already is not counted twice. Raises UserError, and writes nothing, if there are no such
    files, if a file is refused, if two tests of one reader differ or one image has two labels.
    """
    target = find_project_root() / FILE
    if not target.with_suffix(".ipynb").is_file():
        raise UserError(f"this project has no notebook {FILE.with_suffix('.ipynb')}, which would show the readers")
    if not (paths := sorted(folder.glob("*.csv"))):
        raise UserError(f"{folder}: there are no CSV files; give the folder with the files of the reading test")
    tests: dict[str, list[Trial]] = {}
    labels: dict[tuple[str, str], str] = {}
    for path in [*([target] if target.exists() else []), *paths]:
        for reader, trials in read_tests(path).items():
            if tests.setdefault(reader, trials) != trials:
                raise UserError(f"{path.name}: reader {reader} has another test in another file; remove one of them")
            for trial in trials:
                if labels.setdefault((trial["dataset"], trial["image"]), trial["label"]) != trial["label"]:
                    raise UserError(f"{path.name}: image {trial['image']} has another label in another file")
    lines = [",".join(trial.values()) for _, trials in sorted(tests.items()) for trial in trials]
    text = "\n".join([",".join(COLUMNS), *lines]) + "\n"
    if len(text) > MAX_BYTES:
        raise UserError(f"{len(tests)} readers are more than {FILE} can hold, {MAX_BYTES / 1e6:g} MB; give fewer files")
    write_text(target, text)
    return f"{len(tests)} readers in {FILE}"


def load_readers(dataset: str) -> pd.DataFrame:
    """Load the accuracy of the project's readers on ``dataset``, one line per reader and noise level.

    The columns are reader, noise_level and accuracy; there are no lines if nobody has taken the test.
    """
    path = find_project_root() / FILE
    rows = []
    for reader, trials in (read_tests(path) if path.is_file() else {}).items():
        for level in LEVELS if trials[0]["dataset"] == dataset else ():
            right = [trial["answer"] == trial["label"] for trial in trials if float(trial["level"]) == level]
            rows.append({"reader": reader, "noise_level": level, "accuracy": sum(right) / len(right)})
    return pd.DataFrame(rows, columns=["reader", "noise_level", "accuracy"])
