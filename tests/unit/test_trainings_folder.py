"""The folder of trainings: links out of it, thousands of entries, several processes at once, another TensorFlow."""

import os
import select
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from noisy_digits import _environment, _trainings

from ..conftest import PATIENCE_S
from .stored_training import build_tiny, fit_few, state_of, store  # noqa: F401

ORIGIN = _trainings.Origin("2026-11-24T12:00:00Z", "8c71560", "CPU", 1.5)
N_ENTRIES = 10_000
KEY = "8c71560" + "0" * 57


def keep(key, size=8):
    _trainings.save_training(key, _trainings.Training({"train_loss": [1.0]}, [np.zeros(size, np.uint8)], 1, ORIGIN))


def test_a_folder_that_is_a_link_keeps_trainings_where_it_leads(store, tmp_path):  # noqa: F811
    (tmp_path / "elsewhere").mkdir()
    store.folder.symlink_to(tmp_path / "elsewhere")
    fit_few(build_tiny())
    fit_few(build_tiny())
    assert store.restored == [False, True]
    assert len(list((tmp_path / "elsewhere").glob("*.npz"))) == 1


def test_a_link_that_leads_nowhere_costs_only_the_keeping(store, tmp_path):  # noqa: F811
    store.folder.symlink_to(tmp_path / "nowhere")
    with pytest.warns(UserWarning, match="this training is not kept"):
        fit_few(build_tiny())
    assert store.restored == [False]
    assert not (tmp_path / "nowhere").exists()


def test_what_a_link_in_the_folder_leads_to_is_neither_written_nor_removed(store, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "essay.txt").write_text("mine")
    store.folder.mkdir()
    (store.folder / f"{KEY}.npz").symlink_to(tmp_path / "essay.txt")
    (store.folder / ".lock").symlink_to(tmp_path / "essay.txt")
    (store.folder / "old.npz").symlink_to(tmp_path / "essay.txt")
    with _trainings.lock_training(KEY):
        keep(KEY)
    monkeypatch.setattr(_trainings, "MAX_BYTES", 0)
    keep("other")
    assert store.entries == []
    assert (tmp_path / "essay.txt").read_text() == "mine"


