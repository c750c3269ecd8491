"""Epoch metrics for ``training.fit(…, epoch_metrics=[…])``, and gradient norms."""

from typing import Any

import keras
import numpy as np

from noisy_digits.training import EpochMetric, compute_gradients, get_hidden_layers, predict


def error_rate(x: np.ndarray, y: np.ndarray, name: str) -> EpochMetric:
    """Return an epoch metric ``name``: the fraction of images ``x`` (n, 28, 28) whose class is not ``y`` (n,)."""
    return lambda model: {name: float(np.mean(predict(model, x).argmax(axis=1) != y))}


def bias_gradient_norms(x: np.ndarray, y: np.ndarray) -> EpochMetric:
    """Return the epoch metric ``bias_gradient_norm``: a list with one norm per hidden layer, from the input on.

    The gradient is that of the mean cross-entropy over ``x`` (n, 28, 28) and ``y`` (n,) with respect to the layer's
    biases. Source: Nielsen, Neural Networks and Deep Learning, chapter 5, which calls it the speed of learning.
    """

    def measure(model: keras.Model) -> dict[str, list[float]]:
        biases = [layer.bias for layer in get_hidden_layers(model)]
        return {"bias_gradient_norm": [float(np.linalg.norm(each)) for each in compute_gradients(model, x, y, biases)]}

    return measure


def relative_weight_change(model: keras.Model, n_parameters: int) -> EpochMetric:
    """Return the epoch metric ``relative_weight_change``: the sum of |Δw / w| over all weights, per parameter.

    It is divided by ``n_parameters``. Δw is the change of a weight or bias w since the last call, at first since now; a
    w of 0 adds nothing. Source: W4, which calls this the learning speed.
    """
    before = model.get_weights()

    def measure(model: keras.Model) -> dict[str, float]:
        nonlocal before
        now = model.get_weights()
        total = sum(
            np.divide(np.abs(new - old), np.abs(new), out=np.zeros_like(new), where=new != 0).sum()
            for old, new in zip(before, now, strict=True)
        )
        before = now
        return {"relative_weight_change": float(total / n_parameters)}

    return measure


def l2_gradient_ratio(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Return the norm of the L2 penalty's gradient divided by that of the mean cross-entropy's, in the hidden weights.

    ``x`` (n, 28, 28) and ``y`` (n,) are all training images and labels. The ratio is 0 without a penalty.
    """
    layers: list[Any] = get_hidden_layers(model)
    of_data = compute_gradients(model, x, y, [layer.kernel for layer in layers])
    penalized = [layer for layer in layers if layer.kernel_regularizer]
    of_penalty = [2 * layer.kernel_regularizer.l2 * layer.kernel.numpy() for layer in penalized]
    penalty, data = (np.sqrt(sum((each**2).sum() for each in gradients)) for gradients in (of_penalty, of_data))
    return float(penalty / data)
