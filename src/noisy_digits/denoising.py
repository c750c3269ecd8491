"""Denoisers and how good they are: median filters, autoencoders, PSNR and SSIM; and digits made from codes."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from scipy import ndimage, special
from skimage import metrics

from noisy_digits import models, training
from noisy_digits.backend import keras
from noisy_digits.errors import UserError, near


def median(images: np.ndarray, size: int) -> np.ndarray:
    """Each pixel replaced by the median of the ``size`` × ``size`` pixels around it, image by image.

    ``images`` (n, 28, 28); the result has the same shape and type. At the border the nearest pixel is repeated.
    Source: ``scipy.ndimage.median_filter``.
    """
    return ndimage.median_filter(images, size=(1, size, size), mode="nearest")


def psnr(clean: np.ndarray, denoised: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, the mean over images (n, 28, 28) with pixels from 0 to 1.

    Infinite where an image is equal to the clean one. Source: 10·log10(1 / mean squared error), image by image.
    """
    errors = np.mean((clean.astype(np.float64) - denoised) ** 2, axis=(1, 2))
    with np.errstate(divide="ignore"):
        return float(np.mean(-10 * np.log10(errors)))


def ssim(clean: np.ndarray, denoised: np.ndarray) -> float:
    """Structural similarity, 1 for equal images: the mean over images (n, 28, 28) with pixels from 0 to 1.

    Source: Wang et al. 2004, as ``skimage.metrics.structural_similarity`` has it, with its 7 × 7 window.
    """
    pairs = zip(clean, denoised, strict=True)
    return float(np.mean([metrics.structural_similarity(a, b, data_range=1.0) for a, b in pairs]))


AUTOENCODERS = {"dense": models.autoencoder, "convolutional": models.convolutional_autoencoder}
FILTERS = {"none": np.asarray, "median_3": partial(median, size=3), "median_5": partial(median, size=5)}


def autoencoder(architecture: str) -> keras.Model:
    """An untrained autoencoder, "dense" or "convolutional"; raises UserError for anything else."""
    if architecture not in AUTOENCODERS:
        raise UserError(f'unknown architecture "{architecture}"{near(architecture, AUTOENCODERS)}')
    return AUTOENCODERS[architecture]()


def is_learned(name: str) -> bool:
    """Whether a denoiser is an autoencoder that must be trained; raises UserError for an unknown name."""
    if name not in (*FILTERS, *AUTOENCODERS):
        raise UserError(f'unknown denoiser "{name}"{near(name, (*FILTERS, *AUTOENCODERS))}')
    return name in AUTOENCODERS


def denoiser(name: str, trained: keras.Model | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """The function from noisy images (n, 28, 28) to denoised ones of the same shape that ``name`` stands for.

    "none", "median_3" and "median_5" need nothing else, "dense" and "convolutional" the ``trained`` autoencoder.
    Raises UserError for an unknown name and for an autoencoder that is missing.
    """
    if not is_learned(name):
        return FILTERS[name]
    if trained is None:
        raise UserError(f'the denoiser "{name}" is an autoencoder: give the trained model')
    return partial(training.predict, trained)


def by_level(table: pd.DataFrame) -> pd.DataFrame:
    """A tidy table (…, metric, value) whose metrics are named like ``psnr_at_0.4``, the level in a column of its own.

    The column ``level`` comes before ``metric``, which becomes ``psnr``; rows of other metrics are left out.
    """
    parts = table["metric"].str.extract(r"^(.+)_at_([\d.]+)$").dropna()
    split = table.loc[parts.index].assign(metric=parts[0])
    split.insert(table.columns.get_loc("metric"), "level", parts[1].astype(float))
    return split


def crossing(levels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """The lowest level at which ``first``, below ``second`` until there, reaches it, by linear interpolation.

    All three have shape (n,), ``levels`` rising. NaN where ``first`` is not below at the start or never gets there.
    """
    gap = np.subtract(first, second)
    above = np.flatnonzero(gap >= 0)
    if len(above) == 0 or above[0] == 0:
        return np.nan
    place = slice(above[0] - 1, above[0] + 1)
    return float(np.interp(0, gap[place], levels[place]))


def matched_codes(codes: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` random codes that are distributed like ``codes`` (m, d), unit by unit, and correlated much like them.

    A Gaussian copula: each unit's values are replaced by normal scores, correlated normal scores are drawn, and turned
    back into values of the unit's own. Equal values, zeros say, are ranked in their order, which weakens correlations a
    little. Source: Nelsen, An Introduction to Copulas, section 2.3.
    """
    from scipy import stats

    m = len(codes)
    scores = special.ndtri((stats.rankdata(codes, axis=0, method="ordinal") - 0.5) / m)
    drawn = rng.multivariate_normal(np.zeros(codes.shape[1]), np.corrcoef(scores, rowvar=False), size=n)
    places = (special.ndtr(drawn) * m).astype(int).clip(max=m - 1)
    return np.take_along_axis(np.sort(codes, axis=0), places, axis=0).astype(np.float32)


def naive_codes(codes: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` random codes, uniform in every unit between 0 and the largest value in ``codes`` (m, d)."""
    return rng.uniform(0, codes.max(), size=(n, codes.shape[1])).astype(np.float32)


def code_facts(codes: np.ndarray) -> dict[str, float]:
    """How codes (n, d) are distributed: the share of zeros, mean, mean deviation of a unit, mean size of a correlation.

    Units that never change are left out of the last.
    """
    correlation = np.corrcoef(codes[:, codes.std(axis=0) > 0], rowvar=False)
    return {
        "share of values that are 0": float((codes == 0).mean()),
        "mean": float(codes.mean()),
        "mean standard deviation of a unit": float(codes.std(axis=0).mean()),
        "mean size of the correlation of two units": float(
            np.abs(correlation[np.triu_indices_from(correlation, 1)]).mean()
        ),
    }


def readings(probabilities: np.ndarray, sure: float) -> dict[str, float]:
    """What a classifier's probabilities (n, 10) say of images: ``mean_confidence``, ``share_sure`` and ``classes``.

    The confidence in an image is its largest probability, ``share_sure`` the fraction of images above ``sure``, and
    ``classes`` how many of the ten are the answer to at least one image.
    """
    confidence = probabilities.max(axis=1)
    return {
        "mean_confidence": float(confidence.mean()),
        "share_sure": float((confidence > sure).mean()),
        "classes": len(np.unique(probabilities.argmax(axis=1))),
    }
