"""A training that was made before is restored, to the last bit, and nothing else is."""

import functools
import subprocess
import sys
import types
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisy_digits import _environment, _trainings, epoch_metrics, models, training
from noisy_digits.number_types import OPTIMIZERS

from .stored_training import (
    FEW,
    METRICS,
    build_tiny,
    compiled,
    draw_from_all,
    fit_few,
    fit_with_keras,
    key_of,
    plain,
    stack,
    state_of,
    store,  # noqa: F401
)

LAYERS = keras.layers
MODELS = {
    "mlp": lambda: models.mlp((6, 5), dropout=0.2, l2=0.01),
    "cnn": models.cnn,
    "leaky_relu_cnn": lambda: models.leaky_relu_cnn(models.augmentation(2, 10)),
    "dense autoencoder": models.dense_autoencoder,
    "convolutional autoencoder": models.convolutional_autoencoder,
    "noise": lambda: keras.Sequential([keras.Input((28, 28)), LAYERS.GaussianNoise(0.5), models.mlp((4,))]),
    "normalization": lambda: keras.Sequential([models.mlp((4,)), LAYERS.BatchNormalization(), LAYERS.Softmax()]),
    "mixed_bfloat16": lambda: models.mlp((4,), dropout=0.2),
}


def train_and_draw(build, metrics=(), **settings):
    """Train, and again if there are epoch metrics; return all that can be seen of it, to the last bit."""
    training.set_random_seed(3)
    model = compiled(build(), **settings)
    y = FEW.x_train[:40] if settings.get("loss") == "binary_crossentropy" else FEW.y_train[:40]
    validation = (FEW.x_test, FEW.x_test if settings.get("loss") == "binary_crossentropy" else FEW.y_test)
    measures = [metric(model) for metric in metrics]
    again = {"x": FEW.x_train[:40], "y": y, "batch_size": 20, "validation_data": validation, "epoch_metrics": measures}
    first, state = fit_few(model, **again), state_of(model)
    second = fit_few(compiled(model, **settings), **again) if measures else None
    next_key = key_of(lambda: compiled(models.mlp((2,), dropout=0.1)))  # with its weights and its order of images
    return [repr(first), state, next_key, draw_from_all(), repr(second)]


@pytest.mark.parametrize("name", MODELS)
def test_a_restored_training_of_any_model_equals_a_new_one_to_the_last_bit(store, name):  # noqa: F811
    settings = {"loss": "binary_crossentropy"} if "autoencoder" in name else {}
    try:
        training.configure("mixed_bfloat16" if name == "mixed_bfloat16" else "float32")
        new, restored = (train_and_draw(MODELS[name], eager=name != "mlp", **settings) for _ in range(2))
    finally:
        training.configure("float32")
    assert store.restored == [False, True]
    assert new == restored


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_restored_training_equals_a_new_one_with_any_optimizer(store, optimizer):  # noqa: F811
    new, restored = (train_and_draw(lambda: models.mlp((4,)), optimizer=optimizer) for _ in range(2))
    assert store.restored == [False, True]
    assert new == restored


@pytest.mark.parametrize("name", METRICS)
def test_a_restored_training_has_its_epoch_metrics_and_goes_on_as_a_new_one(store, name):  # noqa: F811
    new, restored = (train_and_draw(lambda: models.mlp((4,)), [METRICS[name]]) for _ in range(2))
    assert store.restored == [False] * 2 + [True] * 2
    assert new == restored


def test_a_training_that_diverged_is_restored_as_it_ended(store):  # noqa: F811
    for _ in range(2):
        training.set_random_seed(0)
        model = compiled(models.mlp((8, 8)), optimizer="sgd", learning_rate=1e30)
        history = fit_few(model, epochs=4)
        assert history.diverged
        assert np.isnan(history.curves["train_loss"]).tolist() == [True]
        assert int(model.optimizer.iterations) == 3
    assert store.restored == [False, True]


@pytest.mark.parametrize("folder", [None, "record"])
def test_only_a_notebook_opened_by_hand_says_that_a_training_was_restored(store, capsys, monkeypatch, tmp_path, folder):  # noqa: F811
    if folder:
        monkeypatch.setenv(_environment.RECORD, str(tmp_path / folder))
    monkeypatch.setattr(training, "read_revision", lambda: "8c71560")
    fit_few(build_tiny())
    assert capsys.readouterr().out == ""
    fit_few(build_tiny())
    made = _environment.read_trainings(store.log)[0]
    line = (
        f"restored a training of {made['seconds']:g} s, made {made['made'][:10]} at 8c71560; "
        "to train it again: %env NOISY_DIGITS_FRESH=1\n"
    )
    assert capsys.readouterr().out == ("" if folder else line)
    monkeypatch.setenv(_environment.FRESH, "1")  # as the line says
    fit_few(build_tiny())
    assert store.restored == [False, True, False]
    assert capsys.readouterr().out == ""


def test_an_origin_names_its_revision_if_it_has_one():
    origin = _trainings.Origin("2026-11-24T12:00:00Z", "8c71560", "CPU", 1.5)
    assert str(origin) == "a training of 1.5 s, made 2026-11-24 at 8c71560"
    assert str(replace(origin, revision=None)) == "a training of 1.5 s, made 2026-11-24"


class OwnDense(LAYERS.Dense):
    def call(self, inputs, training=None):
        return 2 * super().call(inputs)


class OwnDenseOfNotebook(OwnDense):
    __module__ = "__main__"


class OwnArgument(LAYERS.Layer):
    """Keras cannot describe its argument."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


class OwnModel(keras.Model):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


class OwnOptimizer(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(2 * gradient, variable, learning_rate)


def relu(x):
    """Bear the name of one of Keras's functions."""
    return tf.nn.sigmoid(x)


