import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from noisy_digits import noise
from noisy_digits.errors import UserError
from noisy_digits.number_types import Count
from noisy_digits.types import NoiseSpec

IMAGES = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(0, 1, width=32),
)
SEEDS = st.integers(0, 2**32 - 1)
AMOUNTS = st.integers(1, 10).map(lambda tenths: tenths / 10)
EVERY_NOISE = pytest.mark.parametrize("name", noise.NOISES)
NO_IMAGE = np.zeros((1, 2, 2), np.float32)


def add(images, name, amount, seed=0):
    return noise.NOISES[name].function(images, amount, np.random.default_rng(seed))


@EVERY_NOISE
@given(images=IMAGES, amount=AMOUNTS, seed=SEEDS)
def test_every_noise_keeps_the_shape_returns_float32_and_leaves_its_input_unchanged(name, images, amount, seed):
    before = images.copy()
    noisy = add(images, name, amount, seed)
    assert noisy.shape == images.shape
    assert noisy.dtype == np.float32
    assert np.array_equal(images, before)
    assert not np.shares_memory(noisy, images)


@pytest.mark.parametrize("function", [noise.gaussian, noise.salt_and_pepper, noise.uniform_background])
@given(images=IMAGES, seed=SEEDS)
def test_noise_of_amount_zero_is_the_identity(function, images, seed):
    assert np.array_equal(function(images, 0, np.random.default_rng(seed)), images.astype(np.float32))


@EVERY_NOISE
@given(images=IMAGES, amount=AMOUNTS, seed=SEEDS)
def test_every_noise_is_reproduced_by_its_seed(name, images, amount, seed):
    assert np.array_equal(add(images, name, amount, seed), add(images, name, amount, seed))


@EVERY_NOISE
def test_every_noise_draws_anew_for_every_image_and_call(name):
    rng = np.random.default_rng(0)
    images = np.full((50, 28, 28), 0.5, np.float32)
    train, test = (noise.NOISES[name].function(images, 0.4, rng) for _ in range(2))
    assert len({image.tobytes() for image in [*train, *test]}) == 100


@pytest.mark.parametrize("name", ["gaussian", "salt_and_pepper"])
def test_the_pixels_of_different_images_are_independent(name):
    rng = np.random.default_rng(0)
    images = np.full((50, 28, 28), 0.5, np.float32)
    train, test = (noise.NOISES[name].function(images, 0.4, rng) for _ in range(2))
    centered = np.concatenate([train, test]).reshape(100, -1) - 0.5
    correlations = np.corrcoef(centered)[~np.eye(100, dtype=bool)]
    assert np.abs(correlations).max() < 6 / np.sqrt(28 * 28)


@given(scale=st.floats(0.01, 1000), seed=SEEDS)
def test_gaussian_has_mean_zero_and_the_given_standard_deviation(scale, seed):
    drawn = noise.gaussian(np.zeros((64, 28, 28), np.float32), scale, np.random.default_rng(seed)) / scale
    n = drawn.size
    assert abs(drawn.mean()) < 6 / np.sqrt(n)
    assert abs(drawn.std() - 1) < 6 / np.sqrt(2 * n)


def test_gaussian_is_not_clipped():
    noisy = noise.gaussian(np.full((10, 28, 28), 0.5, np.float32), 2.0, np.random.default_rng(0))
    assert noisy.min() < 0
    assert noisy.max() > 1


@given(noise_level=st.floats(0, 1), seed=SEEDS)
def test_salt_and_pepper_replaces_the_given_fraction(noise_level, seed):
    grey = np.full((64, 28, 28), 0.5, np.float32)
    noisy = noise.salt_and_pepper(grey, noise_level, np.random.default_rng(seed))
    assert set(np.unique(noisy)) <= {0, 0.5, 1}
    half = noise_level / 2
    sigma = np.sqrt(half * (1 - half) / grey.size)
    for value in (0, 1):
        assert abs((noisy == value).mean() - half) <= 6 * sigma


