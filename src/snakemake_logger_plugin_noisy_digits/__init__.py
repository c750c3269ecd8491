"""Print Snakemake's progress in plain lines: what finished, how much is done, what is running, how long is left.

Snakemake's own lines name jobs by number and give no time. The published snakemake-logger-plugin-rich, the closest
alternative, does not name the running jobs and prints the whole notebook of a failed run, which is its log.
"""

import logging
import sys
import time
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from noisy_digits.formatting import format_duration

NOTHING_TO_DO = "Nothing to be done"
NOTEBOOK = "notebook.ipynb"
"""The log of a run, which its page shows."""
TARGET = "all"
"""The rule that makes nothing itself."""
MAX_NAMED = 4
"""Running jobs named per line; a cluster may have hundreds."""


class LogHandler(LogHandlerBase):
    """Print one line per job to standard error when it starts and when it ends, and Snakemake's warnings and errors."""

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
        self.running: dict[int, tuple[str, float]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line for a record, if it is worth one."""
        job: Any = record  # an event of a job has more attributes
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.total = sum(count for rule, count in job.stats.items() if rule not in (TARGET, "total"))
        elif event == LogEvent.JOB_INFO:
            self._start(job.jobid, job.wildcards.get("run", job.rule_name))
        elif event == LogEvent.JOB_FINISHED:
            self._end(job.job_id, "finished in")
        elif event == LogEvent.JOB_ERROR:
            logs = [log for log in job.log if not log.endswith(NOTEBOOK)]  # what a cluster's job printed
            self._end(job.jobid, "FAILED after", f", see {', '.join(logs)}" if logs else "")
        elif record.levelno >= logging.WARNING or record.getMessage().startswith(NOTHING_TO_DO):
            _print(self.format(record))

    def _start(self, job: int, name: str) -> None:
        self.running[job] = name, time.monotonic()
        self.finished.discard(job)  # a failed job is retried
        if name != TARGET:
            _print(f"[{len(self.finished)}/{self.total}] {name} started")

    def _end(self, job: int, verb: str, where: str = "") -> None:
        name, started = self.running.pop(job, (TARGET, 0.0))
        if name == TARGET:
            return
        self.finished.add(job)
        took = format_duration(time.monotonic() - started)
        _print(f"[{len(self.finished)}/{self.total}] {name} {verb} {took}{where}{self._running()}{self._remaining()}")

    def _running(self) -> str:
        if not self.running:
            return ""
        named = [name for name, _ in list(self.running.values())[:MAX_NAMED]]
        more = len(self.running) - len(named)
        return f"; running: {', '.join(named)}" + (f" and {more} more" if more else "")

    def _remaining(self) -> str:
        done = len(self.finished)
        if done >= self.total:
            return ""
        seconds = (time.monotonic() - self.started) / done * (self.total - done)
        return f"; {self.total - done} left, about {format_duration(seconds)}"


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
