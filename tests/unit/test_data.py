"""Loading, taking a part of, and standardizing a data set."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from noisy_digits import data
from noisy_digits.errors import UserError

REAL_MNIST = os.environ.get("NOISY_DIGITS_DATA")
DIGITS = data.load("digits")


def test_load_resamples_digits_into_mnists_frame():
    assert DIGITS.name == "digits"
    assert DIGITS.x_train.shape == (1437, 28, 28)
    assert DIGITS.x_test.shape == (360, 28, 28)
    for images, labels in ((DIGITS.x_train, DIGITS.y_train), (DIGITS.x_test, DIGITS.y_test)):
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        assert (images.min(), images.max()) == (0, 1)
        for border in (images[:, :4], images[:, -4:], images[:, :, :4], images[:, :, -4:]):
            assert not border.any()
        assert len(set(labels[:20])) > 5
    counts = np.array([np.bincount(DIGITS.y_train), np.bincount(DIGITS.y_test)])
    assert counts.shape == (2, 10)
    np.testing.assert_allclose(counts[1] / counts.sum(axis=0), 0.2, atol=0.005)


def test_load_splits_digits_the_same_way_every_time_without_common_images():
    again = data.load("digits")
    assert DIGITS.sha256 == again.sha256
    np.testing.assert_array_equal(DIGITS.x_train, again.x_train)
    train = {image.tobytes() for image in DIGITS.x_train}
    assert len(train) == 1437
    assert not train & {image.tobytes() for image in DIGITS.x_test}


def test_resolve_dataset_needs_neither_folder_nor_download_for_digits(capsys):
    assert data.resolve_dataset("digits") == "digits"
    assert data.locate_dataset("digits") is None
    assert capsys.readouterr().err == ""


@given(train=st.integers(1, 2000), test=st.integers(1, 500))
@settings(max_examples=10)
def test_load_takes_the_first_images(train, test):
    part = data.load("digits", train_size=train, test_size=test)
    for key, size in (("x_train", train), ("y_train", train), ("x_test", test), ("y_test", test)):
        np.testing.assert_array_equal(getattr(part, key), getattr(DIGITS, key)[:size])
    assert part.sha256 == DIGITS.sha256


@pytest.mark.parametrize("option", ["train_size", "test_size"])
@pytest.mark.parametrize("size", [0, -1])
def test_load_rejects_a_size_below_one(option, size):
    with pytest.raises(UserError, match=f"{option} is {size}"):
        data.load("digits", **{option: size})


@pytest.mark.parametrize(
    ("name", "meant"),
    [("mnits", "mnist"), ("MNIST", "mnist"), ("fashion-mnist", "fashion_mnist"), ("digit", "digits")],
)
@pytest.mark.parametrize("function", [data.load, data.resolve_dataset, data.locate_dataset, data.dataset_sha256])
def test_every_function_suggests_the_closest_dataset_name(function, name, meant):
    with pytest.raises(UserError, match=f'unknown dataset "{name}"; did you mean {meant}') as caught:
        function(name)
    assert all(allowed in str(caught.value) for allowed in data.DATASET_NAMES)


def test_locate_dataset_rejects_auto():
    with pytest.raises(UserError, match='unknown dataset "auto"'):
        data.locate_dataset("auto")


def test_dataset_sha256_differs_between_data_sets():
    digests = {data.dataset_sha256(name) for name in data.DATASET_NAMES}
    assert len(digests) == len(data.DATASET_NAMES)
    assert all(len(digest) == 64 for digest in digests)


def test_dataset_notice_says_what_is_not_mnist():
    assert data.dataset_notice("mnist") is None
    assert "not MNIST" in data.dataset_notice("digits")
    assert data.dataset_title("fashion_mnist") in data.dataset_notice("fashion_mnist")
    assert len({data.dataset_title(name) for name in data.DATASET_NAMES}) == 3


@given(n=st.integers(1, 300))
@settings(max_examples=20)
def test_take_per_class_takes_the_first_images_in_their_order(n):
    part = data.take_per_class(DIGITS, n)
    for images, labels, x, y in (
        (part.x_train, part.y_train, DIGITS.x_train, DIGITS.y_train),
        (part.x_test, part.y_test, DIGITS.x_test, DIGITS.y_test),
    ):
        counts = dict.fromkeys(range(10), 0)
        kept = []
        for place, label in enumerate(y):
            counts[label] += 1
            if counts[label] <= n:
                kept.append(place)
        assert np.array_equal(labels, y[kept])
        assert np.array_equal(images, x[kept])


def test_first_of_class_gives_one_image_of_each_class_in_their_order():
    images = data.first_of_class(DIGITS.x_test, DIGITS.y_test)
    for label, image in enumerate(images):
        np.testing.assert_array_equal(image, DIGITS.x_test[DIGITS.y_test == label][0])
    assert len(images) == len(DIGITS.class_names)


def test_take_per_class_rejects_less_than_one():
    with pytest.raises(UserError, match="n is 0"):
        data.take_per_class(DIGITS, 0)


PIXELS = hnp.arrays(np.float32, st.tuples(st.integers(2, 6), st.just(4), st.just(4)), elements=st.integers(0, 255)).map(
    lambda images: images / np.float32(255)
)
VARIED = PIXELS.filter(lambda images: np.ptp(images) > 0)


def standardize(train, test, method):
    y_train, y_test = (np.zeros(len(images), np.int64) for images in (train, test))
    dataset = data.Dataset("made up", train, y_train, test, y_test, tuple("0123456789"), "")
    standard = data.standardize(dataset, method)
    return standard.x_train, standard.x_test


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=2e-3)


@given(train=VARIED, test=VARIED)
def test_standardize_returns_float32_of_the_same_shape(train, test):
    for method in data.STANDARDIZATIONS:
        x_train, x_test = standardize(train, test, method)
        assert x_train.dtype == x_test.dtype == np.float32, method
        assert (x_train.shape, x_test.shape) == (train.shape, test.shape), method
    x_train, x_test = standardize(train, test, "none")
    assert x_train is train
    assert x_test is test


@given(train=VARIED, test=VARIED)
def test_standardize_uses_the_statistics_that_the_method_names(train, test):
    train_stats = standardize(train, test, "train_stats")
    per_split = standardize(train, test, "per_split_stats")
    uncentered = standardize(train, test, "uncentered_train")
    for images in (train_stats[0], *per_split, uncentered[1]):
        assert_close(images.mean(), 0)
        assert_close(images.std(), 1)
    assert_close(train_stats[1] * train.std() + train.mean(), test)
    assert_close(uncentered[0].std(), 1)
    np.testing.assert_array_equal(uncentered[0] == 0, train == 0)


@given(train=VARIED, test=VARIED)
def test_standardize_per_pixel_uses_the_statistics_of_each_pixel(train, test):
    train_stats = standardize(train, test, "per_pixel_train_stats")
    per_split = standardize(train, test, "per_pixel_per_split_stats")
    for images in (train_stats[0], *per_split):
        assert_close(images.mean(axis=0), 0)
        assert all(np.isclose(std, 0) or np.isclose(std, 1, atol=2e-3) for std in images.std(axis=0).flat)
    std = np.where(np.ptp(train, axis=0), train.std(axis=0), 1)
    assert_close(train_stats[1] * std + train.mean(axis=0), test)


@pytest.mark.parametrize("method", ["train_stats", "per_split_stats", "uncentered_train"])
@pytest.mark.parametrize("grey", [0, 0.1])
def test_standardize_rejects_images_of_one_grey(method, grey):
    plain = np.full((3, 28, 28), grey, np.float32)
    with pytest.raises(UserError, match="standard deviation 0"):
        standardize(plain, plain, method)


def test_standardize_rejects_an_unknown_method():
    with pytest.raises(UserError, match=r"did you mean train_stats\? \(allowed: .*none.*uncentered_train"):
        data.standardize(DIGITS, "trainstats")


@pytest.mark.skipif(not REAL_MNIST, reason="needs real MNIST: set NOISY_DIGITS_DATA to the folder that holds it")
def test_load_reads_real_mnist():
    mnist = data.load("mnist")
    assert mnist.x_train.shape == (60_000, 28, 28)
    assert mnist.x_test.shape == (10_000, 28, 28)
    assert mnist.x_train.mean() == pytest.approx(0.1307, abs=5e-5)
    assert mnist.x_train.std() == pytest.approx(0.3081, abs=5e-5)
    assert np.mean(mnist.y_test == 1) == pytest.approx(0.1135)
    assert np.bincount(mnist.y_train).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]  # fmt: skip
