"""Real faults, and the same answer twice: `make test-faults`, too long for every day."""

import contextlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from noisy_digits.pipeline.plan import plan_runs
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

pytestmark = pytest.mark.faults


def of_project(root):
    """Return the processes that work in a project or on its notebooks."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline()) + process.cwd()
            if str(root) in words and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def kill_snakemake(first, rng):
    first.kill()


def interrupt(first, rng):
    first.send_signal(signal.SIGINT)


def kill_everything(first, rng):
    for process in [*psutil.Process(first.pid).children(recursive=True), first]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def kill_one_of_its_processes(first, rng):
    while not (children := psutil.Process(first.pid).children(recursive=True)):
        time.sleep(0.01)
    rng.choice(children).kill()


def kill_the_warm_process(first, rng):
    """Kill what runs are forked from; the build goes on without it."""
    while first.poll() is None and not (found := warm_processes(psutil.Process(first.pid).children())):
        time.sleep(0.01)
    found[0].kill()


HITS = [kill_snakemake, interrupt, kill_everything, kill_one_of_its_processes, kill_the_warm_process]


@pytest.mark.parametrize("number", range(20))
def test_a_build_hit_at_any_moment_is_finished_by_the_next(small, uninterrupted, tmp_path, number):
    whole, seconds = uninterrupted
    whole_runs = list(whole.glob("results/**/metrics.json"))
    rng = random.Random(number)
    hit = HITS[number % len(HITS)]
    root = shutil.copytree(small, tmp_path / "project")
    first = start(root)
    moment = rng.uniform(0, 0.9 * seconds)
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and len(list(root.glob("results/**/metrics.json"))) < len(whole_runs) - 1:
        time.sleep(0.1)  # a machine that was busy before may be quick now
    assert first.poll() is None, "the build had ended before it was hit"
    with contextlib.suppress(psutil.NoSuchProcess):
        hit(first, rng)
    first.wait(PATIENCE_S)
    if hit is kill_the_warm_process:
        assert first.returncode == 0
    elif hit is not kill_one_of_its_processes:  # which may be one that had done its work
        assert first.returncode != 0
    print(f"{hit.__name__} after {moment:.1f} s, {len(list(root.glob('results/**/metrics.json')))} runs made")
    done = build(root)
    assert done.returncode == 0, done.stderr
    assert contents(root) == contents(whole)
    _, alive = psutil.wait_procs(of_project(root), timeout=PATIENCE_S)
    assert not alive


def build_quick(root, *options):
    done = noisy_digits(root, "build", "--dataset", "digits", "--profile", "quick", *options)
    assert done.returncode == 0, done.stderr
    return contents(root), done.stderr


def forget_results(root):
    """Remove results and pages; the trainings stay."""
    for folder in ("results", "reports"):
        shutil.rmtree(root / folder)


RUN_WARM = """
import subprocess, sys
from pathlib import Path
from noisy_digits.pipeline.parameters import find_imports
from noisy_digits.pipeline.warm import start_server
start_server({line for notebook in Path("notebooks").glob("*/*.ipynb") for line in find_imports(notebook)})
for path in sys.argv[1:]:
    command = ["run", path, "--dataset", "digits", "--profile", "quick"]
    subprocess.run([sys.executable, "-m", "noisy_digits", *command], check=True)
"""


def run_in_random_order(root, rng):
    """Run all of a project's plan one by one, as forks of one process, each after those that it reads."""
    left, order = {run.path: set(run.depends_on) for run in plan_runs(root, "quick", dataset="digits")}, []
    while left:
        order.append(rng.choice([path for path, needed in left.items() if needed <= set(order)]))
        del left[order[-1]]
    command = [sys.executable, "-c", RUN_WARM, *order]
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cold" not in done.stderr


def measured(root):
    """Return the numbers and arrays of all runs, to the last bit."""
    files = [*root.glob("results/**/metrics.json"), *root.glob("results/**/arrays.npz")]
    return {path.relative_to(root): path.read_bytes() for path in files}


