"""The display of a build on a terminal."""

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console

from snakemake_logger_plugin_noisy_digits.display import State, open_terminal
from tests.conftest import MEASURE, MEASURE_PARAMETERS, environment, write_notebook

TRAIN = """\
import time
from noisy_digits._environment import log_epoch
for epoch in range(1, 4):
    time.sleep(1)
    log_epoch(epoch, 3, "CPU")
if scale == 0.5 and learning_rate == 1.0:
    raise RuntimeError("the toy broke")
"""
BUILD = ("build", "--dataset", "digits", "--profile", "quick", "--cores", "2")
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
COLOR = r"\x1b\[[\d;]*m"
TOKEN = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")
PRINT = """\
import os, sys
from rich.console import Console
from snakemake_logger_plugin_noisy_digits.display import Display, State
console = Console(file=os.fdopen(os.dup(2), "w"), force_terminal=True, width=100)
display = Display(console, lambda: State(0, 0, 1, 0.0, None, []), lambda line: line.startswith("shown"))
print("shown already", file=sys.stderr)
os.system("echo printed by another process >&2; echo shown, too >&2")
display.close()
print("printed after the end", file=sys.stderr)
"""
STATE = State(
    3, 1, 90, 60.0, 125.0, [("a/2_train/" + "x" * 60 + "~0.5", 41.0, "training 2 of 5, epoch 3 of 12"), ("b", 3, "")]
)


def take_terminal():
    """Make standard input the terminal of this process, and Ctrl-C interrupt it: a background shell ignores that."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def build_on_terminal(root, interrupt_at=None):
    """Build in ``root`` on a terminal of 100 columns; return the exit status and what it received, without colors.

    Ctrl-C is pressed as soon as it has received ``interrupt_at``.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "noisy_digits", *BUILD],
        cwd=root,
        env={key: value for key, value in environment().items() if key not in ("COLUMNS", "LINES")} | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    received = b""
    try:
        while data := os.read(ours, 65536):
            received += data
            if interrupt_at and interrupt_at in received:
                os.write(ours, b"\x03")
                interrupt_at = None
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return process.wait(), re.sub(COLOR, "", received.decode())


def lines_in_view(received):
    """Return the lines with text of a terminal that understands what is written: text, cursor up and erase line.

    How many empty lines there are depends on when the last state is drawn.
    """
    lines, row = [""], 0
    for token in TOKEN.finditer(received):
        if token[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif token[2] == "A":
            row -= int(token[1] or 1)
        elif token[2] == "K":
            lines[row] = ""
        elif not token[2] and token[0] != "\r":
            lines[row] += token[0]
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.slow
def test_a_build_on_a_terminal_shows_a_bar_running_runs_with_epochs_and_leaves_failed_ones_in_view(toy):
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, TRAIN + MEASURE)
    status, received = build_on_terminal(toy)
    assert status == 1
    assert re.search(r"━ .*0/6, ", received)
    assert re.search(r"  toy/1_measure/recipe~corrected/scale~0\.5 +\d+ s  training 1 of 1, epoch [123] of 3", received)
    assert re.search(r"about \d+ s left", received)
    assert received.rindex(SHOW_CURSOR) > received.rindex(HIDE_CURSOR)
    *above, bar = lines_in_view(received)
    assert re.fullmatch(r"[━╸╺]+ 4/6, 1 failed, \d+ s", bar)
    failed = "toy/1_measure/recipe~corrected/scale~0.5"
    assert [line for line in above if re.fullmatch(rf"\[\d/6\] {failed} FAILED after \d+ s", line)]
    assert f"noisy-digits: {failed}: cell 4 failed: RuntimeError: the toy broke" in above
    assert not [line for line in above if "━" in line]
    assert not list(toy.glob("results/**/.progress"))


def test_ctrl_c_ends_the_display_with_the_last_state_in_view(toy):
    write_notebook(
        toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, f"import time\ntime.sleep(999)\n{MEASURE}"
    )
    status, received = build_on_terminal(toy, interrupt_at=b"toy/1_measure")
    assert status != 0
    assert "Traceback" not in received
    assert received.rindex(SHOW_CURSOR) > received.rindex(HIDE_CURSOR)
    assert re.search("━ .*/6", lines_in_view(received)[-1])


@pytest.mark.parametrize("width", [20, 60, 100])
def test_state_fits_the_terminal_and_keeps_the_ends_of_names(width):
    console = Console(file=io.StringIO(), width=width)
    console.print(STATE)
    bar, first, second = console.file.getvalue().splitlines()
    assert max(map(len, (bar, first, second))) <= width
    assert "…" in first
    if width >= 60:
        assert "~0.5" in first
        assert first.endswith("    41 s  training 2 of 5, epoch 3 of 12")
        assert bar.endswith("3/90, 1 failed, 60 s, about 2 min left")
        assert second.split() == ["b", "3", "s"]


def test_display_prints_lines_of_all_processes_above_the_state_unless_it_shows_them():
    done = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, check=True)
    received = re.sub(COLOR, "", done.stderr.decode())
    first, bar, last = lines_in_view(received)
    assert (first, last) == ("printed by another process", "printed after the end")
    assert bar.endswith("0/1, 0 s")
    assert "shown" not in received


def test_open_terminal_wants_one_that_moves_its_cursor(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours):
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr("snakemake_logger_plugin_noisy_digits.display.STDERR", theirs)
        monkeypatch.setenv("TERM", "xterm")
        assert open_terminal() is not None
        monkeypatch.setenv("TERM", "dumb")
        assert open_terminal() is None
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert open_terminal() is None
