import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from noisy_digits import noise
from noisy_digits.errors import UserError

IMAGES = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(0, 1, width=32),
)
SEEDS = st.integers(0, 2**32 - 1)
BOTH = pytest.mark.parametrize("add", [noise.gaussian, noise.salt_and_pepper])


@BOTH
@given(images=IMAGES, level=st.floats(0, 1), seed=SEEDS)
def test_keeps_the_shape_returns_float32_and_leaves_its_input_alone(add, images, level, seed):
    before = images.copy()
    noisy = add(images, level, np.random.default_rng(seed))
    assert noisy.shape == images.shape
    assert noisy.dtype == np.float32
    assert np.array_equal(images, before)
    assert not np.shares_memory(noisy, images)


@BOTH
@given(images=IMAGES, seed=SEEDS)
def test_level_zero_is_the_identity(add, images, seed):
    assert np.array_equal(add(images, 0, np.random.default_rng(seed)), images.astype(np.float32))


@BOTH
@given(images=IMAGES, level=st.floats(0, 1), seed=SEEDS)
def test_the_same_seed_draws_the_same_noise(add, images, level, seed):
    first, second = (add(images, level, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(first, second)


@BOTH
def test_every_image_and_every_call_gets_its_own_noise(add):
    rng = np.random.default_rng(0)
    images = np.full((50, 28, 28), 0.5, np.float32)
    train, test = add(images, 0.4, rng), add(images, 0.4, rng)
    assert len({image.tobytes() for image in [*train, *test]}) == 100
    centred = np.concatenate([train, test]).reshape(100, -1) - 0.5
    correlations = np.corrcoef(centred)[~np.eye(100, dtype=bool)]
    assert np.abs(correlations).max() < 6 / np.sqrt(28 * 28)


@given(scale=st.floats(0.01, 1000), seed=SEEDS)
def test_gaussian_noise_has_mean_zero_and_the_deviation_asked_for(scale, seed):
    drawn = noise.gaussian(np.zeros((64, 28, 28), np.float32), scale, np.random.default_rng(seed)) / scale
    n = drawn.size
    assert abs(drawn.mean()) < 6 / np.sqrt(n)
    assert abs(drawn.std() - 1) < 6 / np.sqrt(2 * n)


def test_gaussian_noise_is_not_clipped():
    noisy = noise.gaussian(np.full((10, 28, 28), 0.5, np.float32), 2.0, np.random.default_rng(0))
    assert noisy.min() < 0
    assert noisy.max() > 1


@given(noise_level=st.floats(0, 1), seed=SEEDS)
def test_salt_and_pepper_fractions_lie_within_sigma(noise_level, seed):
    grey = np.full((64, 28, 28), 0.5, np.float32)
    noisy = noise.salt_and_pepper(grey, noise_level, np.random.default_rng(seed))
    assert set(np.unique(noisy)) <= {0, 0.5, 1}
    half = noise_level / 2
    sigma = np.sqrt(half * (1 - half) / grey.size)
    for value in (0, 1):
        assert abs((noisy == value).mean() - half) <= 6 * sigma


def test_salt_fraction_lies_within_three_sigma():
    grey = np.full((100, 28, 28), 0.5, np.float32)
    noisy = noise.salt_and_pepper(grey, 0.4, np.random.default_rng(0))
    assert abs((noisy == 1).mean() - 0.2) <= 3 * np.sqrt(0.2 * 0.8 / grey.size)


def test_at_level_one_no_pixel_of_the_image_is_left():
    noisy = noise.salt_and_pepper(np.full((20, 28, 28), 0.5, np.float32), 1, np.random.default_rng(0))
    assert set(np.unique(noisy)) == {0, 1}


@pytest.mark.parametrize(
    ("add", "level"),
    [
        (noise.gaussian, -0.1),
        (noise.gaussian, np.inf),
        (noise.gaussian, np.nan),
        (noise.salt_and_pepper, -0.1),
        (noise.salt_and_pepper, 1.2),
        (noise.salt_and_pepper, np.nan),
    ],
)
def test_impossible_levels_are_refused_by_name(add, level):
    with pytest.raises(ValueError, match=rf"{add.__name__}: (scale|noise_level) is {level}"):
        add(np.zeros((1, 28, 28), np.float32), level, np.random.default_rng(0))


@given(images=IMAGES, amount=st.integers(0, 10).map(lambda tenths: tenths / 10), seed=SEEDS)
def test_a_name_stands_for_a_noise_and_its_amount(images, amount, seed):
    for kind, make in (("gaussian", noise.gaussian), ("salt_and_pepper", noise.salt_and_pepper)):
        named, direct = (np.random.default_rng(seed) for _ in range(2))
        assert np.array_equal(noise.add(images, f"{kind}_{amount}", named), make(images, amount, direct))
    assert noise.add(images, "clean", np.random.default_rng(seed)) is images


@pytest.mark.parametrize(
    "name", ["gausian_0.4", "gaussian", "gaussian_-1", "clean_0", "pepper_0.1", "gaussian_1e3", ""]
)
def test_any_other_name_is_refused(name):
    with pytest.raises(UserError, match=r"unknown noise .* \(allowed: clean, gaussian_ or salt"):
        noise.add(np.zeros((1, 2, 2)), name, np.random.default_rng(0))
