"""Everything that decides the result of a training is part of its key, and nothing else."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits import _environment, _trainings, epoch_metrics, training
from noisy_digits.number_types import OPTIMIZERS

from .stored_training import FEW, METRICS, TEST, build_tiny, compiled, key_of, plain

LAYERS = keras.layers
TRAIN = (FEW.x_train[:40], FEW.y_train[:40])


def set_up(**settings):
    """Return a builder of the tiny network, compiled with other settings."""
    return lambda: compiled(build_tiny(), **settings)


def change(array, place, value):
    changed = array.copy()
    changed.flat[place] = value
    return changed


def test_every_setting_that_decides_the_result_is_part_of_the_key():
    """All of them differ from one another, too."""
    x, y = FEW.x_train, FEW.y_train
    error, gradients, weights = METRICS.values()
    trainings = {
        "base": {},
        "order": {"x": x[::-1], "y": y[::-1]},
        "dtype": {"x": x.astype(np.float64)},
        "dtype of labels": {"y": y.astype(np.int32)},
        "validation labels": {"validation_data": (FEW.x_test, change(FEW.y_test, 3, 9 - FEW.y_test[3]))},
        "one validation image less": {"validation_data": (FEW.x_test[:-1], FEW.y_test[:-1])},
        "epochs": {"epochs": 3},
        "batch size": {"batch_size": 49},
        "learning rate": {"build": set_up(learning_rate=np.nextafter(np.float32(0.01), np.float32(1)).item())},
        "learning rate set later": {"learning_rate": 0.5},
        **{name: {"build": set_up(optimizer=name)} for name in set(OPTIMIZERS) - {"adam"}},
        "loss": {"build": set_up(loss="binary_crossentropy")},
        "loss with a setting": {"build": plain(loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=3))},
        "metrics": {"build": plain(metrics=["accuracy"])},
        "no metrics": {"build": plain()},
        "setting of an optimizer": {"build": plain(optimizer=keras.optimizers.Adam(beta_1=0.8))},
        "seed": {"build": lambda: build_tiny(seed=1)},
        "seed of TensorFlow": {"tf_seed": 5},
        "units": {"build": lambda: build_tiny(hidden_units=(5,))},
        "activation": {"build": lambda: build_tiny(activation="tanh")},
        "dropout": {"build": lambda: build_tiny(dropout=0.25)},
        "l2": {"build": lambda: build_tiny(l2=0.1)},
        "other l2": {"build": lambda: build_tiny(l2=0.01)},
        "frozen layer": {"frozen": lambda model: model.layers[1]},
        "other frozen layer": {"frozen": lambda model: model.layers[-1]},
        "frozen kernel": {"frozen": lambda model: model.layers[1].kernel},
        "error rate": {"metrics": [error]},
        "error rate on other images": {"metrics": [lambda model: epoch_metrics.error_rate(*TRAIN, "error")]},
        "error rate by another name": {"metrics": [lambda model: epoch_metrics.error_rate(*TEST, "wrong")]},
        "gradients": {"metrics": [gradients]},
        "two metrics": {"metrics": [gradients, error]},
        "two metrics in another order": {"metrics": [error, gradients]},
        "weights": {"metrics": [weights]},
        "other divisor": {"metrics": [lambda model: epoch_metrics.relative_weight_change(model, 8)]},
    }
    keys = {name: key_of(**changes) for name, changes in trainings.items()}
    assert None not in keys.values()
    equal = {key: [name for name in keys if keys[name] == key] for key in keys.values()}
    assert [names for names in equal.values() if len(names) > 1] == []


def test_settings_of_keras_and_the_precision_are_part_of_the_key():
    before = key_of()
    try:
        keras.config.set_epsilon(1e-3)
        other_epsilon = key_of()
    finally:
        keras.config.set_epsilon(1e-7)
    try:
        training.configure("mixed_bfloat16")
        other_precision = key_of()
    finally:
        training.configure("float32")
    assert len({before, other_epsilon, other_precision}) == 3
    assert key_of() == before


@given(
    which=st.sampled_from(["x", "y", "x_val", "y_val"]),
    place=st.integers(0, 10**9),
    upwards=st.booleans(),
)
def test_the_smallest_change_of_one_pixel_or_label_gives_another_key(which, place, upwards):
    arrays = {"x": FEW.x_train[:5], "y": FEW.y_train[:5], "x_val": FEW.x_test[:5], "y_val": FEW.y_test[:5]}
    array, step = arrays[which], 1 if upwards else -1
    place %= array.size
    value = array.flat[place]
    arrays[which] = change(array, place, value + step if "y" in which else np.nextafter(value, np.float32(step * 9)))
    training.set_random_seed(0)
    changed = _trainings.compute_key(*arrays.values())
    arrays[which] = array
    assert changed != _trainings.compute_key(*arrays.values())


@given(st.lists(st.sampled_from(["", "a", "ab", "b"]), max_size=4), st.lists(st.sampled_from(["", "a", "ab", "b"])))
def test_keys_tell_where_one_part_ends(first, second):
    arrays = [[np.frombuffer(part.encode(), np.uint8) for part in parts] for parts in (first, second)]
    assert (_trainings.compute_key(*first) == _trainings.compute_key(*second)) == (first == second)
    assert (_trainings.compute_key(*arrays[0]) == _trainings.compute_key(*arrays[1])) == (first == second)


def enclosing(value, name="metric", module=epoch_metrics.__name__):
    """Return a function that looks like an epoch metric of this package and encloses a value."""

    def metric():
        return value

    metric.__qualname__, metric.__module__ = name, module
    return metric


def key_of_function(*arguments):
    return _trainings.compute_key(*_trainings.describe_function(enclosing(*arguments)))


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (np.zeros(2000), change(np.zeros(2000), 1000, 1e-9)),  # which look the same when printed
        ([np.zeros(2000)], [change(np.zeros(2000), 1000, 1e-9)]),
        ([np.zeros(2), np.ones(2)], [np.ones(2), np.zeros(2)]),
        (np.zeros(2, np.float32), np.zeros(2, np.int32)),
        (1, 2),
        (1, 1.0),
        (1, "1"),
        (np.float32(1), 1.0),
    ],
)
def test_describe_function_tells_what_a_metric_encloses(value, other):
    assert key_of_function(value) == key_of_function(value) != key_of_function(other)
    assert key_of_function(value) != key_of_function(value, "other_metric")


@pytest.mark.parametrize("value", [None, {"a": 1}, (1, 2), [[1]], [1, None], len])
def test_describe_function_does_not_describe_what_encloses_other_things(value):
    assert _trainings.describe_function(enclosing(value)) is None


@pytest.mark.parametrize(
    "module", ["__main__", "noisy_digits", "noisy_digits.training", "numpy", "epoch_metrics.other"]
)
def test_describe_function_does_not_describe_functions_of_other_modules(module):
    assert _trainings.describe_function(enclosing(1, "metric", module)) is None


@pytest.mark.parametrize("package", ["keras", "numpy", "tensorflow"])
def test_another_version_of_a_package_gives_another_key(monkeypatch, package):
    before = key_of()
    known = _trainings.version
    monkeypatch.setattr(_trainings, "version", lambda name: "0.1" if name == package else known(name))
    assert key_of() != before


ALL_MODULES = (*_trainings.MODULES, *_trainings.MODULES_OF_FUNCTIONS)


@pytest.mark.parametrize("name", ALL_MODULES)
def test_a_line_of_the_training_code_gives_another_key_but_words_do_not(monkeypatch, tmp_path, name):
    before, without_metrics = key_of(metrics=METRICS.values()), key_of()
    for module in ALL_MODULES:
        (tmp_path / f"{module}.py").write_text((Path(_trainings.__file__).parent / f"{module}.py").read_text())
    code = (tmp_path / f"{name}.py").read_text()
    assert "Return " in code
    for changed, same in (
        ('"""Other words."""\n# a comment\n' + code.replace("Return ", "Give ") + "\n\n", True),
        (code + "\nOTHER = 1\n", False),
    ):
        (tmp_path / f"{name}.py").write_text(changed)
        monkeypatch.setattr(_trainings, "_SOURCES", _trainings._read_sources(tmp_path))
        assert (key_of(metrics=METRICS.values()) == before) is same
        assert (key_of() == without_metrics) is (same or name in _trainings.MODULES_OF_FUNCTIONS)


def test_every_module_that_the_training_code_uses_is_part_of_the_key_or_decides_nothing():
    used = set()
    for name in ALL_MODULES:
        for node in ast.walk(ast.parse((Path(_trainings.__file__).parent / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "noisy_digits":
                used |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("noisy_digits."):
                used.add(node.module.removeprefix("noisy_digits."))
    decide_nothing = {"_environment", "_trainings", "errors", "number_types", "project"}
    assert set(_trainings.MODULES) == used - decide_nothing
    assert _trainings.MODULES_OF_FUNCTIONS == ("epoch_metrics",)


def test_what_decides_nothing_is_not_part_of_the_key(monkeypatch, tmp_path):
    before = key_of(metrics=METRICS.values())
    build_tiny()  # so that layers have other names
    assert key_of(metrics=METRICS.values()) == before
    monkeypatch.chdir(tmp_path)
    for variable in (_environment.RECORD, _environment.COLLECTION, _environment.PROGRESS, _environment.DATA):
        monkeypatch.setenv(variable, str(tmp_path / "other"))
    assert key_of(metrics=METRICS.values()) == before
    x, y = np.asfortranarray(FEW.x_train), np.repeat(FEW.y_train, 2)[::2]
    assert key_of(metrics=METRICS.values(), x=x, y=y) == before


def test_names_that_keras_generates_are_not_part_of_the_key():
    """The first layer of a kind has the name of its kind, which may be that of an activation function, too."""

    def build():
        inputs = keras.Input((28, 28))
        hidden = LAYERS.Softmax()(LAYERS.ELU()(LAYERS.Dense(3, activation="elu")(LAYERS.Flatten()(inputs))))
        added = LAYERS.Add()([LAYERS.Dense(3, activation="softmax")(hidden), hidden])
        return keras.Model(inputs, LAYERS.Dense(10, activation="softmax")(added * 2 + 1))

    keys = []
    for _ in range(2):
        training.set_random_seed(0)
        if not keys:
            keras.utils.clear_session(free_memory=False)
            training.set_random_seed(0)
        keys.append(key_of(lambda: compiled(build())))
    assert keys[0] == keys[1] is not None
