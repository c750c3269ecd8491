"""Denoisers and how good they are: median filters, autoencoders, PSNR and SSIM."""

import numpy as np
from scipy import ndimage
from skimage import metrics


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