def test_trainings_are_kept_in_the_project_if_the_environment_names_no_folder(store, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.delenv(_environment.TRAININGS)
    for name in ("params", "notebooks"):  # which make a folder a project
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    keep(KEY)
    assert [path.relative_to(tmp_path) for path in tmp_path.glob("**/*.npz")] == [Path("trainings") / f"{KEY}.npz"]
    assert _trainings.load_training(KEY, [(8,)])


def test_a_folder_in_folders_that_are_not_there_yet_is_made_with_its_lock(store, monkeypatch):  # noqa: F811
    monkeypatch.setenv(_environment.TRAININGS, str(store.folder / "deeper"))
    with _trainings.lock_training(KEY):
        assert [path.name for path in (store.folder / "deeper").iterdir()] == [".lock"]


def test_a_folder_in_place_of_the_lock_costs_only_the_waiting(store):  # noqa: F811
    (store.folder / ".lock").mkdir(parents=True)
    with warnings.catch_warnings(action="error"):
        fit_few(build_tiny())
        fit_few(build_tiny())
    assert store.restored == [False, True]


def test_ten_thousand_entries_are_kept_within_bounds_and_the_right_one_is_found(store, monkeypatch):  # noqa: F811
    first = fit_few(model := build_tiny())
    (made,) = store.entries
    for age in range(N_ENTRIES):
        path = store.folder / f"{age:064x}.npz"
        path.write_bytes(bytes(100))
        os.utime(path, (age, age))
    keep(KEY)
    ours = made.stat().st_size + (store.folder / f"{KEY}.npz").stat().st_size
    assert len(store.entries) == N_ENTRIES + 2
    second = fit_few(again := build_tiny())
    assert (second.curves, state_of(again)) == (first.curves, state_of(model))
    assert store.restored == [False, True]
    monkeypatch.setattr(_trainings, "MAX_BYTES", ours + 100 * N_ENTRIES // 2)
    keep(KEY)
    assert len(store.entries) == N_ENTRIES // 2 + 2
    ages = {path.stem for path in store.entries} - {made.stem, KEY}
    assert ages == {f"{age:064x}" for age in range(N_ENTRIES // 2, N_ENTRIES)}  # the oldest have gone


WRITE = """
import os
import numpy as np
from noisy_digits import _trainings
_trainings.MAX_BYTES = {max_bytes}
origin = _trainings.Origin("2026-11-24T12:00:00Z", None, "CPU", 1.0)
for number in range(100):
    training = _trainings.Training({{"train_loss": [1.0]}}, [np.arange(50_000, dtype=np.float32)], 1, origin)
    _trainings.save_training({key}, training)
"""


def start_writers(key, max_bytes=10**9):
    """Start four processes that write a hundred entries each, under keys that the expression ``key`` gives."""
    command = [sys.executable, "-W", "error", "-c", WRITE.format(key=key, max_bytes=max_bytes)]
    return [subprocess.Popen(command) for _ in range(4)]


def test_an_entry_that_several_processes_write_at_once_is_whole_whenever_it_is_read(store):  # noqa: F811
    """They take no lock, as on a file system that knows none."""
    writers, found = start_writers(repr(KEY)), 0
    with warnings.catch_warnings(action="error"):
        while any(writer.poll() is None for writer in writers):
            if training := _trainings.load_training(KEY, [(50_000,)]):
                assert np.array_equal(training.variables[0], np.arange(50_000))
                found += 1
    assert [writer.returncode for writer in writers] == [0] * 4
    assert found > 0
    assert sorted(path.name for path in store.folder.iterdir()) == [f"{KEY}.npz"]


def test_processes_that_remove_the_oldest_entries_at_once_stay_within_bounds(store):  # noqa: F811
    writers = start_writers("f'{os.getpid()}-{number}'", max_bytes=40 * 201_000)
    assert [writer.wait(PATIENCE_S) for writer in writers] == [0] * 4  # warnings are errors
    assert 1 <= len(store.entries) <= 40


def test_a_training_of_another_tensorflow_is_not_restored_and_stays(store, monkeypatch):  # noqa: F811
    fit_few(build_tiny())
    known = _trainings.version
    with monkeypatch.context() as patch:
        patch.setattr(_trainings, "version", lambda name: "9.9" if name == "tensorflow" else known(name))
        fit_few(build_tiny())
    fit_few(build_tiny())
    assert store.restored == [False, False, True]
    assert len(store.entries) == 2


HOLD = f"""
import sys
from noisy_digits._trainings import lock_training
print("wants", flush=True)
with lock_training({KEY!r}):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_training_whose_process_is_stopped_is_waited_for_until_that_is_killed(store):  # noqa: F811
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    first = subprocess.Popen([sys.executable, "-c", HOLD], **pipes)
    assert [first.stdout.readline() for _ in range(2)] == [b"wants\n", b"held\n"]
    first.send_signal(signal.SIGSTOP)
    second = subprocess.Popen([sys.executable, "-c", HOLD.replace("held", "held next")], **pipes)
    assert second.stdout.readline() == b"wants\n"
    assert select.select([second.stdout], [], [], 1)[0] == []
    first.kill()
    assert second.communicate(timeout=PATIENCE_S)[0] == b"held next\n"
    first.communicate()


def test_trainings_of_different_keys_do_not_wait_for_each_other(store):  # noqa: F811
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    first = subprocess.Popen([sys.executable, "-c", HOLD], **pipes)
    assert [first.stdout.readline() for _ in range(2)] == [b"wants\n", b"held\n"]
    second = subprocess.Popen([sys.executable, "-c", HOLD.replace(KEY, "9" + KEY[1:])], **pipes)
    assert second.communicate(timeout=PATIENCE_S)[0] == b"wants\nheld\n"
    assert first.poll() is None
    first.communicate()
