"""Estimate how long a build still takes, from what its runs are expected to take and what the finished ones took."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from noisy_digits._files import read_record
from noisy_digits.errors import UserError
from noisy_digits.pipeline.plan import Run

EXPECTED = "noisy_digits_expected"
"""The event of the log record whose ``runs`` are what the runs of a build are expected to take, by path."""
START_S = 5.0
"""Seconds that a run takes apart from its trainings."""


@dataclass(frozen=True)
class Expected:
    """What a run is expected to take in seconds; its folder, and the number of its trainings."""

    seconds: float
    folder: Path
    n_trainings: int


def expect_cost(run: Run, collection: Path, seconds_per_seed: Mapping[str, float]) -> Expected:
    """Return what ``run`` is expected to take: as long as the last time in the folder ``collection``.

    If it has not been run there: ``START_S``, and per seed what ``seconds_per_seed`` has for its path or its notebook,
    otherwise 1 s.
    """
    folder, n_trainings = collection / run.path, run.parameters.get("n_seeds", 1)
    per_seed = seconds_per_seed.get(run.path, seconds_per_seed.get(f"{run.assignment}/{run.notebook}", 1.0))
    try:
        record = read_record(folder)
    except UserError:
        record = None
    seconds = max(record["seconds"], 1.0) if record else START_S + n_trainings * per_seed
    return Expected(seconds, folder, n_trainings)


class Estimator:
    """Estimate the time left of a build whose runs differ in what they take.

    ``expected`` holds seconds by the path of a run. Times are in seconds, from any one clock.
    """

    def __init__(self, expected: Mapping[str, float]) -> None:
        self.expected = expected
        self.running: dict[str, float] = {}
        self.took: dict[str, float] = {}
        self.failed: set[str] = set()
        self.parallel = 1

    def start(self, path: str, now: float) -> None:
        """Note that a run has started; one that failed may start again."""
        self.failed.discard(path)
        self.running[path] = now
        self.parallel = max(self.parallel, len(self.running))

    def end(self, path: str, now: float, failed: bool = False) -> float:
        """Note that a run has ended, and return what it took. What a failed one took says nothing about the others."""
        seconds = now - self.running.pop(path)
        if failed:
            self.failed.add(path)
        else:
            self.took[path] = seconds
        return seconds

    def seconds_left(self, now: float, fractions: Mapping[str, float]) -> float | None:
        """Return the seconds until the last run ends; None before any run has finished or reported.

        ``fractions`` says how much of a running run's trainings is done, for those that report it. A run takes what was
        expected, times the ratio of true to expected seconds in the runs of its notebook, or in all if none is known.
        As many runs go on at once as have done so far, and no run ends before its own time is over.
        """
        running = dict(self.running)  # another thread may start and end runs meanwhile
        known = self.took | {
            path: START_S + max(now - running[path] - START_S, 0) / fraction
            for path, fraction in fractions.items()
            if path in running and fraction > 0
        }
        true, expected = defaultdict[str, float](float), defaultdict[str, float](float)  # by notebook; "" is all
        for path in known.keys() & self.expected.keys():
            for group in ("", _notebook(path)):
                true[group] += known[path]
                expected[group] += self.expected[path]
        if not true:
            return None
        left = [0.0]
        for path in self.expected.keys() - self.took.keys() - self.failed:
            group = _notebook(path) if _notebook(path) in true else ""
            seconds = known.get(path, self.expected[path] * true[group] / expected[group])
            left.append(max(seconds - (now - running.get(path, now)), 0.0))
        return max(sum(left) / self.parallel, *left)


def _notebook(path: str) -> str:
    return "/".join(path.split("/")[:2])
