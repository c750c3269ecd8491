"""Whatever happens to the folder of trainings: every training has its right result, and no damaged one is restored."""

import errno
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisy_digits import _environment, _trainings

from ..conftest import PATIENCE_S
from .stored_training import build_tiny, fit_few, state_of, store, use_store  # noqa: F401

ORIGIN = _trainings.Origin("2026-11-24T12:00:00Z", "8c71560", "CPU", 1.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A kept training: the path of its entry, the model's state and the curves."""
    with pytest.MonkeyPatch.context() as patch:
        used = use_store(patch, tmp_path_factory.mktemp("made"))
        history = fit_few(model := build_tiny())
        return used.entries[0], state_of(model), history.curves


def train_again(made):
    """Check that the training gives what it gave."""
    history = fit_few(model := build_tiny())
    assert (state_of(model), history.curves) == made[1:]


def rewrite(entry, change):
    """Return an entry whose members ``change`` has changed, with right checksums."""
    with np.load(entry) as content:
        members = dict(content)
    change(members)
    np.savez(file := io.BytesIO(), **members)
    return file.getvalue()


def describe(members, change):
    described = json.loads(str(members["described"]))
    change(described)
    members["described"] = np.array(json.dumps(described))


class Explosive:
    def __reduce__(self):
        return (Path.touch, (Path(os.environ[_environment.TRAININGS]) / "exploded",))


def compress(entry):
    """Return an entry of weights that are zero, which unpacks to more than its size."""
    with np.load(entry) as content:
        members = {name: value if name == "described" else np.zeros_like(value) for name, value in content.items()}
    np.savez_compressed(file := io.BytesIO(), **members)
    return file.getvalue()


DAMAGES = {
    "empty": lambda entry: b"",
    "half": lambda entry: entry.read_bytes()[: entry.stat().st_size // 2],
    "text": lambda entry: b"to be done",
    "no description": lambda entry: rewrite(entry, lambda members: members.pop("described")),
    "one variable less": lambda entry: rewrite(entry, lambda members: members.pop("variable_2")),
    "other shape": lambda entry: rewrite(entry, lambda members: members.update(variable_0=np.zeros((3, 784)))),
    "other training": lambda entry: rewrite(
        entry, lambda members: describe(members, lambda described: described.update(key="0" * 64))
    ),
    "older format": lambda entry: rewrite(
        entry, lambda members: describe(members, lambda described: described["origin"].pop("device"))
    ),
    "no steps": lambda entry: rewrite(entry, lambda members: describe(members, lambda each: each.pop("steps"))),
    "steps in words": lambda entry: rewrite(
        entry, lambda members: describe(members, lambda described: described.update(steps="many"))
    ),
    "steps without end": lambda entry: rewrite(
        entry, lambda members: describe(members, lambda described: described.update(steps=10**30))
    ),
    "steps below none": lambda entry: rewrite(
        entry, lambda members: describe(members, lambda described: described.update(steps=-5))
    ),
    "curves of text": lambda entry: rewrite(
        entry, lambda members: describe(members, lambda described: described.update(curves={"loss": "<b>"}))
    ),
    "curves without names": lambda entry: rewrite(
        entry, lambda members: describe(members, lambda described: described.update(curves=[1.0, 2.0]))
    ),
    "text for weights": lambda entry: rewrite(
        entry, lambda members: members.update(variable_0=np.full(members["variable_0"].shape, "heavy"))
    ),
    "compressed": compress,
    "pickle": lambda entry: rewrite(entry, lambda members: members.update(variable_0=np.array([Explosive()]))),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_entry_is_made_again_with_a_warning(store, made, name):  # noqa: F811
    store.folder.mkdir()
    entry = store.folder / made[0].name
    entry.write_bytes(DAMAGES[name](made[0]))
    with pytest.warns(UserWarning, match=f"(?s)^{entry} is damaged .*; the training is made again$") as warned:
        train_again(made)
    assert Path(warned[0].filename).name == "stored_training.py"  # where `fit` is called, not where it warns
    train_again(made)
    assert store.restored == [False, True]
    assert sorted(store.folder.iterdir()) == [store.folder / ".lock", entry]  # nothing of a pickle was run


@pytest.mark.parametrize("target", ["entry", "nothing", "folder", "damaged", "itself"])
def test_a_symbolic_link_in_place_of_an_entry_gives_the_right_training(store, made, tmp_path, target):  # noqa: F811
    store.folder.mkdir()
    link = store.folder / made[0].name
    (tmp_path / "folder").mkdir()
    (tmp_path / "damaged").write_bytes(b"PK")
    shutil.copy(made[0], tmp_path / "entry")
    link.symlink_to(link if target == "itself" else tmp_path / target)
    with warnings.catch_warnings(action="ignore"):
        train_again(made)
    train_again(made)
    assert store.restored == [target == "entry", True]
    assert (tmp_path / "damaged").read_bytes() == b"PK"


@pytest.mark.parametrize("name", ["entry", "lock"])
def test_a_pipe_in_the_folder_is_not_waited_for(store, made, name):  # noqa: F811
    store.folder.mkdir()
    pipe = store.folder / {"entry": made[0].name, "lock": ".lock"}[name]
    os.mkfifo(pipe)
    with warnings.catch_warnings(action="ignore"):
        train_again(made)
    train_again(made)
    assert store.restored == [False, True]
    assert pipe.is_fifo() == (name == "lock")


def test_no_lock_is_made_where_a_link_leads_to(store, made, tmp_path):  # noqa: F811
    store.folder.mkdir()
    (store.folder / ".lock").symlink_to(tmp_path / "elsewhere")
    train_again(made)
    assert not (tmp_path / "elsewhere").exists()
    assert store.restored == [False]


def test_an_entry_that_may_not_be_read_is_made_again_with_a_warning(store, made, monkeypatch):  # noqa: F811
    """As one of another user; root may read all, so that the system's answer is made up."""

    def refuse(path, flags):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    def load():
        return _trainings.load_training(made[0].stem, [])

    store.folder.mkdir()
    shutil.copy(made[0], store.folder)
    expected = f"^{store.folder / made[0].name} cannot be read .Permission denied.; the training is made again$"
    with monkeypatch.context() as patch:
        patch.setattr(_trainings, "_open_entry", refuse)
        with pytest.warns(UserWarning, match=expected) as warned:
            assert load() is None
    assert warned[0].filename == __file__  # where the caller of `load_training` is called
    with warnings.catch_warnings(action="error"):
        train_again(made)
    assert store.restored == [True]


def test_a_folder_in_place_of_an_entry_is_left_alone_with_warnings(store, made):  # noqa: F811
    (store.folder / made[0].name).mkdir(parents=True)
    with pytest.warns(UserWarning, match="is damaged"), pytest.warns(UserWarning, match="this training is not kept"):
        train_again(made)
    assert store.restored == [False]
    assert [path.name for path in store.folder.iterdir() if path.suffix == ".partial"] == []


def find(entry, content):
    """Return what is found under the key of an entry with ``content``, and the warnings."""
    folder = entry.parent / "copy"
    folder.mkdir(exist_ok=True)
    (folder / entry.name).write_bytes(content)
    with np.load(entry) as members:
        shapes = [members[name].shape for name in members.files if name != "described"]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        patch.setenv(_environment.TRAININGS, str(folder))
        return _trainings.load_training(entry.stem, shapes), [str(warning.message) for warning in seen]


def is_that_of(found, made):
    weights = [value.tobytes() for value in found.variables]
    return weights == made[1][:-1] and found.curves == made[2]


@settings(max_examples=60)
@given(fraction=st.floats(0, 1, exclude_max=True))
def test_an_entry_cut_off_anywhere_is_never_restored(made, fraction):
    whole = made[0].read_bytes()
    found, warned = find(made[0], whole[: int(fraction * len(whole))])
    assert found is None
    assert "is damaged" in warned[0]


@settings(max_examples=150)
@given(place=st.integers(0, 10**9), change=st.integers(1, 255), of_directory=st.booleans())
def test_an_entry_with_one_changed_byte_is_right_or_not_restored(made, place, change, of_directory):
    """Half of the bytes tried are of the archive's directory, which has no checksum."""
    content = bytearray(made[0].read_bytes())
    start = content.index(b"PK\x01\x02") if of_directory else 0
    content[start + place % (len(content) - start)] ^= change
    found, warned = find(made[0], bytes(content))
    assert "is damaged" in warned[0] if found is None else is_that_of(found, made)


def test_every_changed_bit_of_the_directory_of_an_archive_is_survived(made):
    whole = made[0].read_bytes()
    start = whole.index(b"PK\x01\x02")
    for place in range(start, start + 46):
        for bit in range(8):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            found, warned = find(made[0], bytes(content))
            assert "is damaged" in warned[0] if found is None else is_that_of(found, made)


def test_a_folder_that_cannot_be_made_costs_only_the_keeping(store, made):  # noqa: F811
    store.folder.write_text("a file")
    with pytest.warns(UserWarning, match="^this training is not kept: ") as warned:
        train_again(made)
    assert [Path(each.filename).name for each in warned] == ["stored_training.py"]  # where `fit` is called
    assert store.restored == [False]
    assert store.folder.read_text() == "a file"


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A disk of 8 KiB for trainings, too small for one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    monkeypatch.setenv(_environment.TRAININGS, str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def remount(disk, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def test_a_full_disk_costs_only_the_keeping(store, small_disk, made, monkeypatch):  # noqa: F811
    monkeypatch.setenv(_environment.TRAININGS, str(small_disk))
    with pytest.warns(UserWarning, match="this training is not kept: .*No space"):
        train_again(made)
    assert [path.name for path in small_disk.iterdir()] == [".lock"]


def test_a_folder_that_may_only_be_read_restores_and_keeps_nothing(store, small_disk, made, monkeypatch):  # noqa: F811
    monkeypatch.setenv(_environment.TRAININGS, str(small_disk))
    remount(small_disk, "size=1m")
    shutil.copy(made[0], small_disk)
    remount(small_disk, "ro")
    with warnings.catch_warnings(action="error"):
        train_again(made)
    assert store.restored == [True]
    with pytest.warns(UserWarning, match="this training is not kept: .*Read-only"):
        fit_few(build_tiny(seed=1))
    assert store.restored == [True, False]


def test_a_working_directory_that_is_gone_costs_only_the_keeping(monkeypatch, made, tmp_path):
    monkeypatch.delenv(_environment.TRAININGS)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    train_again(made)


def is_free(folder):
    """Return True if no process holds any key."""
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def start_and_kill(code, ready):
    """Kill a process as soon as ``ready`` returns True."""
    process = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + PATIENCE_S
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    held = process.pid
    process.send_signal(signal.SIGKILL)
    process.wait()
    return held


def test_a_process_killed_while_it_trains_leaves_nothing_and_no_lock(store):  # noqa: F811
    code = "from tests.unit.stored_training import build_tiny, fit_few; fit_few(build_tiny(), epochs=10**6)"
    held = []

    def ready():
        if begun := bool(_environment.read_epochs(store.log)):
            held.append(not is_free(store.folder))
        return begun

    start_and_kill(code, ready)
    assert held == [True]
    assert is_free(store.folder)
    assert [path.name for path in store.folder.iterdir()] == [".lock"]


KILLED_WRITING = """
import time
import numpy as np
from noisy_digits import _trainings
known = np.savez
def write_half(file, **content):
    known(file, **content)
    file.truncate(file.tell() // 2)
    file.flush()
    time.sleep({patience})
np.savez = write_half
with _trainings.lock_training({key!r}):
    origin = _trainings.Origin("2026-11-24T12:00:00Z", None, "CPU", 1.0)
    _trainings.save_training({key!r}, _trainings.Training({{}}, [np.zeros(1000)], 1, origin))
"""


def test_a_process_killed_while_it_writes_leaves_no_entry_and_no_lock(store, made, monkeypatch):  # noqa: F811
    def partial():
        return [path for path in store.folder.glob("*.partial") if path.stat().st_size > 1000]

    start_and_kill(KILLED_WRITING.format(key=made[0].stem, patience=PATIENCE_S), lambda: bool(partial()))
    assert store.entries == []
    assert is_free(store.folder)
    with warnings.catch_warnings(action="error"):
        train_again(made)
    train_again(made)
    assert store.restored == [False, True]
    monkeypatch.setattr(_trainings, "MAX_BYTES", made[0].stat().st_size)
    keep("1")
    assert partial() == []  # what was left counts, and goes first


def keep(key, size=8):
    _trainings.save_training(key, _trainings.Training({}, [np.zeros(size, np.uint8)], 1, ORIGIN))


def test_the_entries_unused_for_the_longest_time_go_first(store, monkeypatch):  # noqa: F811
    for age, key in enumerate("dcba"):
        keep(key, 10_000)
        os.utime(store.folder / f"{key}.npz", (age, age))
    assert _trainings.load_training("d", [(10_000,)])  # a restored one counts as used
    one = store.entries[0].stat().st_size
    monkeypatch.setattr(_trainings, "MAX_BYTES", 3 * one)
    keep("e", 10_000)
    assert [path.stem for path in store.entries] == ["a", "d", "e"]
    keep("f", 10_000)
    assert [path.stem for path in store.entries] == ["d", "e", "f"]


def test_an_entry_that_cannot_be_removed_does_not_hinder_the_others(store, monkeypatch):  # noqa: F811
    keep("a", 10_000)
    (store.folder / "b.npz").mkdir()
    os.utime(store.folder / "b.npz", (0, 0))
    monkeypatch.setattr(_trainings, "MAX_BYTES", (store.folder / "a.npz").stat().st_size)
    with warnings.catch_warnings(action="error"):
        keep("c", 10_000)
    assert [path.stem for path in store.entries] == ["b", "c"]


def test_an_entry_is_a_plain_archive_without_pickles(made):
    with zipfile.ZipFile(made[0]) as archive:
        assert archive.testzip() is None
    with np.load(made[0], allow_pickle=False) as content:
        assert all(content[name].dtype != object for name in content.files)
        described = json.loads(str(content["described"]))
    assert described["key"] == made[0].stem
    assert set(described["origin"]) == {"made", "revision", "device", "seconds"}