def test_every_notebook_gives_the_same_bytes_cold_warm_restored_in_any_order_and_after_a_kill(copied, tmp_path):
    """Every grid point, with other numbers of runs at once."""
    root = shutil.copytree(copied, tmp_path / "again")
    warmed, printed = build_quick(root, "--cores", "2")
    assert "cold" not in printed
    assert len([path for path in warmed if path.name == "metrics.json"]) == len(
        plan_runs(root, "quick", dataset="digits")
    )
    kept = {path.name for path in root.glob("trainings/*.npz")}
    forget_results(root)
    restored, _ = build_quick(root, "--cores", "1")
    assert restored == warmed
    restored_numbers = measured(root)
    for number in range(2):
        forget_results(root)
        run_in_random_order(root, random.Random(number))
        assert measured(root) == restored_numbers
    records = [json.loads(path.read_text()) for path in root.glob("results/**/run.json")]
    assert all(training["restored"] for record in records for training in record["trainings"])
    assert {path.name for path in root.glob("trainings/*.npz")} == kept
    forget_results(root)
    first = start(root)
    time.sleep(20)
    kill_everything(first, random.Random(0))
    first.wait(PATIENCE_S)
    after_a_kill, _ = build_quick(root)
    assert after_a_kill == warmed
    (tmp_path / "cold").mkdir()
    (tmp_path / "cold/profile.yaml").write_text(
        "executor: local\ncores: 2\n"
    )  # as on a cluster, without a warm process
    cold, _ = build_quick(root, "--fresh", "--profile-dir", str(tmp_path / "cold"))
    assert cold == warmed


