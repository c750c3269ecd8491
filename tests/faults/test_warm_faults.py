"""The warm process of a build under all that can happen to a process: runs start cold, and nothing is left of it."""

import contextlib
import os
import random
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from noisy_digits import _environment
from noisy_digits.pipeline import warm
from tests.conftest import (
    MEASURE,
    MEASURE_PARAMETERS,
    PATIENCE_S,
    build,
    contents,
    environment,
    noisy_digits,
    start,
    warm_processes,
    write_notebook,
)

from .test_faults import of_project

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems start every run cold"),
]
ONLY_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only the superuser can become somebody else")
NOBODY = 65534
POINTS = [
    f"toy/1_measure/recipe~{recipe}/scale~{scale}" for recipe in ("as_submitted", "corrected") for scale in (0.5, 2.0)
]
OPTIONS = ("--dataset", "digits", "--profile", "quick")

HOLD = f"""
import os, subprocess, sys
from noisy_digits.pipeline.warm import start_server
start_server([])
print(os.environ["{_environment.WARM}"], flush=True)
for command in sys.stdin:
    subprocess.Popen([sys.executable, "-m", "noisy_digits", *command.split()], stderr=subprocess.DEVNULL)
"""


@dataclass(frozen=True)
class Held:
    """A process that keeps a warm one and starts commands, as a build does; the warm one, and its address."""

    build: subprocess.Popen
    server: psutil.Process
    address: str


@pytest.fixture
def held(toy, monkeypatch):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    build = subprocess.Popen([sys.executable, "-c", HOLD], cwd=toy, env=environment(), **pipes)
    announced = build.stdout.readline().strip()
    monkeypatch.setenv(_environment.WARM, announced)
    while not (servers := warm_processes(psutil.Process(build.pid).children())):
        time.sleep(0.01)
    yield Held(build, servers[0], announced.rpartition("-")[0])
    build.kill()
    build.communicate()
    wait_for_the_end_of(servers)


