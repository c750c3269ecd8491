import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from noisy_digits import latent


def test_sample_copula_has_the_moments_of_the_codes():
    rng = np.random.default_rng(0)
    normal = rng.multivariate_normal([0.3, 9.0, -9.0], [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], size=20000)
    codes = np.maximum(normal, 0)
    drawn = latent.sample_copula(codes, 20000, rng)
    assert drawn.shape == codes.shape
    assert drawn.dtype == np.float32
    assert np.allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.05)
    assert np.allclose(np.cov(drawn, rowvar=False), np.cov(codes, rowvar=False), atol=0.08)
    assert np.allclose((drawn == 0).mean(axis=0), (codes == 0).mean(axis=0), atol=0.02)
    assert latent.describe_codes(drawn) == pytest.approx(latent.describe_codes(codes), abs=0.1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_sample_copula_draws_only_values_that_the_unit_has(seed, n):
    rng = np.random.default_rng(seed)
    codes = rng.random((30, 3)).astype(np.float32)
    drawn = latent.sample_copula(codes, n, rng)
    assert drawn.shape == (n, 3)
    for unit in range(3):
        assert set(drawn[:, unit]) <= set(codes[:, unit])


@given(hnp.arrays(np.float64, (4, 2), elements=st.floats(0, 100)), st.integers(1, 200))
def test_sample_uniform_stays_between_zero_and_the_largest_value(codes, n):
    drawn = latent.sample_uniform(codes, n, np.random.default_rng(0))
    assert drawn.shape == (n, 2)
    assert drawn.min() >= 0
    assert drawn.max() <= np.float32(codes.max())


def test_sample_uniform_fills_the_box():
    drawn = latent.sample_uniform(np.array([[0.0, 1.0], [4.0, 2.0]]), 1000, np.random.default_rng(0))
    assert np.allclose(drawn.max(axis=0), 4, atol=0.1)


def test_perturb_adds_noise_of_the_spread_of_each_unit():
    codes, spread = np.tile([100.0, 50.0, 7.0], (20_000, 1)), np.array([1.0, 4.0, 0.0])
    perturbed = latent.perturb(codes, spread, np.random.default_rng(0))
    assert perturbed.dtype == np.float32
    assert np.allclose(perturbed.mean(axis=0), codes[0], atol=0.2)
    assert np.allclose(perturbed.std(axis=0), spread, rtol=0.03)


@given(hnp.arrays(np.float64, (4, 2), elements=st.floats(0, 100)))
def test_perturb_makes_nothing_negative(codes):
    assert latent.perturb(codes, codes.std(axis=0), np.random.default_rng(0)).min() >= 0


def test_describe_codes_of_known_codes_leaves_constant_units_out():
    codes = np.array([[0.0, 1.0, 7.0], [1.0, 0.0, 7.0], [0.0, 1.0, 7.0], [1.0, 0.0, 7.0]])
    assert list(latent.describe_codes(codes).values()) == pytest.approx([4 / 12, 32 / 12, 1 / 3, 1])
