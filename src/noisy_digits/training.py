"""One training, and what is measured during it."""

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
    """What one training recorded, one value per epoch.

    ``training_loss`` and ``training_accuracy`` are Keras's running means over the epoch's batches, taken while
    the weights change and dropout is active, as the write-ups print them; ``validation_loss`` and
    ``validation_accuracy`` are taken at the end of each epoch, without dropout. Accuracies are fractions, losses
    cross-entropies in nats per image.
    """

    training_loss: list[float]
    training_accuracy: list[float]
    validation_loss: list[float]
    validation_accuracy: list[float]

    def last(self) -> dict[str, float]:
        """Each quantity's value at the last epoch, by name."""
        return {name: values[-1] for name, values in vars(self).items()}


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
    """Compile and train a classifier with cross-entropy; return its history.

    ``x`` (n, 28, 28) and labels ``y`` (n,) from 0 to 9 are shuffled every epoch; ``validation`` is a pair of the
    same kind. Labels are integers: sparse categorical cross-entropy is the one-hot criterion without the zeros.
    ``optimizer`` is a name Keras knows ("rmsprop", "adadelta", "sgd", "adam").
    """
    model.compile(
        optimizer=keras.optimizers.get(
            {"class_name": optimizer, "config": {"learning_rate": learning_rate}},
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_EXECUTION,
        jit_compile=False,
    )
    curves = model.fit(
        x,
        y,
        validation_data=validation,
        epochs=epochs,
        batch_size=batch_size,
        validation_batch_size=EVALUATION_BATCH,
        verbose=0,
    ).history
    return History(curves["loss"], curves["accuracy"], curves["val_loss"], curves["val_accuracy"])


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
