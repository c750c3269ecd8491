"""Noise for images: every image, and every call, gets a draw of its own from the generator it is given."""

import re

import numpy as np

from noisy_digits.errors import UserError
from noisy_digits.memory import aligned

NAME = r"clean|(gaussian|salt_and_pepper)_(\d+(?:\.\d+)?)"
"""What ``add`` takes for a name: a kind with its scale or level, "gaussian_0.4", or "clean"."""


def gaussian(images: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Images plus independent normal noise of mean 0 and standard deviation ``scale``.

    ``images`` has any shape and is not changed; ``scale`` is in the units of the pixels: 0 to 1 as loaded,
    training standard deviations once standardised. The result has the same shape, is float32 and is not clipped.
    Raises ValueError for a scale that is negative or not finite. Source: the assignments of W1 and W2, which
    name ``numpy.random.normal``.
    """
    if not (np.isfinite(scale) and scale >= 0):
        raise ValueError(f"noise.gaussian: scale is {scale}; a standard deviation is a number of 0 or more")
    noisy = rng.standard_normal(dtype=np.float32, out=aligned(images.shape))
    noisy *= np.float32(scale)
    noisy += images
    return noisy


def salt_and_pepper(images: np.ndarray, noise_level: float, rng: np.random.Generator) -> np.ndarray:
    """Images with each pixel replaced, with probability ``noise_level``, by 0 or 1 with equal probability.

    ``images`` has any shape, pixels from 0 to 1, and is not changed; the result has the same shape and is
    float32. Level 0 changes nothing, level 1 leaves no pixel of the image. Raises ValueError for a level
    outside 0 to 1. Source: W3, question 4.
    """
    if not 0 <= noise_level <= 1:
        raise ValueError(f"noise.salt_and_pepper: noise_level is {noise_level}; a fraction lies between 0 and 1")
    noisy = rng.random(dtype=np.float32, out=aligned(images.shape))
    kept = noisy >= noise_level
    noisy[...] = noisy >= noise_level / 2
    np.copyto(noisy, images, where=kept)
    return noisy


def add(images: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """Images with the noise that ``name`` stands for: "gaussian_0.4", "salt_and_pepper_0.2", or "clean" for none.

    Shapes and units are those of ``gaussian`` and ``salt_and_pepper``. Raises UserError for any other name.
    """
    if not (said := re.fullmatch(NAME, name)):
        raise UserError(f'unknown noise "{name}" (allowed: clean, gaussian_ or salt_and_pepper_ with a number)')
    kind, amount = said.groups()
    if kind is None:
        return images
    return {"gaussian": gaussian, "salt_and_pepper": salt_and_pepper}[kind](images, float(amount), rng)
