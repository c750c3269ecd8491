"""One training, and what is measured during it."""

import time
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

tf.config.experimental.enable_op_determinism()

STEPS_PER_EXECUTION = 64
EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class History:
    """What one training recorded: ``curves`` by name, one value per epoch.

    ``training_loss`` and, for classifiers, ``training_accuracy`` are Keras's running means over the epoch's batches,
    taken while the weights change and dropout is active, as the write-ups print them; ``validation_loss`` and
    ``validation_accuracy`` are taken at the end of each epoch, without dropout. Accuracies are fractions; losses are
    cross-entropies in nats, per image for classifiers and per pixel for autoencoders, with any L2 penalty.
    """

    curves: dict[str, list[float]]

    def last(self) -> dict[str, float]:
        """Each curve's value at the last epoch, by name."""
        return {name: values[-1] for name, values in self.curves.items()}


def seeded(seed: int) -> np.random.Generator:
    """Seed Keras (initial weights, shuffling, dropout) and return NumPy's generator for the noise.

    Everything random in a replicate follows from ``seed`` (0 or more). On one machine, with one number of
    threads, the same seed gives the same result to the last bit: TensorFlow's operations are deterministic here.
    """
    keras.utils.set_random_seed(seed)
    return np.random.default_rng(seed)


def fit(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    validation: tuple[np.ndarray, np.ndarray],
    optimizer: str,
    learning_rate: float,
    epochs: int,
    batch_size: int,
) -> History:
    """Compile and train a model; return its history.

    ``x`` holds images (n, 28, 28), shuffled every epoch, and ``validation`` is a pair like (x, y). With labels ``y``
    (n,) from 0 to 9 the model is a classifier trained with cross-entropy; labels are integers, and sparse
    categorical cross-entropy is the one-hot criterion without the zeros. With images ``y`` (n, 28, 28) from 0 to 1 it
    is an autoencoder trained with binary cross-entropy. ``optimizer`` is a name Keras knows ("rmsprop",
    "adadelta", "sgd", "adam").
    """
    classifies = y.ndim == 1
    model.compile(
        optimizer=keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": learning_rate}}),
        loss="sparse_categorical_crossentropy" if classifies else "binary_crossentropy",
        metrics=["accuracy"] if classifies else None,
        steps_per_execution=STEPS_PER_EXECUTION,
        jit_compile=False,
    )
    recorded = model.fit(
        x,
        y,
        validation_data=validation,
        epochs=epochs,
        batch_size=batch_size,
        validation_batch_size=EVALUATION_BATCH,
        verbose=0,
    ).history
    names = {name: f"training_{name}".replace("training_val_", "validation_") for name in recorded}
    return History({names[name]: values for name, values in recorded.items()})


def evaluate(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """``test_loss`` (nats per image) and ``test_accuracy`` (a fraction) of a trained classifier on images ``x``."""
    loss, accuracy = model.evaluate(x, y, batch_size=EVALUATION_BATCH, verbose=0)
    return {"test_loss": loss, "test_accuracy": accuracy}


def parameter_table(model: keras.Model) -> pd.DataFrame:
    """One row per layer: its kind, its output shape without the batch, and its number of parameters."""
    return pd.DataFrame(
        {
            "layer": type(layer).__name__,
            "output shape": " × ".join(map(str, layer.output.shape[1:])),
            "parameters": f"{layer.count_params():,}",
        }
        for layer in model.layers
    )


def multiply_accumulates(model: keras.Model) -> pd.DataFrame:
    """One row per layer with weights: its kind, parameters, and multiply-accumulates for one image.

    A dense layer uses each weight once; a convolution uses each at every place of its output.
    """
    weighted = [layer for layer in model.layers if layer.count_params()]
    return pd.DataFrame(
        {
            "layer": type(layer).__name__,
            "output shape": " × ".join(map(str, layer.output.shape[1:])),
            "parameters": layer.count_params(),
            "multiply-accumulates": int(np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:-1])),
        }
        for layer in weighted
    )


def milliseconds_per_step(
    model: keras.Model, x: np.ndarray, y: np.ndarray, *, batch_size: int, steps: int, rounds: int = 5
) -> float:
    """Milliseconds that one training step of a classifier takes here: the median over ``rounds`` of ``steps`` each.

    A round before them, which compiles the step, is not counted. The model is trained by it, with plain SGD.
    """
    n = batch_size * steps
    x, y = np.resize(x, (n, *x.shape[1:])), np.resize(y, n)
    model.compile(
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        steps_per_execution=STEPS_PER_EXECUTION,
        jit_compile=False,
    )
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        model.fit(x, y, batch_size=batch_size, epochs=1, verbose=0)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds[1:]) / steps * 1000)
