"""Train Keras models, evaluate them and let them predict."""

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from noisy_digits import _trainings
from noisy_digits._batches import draw_order_seed, make_dataset
from noisy_digits._environment import (
    FRESH,
    PRECISIONS,
    RunContext,
    describe_arithmetic,
    log_epoch,
    log_training,
    wants_fresh_trainings,
)
from noisy_digits._optimizers import build_optimizer
from noisy_digits._tracing import borrow_traced, copy_state, describe_model
from noisy_digits.errors import UserError, check_name
from noisy_digits.project import read_revision

STEPS_PER_EXECUTION = 64
NOT_JITTED: dict[str, Any] = {"jit_compile": False}
SILENT: dict[str, Any] = {"verbose": 0}
EVALUATION_BATCH = 250
DIVERGENCE_THRESHOLD = 100 * float(np.log(10))
"""Nats. A training that ends with a larger loss has diverged: this is 100 times the loss of guessing among ten."""

EpochMetric = Callable[[keras.Model], Mapping[str, float | Sequence[float]]]
"""A function that is called with the model after every epoch and returns numbers, or lists of numbers, by name."""


@dataclass(frozen=True)
class History:
    """The record of one training: ``curves`` by name, one value per epoch.

    ``train_loss`` and, for classifiers, ``train_accuracy`` are Keras's running means over the epoch's batches, taken
    while the weights change and dropout is active; ``val_loss`` and ``val_accuracy`` are taken after each epoch,
    without dropout. Accuracies are fractions; losses are cross-entropies in nats, per image for classifiers and per
    pixel for autoencoders, plus any L2 penalty. Epoch metrics follow under the names that they return.
    """

    curves: dict[str, list]

    @property
    def diverged(self) -> bool:
        """Return True if the last training loss is not finite or above ``DIVERGENCE_THRESHOLD``."""
        return not self.curves["train_loss"][-1] <= DIVERGENCE_THRESHOLD

    def final_metrics(self) -> dict[str, float]:
        """Return the last value of each curve of numbers, by name, and ``diverged`` (1) if the training did."""
        last: dict[str, float] = {name: values[-1] for name, values in self.curves.items() if np.ndim(values[-1]) == 0}
        if self.diverged:
            last["diverged"] = 1
        return last


def stack_curves(histories: Sequence[History]) -> dict[str, np.ndarray]:
    """Return the curves of several trainings by name: float32 of shape (n_trainings, n_epochs), or with more axes.

    A training that stopped early has NaN in its last epochs.
    """
    stacked = {}
    for name in histories[0].curves:
        curves = [np.asarray(history.curves[name], dtype=np.float32) for history in histories]
        stacked[name] = np.full((len(curves), max(map(len, curves)), *curves[0].shape[1:]), np.nan, dtype=np.float32)
        for row, curve in zip(stacked[name], curves, strict=True):
            row[: len(curve)] = curve
    return stacked


_configured = False


def configure(precision: str | None = None) -> None:
    """Prepare TensorFlow: deterministic operations, and the precision of the build unless ``precision`` is given.

    ``precision`` is "float32" or "mixed_bfloat16", for models made afterwards. Raises UserError for another one, and if
    Keras does not run on TensorFlow.
    """
    global _configured
    if (backend := keras.backend.backend()) != "tensorflow":
        raise UserError(f'Keras runs on "{backend}": set KERAS_BACKEND=tensorflow and start Python again')
    precision = check_name("precision", precision or RunContext.from_environment().precision, PRECISIONS)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(precision)
    if not _configured:
        gc.freeze()  # the imports are no garbage: to look through them takes 0.2 s after every training and evaluation
    _configured = True


def set_random_seed(seed: int) -> np.random.Generator:
    """Seed Keras (initial weights, shuffling, dropout) with ``seed`` (0 or more); return a generator for the noise.

    Configures TensorFlow first if ``configure`` was not called. On one machine and number of threads the same seed then
    gives the same result to the last bit.
    """
    if not _configured:
        configure()
    keras.utils.set_random_seed(seed)
    return np.random.default_rng(seed)