def test_salt_and_pepper_of_level_one_leaves_no_pixel_of_the_image():
    noisy = noise.salt_and_pepper(np.full((20, 28, 28), 0.5, np.float32), 1, np.random.default_rng(0))
    assert set(np.unique(noisy)) == {0, 1}


def test_impulse_noise_of_mnist_c_is_salt_and_pepper_noise():
    """Rounding to whole gray values, as in MNIST-C, changes no image that came from whole gray values."""
    gray = np.random.default_rng(0).integers(0, 256, (10, 28, 28))
    noisy = noise.add((gray / 255).astype(np.float32), "salt_and_pepper_0.17", np.random.default_rng(1))
    assert np.allclose(noisy * 255, np.round(noisy * 255), atol=1e-4)
    kept = np.round(noisy * 255) == gray
    assert set(np.unique(noisy[~kept])) == {0, 1}
    assert abs((~kept).mean() - 0.17 * 255 / 256) < 6 * np.sqrt(0.17 * 0.83 / gray.size)


@given(photons=st.integers(1, 20), seed=SEEDS)
def test_shot_noise_has_the_moments_of_a_poisson_variable(photons, seed):
    dark = np.full((64, 28, 28), 0.05, np.float32)
    noisy = noise.shot(dark, photons, np.random.default_rng(seed))
    counts = noisy.astype(float) * photons
    assert np.allclose(counts, np.round(counts), atol=1e-4)
    expected = np.minimum(stats.poisson.rvs(0.05 * photons, size=200_000, random_state=0), photons)
    assert abs(counts.mean() - expected.mean()) < 6 * expected.std() * np.sqrt(1 / counts.size + 1 / expected.size)


def test_shot_noise_leaves_black_pixels_black_and_does_not_exceed_white():
    images = np.stack([np.zeros((28, 28)), np.ones((28, 28))]).astype(np.float32)
    noisy = noise.shot(images, 3, np.random.default_rng(0))
    assert not noisy[0].any()
    assert np.unique(np.round(noisy[1] * 255)).tolist() == [0, 85, 170, 255], "whole gray values, as in MNIST-C"


@given(images=IMAGES, noise_level=AMOUNTS, seed=SEEDS)
def test_uniform_background_keeps_what_is_brighter(images, noise_level, seed):
    noisy = noise.uniform_background(images, noise_level, np.random.default_rng(seed))
    background = noise.uniform_background(np.zeros_like(images), noise_level, np.random.default_rng(seed))
    assert np.array_equal(noisy, np.maximum(images, background).astype(np.float32))


@pytest.mark.parametrize("noise_level", [0.3, 1.0])
def test_uniform_background_is_uniform_on_the_given_fraction(noise_level):
    drawn = noise.uniform_background(np.zeros((20, 28, 28), np.float32), noise_level, np.random.default_rng(0))
    filled = drawn[drawn > 0]
    sigma = np.sqrt(noise_level * (1 - noise_level) / drawn.size)
    assert abs(len(filled) / drawn.size - noise_level) <= 6 * sigma + 1e-4
    assert stats.kstest(filled, stats.uniform.cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("function", "amount", "allowed"),
    [
        (noise.gaussian, -0.1, "greater than or equal to 0"),
        (noise.gaussian, np.inf, "finite"),
        (noise.gaussian, np.nan, "finite"),
        (noise.salt_and_pepper, -0.1, "greater than or equal to 0"),
        (noise.salt_and_pepper, 1.2, "less than or equal to 1"),
        (noise.salt_and_pepper, np.nan, "finite"),
        (noise.shot, 0, "greater than 0"),
        (noise.shot, np.inf, "finite"),
        (noise.uniform_background, 1.2, "less than or equal to 1"),
    ],
)
def test_noise_rejects_an_impossible_amount(function, amount, allowed):
    with pytest.raises(
        UserError, match=rf"^noise {function.__name__}: the amount is {amount}, but it should be .*{allowed}"
    ):
        function(NO_IMAGE, amount, np.random.default_rng(0))


@EVERY_NOISE
@given(images=IMAGES, amount=AMOUNTS, seed=SEEDS)
def test_add_adds_the_noise_that_the_spec_names(name, images, amount, seed):
    noisy = noise.add(images, f"{name}_{amount}", np.random.default_rng(seed))
    assert np.array_equal(noisy, add(images, name, amount, seed))


