"""Where users meet the project: the Makefile, conda, Binder, containers and CI agree with the package and its lock."""

import json
import os
import re
import subprocess
import tomllib

import nbclient
import pytest
import yaml
from nbformat import v4
from packaging.specifiers import SpecifierSet

from .conftest import REPOSITORY, environment

PACKAGE = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ALLOWED = SpecifierSet(PACKAGE["requires-python"])
PYTHONS = [python for python in (f"3.{minor}" for minor in range(30)) if python in ALLOWED]
CONDA = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
CI = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())
DEVELOPING = json.loads((REPOSITORY / ".devcontainer/devcontainer.json").read_text())
CONTAINER = (REPOSITORY / ".devcontainer/Dockerfile").read_text()
VARIABLES = dict(re.findall(r"([A-Z_]+)=(\S+)", re.search(r"(?m)^ENV (.*)$", CONTAINER)[1]))


def test_readme_makefile_and_ci_name_every_python_that_the_package_allows():
    words = f"Python {', '.join(PYTHONS[:-1])} or {PYTHONS[-1]}"
    assert words in (REPOSITORY / "README.md").read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    assert words in makefile
    assert "({}, {}) <= v <= ({}, {})".format(*PYTHONS[0].split("."), *PYTHONS[-1].split(".")) in makefile
    assert CI["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS


def test_conda_and_container_have_the_same_python_and_variables():
    (conda,) = (each.partition("=")[2] for each in CONDA["dependencies"] if str(each).startswith("python="))
    assert conda in PYTHONS
    assert re.findall(r"(?m)^FROM python:([\d.]+)-", CONTAINER) == [conda]
    assert CONDA["variables"].items() <= VARIABLES.items()


def test_every_environment_is_installed_from_the_lock():
    (pip,) = (each["pip"] for each in CONDA["dependencies"] if isinstance(each, dict))
    assert pip == ["--requirement requirements.lock"]
    for text in (CONTAINER, (REPOSITORY / "Makefile").read_text(), (REPOSITORY / "postBuild").read_text()):
        installs = re.findall(r"pip'?\s+install (.*?)(?:&&|;|$)", text, re.MULTILINE)
        assert installs
        for options in map(str.split, installs):
            assert {"--require-hashes", "requirements.lock"} <= {*options} or {"--no-deps", "."} <= {*options}


def test_binder_takes_environment_yml_and_runs_post_build():
    """It prefers a Dockerfile in the project's folder, and looks nowhere else if there is a folder for it."""
    assert not [name for name in ("Dockerfile", "binder", ".binder") if (REPOSITORY / name).exists()]
    assert os.access(REPOSITORY / "postBuild", os.X_OK)


def test_no_kernel_shows_the_greeting_of_tensorflow(tmp_path):
    """It goes to the process's own stderr, which `postBuild` keeps out of notebooks."""
    notebook = v4.new_notebook(cells=[v4.new_code_cell("import tensorflow, warnings\nwarnings.warn('mind the gap')")])
    nbclient.execute(notebook, cwd=tmp_path)
    (output,) = notebook.cells[0].outputs
    assert "mind the gap" in output.text
    assert "oneDNN" not in output.text


def test_dev_containers_build_the_container_of_this_folder():
    folder = REPOSITORY / ".devcontainer"
    assert (folder / DEVELOPING["build"]["dockerfile"]).read_text() == CONTAINER
    assert (folder / DEVELOPING["build"]["context"]).resolve() == REPOSITORY.resolve()
    interpreter = DEVELOPING["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == f"{VARIABLES['NOISY_DIGITS_ENVIRONMENT']}/bin/python"


def test_what_ci_and_containers_run_is_here():
    steps = [step for job in CI["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    commands += [DEVELOPING["postCreateCommand"], *re.findall(r"(?m)^RUN (\./\S+)$", CONTAINER)]
    assert len(commands) == 3
    assert [command for command in commands if not os.access(REPOSITORY / command, os.X_OK)] == []
    (published,) = (step["with"]["path"] for step in steps if "pages-artifact" in step.get("uses", ""))
    assert (REPOSITORY / published / "index.html").is_file()


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({}, ".venv"),
        ({"CONDA_PREFIX": "/conda", "CONDA_DEFAULT_ENV": "base"}, ".venv"),
        ({"CONDA_PREFIX": "/conda/envs/digits", "CONDA_DEFAULT_ENV": "digits"}, "/conda/envs/digits"),
        ({"NOISY_DIGITS_ENVIRONMENT": "/usr/local"}, "/usr/local"),
    ],
)
def test_make_uses_the_environment_that_is_there(variables, used):
    command = ["make", "--dry-run", "--always-make", "reports"]
    variables = {key: value for key, value in environment().items() if key != "NOISY_DIGITS_ENVIRONMENT"} | variables
    printed = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=True).stdout
    assert f"'{used}'/noisy-digits build" in printed.replace("/bin", "")
    assert ("-m venv" in printed) == (used == ".venv")
