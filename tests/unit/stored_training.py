"""Very short trainings on few of scikit-learn's digits, kept in a folder of the test's own."""

import random
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisy_digits import _environment, data, epoch_metrics, models, training
from noisy_digits._batches import draw_order_seed, make_dataset

training.configure()

FEW = data.load("digits", train_size=120, test_size=40)
CLASSIFICATION = "sparse_categorical_crossentropy"
TEST = (FEW.x_test, FEW.y_test)
METRICS = {
    "error_rate": lambda model: epoch_metrics.error_rate(*TEST, "error"),
    "bias_gradient_norms": lambda model: epoch_metrics.bias_gradient_norms(*TEST),
    "relative_weight_change": lambda model: epoch_metrics.relative_weight_change(model, 7),
}


@dataclass(frozen=True)
class Store:
    """A folder for trainings, and the file that says which were restored."""

    folder: Path
    log: Path

    @property
    def entries(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    @property
    def restored(self) -> list[bool]:
        return [each["restored"] for each in _environment.read_trainings(self.log)]


@pytest.fixture
def store(monkeypatch, tmp_path) -> Store:
    return use_store(monkeypatch, tmp_path)


def use_store(patch: pytest.MonkeyPatch, folder: Path) -> Store:
    """Keep trainings in ``folder`` from now on, and restore them."""
    made = Store(folder / "trainings", folder / "log")
    patch.delenv(_environment.FRESH, raising=False)
    patch.setenv(_environment.TRAININGS, str(made.folder))
    patch.setenv(_environment.PROGRESS, str(made.log))
    return made


def build_tiny(seed: int = 0, *, eager: bool = True, **settings) -> keras.Model:
    """Seed everything and return a compiled network of a few units, with dropout."""
    training.set_random_seed(seed)
    return compiled(models.mlp(**{"hidden_units": (4,), "dropout": 0.2} | settings), eager=eager)


def compiled(model, *, optimizer="adam", learning_rate=0.01, loss=CLASSIFICATION, eager=True) -> keras.Model:
    """Compile a model as ``training.compile`` does, but not to be traced, which takes longer than everything else."""
    training.compile(model, optimizer=optimizer, learning_rate=learning_rate, loss=loss)
    if eager:
        metrics = ["accuracy"] if loss == CLASSIFICATION else None
        model.compile(optimizer=model.optimizer, loss=loss, metrics=metrics, run_eagerly=True)
    return model


def stack(*layers) -> keras.Model:
    """Return a compiled classifier that begins with ``layers``."""
    classify = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    return compiled(keras.Sequential([keras.Input((28, 28)), *layers, *classify]))


def fit_few(model, **changes) -> training.History:
    settings = {"validation_data": TEST, "epochs": 2, "batch_size": 50} | changes
    return training.fit(model, settings.pop("x", FEW.x_train), settings.pop("y", FEW.y_train), **settings)


def fit_with_keras(model, epochs=2) -> dict[str, list]:
    """Train as ``fit_few``, but with the model's own ``fit``; return its history."""
    batches = make_dataset(FEW.x_train, FEW.y_train, 50, order_seed=draw_order_seed())
    validation = make_dataset(FEW.x_test, FEW.y_test, training.EVALUATION_BATCH)
    return model.fit(batches, validation_data=validation, epochs=epochs, shuffle=False, verbose=0).history


def plain(**settings):
    """Return a builder of the tiny network, compiled by Keras itself."""

    def build():
        model = build_tiny()
        model.compile(**{"optimizer": "adam", "loss": CLASSIFICATION, "run_eagerly": True} | settings)
        return model

    return build


def key_of(build=build_tiny, *, frozen=None, tf_seed=None, metrics=(), learning_rate=None, **changes):
    """Return the key of a training that is not made."""
    model = build()
    if frozen is not None:
        frozen(model).trainable = False
    if learning_rate:
        model.optimizer.learning_rate = learning_rate
    if tf_seed is not None:
        tf.random.set_seed(tf_seed)
    inputs = {"x": FEW.x_train, "y": FEW.y_train, "validation_data": TEST, "epochs": 2, "batch_size": 50} | changes
    made = [metric(model) for metric in metrics]
    return training._Work(model=model, epoch_metrics=made, order_seed=draw_order_seed(), **inputs).compute_key()


def state_of(model) -> list[bytes]:
    """Return weights and random states of a model and the steps of its optimizer, to the last bit."""
    return [np.asarray(variable).tobytes() for variable in (*model.variables, model.optimizer.iterations)]


def draw_from_all() -> list[bytes]:
    """Return what the random generators of Keras, Python, NumPy and TensorFlow give next, to the last bit."""
    new = models.mlp((3,), dropout=0.5)
    draws = [keras.random.uniform((3,)), random.random(), np.random.random(3), tf.random.uniform((3,))]  # noqa: NPY002
    return [np.asarray(each).tobytes() for each in (*draws, *new.variables)]