def device_name() -> str:
    """Return the name of the first GPU that TensorFlow sees, or "CPU" if there is none."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_device_details(gpu)["device_name"]
    return "CPU"


def compile(model: keras.Model, *, optimizer: str, learning_rate: float, loss: str) -> None:
    """Set how a model is trained; a model that was trained before starts with a new optimizer.

    ``optimizer`` is one of ``types.OPTIMIZERS``; ``loss`` is "sparse_categorical_crossentropy" for classifiers, whose
    accuracy is then measured too, or "binary_crossentropy" for autoencoders. Raises UserError for another optimizer.
    """
    model.compile(
        optimizer=build_optimizer(optimizer, learning_rate),
        loss=loss,
        metrics=["accuracy"] if loss == "sparse_categorical_crossentropy" else None,
        steps_per_execution=STEPS_PER_EXECUTION,
        **NOT_JITTED,
    )


def fit(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    validation_data: tuple[np.ndarray, np.ndarray],
    epochs: int,
    batch_size: int,
    epoch_metrics: Sequence[EpochMetric] = (),
) -> History:
    """Train a compiled model and return its history. A training whose loss is no longer finite ends with that epoch.

    ``x`` holds images (n, 28, 28), shuffled in every epoch, and ``y`` their integer labels (n,), or for an autoencoder
    images (n, 28, 28) from 0 to 1. A training that was made before, with the same model, images, settings and random
    states, is restored from trainings/ instead; opened by hand, a notebook says so. Models with layers of your own and
    epoch metrics other than those of ``epoch_metrics`` are trained each time. Raises UserError if ``x`` and ``y``
    differ in length, and for a model that was trained since it was compiled.
    """
    if not (model.compiled and model.optimizer):
        raise UserError("this model has no optimizer: call training.compile first")
    if int(model.optimizer.iterations):
        raise UserError("this model was trained before: build a new one, or compile it again to train it further")
    work = _Work(model, x, y, validation_data, epochs, batch_size, epoch_metrics, draw_order_seed())
    key = work.compute_key()
    with _trainings.lock_training(key) if key else nullcontext():
        shapes = [tuple(variable.shape) for variable in model.variables]
        found = _trainings.load_training(key, shapes) if key and not wants_fresh_trainings() else None
        trained = found or work.train()
        if found:
            for variable, value in zip(model.variables, found.variables, strict=True):
                variable.assign(value)
            for epoch in range(epochs):
                log_epoch(epoch + 1, epochs, found.origin.device)
            for metric in epoch_metrics:  # some remember the model of their last call
                metric(model)
            if RunContext.from_environment().record_folder is None:
                print(f"restored {found.origin}; to train it again: %env {FRESH}=1")
        elif key:
            _trainings.save_training(key, trained)
    model.optimizer.iterations.assign(trained.steps)
    log_training(key=key, restored=bool(found), **asdict(trained.origin))
    return History(trained.curves)


@dataclass(frozen=True)
class _Work:
    """What there is to train: the arguments of ``fit``, and a seed for the order of the images."""

    model: keras.Model
    x: np.ndarray
    y: np.ndarray
    validation_data: tuple[np.ndarray, np.ndarray]
    epochs: int
    batch_size: int
    epoch_metrics: Sequence[EpochMetric]
    order_seed: int

    def compute_key(self) -> str | None:
        """Return the key under which the training is kept; None if code takes part whose effect is not known."""
        description = describe_model(self.model)
        metrics = [_trainings.describe_function(metric) for metric in self.epoch_metrics]
        variables = [variable.numpy() for variable in self.model.variables]
        of_numpy = all(variable.dtype.isbuiltin == 1 for variable in variables)  # a file cannot hold others
        if description is None or None in metrics or not of_numpy:
            return None
        seeds = tf.compat.v1.get_seed(self.order_seed)  # with TensorFlow's global one
        numbers = f"{self.epochs} epochs, batches of {self.batch_size}, seeds {seeds}, {describe_arithmetic()}"
        enclosed = chain.from_iterable(metric for metric in metrics if metric)
        arrays = (self.x, self.y, *self.validation_data)
        return _trainings.compute_key(description, numbers, *variables, *arrays, *enclosed)

    def train(self) -> _trainings.Training:
        """Train the model."""
        began, started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
        revision = read_revision()
        with borrow_traced(self.model) as traced:
            curves, steps = self._train(traced)
            copy_state(traced, self.model)
        gc.collect()  # datasets are part of a cycle, and would stay in memory during the next training
        seconds = round(time.perf_counter() - started, 1)
        origin = _trainings.Origin(began, revision, device_name(), seconds)
        variables = [variable.numpy() for variable in self.model.variables]
        return _trainings.Training(curves, variables, steps, origin)

    def _train(self, traced: keras.Model) -> tuple[dict[str, list], int]:
        """Train ``traced`` instead of the model; return the curves and the number of steps."""
        device, measured = device_name(), defaultdict(list)

        def after_epoch(epoch: int, logs: Mapping[str, float]) -> None:
            log_epoch(epoch + 1, self.epochs, device)
            copy_state(traced, self.model)
            for metric in self.epoch_metrics:
                for name, value in metric(traced).items():
                    measured[name].append(value)
            traced.stop_training = not np.isfinite(logs["loss"])

        recorded = traced.fit(
            make_dataset(self.x, self.y, self.batch_size, order_seed=self.order_seed),
            validation_data=make_dataset(*self.validation_data, EVALUATION_BATCH),
            epochs=self.epochs,
            shuffle=False,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
            **SILENT,
        ).history
        curves = {name if name.startswith("val_") else f"train_{name}": values for name, values in recorded.items()}
        return {**curves, **measured}, int(traced.optimizer.iterations)


def evaluate(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return a classifier's ``loss`` (nats per image) and ``accuracy`` on images ``x`` (n, 28, 28), labels ``y`` (n,).

    The loss is the mean cross-entropy plus any L2 penalty. Raises UserError if ``x`` and ``y`` differ in length.
    """
    if len(x) != len(y):
        raise UserError(f"training: {len(x)} images and {len(y)} labels: give one of each")
    losses, answers = [], []
    for start in range(0, len(x), EVALUATION_BATCH):
        batch = slice(start, start + EVALUATION_BATCH)
        probabilities = model(x[batch], training=False)  # to trace Keras's own `evaluate` would take a second
        losses.append(np.asarray(keras.losses.sparse_categorical_crossentropy(y[batch], probabilities)))
        answers.append(np.argmax(probabilities, axis=1))
    loss = np.concatenate(losses).mean(dtype=float) + sum(map(float, model.losses))
    return {"loss": float(loss), "accuracy": float(np.mean(np.concatenate(answers) == y))}


def predict(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return the model's outputs (n, …) for ``x`` (n, …), images or codes."""
    starts = range(0, len(x), EVALUATION_BATCH)
    return np.concatenate([np.asarray(model(x[start : start + EVALUATION_BATCH], training=False)) for start in starts])


def get_hidden_layers(model: keras.Model) -> list[keras.layers.Dense]:
    """Return the dense layers of a model except the last one, from the input on."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][:-1]


def compute_gradients(
    model: keras.Model, x: np.ndarray, y: np.ndarray, variables: Sequence[keras.Variable]
) -> list[np.ndarray]:
    """Return the gradient of a classifier's mean cross-entropy (nats), without any penalty: one array per variable.

    The mean is over images ``x`` (n, 28, 28) with labels ``y`` (n,).
    """
    with tf.GradientTape() as tape:
        losses: Any = keras.losses.sparse_categorical_crossentropy(y, model(x, training=False))
        loss = tf.reduce_mean(losses)
    return [np.asarray(gradient) for gradient in tape.gradient(loss, [variable.value for variable in variables])]
