"""Denoisers by name: filters, which need no training, and autoencoders, which do.

To add a filter, decorate a function: ``@denoisers.register("blur")``. An autoencoder in ``models.AUTOENCODERS`` is a
denoiser by that alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from noisy_digits.errors import UserError, check_name
from noisy_digits.models import AUTOENCODERS
from noisy_digits.registry import Registry

if TYPE_CHECKING:
    import keras

Denoiser = Callable[[np.ndarray], np.ndarray]
"""A function from noisy images (n, 28, 28) to denoised ones of the same shape."""

DENOISERS: Registry[Denoiser] = Registry("denoiser")
register = DENOISERS.register


def median_filter(images: np.ndarray, size: int) -> np.ndarray:
    """Replace each pixel of images (n, 28, 28) by the median of the ``size`` × ``size`` pixels around it.

    The result has the same type. At the border the nearest pixel is repeated. Source: ``scipy.ndimage.median_filter``.
    """
    from scipy import ndimage

    return ndimage.median_filter(images, size=(1, size, size), mode="nearest")


DENOISERS.update(none=np.asarray, median_3=partial(median_filter, size=3), median_5=partial(median_filter, size=5))


def denoiser_names() -> list[str]:
    """Return the names of all denoisers: filters, then autoencoders. Raises UserError for a name that is both."""
    if both := DENOISERS.keys() & AUTOENCODERS.keys():
        raise UserError(f'"{min(both)}" is a filter and an autoencoder: rename one of them')
    return [*DENOISERS, *AUTOENCODERS]


def needs_training(name: str) -> bool:
    """Return True if a denoiser is an autoencoder, which must be trained. Raises UserError for an unknown name."""
    return check_name("denoiser", name, denoiser_names()) in AUTOENCODERS


def get_denoiser(name: str, model: keras.Model | None = None) -> Denoiser:
    """Return the denoiser that ``name`` stands for. An autoencoder needs the trained ``model``, a filter does not.

    Raises UserError for an unknown name and for a missing model.
    """
    if not needs_training(name):
        return DENOISERS[name]
    if model is None:
        raise UserError(f'the denoiser "{name}" is an autoencoder: give the trained model')
    from noisy_digits import training

    return partial(training.predict, model)
