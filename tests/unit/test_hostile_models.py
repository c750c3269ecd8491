"""Model files that were made to run code, or to read other files, when they are loaded: they do neither."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from noisy_digits import _files, results
from noisy_digits._environment import RunContext
from noisy_digits.errors import UserError
from noisy_digits.play._networks import read_network

from .results_project import RECORD, build, make_project

TRACE = "trace"
"""A file that some would make in the working directory."""
KERNEL = "layers/dense/vars/0"
SECRET = np.arange(1, 5, dtype=np.float32)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The file of a model with one dense layer, in a project with results."""
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root)
    folder, plan = build(root, monkeypatch)
    run = folder / plan[0].path
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="dense")], name="mlp")
    with monkeypatch.context() as patch:
        for variable, value in RunContext(record_folder=run).to_environment().items():
            patch.setenv(variable, value)
        results.save_model(network, 0)
    _files.write_json(run / "run.json", RECORD | {"files": ["mlp_0.keras"]})
    return run / "mlp_0.keras"


def load():
    return results.load_model("toy/1_train", 0, recipe="as_submitted", use_l2=False, n_layers=1, scale=0)


def forge(model, **changes):
    """Rewrite a model's file with what functions, by the names of the files in it, make of their content."""
    with zipfile.ZipFile(model) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        (place,) = (each for each in content if name in each)
        content[place] = change(content[place])
    with zipfile.ZipFile(model, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)


def change_layer(model, change):
    """Let ``change`` replace the description of the last layer."""

    def rewrite(config):
        described = json.loads(config)
        described["config"]["layers"][-1] = change(described["config"]["layers"][-1])
        return json.dumps(described).encode()

    forge(model, config=rewrite)


def call(module, function, /, **arguments):
    """Return the description of a layer that calls a function, or makes an object, of any module."""
    return {"module": module, "class_name": function, "config": arguments, "registered_name": None}


def with_lambda(layer):
    touch = keras.layers.Lambda(lambda x: __import__("pathlib").Path("trace").touch() or x)
    return keras.saving.serialize_keras_object(touch)


def with_function(layer):
    named = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    return layer | {"config": layer["config"] | {"activation": named}}


HOSTILE = {
    "lambda": with_lambda,
    "function": with_function,
    "command": lambda layer: call("subprocess", "Popen", args=["touch", TRACE]),
    "builtin": lambda layer: call("builtins", "eval", source=f"open({TRACE!r}, 'w')"),
    "unsafe mode": lambda layer: call("keras.config", "enable_unsafe_deserialization"),
    "download": lambda layer: call("keras.utils", "get_file", fname=TRACE, origin="file:///etc/hostname"),
    "pickle": lambda layer: call("keras.layers", "TorchModuleWrapper", name="torch", module={"a": "gASVAA=="}),
    "vocabulary": lambda layer: call("keras.layers", "StringLookup", name="words", vocabulary="/etc/hostname"),
    "saved model": lambda layer: call("keras.layers", "TFSMLayer", name="saved", filepath=TRACE),
}


def test_without_the_safe_mode_of_keras_a_file_would_run_its_code(model):
    change_layer(model, with_lambda)
    keras.models.load_model(model, safe_mode=False)
    assert Path(TRACE).exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_load_model_runs_nothing_and_reads_nothing_that_a_file_names(model, name):
    assert load().name == "mlp"
    change_layer(model, HOSTILE[name])
    with pytest.raises(UserError, match=r"mlp_0\.keras cannot be opened .*: delete it and run `make reports` again$"):
        load()
    assert not Path(TRACE).exists()
    change_layer(model, with_lambda)
    with pytest.raises(UserError, match="Lambda"):  # which is still refused
        load()


def lie_elsewhere(tmp_path):
    """Return a function that lets the kernel in a file of weights lie in another file, which holds ``SECRET``."""
    (tmp_path / "secret").write_bytes(SECRET.tobytes())

    def change(weights):
        file = io.BytesIO(weights)
        with h5py.File(file, "r+") as content:
            del content[KERNEL]
            outside = [(str(tmp_path / "secret"), 0, SECRET.nbytes)]
            content.create_dataset(KERNEL, (2, 2), np.float32, external=outside)
        with h5py.File(file) as content:
            assert np.array_equal(content[KERNEL], SECRET.reshape(2, 2))  # HDF5 itself reads it
        return file.getvalue()

    return change


@pytest.mark.parametrize("read", [lambda model: load(), read_network], ids=["load_model", "read_network"])
def test_weights_that_lie_in_another_file_are_not_read(model, tmp_path, read):
    forge(model, weights=lie_elsewhere(tmp_path))
    with pytest.raises(UserError, match=r"mlp_0\.keras cannot be opened"):
        read(model)
