"""Show Snakemake's progress: what failed, how much is done, what is running, how long is left.

On a terminal this is a display; elsewhere plain lines, one when a job starts and one when it ends. Snakemake's own
lines name jobs by number and give no time. The published snakemake-logger-plugin-rich, the closest alternative, does
not name the running jobs and prints the whole notebook of a failed run, which is its log.
"""

import contextlib
import logging
import sys
import time
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from noisy_digits._environment import read_epochs
from noisy_digits.formatting import format_duration
from noisy_digits.pipeline.estimate import EXPECTED, Estimator, Expected
from noisy_digits.pipeline.progress import PROGRESS_FILE, format_epochs, fraction_done
from snakemake_logger_plugin_noisy_digits.display import Display, State, open_terminal

NOTHING_TO_DO = "Nothing to be done"
NOTEBOOK = "notebook.ipynb"
"""The log of a run, which its page shows."""
TARGET = "all"
"""The rule that makes nothing itself."""
MAX_NAMED = 4
"""Running jobs named per line; a cluster may have hundreds."""
FAILED = "FAILED after"


class LogHandler(LogHandlerBase):
    """Show the state of the build on a terminal; elsewhere print a line when a job starts and when it ends.

    Failures and Snakemake's warnings and errors are lines in both.
    """

    @property
    def writes_to_stream(self) -> bool:
        """Write to standard error."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Write no file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Choose the records in ``emit``."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Use Snakemake's formatter for its warnings and errors."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """Use no graph of the rules."""
        return False

    def __post_init__(self) -> None:
        """Start without jobs. On a full disk Snakemake's own log fails; that must not hide these lines."""
        logging.raiseExceptions = False
        self.total = 0
        self.finished: set[int] = set()
        self.started = time.monotonic()
        self.running: dict[int, str] = {}
        self.expected: dict[str, Expected] = {}
        self.estimator = Estimator({})
        self.display: Display | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line for a record, if it is worth one."""
        job: Any = record  # an event of a job has more attributes
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.total = sum(count for rule, count in job.stats.items() if rule not in (TARGET, "total"))
            if console := open_terminal():
                self.display = Display(console, self._state, self._is_shown)
        elif event == EXPECTED:
            self.expected = job.runs
            self.estimator = Estimator({path: run.seconds for path, run in self.expected.items()})
        elif event == LogEvent.JOB_INFO:
            self._start(job.jobid, job.wildcards.get("run", job.rule_name))
        elif event == LogEvent.JOB_FINISHED:
            self._end(job.job_id, "finished in")
        elif event == LogEvent.JOB_ERROR:
            logs = [log for log in job.log if not log.endswith(NOTEBOOK)]  # what a cluster's job printed
            self._end(job.jobid, FAILED, f", see {', '.join(logs)}" if logs else "")
        elif record.levelno >= logging.WARNING or record.getMessage().startswith(NOTHING_TO_DO):
            _print(self.format(record))

    def close(self) -> None:
        """End the display."""
        if self.display:
            self.display.close()
            self.display = None
        super().close()

    def _start(self, job: int, name: str) -> None:
        self.finished.discard(job)  # a failed job is retried
        if name == TARGET:
            return
        self.running[job] = name
        self.estimator.start(name, time.monotonic())
        if not self.display:
            _print(f"[{len(self.finished)}/{self.total}] {name} started")

    def _end(self, job: int, verb: str, where: str = "") -> None:
        if job not in self.running:
            return
        name = self.running.pop(job)
        self.finished.add(job)
        took = format_duration(self.estimator.end(name, time.monotonic(), failed=verb == FAILED))
        line = f"[{len(self.finished)}/{self.total}] {name} {verb} {took}{where}"
        if not self.display:
            _print(f"{line}{self._running()}{self._left()}")
        elif verb == FAILED:
            _print(line)

    def _running(self) -> str:
        if not self.running:
            return ""
        named = list(self.running.values())[:MAX_NAMED]
        more = len(self.running) - len(named)
        return f"; running: {', '.join(named)}" + (f" and {more} more" if more else "")

    def _left(self) -> str:
        left = self.total - len(self.finished)
        seconds = self.estimator.seconds_left(time.monotonic(), self._fractions(self._epochs()))
        if not left:
            return ""
        return f"; {left} left, about {format_duration(seconds)}" if seconds else f"; {left} left"

    def _state(self) -> State:
        now, epochs = time.monotonic(), self._epochs()
        running = [
            (
                name,
                now - started,
                format_epochs(epochs[name], self.expected[name].n_trainings) if name in epochs else "",
            )
            for name, started in list(self.estimator.running.items())
        ]
        left = self.estimator.seconds_left(now, self._fractions(epochs)) if running else None
        return State(len(self.finished), len(self.estimator.failed), self.total, now - self.started, left, running)

    def _epochs(self) -> dict[str, list[dict[str, Any]]]:
        """Return the finished epochs of the running runs; a run on another machine may not show them."""
        epochs = {}
        for name in list(self.running.values()):
            with contextlib.suppress(KeyError, OSError, ValueError):
                epochs[name] = read_epochs(self.expected[name].folder / PROGRESS_FILE)
        return {name: finished for name, finished in epochs.items() if finished}

    def _fractions(self, epochs: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
        return {name: fraction_done(finished, self.expected[name].n_trainings) for name, finished in epochs.items()}

    def _is_shown(self, line: str) -> bool:
        """Return True if a line of a run says how far it is."""
        return line.partition(": ")[0] in self.estimator.running


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