@given(images=IMAGES)
def test_add_returns_the_images_themselves_for_clean(images):
    rng = np.random.default_rng(0)
    assert noise.add(images, "clean", rng) is images
    assert rng.random() == np.random.default_rng(0).random()


@given(amount=st.floats(0, 1).map(lambda amount: f"{amount:f}"))
def test_parse_spec_returns_the_name_and_the_amount(amount):
    assert noise.parse_spec(f"salt_and_pepper_{amount}") == ("salt_and_pepper", float(amount))
    assert noise.parse_spec("clean") is None


def test_parse_spec_rejects_a_noise_without_an_amount():
    with pytest.raises(UserError, match=r'^noise "gaussian" has no amount: give one, as in gaussian_0\.4$'):
        noise.parse_spec("gaussian")


@pytest.mark.parametrize("spec", ["gausian_0.4", "gaussian_-1", "clean_0", "pepper_0.1", "gaussian_1e3", ""])
def test_parse_spec_rejects_an_unknown_noise(spec):
    expected = f'^unknown noise "{spec}": give clean, or a noise and its amount, as in gaussian_0.4'
    with pytest.raises(UserError, match=rf"{expected}.* \(allowed: .*clean.*salt_and_pepper"):
        noise.parse_spec(spec)


@pytest.mark.parametrize(("spec", "meant"), [("shott_0.123456", "shot"), ("gausian", "gaussian"), ("claen", "clean")])
def test_parse_spec_suggests_the_noise_whose_name_is_closest(spec, meant):
    with pytest.raises(UserError, match=rf"; did you mean {meant}\?"):
        noise.parse_spec(spec)


def test_parse_spec_rejects_an_amount_outside_the_limits_of_the_noise():
    with pytest.raises(
        UserError, match=r"noise salt_and_pepper: the amount is 1.2, but it should be less than or equal"
    ):
        noise.parse_spec("salt_and_pepper_1.2")


@pytest.fixture
def registered(monkeypatch):
    """Restore the registry of noises after a test that adds to it."""
    noises = noise.NOISES.copy()
    yield
    noise.NOISES.clear()
    noise.NOISES.update(noises)


@pytest.mark.usefixtures("registered")
def test_register_is_all_that_a_new_noise_needs():
    @noise.register("probe")
    def probe(images, amount, rng):
        return images * (1 + amount)

    assert np.array_equal(noise.add(np.ones(3), "probe_0.5", np.random.default_rng(0)), [1.5, 1.5, 1.5])
    spec = TypeAdapter(NoiseSpec)
    assert spec.validate_python("probe_0.5") == "probe_0.5"
    with pytest.raises(ValidationError, match="noise probe: the amount is 0, but it should be greater than 0"):
        spec.validate_python("probe_0")
    with pytest.raises(UserError, match=r"allowed: .*probe"):
        noise.parse_spec("blur_1")


@pytest.mark.usefixtures("registered")
def test_register_takes_the_type_of_the_amount():
    @noise.register("blocks", amount=Count)
    def blocks(images, amount, rng):
        return amount

    assert noise.add(NO_IMAGE, "blocks_3", np.random.default_rng(0)) == 3
    with pytest.raises(UserError, match=r"noise blocks: the amount is 2.5, but it should be a valid integer"):
        noise.parse_spec("blocks_2.5")


@pytest.mark.usefixtures("registered")
def test_register_refuses_the_name_of_another_noise():
    noise.register("gaussian")(noise.gaussian)  # as a module that is imported again does
    with pytest.raises(UserError, match=r'^the noise "gaussian" is taken by noisy_digits\.noise\.gaussian: choose'):
        noise.register("gaussian")(noise.salt_and_pepper)


@pytest.mark.parametrize("name", ["clean", "two words", "a-b", ""])
def test_register_rejects_a_name_that_no_spec_could_have(name):
    with pytest.raises(UserError, match=f'^a noise cannot be called "{name}"'):
        noise.register(name)(noise.gaussian)
