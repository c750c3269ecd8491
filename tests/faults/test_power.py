"""Power cuts, on a real file system that forgets what was not flushed: what has a name is whole."""

import contextlib
import fcntl
import itertools
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest

from noisy_digits import _files
from noisy_digits.pipeline.plan import plan_runs
from tests.conftest import PATIENCE_S, build, contents, environment, start

from .test_faults import of_project

pytestmark = pytest.mark.faults

SHUT_DOWN = 0x8004587D
"""An ext4 file system ends at once, as by a power cut."""
WITHOUT_ITS_LOG = struct.pack("I", 2)
FORGETFUL = "commit=1,noauto_da_alloc"
"""Names get to the disk after a second at the latest, content half a minute later unless it is flushed."""
N_CUTS = 20
COPIES = 5000


@dataclass(frozen=True)
class Disk:
    """An ext4 file system that lies in the file ``image``."""

    image: Path
    folder: Path

    def mount(self) -> bool:
        mounted = ["mount", "-o", f"loop,{FORGETFUL}", self.image, self.folder]
        return subprocess.run(mounted, capture_output=True).returncode == 0

    def unmount(self):
        deadline = time.monotonic() + PATIENCE_S
        while subprocess.run(["umount", self.folder], capture_output=True).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def cut_power(self):
        """Forget what was not flushed, end all processes that work there, and start again."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUT_DOWN, WITHOUT_ITS_LOG)
        finally:
            os.close(handle)
        while processes := of_project(self.folder):
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=PATIENCE_S)
        self.unmount()
        assert self.mount()


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "image", tmp_path / "disk")
    made.folder.mkdir()
    with made.image.open("wb") as file:
        file.truncate(400 * 10**6)
    if shutil.which("mkfs.ext4") is None or subprocess.run(["mkfs.ext4", "-q", made.image]).returncode:
        pytest.skip("there is no mkfs.ext4")
    if not made.mount():
        pytest.skip("only the superuser can mount a disk")
    yield made
    made.unmount()


def test_the_disk_forgets_what_was_not_flushed_but_not_its_name(disk):
    (disk.folder / "new").write_bytes(bytes(10**6))
    (disk.folder / "new").replace(disk.folder / "named")
    _files.write_text(disk.folder / "flushed", "whole")
    disk.cut_power()
    assert (disk.folder / "named").read_bytes() == b""
    assert (disk.folder / "flushed").read_text() == "whole"


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
WRITE = f"""
import itertools
from pathlib import Path
from noisy_digits import _files
for number in itertools.count():
    _files.write_json(Path("runs", str(number % 40), "metrics.json"), [number] * {COPIES})
    print(number, flush=True)
