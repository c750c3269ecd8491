"""The command line: what it refuses, in one line, and its small commands."""

import subprocess
import sys

import pytest

from tests.conftest import build, environment, noisy_digits


def refuse(root, *arguments):
    """Return the one line with which a command is refused."""
    done = noisy_digits(root, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("noisy-digits: ")
    assert done.stderr.count("\n") == 1
    assert not (root / "results").exists()
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "--only", "toy/1_measur"), "no such notebook; did you mean toy/1_measure?"),
        (("build", "--profile", "quik"), 'unknown profile "quik"; did you mean quick?'),
        (("build", "--dataset", "mnits"), 'unknown dataset "mnits"; did you mean mnist?'),
        (("build", "--dataset", "digits", "--precision", "bfloat16"), 'unknown precision "bfloat16"'),
        (("build", "--seeds", "0"), "'0' is not a whole number of 1 or more"),
        (("build", "--core", "two"), "'two' is not a whole number"),
        (("biuld",), "invalid choice: 'biuld'"),
        (("run", "toy/2_sumary"), "params/ plans no run toy/2_sumary; did you mean toy/2_summary?"),
    ],
)
def test_a_mistake_is_one_line(toy, arguments, message):
    assert message in refuse(toy, *arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no profile.yaml; see workflow/README.md"),
        ("", "profile.yaml names no executor; see workflow/README.md"),
        ("jobs: 200", "profile.yaml names no executor; see workflow/README.md"),
        ("executor: [", "profile.yaml is not YAML: "),
        ("executor: slurm", "its command sbatch is not installed here. Run this on a login node"),
    ],
)
def test_build_refuses_a_profile_that_cannot_be_used(toy, tmp_path, monkeypatch, content, message):
    monkeypatch.setenv("PATH", "/nowhere")
    if content is not None:
        (tmp_path / "profile.yaml").write_text(content)
    printed = refuse(toy, "build", "--dataset", "digits", "--profile-dir", str(tmp_path))
    assert printed.startswith(f"noisy-digits: --profile-dir {tmp_path}")
    assert message in printed


@pytest.mark.parametrize("arguments", [("build",), ("index",), ("run", "toy/2_summary")])
def test_a_mistake_in_a_params_file_is_found_before_data_are_searched(toy, arguments):
    params = toy / "params/toy.yml"
    params.write_text(params.read_text().replace("scale: 2.0}, set: {epochs", "dataset: digits}, set: {epoch"))
    assert "did you mean epochs?" in refuse(toy, *arguments)


def test_a_project_without_data_sets_refuses_to_name_one(toy):
    (toy / "project.yml").unlink()
    assert "project.yml names no `datasets`" in refuse(toy, "build", "--dataset", "digits")
    assert "this project has no data sets" in refuse(toy, "data")


def test_outside_a_project_commands_are_refused(tmp_path):
    assert "is not inside a project" in refuse(tmp_path, "check")


def test_check_counts_the_runs(toy):
    assert noisy_digits(toy, "check").stdout == "5 runs planned from 1 params files, no errors\n"


def test_data_verifies_a_data_set(toy):
    printed = noisy_digits(toy, "data", "--dataset", "digits").stdout
    assert printed.startswith("digits: scikit-learn's digits, verified, SHA-256 ")


def test_params_reference_is_printed(toy):
    assert "depends_on" in noisy_digits(toy, "params-reference").stdout


def test_only_builds_one_notebook_and_no_index(toy):
    assert build(toy, "--only", "toy/1_measure").returncode == 0
    assert len(list(toy.glob("results/**/metrics.json"))) == 4
    assert not (toy / "reports/digits-quick/index.html").exists()


def test_planning_imports_no_tensorflow(toy):
    script = "from noisy_digits._cli import main\nimport sys\nmain()\nprint('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", script, "check"]
    done = subprocess.run(command, cwd=toy, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nFalse\n")
