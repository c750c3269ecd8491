"""Random codes for an autoencoder's decoder, and how codes are distributed."""

import numpy as np


def sample_copula(codes: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw codes (n, d), float32, that are distributed like ``codes`` (m, d), unit by unit, and similarly correlated.

    A Gaussian copula: each unit's values are replaced by normal scores, correlated normal scores are drawn, and these
    are turned back into values of the unit. Equal values, such as zeros, are ranked in their order, which weakens
    correlations a little. Source: Nelsen, An Introduction to Copulas, section 2.3.
    """
    from scipy import special, stats

    m = len(codes)
    scores = special.ndtri((stats.rankdata(codes, axis=0, method="ordinal") - 0.5) / m)
    drawn = rng.multivariate_normal(np.zeros(codes.shape[1]), np.atleast_2d(np.corrcoef(scores, rowvar=False)), size=n)
    places = (special.ndtr(drawn) * m).astype(int).clip(max=m - 1)
    return np.take_along_axis(np.sort(codes, axis=0), places, axis=0).astype(np.float32)


def sample_uniform(codes: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw codes (n, d), float32, each unit uniform between 0 and the largest value in ``codes`` (m, d)."""
    return rng.uniform(0, codes.max(), size=(n, codes.shape[1])).astype(np.float32)


def perturb(codes: np.ndarray, spread: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ``codes`` (n, d) plus Gaussian noise of standard deviation ``spread`` (d,), at least 0, as float32."""
    return np.maximum(codes + spread * rng.standard_normal(codes.shape), 0).astype(np.float32)


def describe_codes(codes: np.ndarray) -> dict[str, float]:
    """Return how codes (n, d) are distributed. Units that never change are left out of the correlation."""
    correlation = np.atleast_2d(np.corrcoef(codes[:, codes.std(axis=0) > 0], rowvar=False))
    pairs = correlation[np.triu_indices_from(correlation, 1)]
    return {
        "fraction of zeros": float((codes == 0).mean()),
        "mean": float(codes.mean()),
        "mean standard deviation per unit": float(codes.std(axis=0).mean()),
        "mean absolute correlation of two units": float(np.abs(pairs).mean()),
    }
