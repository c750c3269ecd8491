"""Show on a terminal how far a build is: a bar, and under it the runs that are going."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from noisy_digits.formatting import format_duration

STDERR = 2
REFRESH_PER_S = 2
SUMMARY_WIDTH = 32
"""Of the numbers next to the bar, at least; the bar keeps its length while they change."""
GRACE_S = 1
"""How long a stopped display waits for the last lines of processes that are ending."""


@dataclass(frozen=True)
class State:
    """How far a build is: jobs ended, failed and in all, seconds gone and left, and what is running.

    ``running`` has a job's name, its seconds and how far it is.
    """

    ended: int
    failed: int
    total: int
    seconds: float
    seconds_left: float | None
    running: list[tuple[str, float, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the bar and the lines of the running jobs."""
        summary = Text(f"{self.ended}/{self.total}")
        if self.failed:
            summary.append(f", {self.failed} failed", "bold red")
        summary.append(f", {format_duration(self.seconds)}")
        if self.seconds_left:
            summary.append(f", about {format_duration(self.seconds_left)} left")
        top = Table.grid(padding=(0, 1), expand=True)
        top.add_column(ratio=1)
        top.add_column(no_wrap=True, min_width=SUMMARY_WIDTH)
        top.add_row(ProgressBar(max(self.total, 1), self.ended), summary)
        yield top
        longest = max((len(progress) for _, _, progress in self.running), default=0)
        space = max(options.max_width - longest - 14, 8)
        for name, seconds, progress in self.running:
            shown = name if len(name) <= space else f"…{name[1 - space :]}"  # names differ at their ends
            line = f"  {shown:{space}}  {format_duration(seconds):>8}  {progress}"
            yield Text(line, no_wrap=True, overflow="ellipsis")


class Display:
    """Keep the state of a build at the bottom of the terminal, under the lines that anything prints to standard error.

    Until ``close``, the standard error of this process and of those it starts is a pipe whose lines are printed above
    the state, except those that ``is_shown`` says are part of it.
    """

    def __init__(self, console: Console, get_state: Callable[[], State], is_shown: Callable[[str], bool]) -> None:
        self.live = Live(
            get_renderable=get_state,
            console=console,
            refresh_per_second=REFRESH_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.is_shown = is_shown
        reading, writing = os.pipe()
        os.dup2(writing, STDERR)
        os.close(writing)
        self.reader = threading.Thread(target=self._print_lines, args=(reading,), daemon=True)
        self.reader.start()
        self.live.start(refresh=True)

    def close(self) -> None:
        """Leave the last state in view, and give the terminal back."""
        os.dup2(self.live.console.file.fileno(), STDERR)
        self.reader.join(GRACE_S)
        self.live.stop()

    def _print_lines(self, reading: int) -> None:
        with open(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not self.is_shown(line):
                    self.live.console.print(Text.from_ansi(line.rstrip("\n")))


def open_terminal() -> Console | None:
    """Return a console for standard error; None if it is no terminal, or one that cannot move its cursor."""
    if not sys.stderr.isatty():
        return None
    console = Console(file=os.fdopen(os.dup(STDERR), "w", encoding=sys.stderr.encoding, errors="replace"))
    return console if console.is_terminal and not console.is_dumb_terminal else None