def test_damaged_trainings_are_made_again_with_the_same_result(small, uninterrupted, tmp_path):
    whole, _ = uninterrupted
    root = shutil.copytree(whole, tmp_path / "project")
    forget_results(root)
    entries = sorted(root.glob("trainings/*.npz"))
    assert len(entries) >= 4
    for place, entry in enumerate(entries):
        content = entry.read_bytes()
        other = entries[place - 1].read_bytes()
        damaged = [content[: len(content) // 2], other, b"", content[:1000] + bytes(1000) + content[2000:]]
        entry.write_bytes(damaged[place % len(damaged)])
    made, _ = build_quick(root)
    assert made == contents(whole)
    records = [json.loads(path.read_text()) for path in root.glob("results/**/run.json")]
    anew = {each["key"] for record in records for each in record["trainings"] if not each["restored"]}
    assert anew == {entry.stem for entry in entries}
    pages = [page.read_text() for page in root.glob("reports/**/*.html")]
    assert sum("is damaged" in page for page in pages) >= 4
    forget_results(root)
    assert build_quick(root)[0] == made


def plan_two_hundred_runs(toy):
    described = {
        "title": "Many",
        "question": "Do all start?",
        "order": 1,
        "notebooks": {"1_measure": {"title": "Start", "grid": {"scale": [float(n) for n in range(200)]}}},
    }
    (toy / "params/toy.yml").write_text(yaml.safe_dump(described))


def test_two_hundred_runs_start_eight_at_a_time(toy):
    plan_two_hundred_runs(toy)
    _, printed = build_quick(toy, "--cores", "8")
    assert "cold" not in printed
    assert len(list(toy.glob("results/**/metrics.json"))) == 200
    _, alive = psutil.wait_procs(of_project(toy), timeout=PATIENCE_S)
    assert not alive


def test_two_hundred_kernels_start_cold_eight_at_a_time(toy):
    plan_two_hundred_runs(toy)
    paths = [run.path for run in plan_runs(toy, "quick", dataset="digits")]

    def run(path):
        return noisy_digits(toy, "run", path, "--dataset", "digits", "--profile", "quick")

    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(run, paths))
    assert [each.stderr for each in ended if each.returncode] == []
    assert len(list(toy.glob("results/**/metrics.json"))) == 200


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of its own, of 120 MB; a function mounts it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], capture_output=True)

    if mount("size=120m").returncode:
        pytest.skip("only the superuser can mount a disk")
    yield folder, lambda *options: subprocess.run(["mount", "-o", ",".join(("remount", *options)), folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)


FILL = """\
from pathlib import Path
filler = Path.cwd().parents[1] / "filler"
if scale == 0.5 and learning_rate == 1.0:
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(2**16)):
                pass
        except OSError:
            pass
"""


def test_a_disk_that_fills_up_is_reported_and_the_next_build_finishes(toy, built_once, disk):
    folder, _ = disk
    root = shutil.copytree(toy, folder / "project")
    write_notebook(root / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, f"{FILL}\n{MEASURE}")
    done = build(root)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    for path in root.glob("results/**/metrics.json"):
        assert json.loads(path.read_text())
    write_notebook(root / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, MEASURE)
    (root / "filler").unlink()
    done = build(root)
    assert done.returncode == 0, done.stderr
    assert contents(root) == contents(built_once)


def test_a_full_disk_is_reported_before_anything_runs(toy, disk):
    folder, remount = disk
    remount("size=5m")
    root = shutil.copytree(toy, folder / "project")
    done = build(root)
    assert done.returncode == 2
    assert re.fullmatch(r"noisy-digits: .*project: its disk has \d MB free, .*\n", done.stderr)
    assert not (root / "results").exists()


def test_results_that_cannot_be_written_are_reported_before_anything_runs(toy, disk):
    folder, remount = disk
    (toy / "results").symlink_to(folder)
    remount("ro")
    done = build(toy)
    assert done.returncode == 2
    assert re.fullmatch(r"noisy-digits: .*Read-only file system: .*make it writable.*\n", done.stderr)


def test_a_damaged_data_file_is_reported_before_anything_runs(toy):
    (toy / "data").mkdir()
    cut = toy / "data/mnist.npz"
    np.savez_compressed(cut, x_train=np.arange(10_000), y_train=np.arange(10_000))
    cut.write_bytes(cut.read_bytes()[:5000])
    for dataset in ("auto", "mnist"):
        done = noisy_digits(toy, "build", "--dataset", dataset, "--profile", "quick")
        assert done.returncode == 2
        assert re.fullmatch(r"noisy-digits: .*mnist\.npz cannot be read .*: delete it or replace it\n", done.stderr)
    assert not (toy / "results").exists()


GREEDY = "if scale == 2.0:\n    hoard = [bytearray(b'x' * 2**26) for _ in range(64)]\n"


@pytest.fixture
def little_memory():
    """A control group whose processes may have 1 GB together; the system kills one that takes more."""
    group = Path("/sys/fs/cgroup/memory/noisy-digits-test")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("1000000000")
    except OSError:
        pytest.skip("only the superuser can limit memory, through control groups of version 1")
    yield group / "cgroup.procs"
    deadline = time.monotonic() + PATIENCE_S
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    group.rmdir()


def test_a_kernel_killed_for_memory_fails_only_its_own_runs(toy, little_memory):
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, f"{GREEDY}{MEASURE}")
    command = [sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick"]
    limited = f'echo $$ > {little_memory}; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", limited, "sh", *command, "--cores", "1"],
        cwd=toy,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert len(re.findall("scale~2.0: its kernel died: it was killed, or memory ran out", done.stderr)) == 2
    made = {path.parent.name for path in toy.glob("results/**/metrics.json")}
    assert made == {"scale~0.5"}
    page = (toy / "reports/digits-quick/toy/1_measure/recipe~corrected/scale~2.0.html").read_text()
    assert "stopped from outside" in page


def test_memory_that_python_is_refused_is_a_traceback_on_the_page(toy):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, f"{limit}{GREEDY}{MEASURE}")
    done = build(toy)
    assert done.returncode != 0
    assert re.search(r"cell \d failed: MemoryError", done.stderr)
    assert "MemoryError" in (toy / "reports/digits-quick/toy/1_measure/recipe~corrected/scale~2.0.html").read_text()
    assert len(list(toy.glob("results/**/metrics.json"))) == 2
