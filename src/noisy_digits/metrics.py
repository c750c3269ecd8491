"""Image quality, baselines, and the confidence and calibration of a classifier."""

from collections.abc import Iterable

import numpy as np


def psnr(clean: np.ndarray, denoised: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB, the mean over images (n, 28, 28) with pixels from 0 to 1.

    It is infinite if an image equals the clean one. Source: 10·log10(1 / mean squared error), image by image.
    """
    errors = np.mean((clean.astype(np.float64) - denoised) ** 2, axis=(1, 2))
    with np.errstate(divide="ignore"):
        return float(np.mean(-10 * np.log10(errors)))


def ssim(clean: np.ndarray, denoised: np.ndarray) -> float:
    """Return the structural similarity, 1 for equal images: the mean over images (n, 28, 28), pixels from 0 to 1.

    Source: Wang et al. 2004, as in ``skimage.metrics.structural_similarity``, with its 7 × 7 window.
    """
    from skimage.metrics import structural_similarity

    pairs = zip(clean, denoised, strict=True)
    return float(np.mean([structural_similarity(a, b, data_range=1.0) for a, b in pairs]))


def crossover_level(levels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Return the lowest of ``levels`` at which ``first`` rises to ``second``, by linear interpolation.

    All have shape (n,). Return NaN if ``first`` is not below ``second`` at the start or never reaches it.
    """
    difference = np.subtract(first, second)
    above = np.flatnonzero(difference >= 0)
    if len(above) == 0 or above[0] == 0:
        return np.nan
    around = slice(above[0] - 1, above[0] + 1)
    return float(np.interp(0, difference[around], levels[around]))


def majority_baseline(labels: np.ndarray) -> float:
    """Return the accuracy, as a fraction, of always answering the most frequent class of ``labels`` (n,)."""
    return float(np.bincount(labels).max() / len(labels))


def standard_error(fraction: float, n: int) -> float:
    """Return the standard error of a fraction, such as an accuracy, of ``n`` images: that of a binomial variable."""
    return float(np.sqrt(fraction * (1 - fraction) / n))


def describe_standard_error(accuracy: float | Iterable[float], n_images: int) -> str:
    """Return what the choice of ``n_images`` test images adds to the uncertainty of ``accuracy``, as a sentence.

    Of several accuracies it is the largest standard error.
    """
    several = isinstance(accuracy, Iterable)
    error = max(standard_error(each, n_images) for each in (accuracy if several else [accuracy]))
    return (
        f"The choice of {n_images:,} test images adds a standard error of {'at most ' if several else ''}{error:.4f}."
    )


def beats_baseline(accuracy: float, labels: np.ndarray) -> bool:
    """Return True if ``accuracy`` on ``labels`` (n,) is significantly above the majority-class baseline.

    It is a one-sided exact binomial test at the 1 % level.
    """
    from scipy import special

    n = len(labels)
    return bool(special.bdtrc(round(accuracy * n) - 1, n, majority_baseline(labels)) < 0.01)


def summarize_confidence(probabilities: np.ndarray, threshold: float) -> dict[str, float]:
    """Return ``mean_confidence``, ``confident_fraction`` and ``n_classes`` of class probabilities (n, 10).

    The confidence in an image is its largest probability. ``confident_fraction`` is the fraction of images with more
    than ``threshold``; ``n_classes`` counts the classes that are predicted for at least one image.
    """
    confidence = probabilities.max(axis=1)
    return {
        "mean_confidence": float(confidence.mean()),
        "confident_fraction": float((confidence > threshold).mean()),
        "n_classes": len(np.unique(probabilities.argmax(axis=1))),
    }


def calibration_bins(
    probabilities: np.ndarray, labels: np.ndarray, n_bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean confidence, the accuracy and the number of images of bins of equal width, each (n_bins,).

    ``probabilities`` has shape (n, 10), ``labels`` (n,). The confidence in an image is its largest probability; the
    bins divide 0 to 1. Means of an empty bin are NaN. Source: the reliability diagram of Guo et al. 2017.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    counts, confidences, hits = (np.bincount(bins, each, n_bins) for each in (None, confidence, correct))
    with np.errstate(invalid="ignore"):
        return confidences / counts, hits / counts, counts.astype(int)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, n_bins: int = 10) -> float:
    """Return the mean distance between confidence and accuracy over the bins of ``calibration_bins``, 0 to 1.

    Each bin counts as often as it has images. Source: Naeini et al. 2015; Guo et al. 2017, equation 3.
    """
    confidence, accuracy, counts = calibration_bins(probabilities, labels, n_bins)
    return float(np.nansum(counts * np.abs(accuracy - confidence)) / len(labels))