"""


def test_a_file_that_was_written_before_a_power_cut_is_there_and_whole(disk):
    rng = random.Random(0)
    for _ in range(N_CUTS):
        shutil.rmtree(disk.folder / "runs", ignore_errors=True)
        writer = subprocess.Popen([sys.executable, "-c", WRITE], cwd=disk.folder, **PIPES)
        written = [int(writer.stdout.readline())]
        time.sleep(rng.uniform(0, 2))
        disk.cut_power()
        written += map(int, writer.communicate()[0].split())
        found = {path: json.loads(path.read_text()) for path in disk.folder.glob("runs/*/metrics.json")}
        for content in found.values():
            assert content == content[:1] * COPIES
        newest = {str(number % 40): number for number in written}
        for name, number in newest.items():
            assert found[disk.folder / "runs" / name / "metrics.json"][0] in (number, number + 40)


def check_whole(root, whole):
    """Check that all that has a name in ``root`` is what it is in ``whole``; return how many runs are finished."""
    runs = [path.parent for path in root.glob("results/**/run.json") if _files.is_complete(path.parent)]
    for run in runs:
        for name in ("metrics.json", *_files.read_record(run)["files"]):
            assert (run / name).stat().st_size == (whole / run.relative_to(root) / name).stat().st_size
        assert (run / "metrics.json").read_bytes() == (whole / run.relative_to(root) / "metrics.json").read_bytes()
        assert all(np.all(np.isfinite(array)) for array in _files.read_arrays(run).values())
        assert nbformat.read(run / "notebook.ipynb", as_version=4).cells
    for archive in [*root.glob("trainings/*.npz"), *root.glob("results/**/*.keras")]:
        with zipfile.ZipFile(archive) as opened:
            assert opened.testzip() is None
    assert not [page for page in root.glob("reports/**/*.html") if not page.read_text().endswith("</html>")]
    return len(runs)


@pytest.mark.parametrize("number", range(4))
def test_a_build_that_a_power_cut_ends_is_finished_by_the_next(small, uninterrupted, disk, number):
    whole, seconds = uninterrupted
    n_runs = len(list(whole.glob("results/**/metrics.json")))
    moment = random.Random(number).uniform(0.2 * seconds, 0.9 * seconds)
    root = shutil.copytree(small, disk.folder / "project")
    os.sync()
    first, deadline = start(root), time.monotonic() + moment
    while time.monotonic() < deadline and len(list(root.glob("results/**/metrics.json"))) < n_runs - 1:
        time.sleep(0.1)
    assert first.poll() is None, "the build had ended before the power cut"
    disk.cut_power()
    first.wait(PATIENCE_S)
    print(f"cut after {moment:.1f} s, {check_whole(root, whole)} of {n_runs} runs finished")
    done = build(root)
    assert done.returncode == 0, done.stderr
    assert contents(root) == contents(whole)
    assert check_whole(root, whole) == n_runs
    assert not [page for page in root.glob("reports/**/*.html") if "is damaged" in page.read_text()]


def test_a_build_that_ended_well_survives_a_power_cut_right_after(toy, built_once, disk):
    root = shutil.copytree(toy, disk.folder / "project")
    os.sync()
    done = build(root)
    disk.cut_power()
    assert done.returncode == 0, done.stderr
    assert contents(root) == contents(built_once)
    assert build(root).returncode == 0
    assert contents(root) == contents(built_once)


CALL = re.compile(r'(fsync)\(\d+<([^>]+)>|rename\w*\((?:[^",]+, )?"([^"]+)", (?:[^",]+, )?"([^"]+)"')


def test_a_run_is_flushed_before_it_counts_as_finished(small, tmp_path):
    """The order of the system calls of a real run, which holds on any file system."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace")
    root = shutil.copytree(small, tmp_path / "project")
    (path,) = (run.path for run in plan_runs(root, "quick", dataset="digits") if run.notebook == "4a_autoencoder")
    run = [sys.executable, "-m", "noisy_digits", "run", path, "--dataset", "digits", "--profile", "quick"]
    traced = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", "trace=fsync,rename,renameat,renameat2"]
    subprocess.run([*traced, "-o", tmp_path / "calls", *run], cwd=root, env=environment(), check=True)
    calls = [tuple(filter(None, found)) for found in CALL.findall((tmp_path / "calls").read_text())]
    named = {new: place for place, (old, new) in enumerate(calls) if old != "fsync" and new.startswith(str(root))}
    folder = root / "results/digits-quick" / path
    files = _files.read_record(folder)["files"]
    assert files
    expected = [folder / "metrics.json", folder / "run.json", *root.glob("reports/**/*.html")]
    assert [name for name in named if ".npz" not in name and ".keras" not in name and "plan" not in name] == [
        str(name) for name in expected
    ]
    for name, place in named.items():
        if calls[place][0].endswith(".partial"):
            assert ("fsync", calls[place][0]) in calls[:place]
            assert ("fsync", str(Path(name).parent)) in calls[place:]
    for name in ("notebook.ipynb", *files):
        assert ("fsync", str(folder / name)) in calls[: named[str(folder / "metrics.json")]]
    assert len(list(root.glob("trainings/*.npz"))) == sum(".npz" in name and "trainings" in name for name in named)
    positions = [named[str(name)] for name in expected]
    assert all(earlier < later for earlier, later in itertools.pairwise(positions))
