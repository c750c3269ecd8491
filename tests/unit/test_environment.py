import os
import subprocess
import sys
from pathlib import Path

import pytest

from noisy_digits import _environment
from noisy_digits._environment import RunContext

VARIABLES = [getattr(_environment, name) for name in ("RECORD", "PROGRESS", "PRECISION", "COLLECTION", "DATA")]


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Remove this project's variables from the environment."""
    for name in (*VARIABLES, "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_run_context_is_empty_in_a_notebook_opened_by_hand():
    assert RunContext.from_environment() == RunContext(None, None, "float32", None)


@pytest.mark.parametrize(
    "context",
    [RunContext(), RunContext(Path("a folder/recorded"), Path("a folder/progress"), "mixed_bfloat16", "mnist")],
)
def test_run_context_comes_back_from_the_environment(monkeypatch, context):
    for name, value in context.to_environment().items():
        monkeypatch.setenv(name, value)
    assert RunContext.from_environment() == context


def test_kernel_variables_put_keras_on_tensorflow_with_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    variables = _environment.kernel_variables()
    assert {variables[name] for name in _environment.THREAD_VARIABLES} == {"1"}
    assert variables["KERAS_BACKEND"] == "tensorflow"
    assert variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert _environment.DATA not in variables


@pytest.mark.parametrize("name", [_environment.DATA, _environment.KERAS_HOME, _environment.TRAININGS])
def test_kernel_variables_hold_the_users_folders_in_full(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, meant in (("here", "here"), ("~/there", "home/there")):
        monkeypatch.setenv(name, given)
        assert _environment.kernel_variables()[name] == str((tmp_path / meant).resolve())
    monkeypatch.delenv(name)
    assert name not in _environment.kernel_variables()


def test_data_folder_and_keras_home_are_the_users(monkeypatch):
    assert _environment.data_folder() is None
    assert _environment.keras_home() is None
    monkeypatch.setenv(_environment.DATA, "here")
    monkeypatch.setenv("KERAS_HOME", "there")
    assert (_environment.data_folder(), _environment.keras_home()) == (Path("here"), Path("there"))
    monkeypatch.setenv(_environment.DATA, "")
    assert _environment.data_folder() is None


def test_read_epochs_returns_what_log_epoch_wrote(monkeypatch, tmp_path):
    file = tmp_path / "progress"
    assert _environment.read_epochs(file) == []
    _environment.log_epoch(1, 2, "CPU")
    assert not file.exists()
    monkeypatch.setenv(_environment.PROGRESS, str(file))
    _environment.log_epoch(1, 2, "CPU")
    _environment.log_epoch(2, 2, "a “GPU”")
    assert _environment.read_epochs(file) == [
        {"epoch": 1, "epochs": 2, "device": "CPU"},
        {"epoch": 2, "epochs": 2, "device": "a “GPU”"},
    ]


IMPORT_EVERYTHING = """
import gc, importlib, os, pkgutil, sys
environment, thresholds, frozen = dict(os.environ), gc.get_threshold(), gc.get_freeze_count()  # not 0 in 3.12
import noisy_digits
for module in pkgutil.iter_modules(noisy_digits.__path__, "noisy_digits."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import keras
from tensorflow.python.framework import config
assert "noisy_digits.training" in sys.modules
here = set(os.environ) - set(environment)
print(sorted(name for name in here if name.startswith(("NOISY_DIGITS", "KERAS")) or name.endswith("THREADS")))
print(gc.get_threshold() == thresholds, gc.get_freeze_count() - frozen, config.is_op_determinism_enabled())
print(keras.config.dtype_policy().name)
"""


def test_importing_every_module_changes_no_setting():
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    environment[_environment.PRECISION] = "mixed_bfloat16"  # which `training.configure` alone reads
    done = subprocess.run([sys.executable, "-c", IMPORT_EVERYTHING], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "True 0 False", "float32"], done.stderr


@pytest.mark.parametrize("module", ["_environment", "formatting", "stats", "_memory"])
def test_base_modules_import_no_tensorflow(module):
    code = f"import sys, noisy_digits.{module}; print({{'tensorflow', 'keras', 'sklearn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
