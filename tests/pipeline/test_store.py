import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from noisy_digits import _files
from noisy_digits._files import is_complete, read_metrics, read_record
from noisy_digits.errors import UserError
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.store import Collection, acquire_lock, write_plan

RECORD = {
    "point": {},
    "parameters": {},
    "files": [],
    "started": "2026-01-01T00:00:00Z",
    "seconds": 1.5,
    "peak_memory_mb": 100,
    "threads": 1,
    "onednn": True,
    "device": None,
    "trainings": [],
    "precision": "float32",
    "machine": "Linux x86_64",
    "versions": {"python": "3.11"},
    "revision": None,
    "data_sha256": None,
}
ROWS = [
    {"seed": 0, "metric": "n_parameters", "value": 55050},
    {"seed": 0, "noise_level": 0.4, "metric": "accuracy", "value": 0.1 + 0.2},
]


@pytest.mark.parametrize(
    ("collection", "name"),
    [
        (Collection("mnist"), "mnist"),
        (Collection("digits", "quick"), "digits-quick"),
        (Collection("digits", "quick", "mixed_bfloat16"), "digits-quick-mixed_bfloat16"),
        (Collection("mnist", precision="mixed_bfloat16"), "mnist-mixed_bfloat16"),
        (Collection(None), "full"),
        (Collection(None, "quick"), "quick"),
    ],
)
def test_collection_name_holds_what_is_not_usual(collection, name):
    assert collection.name == name


def test_collection_refuses_an_unknown_precision():
    with pytest.raises(UserError, match="did you mean mixed_bfloat16"):
        Collection("mnist", "full", "bfloat16")


def test_acquire_lock_holds_a_folder_until_its_process_ends(tmp_path):
    code = "import sys, pathlib; from noisy_digits.pipeline.store import acquire_lock\n"
    code += f"acquire_lock(pathlib.Path({str(tmp_path)!r}), wait=False); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(UserError, match="being built by another process"):
            acquire_lock(tmp_path, wait=False)
        holder.stdin.close()
        acquire_lock(tmp_path, wait=True)


def test_write_plan_lists_every_run_by_notebook(toy):
    folder = toy / "results/digits"
    write_plan(folder, plan_runs(toy, "full"))
    notebooks = json.loads((folder / "plan.json").read_text())["notebooks"]
    assert list(notebooks) == ["toy/1_measure", "toy/2_summary"]
    assert notebooks["toy/2_summary"] == [{"path": "toy/2_summary", "point": {}}]
    first = {"path": "toy/1_measure/recipe~as_submitted/scale~0.5", "point": {"recipe": "as_submitted", "scale": 0.5}}
    assert notebooks["toy/1_measure"][0] == first
    assert list(notebooks["toy/1_measure"][0]["point"]) == ["recipe", "scale"]


def test_metrics_are_written_one_row_per_line_and_read_as_they_were(tmp_path):
    _files.write_metrics(tmp_path, ROWS)
    assert read_metrics(tmp_path) == ROWS
    assert isinstance(read_metrics(tmp_path)[0]["value"], int)
    lines = (tmp_path / "metrics.json").read_text().splitlines()
    assert lines[2] == '{"metric": "accuracy", "noise_level": 0.4, "seed": 0, "value": 0.30000000000000004}'


def test_a_run_is_complete_with_its_record_metrics_and_models(tmp_path):
    assert read_record(tmp_path) is None
    assert read_metrics(tmp_path) == []
    _files.write_json(tmp_path / "run.json", RECORD | {"files": ["cnn_0.keras"]})
    _files.write_metrics(tmp_path, ROWS)
    assert not is_complete(tmp_path)
    (tmp_path / "cnn_0.keras").touch()
    assert is_complete(tmp_path)
    assert read_record(tmp_path)["seconds"] == 1.5


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", '[{"seed": 0, "te'),
        ("metrics.json", "{}"),
        ("metrics.json", "[3]"),
        ("metrics.json", '[{"seed": 0, "metric": "accuracy"}]'),
        ("metrics.json", '[{"seed": 0, "metric": "accuracy", "value": "x"}]'),
        ("metrics.json", '[{"seed": 0, "metric": "accuracy", "value": NaN}]'),
        ("metrics.json", '[{"seed": "a", "metric": "accuracy", "value": 1.0}]'),
        ("metrics.json", '[{"seed": 0, "metric": "accuracy", "value": 1.0, "noise_level": [0.4]}]'),
        ("run.json", "[1]"),
        ("run.json", '{"parameters": 3}'),
    ],
)
def test_a_damaged_file_is_named_and_its_run_incomplete(tmp_path, name, content):
    _files.write_json(tmp_path / "run.json", RECORD | {"files": []})
    _files.write_metrics(tmp_path, ROWS)
    assert is_complete(tmp_path)
    (tmp_path / name).write_text(content)
    read = read_metrics if name == "metrics.json" else read_record
    with pytest.raises(UserError, match=rf"{name} is damaged .*: delete it and run `make reports` again$"):
        read(tmp_path)
    assert not is_complete(tmp_path)


def test_write_text_flushes_the_content_before_it_has_its_name_and_then_the_name(tmp_path, monkeypatch):
    steps, fsync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: steps.append(os.fstat(handle).st_ino) or fsync(handle))
    monkeypatch.setattr(Path, "replace", lambda path, target: steps.append("named") or replace(path, target))
    _files.write_text(tmp_path / "index.html", "whole")
    assert steps == [(tmp_path / "index.html").stat().st_ino, "named", tmp_path.stat().st_ino]


def test_write_text_leaves_the_old_file_if_it_fails(tmp_path):
    file = tmp_path / "index.html"
    _files.write_text(file, "whole")
    with pytest.raises(UnicodeEncodeError):
        _files.write_text(file, "half \ud800")
    assert file.read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
