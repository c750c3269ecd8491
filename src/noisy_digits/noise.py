"""Noise for images. Every image and every call gets its own draw from the random generator that is passed in.

To add a noise, decorate a function: ``@noise.register("speckle")``. ``add``, parameters of type ``NoiseSpec`` and
tests then know it as "speckle_0.4".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from noisy_digits._memory import empty_aligned
from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.number_types import Fraction, NonNegative, Positive
from noisy_digits.registry import Registry

NoiseFunction = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Noise:
    """A noise ``function`` of images (n, 28, 28), an amount and a generator; ``amount_type`` limits the amount."""

    function: NoiseFunction
    amount_type: Any


NOISES: Registry[Noise] = Registry("noise")


def register(name: str, amount: Any = Positive) -> Callable[[NoiseFunction], NoiseFunction]:
    """Return a decorator that adds a noise function, whose amount has the type ``amount``, and returns it unchanged."""
    if name == "clean":
        raise UserError('a noise cannot be called "clean", which stands for no noise')

    def add_to_registry(function: NoiseFunction) -> NoiseFunction:
        NOISES[name] = Noise(function, amount)
        return function

    return add_to_registry


@register("gaussian", amount=NonNegative)
def gaussian(images: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Add independent normal noise of mean 0 and standard deviation ``scale`` to images of any shape.

    ``scale`` is in pixel units: 0 to 1 for images as loaded, training standard deviations for standardized ones.
    The result is a new float32 array and is not clipped. Raises UserError if the scale is negative or not finite.
    Source: the assignments of W1 and W2, which name ``numpy.random.normal``.
    """
    _validate_amount("gaussian", scale)
    noisy = rng.standard_normal(dtype=np.float32, out=empty_aligned(images.shape))
    noisy *= np.float32(scale)
    noisy += images
    return noisy


@register("salt_and_pepper", amount=Fraction)
def salt_and_pepper(images: np.ndarray, noise_level: float, rng: np.random.Generator) -> np.ndarray:
    """Replace each pixel with probability ``noise_level`` by 0 or 1, which are equally likely.

    ``images`` has any shape and pixels from 0 to 1; the result is a new float32 array. Raises UserError for a level
    outside 0 to 1. Source: W3, question 4.
    """
    _validate_amount("salt_and_pepper", noise_level)
    noisy = rng.random(dtype=np.float32, out=empty_aligned(images.shape))
    kept = noisy >= noise_level
    noisy[...] = noisy >= noise_level / 2
    np.copyto(noisy, images, where=kept)
    return noisy


@register("shot")
def shot(images: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Replace each pixel by a Poisson count with mean ``photons`` times its value, divided by ``photons``, at most 1.

    ``images`` has any shape and pixels from 0 to 1; the result is a new float32 array. Black pixels stay black; the
    fewer ``photons``, the stronger the noise. Raises UserError unless ``photons`` is positive and finite.
    Source: ``shot_noise`` of MNIST-C (Mu and Gilmer 2019), with 3 photons.
    """
    _validate_amount("shot", photons)
    counts = rng.poisson(np.asarray(images) * photons)
    return np.minimum(counts / photons, 1).astype(np.float32)


@register("uniform_background", amount=Fraction)
def uniform_background(images: np.ndarray, noise_level: float, rng: np.random.Generator) -> np.ndarray:
    """Put a background behind each pixel with probability ``noise_level``: a gray between 0 and 1, all equally likely.

    ``images`` has any shape and pixels from 0 to 1; of image and background the brighter pixel is kept. The result is a
    new float32 array. Raises UserError for a level outside 0 to 1. Source: mnist-back-rand (Larochelle et al. 2007),
    at level 1; how its gray edges meet the background is not published.
    """
    _validate_amount("uniform_background", noise_level)
    noisy = rng.random(dtype=np.float32, out=empty_aligned(images.shape))
    noisy *= rng.random(images.shape, dtype=np.float32) < noise_level
    return np.maximum(noisy, images, out=noisy, casting="same_kind")


def parse_spec(spec: str) -> tuple[str, float] | None:
    """Split "gaussian_0.4" into the noise's name and its amount; return None for "clean", which is no noise.

    Raises UserError if the noise is unknown, or if its amount is not a plain number or outside its limits.
    """
    if spec == "clean":
        return None
    parts = re.fullmatch(r"(.+)_([0-9]+(?:\.[0-9]+)?)", spec)
    if spec in NOISES:
        raise UserError(f'noise "{spec}" has no amount: give one, as in {spec}_0.4')
    if not parts or parts[1] not in NOISES:
        suggestion = did_you_mean(parts[1] if parts else spec, ["clean", *NOISES])
        raise UserError(
            f'unknown noise "{spec}": give clean, or a noise and its amount, as in gaussian_0.4{suggestion}'
        )
    return parts[1], _validate_amount(parts[1], parts[2])


def add(images: np.ndarray, spec: str, rng: np.random.Generator) -> np.ndarray:
    """Add the noise that ``spec`` names: "gaussian_0.4", "salt_and_pepper_0.2", or "clean" for none.

    Shapes and units are those of the noise's function. Raises UserError for what ``parse_spec`` rejects.
    """
    if not (parsed := parse_spec(spec)):
        return images
    name, amount = parsed
    return NOISES[name].function(images, amount, rng)


def _validate_amount(name: str, amount: float | str) -> Any:
    try:
        return TypeAdapter(NOISES[name].amount_type).validate_strings(str(amount))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].replace("Input", "it")
        raise UserError(f"noise {name}: the amount is {amount}, but {reason}") from None