def is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_the_end_of(processes):
    deadline = time.monotonic() + PATIENCE_S
    while alive := [process for process in processes if is_alive(process)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def run(toy):
    """Run one point of the toy project; return what it printed to standard error."""
    done = noisy_digits(toy, "run", POINTS[0], *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert list(toy.glob("results/**/metrics.json"))
    return done.stderr


@contextlib.contextmanager
def limit(process, controller, name, value):
    """Put a process into a control group with a limit."""
    group = Path("/sys/fs/cgroup", controller, "noisy-digits-warm")
    try:
        group.mkdir()
        (group / name).write_text(str(value))
    except OSError:
        pytest.skip("only the superuser can limit a process, through control groups of version 1")
    (group / "cgroup.procs").write_text(str(process.pid))
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        while (group / "cgroup.procs").read_text():
            time.sleep(0.1)
        group.rmdir()


def test_a_warm_process_that_is_stopped_is_waited_for_once_and_ended(toy, held, monkeypatch, capfd):
    held.server.suspend()
    monkeypatch.setattr(warm, "START_PATIENCE_S", 1)
    assert warm.run_warm(["check"]) is None
    assert "the build's warm process is gone (timed out); this run starts cold" in capfd.readouterr().err
    assert "Connection refused); this run starts cold" in run(toy)
    wait_for_the_end_of([held.server])


def test_runs_start_cold_when_memory_runs_out_in_the_warm_process(toy, held):
    with limit(held.server, "memory", "memory.limit_in_bytes", 10_000_000):
        printed = [run(toy), run(toy)]
    assert "this run starts cold" in printed[0]
    assert "Connection refused); this run starts cold" in printed[1]


@pytest.mark.parametrize("n_processes", [1, 2])
def test_runs_start_cold_when_the_warm_process_cannot_be_forked(toy, held, n_processes):
    """With two processes the fork of a command can be made, but not that of its kernel."""
    with limit(held.server, "pids", "pids.max", n_processes):
        for _ in range(2):
            assert "the build's warm process is gone (it does not answer); this run starts cold" in run(toy)


def test_a_request_that_is_none_costs_nothing(toy, held):
    assert run(toy) == ""
    for message in (b"{", b"[]", b'{"arguments": 3}', secrets.token_bytes(1000), b""):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(f"\0{held.address}")
            connection.send(message)
    assert run(toy) == ""
    wait_for_the_end_of(held.server.children(recursive=True))


def test_a_run_with_an_environment_that_does_not_fit_starts_cold(toy, held, monkeypatch):
    for name in ("FIRST", "SECOND", "THIRD"):
        monkeypatch.setenv(name, "x" * 100_000)
    assert "Message too long); this run starts cold" in run(toy)


def test_there_is_no_file_of_the_socket_to_remove(toy, held):
    run(toy)
    assert f"@{held.address}" in Path("/proc/net/unix").read_text().split()
    assert not [path for path in toy.rglob("*") if path.is_socket()]


STRANGER = f"""
import os, socket, sys
os.setgid({NOBODY})
os.setuid({NOBODY})
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
    connection.connect("\\0" + sys.argv[1])
    socket.send_fds(connection, [b'{{"arguments": ["check"], "cwd": "/", "env": {{}}}}'], [1, 2])
    print(connection.recv(100))
"""


@ONLY_ROOT
def test_another_user_gets_no_fork(toy, held):
    asked = subprocess.run([sys.executable, "-c", STRANGER, held.address], capture_output=True, text=True)
    assert asked.stdout == "b''\n" or "Connection reset by peer" in asked.stderr
    assert run(toy) == ""


TAKE = f"""
import os, socket, sys
os.setgid({NOBODY})
os.setuid({NOBODY})
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
    listener.bind("\\0" + sys.argv[1])
    listener.listen()
    print("taken", flush=True)
    connection, _ = listener.accept()
    print(connection.recv(2**20), flush=True)
"""


@ONLY_ROOT
def test_an_address_that_another_user_takes_is_told_nothing(toy, held):
    held.server.kill()
    wait_for_the_end_of([held.server])
    taker = subprocess.Popen([sys.executable, "-c", TAKE, held.address], stdout=subprocess.PIPE, text=True)
    assert taker.stdout.readline() == "taken\n"
    assert "it belongs to somebody else); this run starts cold" in run(toy)
    assert taker.communicate(timeout=PATIENCE_S)[0] == "b''\n"


@pytest.mark.parametrize("moment", [0, 0.3, 1, 3, 6])
def test_nothing_survives_a_build_that_is_killed_outright(toy, held, moment):
    """Before the warm process has imported anything, while it does and runs wait for it, and while notebooks run."""
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, "import time\ntime.sleep(1000)")
    for point in POINTS:
        print("run", point, *OPTIONS, "--of-build", file=held.build.stdin, flush=True)
    time.sleep(moment)
    held.build.kill()
    held.build.wait()
    wait_for_the_end_of(of_project(toy))
    wait_for_the_end_of(of_project(toy))  # nor does what was being started
    assert not is_alive(held.server)


def test_a_warm_process_that_is_stopped_when_its_build_is_killed_ends_when_it_goes_on(held):
    held.server.suspend()
    held.build.kill()
    held.build.wait()
    assert held.server.is_running()
    held.server.resume()
    wait_for_the_end_of([held.server])


def test_nothing_survives_twenty_kills_of_a_build_and_the_next_one_finishes(toy, built_once):
    rng = random.Random(0)
    for _ in range(20):
        first = start(toy)
        time.sleep(rng.uniform(0, 8))
        first.kill()
        first.wait()
        wait_for_the_end_of(of_project(toy))
    assert build(toy).returncode == 0
    assert contents(toy) == contents(built_once)


FORK = "import os, time\nif os.fork() == 0:\n    time.sleep({seconds})\n    os._exit(0)\n"


@pytest.mark.parametrize("start_cold", [False, True])
def test_what_a_notebook_forks_ends_with_its_run(toy, built_once, start_cold):
    cell = FORK.format(seconds=2 * PATIENCE_S)
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, f"{cell}{MEASURE}")
    if start_cold:
        run(toy)
    else:
        assert build(toy).returncode == 0
        assert contents(toy) == contents(built_once)
    wait_for_the_end_of(of_project(toy))
