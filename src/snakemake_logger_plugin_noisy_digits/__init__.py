"""Snakemake's progress in plain lines: which run ended, how many are done, which are going, how long is left.

Snakemake's own lines name jobs by number and give no time. snakemake-logger-plugin-rich, the published one nearest to
this, does not say which runs are going and prints a failed run's whole notebook, which is its log.
"""

import logging
import sys
import time

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from noisy_digits.progress import duration

NOTHING = "Nothing to be done"
NOTEBOOK = "notebook.ipynb"
"""A run's own log, which its page shows."""
NAMED = 4
"""So many of the runs that are going are named; a cluster may have hundreds."""


class LogHandler(LogHandlerBase):
    """One line on standard error for each run that ends; warnings and errors as Snakemake says them."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Begin with no run known; where a disk is full, Snakemake's log on it shall not hide these lines."""
        logging.raiseExceptions = False
        self.total = 0
        self.ended: set[int] = set()
        self.began = time.monotonic()
        self.going: dict[int, tuple[str, float]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print what a record says."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.total = sum(count for rule, count in record.stats.items() if rule not in ("all", "total"))
        elif event == LogEvent.JOB_INFO:
            name = record.wildcards.get("run", record.rule_name)
            self.going[record.jobid] = name, time.monotonic()
            self.ended.discard(record.jobid)  # it failed, and is tried again
            if name != "all":
                print(f"[{len(self.ended)}/{self.total}] {name} begins", file=sys.stderr, flush=True)
        elif event == LogEvent.JOB_FINISHED:
            self._ended(record.job_id, "")
        elif event == LogEvent.JOB_ERROR:
            elsewhere = [log for log in record.log if not log.endswith(NOTEBOOK)]  # what a cluster's job said
            self._ended(record.jobid, "FAILED ", f", see {', '.join(elsewhere)}" if elsewhere else "")
        elif record.levelno >= logging.WARNING or record.getMessage().startswith(NOTHING):
            print(self.format(record), file=sys.stderr, flush=True)

    def _ended(self, job: int, mark: str, said_in: str = "") -> None:
        name, started = self.going.pop(job, ("all", 0.0))
        if name == "all":
            return
        now = time.monotonic()
        self.ended.add(job)
        done = len(self.ended)
        line = f"[{done}/{self.total}] {mark}{name} in {duration(now - started)}{said_in}"
        if self.going:
            first = [name for name, _ in list(self.going.values())[:NAMED]]
            more = len(self.going) - len(first)
            line += f"; going: {', '.join(first)}{f' and {more} more' if more else ''}"
        if left := self.total - done:
            line += f"; {left} left, {duration((now - self.began) / done * left)} if they are like those done"
        print(line, file=sys.stderr, flush=True)
