"""Several builds and notebooks at the same time, in one project and in two: each gives what it gives alone."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from noisy_digits import _environment
from noisy_digits.pipeline.plan import plan_runs
from tests.conftest import PATIENCE_S, build, contents, environment, noisy_digits
from tests.notebooks.test_by_hand import read_texts, run_all

pytestmark = pytest.mark.faults

PROFILES = ("full", "quick")


def start_build(root, profile="quick", **variables):
    """Start what `make reports` or `make quick` starts."""
    command = [sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", profile, "--cores=2"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=root, env=environment() | variables, **pipes)


def finish(*builds):
    """Wait for builds to end well."""
    for going in builds:
        printed = going.communicate(timeout=PATIENCE_S)[1]
        assert going.returncode == 0, printed


def count_trainings(*roots):
    """Return how many trainings the runs of projects made, and under how many keys."""
    records = [json.loads(path.read_text()) for root in roots for path in root.glob("results/**/run.json")]
    made = [each["key"] for record in records for each in record["trainings"] if not each["restored"]]
    return len(made), len(set(made))


@pytest.fixture
def shortened(small, tmp_path):
    """The small project, whose full profile trains as briefly as its quick one, and so makes the same trainings."""
    root = shutil.copytree(small, tmp_path / "project")
    for path in (root / "params").glob("*.yml"):
        assignment = yaml.safe_load(path.read_text())
        for notebook in assignment["notebooks"].values():
            brief = dict(notebook["quick"])
            notebook |= {"n_seeds": brief.pop("n_seeds")} if "n_seeds" in brief else {}
            notebook |= {"fixed": notebook.get("fixed", {}) | brief, "overrides": []}
        path.write_text(yaml.safe_dump(assignment, sort_keys=False))
    return root


def test_a_full_build_a_quick_build_and_notebooks_by_hand_at_once_give_what_they_give_alone(shortened, tmp_path):
    alone = shutil.copytree(shortened, tmp_path / "alone")
    for profile in PROFILES:
        finish(start_build(alone, profile))
    builds = [start_build(shortened, profile) for profile in PROFILES]
    with ThreadPoolExecutor(2) as pool:
        by_hand = list(pool.map(lambda _: run_all(shortened, "mlp_noise/2_train"), range(2)))
    finish(*builds)
    assert contents(shortened) == contents(alone)
    made, keys = count_trainings(shortened)
    assert made == keys > 0
    assert sorted("restored a training of" in read_texts(notebook) for notebook in by_hand) == [False, True]
    assert len(list(shortened.glob("trainings/*.npz"))) == len(list(alone.glob("trainings/*.npz"))) + 1


def test_two_clones_with_one_home_and_one_folder_of_trainings_give_what_they_give_alone(small, uninterrupted, tmp_path):
    whole, _ = uninterrupted
    (tmp_path / "home").mkdir()
    roots = [shutil.copytree(small, tmp_path / name / "project") for name in ("first", "second")]
    shared = {"HOME": str(tmp_path / "home"), _environment.TRAININGS: str(tmp_path / "trainings")}
    finish(*(start_build(root, **shared) for root in roots))
    for root in roots:
        assert contents(root) == contents(whole)
        assert not (root / "trainings").exists()
    made, keys = count_trainings(*roots)
    assert made == keys == len(list((tmp_path / "trainings").glob("*.npz")))
    assert not [path for path in (tmp_path / "home").rglob("*") if "noisy" in path.name]


def test_a_build_needs_no_home_folder_to_write_to(toy, built_once):
    finish(start_build(toy, HOME="/proc/nowhere", XDG_CACHE_HOME=""))
    assert contents(toy) == contents(built_once)


def test_runs_by_hand_of_what_a_build_makes_leave_the_right_results(toy, built_once):
    """A summary of the build fails, and says so, if a run that it reads is just then made again by hand."""
    going = start_build(toy)
    for run in plan_runs(toy, "quick", dataset="digits"):
        if not run.depends_on:
            done = noisy_digits(toy, "run", run.path, "--dataset", "digits", "--profile", "quick")
            assert done.returncode == 0, done.stderr
    printed = going.communicate(timeout=PATIENCE_S)[1]
    assert going.returncode == 0 or "1 of 4 runs of toy/1_measure are missing" in printed
    assert build(toy).returncode == 0
    assert contents(toy) == contents(built_once)