def own_loss(true, predicted):
    return 2 * keras.losses.sparse_categorical_crossentropy(true, predicted)


def with_normalization():
    normalization = LAYERS.Normalization(axis=None)
    normalization.adapt(FEW.x_train)
    return stack(normalization)


def with_own_model():
    model = OwnModel([LAYERS.Flatten(), LAYERS.Dense(10, activation="softmax")])
    model(FEW.x_test)
    return compiled(model)


def with_own_train_step():
    model = plain()()
    own = type(model).train_step
    model.train_step = types.MethodType(lambda self, data: own(self, data), model)
    return model


def with_own_call():
    layer = LAYERS.Dense(28)
    layer.call = functools.partial(layer.call)
    return stack(layer)


def without_decay_of_biases():
    optimizer = keras.optimizers.AdamW(0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return plain(optimizer=optimizer)()


UNKNOWN = {
    "layer": lambda: stack(OwnDense(28)),
    "layer of a notebook": lambda: stack(OwnDenseOfNotebook(28)),
    "layer within a layer": lambda: stack(LAYERS.TimeDistributed(OwnDense(3))),
    "argument": lambda: stack(OwnArgument(tf.square)),
    "Lambda": lambda: stack(LAYERS.Lambda(lambda x: 2 * x)),
    "activation": lambda: stack(LAYERS.Dense(28, activation=relu)),
    "model": with_own_model,
    "optimizer": lambda: plain(optimizer=OwnOptimizer(0.01))(),
    "loss": plain(loss=own_loss),
    "lambda as loss": plain(loss=lambda true, predicted: own_loss(true, predicted)),
    "metric": plain(metrics=[own_loss]),
    "layer that adapts": with_normalization,
    "train step": with_own_train_step,
    "call": with_own_call,
    "weight decay of some variables": without_decay_of_biases,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_training_with_unknown_code_is_never_kept_and_equals_that_of_keras(store, name):  # noqa: F811
    training.set_random_seed(1)
    history = fit_few(model := UNKNOWN[name]())
    training.set_random_seed(1)
    expected = fit_with_keras(reference := UNKNOWN[name]())
    assert {key.removeprefix("train_"): values for key, values in history.curves.items()} == expected
    assert state_of(model) == state_of(reference)
    assert store.entries == []


def test_a_training_with_an_unknown_epoch_metric_is_never_kept(store):  # noqa: F811
    table = epoch_metrics.error_rate(FEW.x_test, tf.constant(FEW.y_test), "error")
    assert key_of(metrics=[lambda model: table]) is None
    history = fit_few(build_tiny(), epoch_metrics=[lambda model: {"mine": 1.0}])
    assert history.curves["mine"] == [1.0, 1.0]
    assert store.entries == []


def test_an_epoch_metric_of_a_file_that_is_called_like_ours_is_unknown():
    metric = epoch_metrics.error_rate(FEW.x_test, FEW.y_test, "error")
    assert key_of(metrics=[lambda model: metric]) is not None
    metric.__module__ = "epoch_metrics"
    assert key_of(metrics=[lambda model: metric]) is None


def test_default_arguments_of_an_epoch_metric_are_part_of_the_key():
    def find_key(level):
        def measure(model, level=level):
            return {"level": level}

        measure.__module__ = epoch_metrics.__name__
        return key_of(metrics=[lambda model: measure])

    assert None is not find_key(1.0) == find_key(1.0) != find_key(2.0)


def test_a_constraint_that_is_set_on_a_weight_is_part_of_the_key(store):  # noqa: F811
    for limit in (0.01, 0.02):
        model = build_tiny()
        model.layers[-1].kernel.constraint = keras.constraints.MaxNorm(limit)
        fit_few(model)
        assert np.linalg.norm(model.layers[-1].get_weights()[0], axis=0).max() == pytest.approx(limit, rel=1e-3)
    assert store.restored == [False, False]


def test_a_training_whose_curves_are_arrays_is_not_kept_but_not_lost(store):  # noqa: F811
    model = build_tiny()
    model.compile(optimizer="sgd", loss="categorical_crossentropy", metrics=[keras.metrics.F1Score()])
    labels = np.eye(10, dtype=np.float32)[FEW.y_train], np.eye(10, dtype=np.float32)[FEW.y_test]
    with pytest.warns(UserWarning, match="this training is not kept"):
        history = training.fit(
            model, FEW.x_train, labels[0], validation_data=(FEW.x_test, labels[1]), epochs=1, batch_size=4
        )
    assert len(history.curves["val_f1_score"][0]) == 10
    assert store.entries == []


def test_a_model_whose_weights_numpy_cannot_store_is_trained_but_not_kept(store):  # noqa: F811
    training.set_random_seed(0)
    layers = [keras.Input((28, 28)), LAYERS.Flatten(), LAYERS.Dense(10, activation="softmax", dtype="bfloat16")]
    fit_few(compiled(keras.Sequential(layers), optimizer="sgd"))
    assert store.entries == []


IN_A_PROCESS = """
import sys
from tests.unit.stored_training import build_tiny, draw_from_all, fit_few, state_of
model = build_tiny()
sys.stdin.readline()
print([fit_few(model).curves, state_of(model), draw_from_all()])
"""


def test_of_two_processes_one_trains_and_the_other_restores(store):  # noqa: F811
    command = [sys.executable, "-c", IN_A_PROCESS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    printed = {process.communicate()[0].splitlines()[-1] for process in processes}
    assert len(printed) == 1
    assert sorted(store.restored) == [False, True]
    assert len(store.entries) == 1
    model = build_tiny()
    fit_few(model)
    assert store.restored[-1]
    assert repr(state_of(model)) in printed.pop()
