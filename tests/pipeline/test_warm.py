"""Runs that start as forks of a preloaded process: they give what cold ones give, and leave nothing behind."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import psutil
import pytest

from noisy_digits import _environment
from noisy_digits.pipeline import warm
from tests.conftest import (
    MEASURE,
    MEASURE_PARAMETERS,
    PATIENCE_S,
    REPOSITORY,
    build,
    contents,
    environment,
    kernels_among,
    noisy_digits,
    start,
    warm_processes,
    write_notebook,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems start every run cold")
POINTS = [(recipe, scale) for recipe in ("as_submitted", "corrected") for scale in (0.5, 2.0)]


def measure_with(root, *lines):
    """Give the measuring notebook of the toy project further lines before it measures."""
    write_notebook(root / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, "\n".join([*lines, MEASURE]))


def find_outputs(root):
    """Return the outputs of each executed notebook of the toy project's measuring notebook."""
    found = []
    for path in root.glob("results/**/1_measure/**/notebook.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        found.append([output for cell in cells for output in cell.get("outputs", [])])
    return found


def warm_in(root):
    """Return the living processes that began as a warm one of a build in ``root``."""
    return [process for process in warm_processes(psutil.process_iter()) if is_in(root, process)]


def is_in(root, process):
    try:
        return str(root) in process.cwd() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def test_a_build_is_warm_and_gives_the_bytes_of_cold_runs(toy, built_once):
    measure_with(toy, "import sys", "print('preloaded' if 'papermill' in sys.modules else 'cold')")
    for recipe, scale in POINTS:
        path = f"toy/1_measure/recipe~{recipe}/scale~{scale}"
        done = noisy_digits(toy, "run", path, "--dataset", "digits", "--profile", "quick")
        assert done.returncode == 0, done.stderr
    cold = contents(toy)
    assert ["".join(outputs[0]["text"]) for outputs in find_outputs(toy)] == ["cold\n"] * len(POINTS)
    done = build(toy, "--fresh")
    assert done.returncode == 0, done.stderr
    assert ["".join(outputs[0]["text"]) for outputs in find_outputs(toy)] == ["preloaded\n"] * len(POINTS)
    warmed = contents(toy)
    assert {path: content for path, content in warmed.items() if path in cold} == cold
    assert "cold" not in done.stderr


TRACES = {
    "environment": ("'TRACE' not in os.environ", "os.environ['TRACE'] = '1'"),
    "folder": ("os.getcwd() != '/'", "os.chdir('/')"),
    "path of modules": ("'/trace' not in sys.path", "sys.path.insert(0, '/trace')"),
    "module": ("'trace' not in sys.modules", "sys.modules['trace'] = sys"),
    "global of a module": ("not hasattr(results, 'trace')", "results.trace = 1"),
    "function of a module": ("results.save_arrays is not print", "results.save_arrays = print"),
    "figures": ("matplotlib.rcParams['figure.dpi'] != 7", "matplotlib.rcParams['figure.dpi'] = 7"),
    "precision": ("keras.config.floatx() == 'float32'", "keras.config.set_floatx('float64')"),
    "overflows": ("np.geterr()['over'] == 'warn'", "np.seterr(over='ignore')"),
    "random numbers": ("random.getstate() != random.Random(7).getstate()", "random.seed(7)"),
    "warnings": ("warnings.filters[0][0] != 'error'", "warnings.simplefilter('error', BytesWarning)"),
    "log": ("logging.root.level != 7", "logging.root.setLevel(7)"),
    "signal": ("signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL", "signal.signal(signal.SIGUSR1, print)"),
    "rights of new files": ("os.umask(0o22) != 0o77", "os.umask(0o77)"),
    "priority": ("os.getpriority(os.PRIO_PROCESS, 0) < 19", "os.nice(19)"),
    "limit": ("resource.getrlimit(resource.RLIMIT_CORE)[0] != 7", "resource.setrlimit(resource.RLIMIT_CORE, (7, 7))"),
    "open files": ("len(os.listdir('/proc/self/fd')) < 77", "opened = [os.open('/dev/null', 0) for _ in range(77)]"),
    "thread": ("'Timer' not in str(threading.enumerate())", "threading.Timer(1e6, print).start()"),
    "fork": ("not hasattr(sys, 'forked')", "sys.forked = os.fork() or os._exit(7)"),
}
"""What a notebook may change: an expression that is true before, and a statement after which it is not."""
MODULES = "import logging, os, random, resource, signal, sys, threading, warnings, keras, matplotlib, numpy as np"


def test_a_notebook_leaves_no_trace_in_the_next(toy):
    checks = [f"assert {check}, {name!r}" for name, (check, _) in TRACES.items()]
    measure_with(toy, MODULES, *checks, *(change for _, change in TRACES.values()))
    done = build(toy, "--cores", "1")
    assert done.returncode == 0, done.stderr
    assert "cold" not in done.stderr


def test_no_two_notebooks_draw_the_same_unseeded_numbers(toy):
    measure_with(toy, "import random, numpy as np", "print(random.random(), np.random.rand())")
    assert build(toy).returncode == 0
    drawn = [number for outputs in find_outputs(toy) for number in "".join(outputs[0]["text"]).split()]
    assert len(set(drawn)) == len(drawn) == 2 * len(POINTS)


@pytest.mark.slow
def test_a_figure_of_pyplot_is_shown(toy):
    measure_with(toy, "import matplotlib.pyplot as plt", "plt.plot([1, 2])", "plt.show()")
    build(toy)  # whose pages name it instead, as it has no alternative text
    shown = [any("image/png" in output.get("data", {}) for output in outputs) for outputs in find_outputs(toy)]
    assert shown == [True] * len(POINTS)


@pytest.mark.slow
def test_a_module_that_starts_a_thread_makes_runs_start_cold_and_say_why(toy, monkeypatch):
    modules = toy / "modules"
    modules.mkdir()
    (modules / "restless.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=[1e6], daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(modules))
    measure_with(toy, "import restless")
    done = build(toy)
    assert done.returncode == 0, done.stderr
    assert "an imported module has started a thread); this run starts cold" in done.stderr


@pytest.mark.slow
def test_more_commands_than_processors_wait_for_the_imports_and_start_warm(toy, monkeypatch):
    modules = toy / "modules"
    modules.mkdir()
    (modules / "slow.py").write_text("import time\ntime.sleep(5)\n")
    monkeypatch.setenv("PYTHONPATH", str(modules))
    measure_with(toy, "import slow")
    description = (toy / "params/toy.yml").read_text()
    (toy / "params/toy.yml").write_text(description.replace("[0.5, 2.0]", "[0.5, 2.0, 3.0, 4.0, 5.0, 6.0]"))
    done = build(toy, "--cores", "12")
    assert done.returncode == 0, done.stderr
    assert "cold" not in done.stderr


@pytest.mark.slow
def test_a_package_that_is_edited_during_a_build_is_imported_anew(toy, tmp_path):
    package = shutil.copytree(REPOSITORY / "src/noisy_digits", tmp_path / "src/noisy_digits")
    edit = f"if scale == 0.5: open({str(package / 'results.py')!r}, 'a').write('# edited')"
    measure_with(toy, edit)
    command = [sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick", "--cores=1"]
    variables = environment() | {"PYTHONPATH": str(package.parent)}
    done = subprocess.run(command, cwd=toy, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "the package has changed since it was imported); this run starts cold" in done.stderr


@pytest.mark.slow
def test_a_module_that_cannot_be_imported_fails_only_its_own_runs(toy):
    measure_with(toy, "if scale == 0.5:", "    import nonsense")
    done = build(toy)
    assert done.returncode != 0
    assert "No module named 'nonsense'" in done.stderr
    assert len(list(toy.glob("results/**/1_measure/**/metrics.json"))) == 2


@pytest.mark.faults
@pytest.mark.parametrize("stop", ["kill", "terminate"])
def test_a_build_goes_on_cold_when_its_warm_process_ends(toy, stop):
    measure_with(toy, "import time", "time.sleep(2)")
    going = start(toy, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_S
    while not kernels_among(psutil.Process(going.pid).children(recursive=True)) and time.monotonic() < deadline:
        time.sleep(0.05)
    (first,) = warm_processes(psutil.Process(going.pid).children())
    getattr(first, stop)()
    _, printed = going.communicate(timeout=PATIENCE_S)
    assert going.returncode == 0, printed
    assert "this run starts cold" in printed
    assert len(list(toy.glob("results/**/metrics.json"))) == len(POINTS) + 1


@pytest.mark.faults
def test_a_command_that_is_killed_takes_its_fork_and_its_kernel_with_it(toy):
    measure_with(toy, "import time", "time.sleep(1000)")
    going = start(toy)
    deadline = time.monotonic() + PATIENCE_S
    while len(kernels_among(warm_in(toy))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    kernels = kernels_among(warm_in(toy))
    assert len(kernels) == 2
    for command in psutil.Process(going.pid).children():
        if "run" in command.cmdline():
            command.kill()
    _, alive = psutil.wait_procs(kernels, timeout=PATIENCE_S)
    assert not alive
    going.kill()
    going.wait()
    _, alive = psutil.wait_procs(warm_in(toy), timeout=PATIENCE_S)
    assert not alive


@pytest.mark.slow
def test_nothing_of_the_warm_process_is_left_after_a_build(toy):
    done = build(toy)
    assert done.returncode == 0
    assert "cold" not in done.stderr
    _, alive = psutil.wait_procs(warm_in(toy), timeout=PATIENCE_S)
    assert not alive


def test_a_command_whose_warm_process_is_gone_runs_cold(monkeypatch, capfd):
    monkeypatch.setenv(_environment.WARM, f"noisy-digits-{os.getpid()}-nobody-0")
    assert warm.run_warm(["check"]) is None
    assert "the build's warm process is gone" in capfd.readouterr().err
    monkeypatch.delenv(_environment.WARM)
    assert warm.run_warm(["check"]) is None
    assert not capfd.readouterr().err


def test_a_socket_that_somebody_else_has_taken_is_not_spoken_to(monkeypatch, capfd):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0noisy-digits-{os.getpid()}-test")
        listener.listen()
        monkeypatch.setenv(_environment.WARM, f"noisy-digits-{os.getpid()}-test-0")
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert warm.run_warm(["check"]) is None
    assert "belongs to somebody else" in capfd.readouterr().err
