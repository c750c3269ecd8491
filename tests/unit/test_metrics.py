import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio

from noisy_digits import metrics, noise

RNG = np.random.default_rng(0)
IMAGES = RNG.random((4, 28, 28), dtype=np.float32)
LEVELS = np.linspace(0, 1, 11)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_standard_error_is_the_deviation_of_a_binomial_fraction(fraction, n):
    assert metrics.standard_error(fraction, n) == pytest.approx(stats.binom(n, fraction).std() / n, abs=1e-6)


def test_describe_standard_error_says_it_in_a_sentence():
    sentence = "The choice of 10,000 test images adds a standard error of 0.0030."
    assert metrics.describe_standard_error(0.9, 10_000) == sentence
    at_most = sentence.replace("of 0", "of at most 0")
    assert metrics.describe_standard_error([0.99, 0.1, 1.0], 10_000) == at_most


def test_psnr_of_a_known_error():
    assert metrics.psnr(np.zeros((2, 28, 28)), np.full((2, 28, 28), 0.1)) == pytest.approx(20)
    assert metrics.psnr(IMAGES, IMAGES) == np.inf


def test_psnr_is_the_mean_over_images():
    clean = np.zeros((2, 28, 28))
    denoised = np.stack([np.full((28, 28), 0.1), np.full((28, 28), 0.01)])
    assert metrics.psnr(clean, denoised) == pytest.approx((20 + 40) / 2)


def test_psnr_of_an_image_is_that_of_all_its_pixels_and_infinite_without_a_warning():
    noisy = IMAGES + RNG.normal(size=IMAGES.shape) * np.linspace(0, 1, 28)[:, None] * np.linspace(0, 1, 28)
    expected = [peak_signal_noise_ratio(*pair, data_range=1) for pair in zip(IMAGES, noisy, strict=True)]
    assert metrics.psnr(IMAGES, noisy) == pytest.approx(np.mean(expected))
    with warnings.catch_warnings(action="error"):
        assert metrics.psnr(IMAGES, IMAGES) == np.inf


def test_ssim_is_one_for_equal_images_only():
    assert metrics.ssim(IMAGES, IMAGES) == pytest.approx(1)
    assert metrics.ssim(IMAGES, noise.salt_and_pepper(IMAGES, 0.5, RNG)) < 0.9


@given(st.floats(0, 1), st.floats(0, 1))
def test_ssim_of_even_images_compares_their_brightness(first, second):
    """With the constant 0.01² of Wang et al. for pixels from 0 to 1; their structure is the same."""
    expected = (2 * first * second + 1e-4) / (first**2 + second**2 + 1e-4)
    assert metrics.ssim(*(np.full((1, 8, 8), gray) for gray in (first, second))) == pytest.approx(expected)


def test_ssim_refuses_images_without_partner():
    with pytest.raises(ValueError, match="shorter"):
        metrics.ssim(IMAGES, IMAGES[:3])


@given(st.floats(0.01, 1), st.floats(0.1, 10))
def test_crossover_level_of_straight_lines_is_exact(level, slope):
    crossover = metrics.crossover_level(LEVELS, slope * LEVELS, np.full(11, slope * level))
    assert crossover == pytest.approx(level)


def test_crossover_level_is_the_first_crossing_from_below():
    first = np.array([0.0, 2.0, 0.0, 2.0])
    assert metrics.crossover_level(np.arange(4), first, np.ones(4)) == 0.5
    assert np.isnan(metrics.crossover_level(np.arange(4), first + 1, np.ones(4))), "not below at the start"
    assert np.isnan(metrics.crossover_level(np.arange(4), first - 2, np.ones(4))), "never there"


@given(st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=11, max_size=11))  # whose slopes are finite
def test_crossover_level_lies_between_the_two_levels_around_it_whatever_follows(difference):
    first = np.array(difference)
    place = next((place for place in range(11) if first[place] >= 0), 0)
    crossover = metrics.crossover_level(LEVELS, first, np.zeros(11))
    if place == 0:
        assert np.isnan(crossover)
    else:
        before, after = first[place - 1], first[place]
        assert crossover == pytest.approx(LEVELS[place - 1] - 0.1 * before / (after - before), abs=1e-9)


def test_majority_baseline():
    assert metrics.majority_baseline(np.array([0, 1, 1, 2])) == 0.5


@given(st.integers(80, 150))  # around the least number that is significant
def test_beats_baseline_is_an_exact_binomial_test(n_correct):
    labels = np.repeat(np.arange(10), 100)
    expected = stats.binomtest(n_correct, 1000, 0.1, alternative="greater").pvalue < 0.01
    assert metrics.beats_baseline(n_correct / 1000, labels) == expected


def test_summarize_confidence():
    probabilities = np.array([[0.95, 0.05, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0]])
    assert metrics.summarize_confidence(probabilities, threshold=0.9) == {
        "mean_confidence": pytest.approx(0.85),
        "confident_fraction": pytest.approx(2 / 3),
        "n_classes": 2,
    }
    assert metrics.summarize_confidence(probabilities, threshold=0.95)["confident_fraction"] == pytest.approx(1 / 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_calibration_bins_are_those_of_a_histogram(seed, n_bins):
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(10), 50), rng.integers(0, 10, 50)
    probabilities[0] = np.eye(10)[3]  # certain
    with warnings.catch_warnings(action="error"):  # of an empty bin, too
        confidence, accuracy, counts = metrics.calibration_bins(probabilities, labels, n_bins)
    assert counts.dtype.kind == "i"
    assert np.array_equal(counts, np.histogram(probabilities.max(axis=1), n_bins, (0, 1))[0])
    assert len(confidence) == len(accuracy) == n_bins
    assert [len(each) for each in metrics.calibration_bins(probabilities, labels)] == [10] * 3
    filled = counts > 0
    assert np.isnan(confidence[~filled]).all()
    assert confidence[filled] @ counts[filled] == pytest.approx(probabilities.max(axis=1).sum())
    assert accuracy[filled] @ counts[filled] == pytest.approx((probabilities.argmax(axis=1) == labels).sum())


def test_expected_calibration_error_of_known_answers():
    probabilities = np.repeat([[0.8, 0.2], [0.45, 0.55]], [10, 10], axis=0)
    labels = np.array([0] * 8 + [1] * 2 + [1] * 5 + [0] * 5)
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx((0 + 0.05) / 2)
    assert metrics.expected_calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == 1


@given(st.integers(0, 2**32 - 1))
def test_expected_calibration_error_is_at_least_the_difference_of_the_means(seed):
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(10), 50), rng.integers(0, 10, 50)
    difference = abs(probabilities.max(axis=1).mean() - (probabilities.argmax(axis=1) == labels).mean())
    assert difference - 1e-9 <= metrics.expected_calibration_error(probabilities, labels) <= 1
    assert metrics.expected_calibration_error(probabilities, labels, 1) == pytest.approx(difference)
    ten = metrics.expected_calibration_error(probabilities, labels, 10)
    assert metrics.expected_calibration_error(probabilities, labels) == ten
