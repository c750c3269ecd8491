"""Count a model's parameters and multiply-accumulates, and time its training steps."""

import time
from typing import Any

import keras
import numpy as np
import pandas as pd

from noisy_digits._batches import make_dataset
from noisy_digits.training import NOT_JITTED, SILENT, STEPS_PER_EXECUTION


def layer_summary(model: keras.Model) -> pd.DataFrame:
    """Return one row per layer: its kind, its output shape without the batch, and its number of parameters."""
    return pd.DataFrame(_describe(layer) | {"parameters": f"{layer.count_params():,}"} for layer in model.layers)


def count_macs(model: keras.Model) -> pd.DataFrame:
    """Return one row per layer with a kernel, like ``layer_summary``, and its multiply-accumulates for one image.

    A dense layer uses each weight once, a convolution at each place of its output, a transposed convolution at each
    place of its input. "fully connected" is what a dense layer of the same input and output shapes would need.
    """
    return pd.DataFrame(
        _describe(layer)
        | {
            "parameters": layer.count_params(),
            "multiply-accumulates": int(np.prod(layer.kernel.shape) * np.prod(_places(layer))),
            "fully connected": int(np.prod(layer.input.shape[1:]) * np.prod(layer.output.shape[1:])),
        }
        for layer in model.layers
        if hasattr(layer, "kernel")
    )


def time_train_step(
    model: keras.Model, x: np.ndarray, y: np.ndarray, *, batch_size: int, n_steps: int, n_rounds: int = 5
) -> float:
    """Return the milliseconds of one training step of a classifier: the median over ``n_rounds`` of ``n_steps`` each.

    The model is compiled and trained, with plain SGD. A first round, in which the step is compiled, is not counted.
    """
    n = batch_size * n_steps
    dataset = make_dataset(np.resize(x, (n, *x.shape[1:])), np.resize(y, n), batch_size)
    settings = {"steps_per_execution": STEPS_PER_EXECUTION, **NOT_JITTED}
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", **settings)
    seconds = []
    for _ in range(n_rounds + 1):
        start = time.perf_counter()
        model.fit(dataset, shuffle=False, **SILENT)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]) / n_steps * 1000)


def _describe(layer: Any) -> dict[str, object]:
    return {"layer": type(layer).__name__, "output shape": " × ".join(map(str, layer.output.shape[1:]))}


def _places(layer: Any) -> tuple[int, ...]:
    """Return the height and width at which a convolution uses its kernel; nothing for a dense layer."""
    images: Any = layer.input if isinstance(layer, keras.layers.Conv2DTranspose) else layer.output
    return images.shape[1:-1]
