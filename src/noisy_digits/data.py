"""The data sets: MNIST, Fashion-MNIST, and scikit-learn's bundled digit scans for use without a network."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from noisy_digits import _sources
from noisy_digits._memory import empty_aligned
from noisy_digits.errors import UserError, check_name
from noisy_digits.registry import Registry

DATASET_NAMES = ("mnist", "fashion_mnist", "digits")

_NUMERALS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_NOTICES = {
    "digits": "Data: scikit-learn's 1,797 scanned digits, resampled to 28 × 28 pixels. They are not MNIST, and no "
    "number here is comparable with a reported one.",
    "fashion_mnist": "Data: Fashion-MNIST, pictures of garments in MNIST's format. No number here is comparable with "
    "one reported for MNIST.",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of ten classes, split into training and test images.

    Images are float32 of shape (n, 28, 28) in [0, 1]; labels are int64 of shape (n,), from 0 to 9.
    ``sha256`` identifies the content of the whole data set, however few of its images were loaded.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    sha256: str


def load(name: str = "auto", *, train_size: int | None = None, test_size: int | None = None) -> Dataset:
    """Load a data set by name. "auto" is MNIST if it can be had, otherwise scikit-learn's digit scans.

    ``train_size`` and ``test_size`` (at least 1) take the first images of each set, at most as many as there are;
    None takes all. Raises UserError if ``resolve_dataset`` does, and for a size below 1.
    """
    for option, size in {"train_size": train_size, "test_size": test_size}.items():
        if size is not None and size < 1:
            raise UserError(f"{option} is {size}: give at least 1, or leave it out for all images")
    name, arrays = _sources.obtain(check_dataset_name(name))
    return Dataset(
        name=name,
        x_train=_to_unit_range(arrays["x_train"][:train_size]),
        y_train=arrays["y_train"][:train_size].astype(np.int64),
        x_test=_to_unit_range(arrays["x_test"][:test_size]),
        y_test=arrays["y_test"][:test_size].astype(np.int64),
        class_names=_GARMENTS if name == "fashion_mnist" else _NUMERALS,
        sha256=dataset_sha256(name),
    )


def _to_unit_range(images: np.ndarray) -> np.ndarray:
    return np.divide(images, np.float32(255), out=empty_aligned(images.shape))


def check_dataset_name(name: str) -> str:
    """Return ``name`` if it is "auto" or one of ``DATASET_NAMES``. Raises UserError otherwise."""
    return check_name("dataset", name, ("auto", *DATASET_NAMES))


def resolve_dataset(name: str) -> str:
    """Return the data set that a name stands for, after finding or downloading it and verifying its content.

    "auto" becomes "mnist" if that is found or can be downloaded; otherwise "digits", and says so.
    Of "digits", which scikit-learn brings, nothing is read here; ``load`` verifies it. Raises UserError for an unknown
    name, a data set that cannot be had, a file that is damaged or holds something else (also with "auto"), and a
    ``$NOISY_DIGITS_DATA`` that is not a folder.
    """
    return name if name == "digits" else _sources.obtain(check_dataset_name(name))[0]


def locate_dataset(name: str) -> Path | None:
    """Return where a data set lies on this machine, verified: mnist.npz or the folder of the four files.

    Return None if it is nowhere, and for "digits". Downloads nothing. Raises UserError as ``resolve_dataset`` does, and
    for "auto".
    """
    found = None if check_name("dataset", name, DATASET_NAMES) == "digits" else _sources.search(name)
    return found and found[0]


def dataset_sha256(name: str) -> str:
    """Return the SHA-256 that identifies the content of a data set, from what ``load`` verifies. Reads no file."""
    digests = _sources.SHA256[check_name("dataset", name, DATASET_NAMES)]
    return hashlib.sha256("".join(digests.values()).encode()).hexdigest()


def dataset_title(name: str) -> str:
    """Return the title of a data set, as pages show it."""
    return "scikit-learn's digits" if name == "digits" else _sources.SOURCES[name].title


def dataset_notice(name: str) -> str | None:
    """Return the sentences that every page made from a data set must show first; None for MNIST."""
    return _NOTICES.get(name)


def first_of_class(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the first image of each class in ``labels``, (n,), in the order of the classes: (classes, ...)."""
    return images[np.unique(labels, return_index=True)[1]]


def take_per_class(dataset: Dataset, n: int) -> Dataset:
    """Return the first ``n`` images (at least 1) of each class, of the training and of the test set, in their order.

    All images of a class are taken if it has fewer. Raises UserError for an ``n`` below 1. Source: W4.
    """
    if n < 1:
        raise UserError(f"take_per_class: n is {n}: give at least 1")

    def take(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        taken = np.sort(np.concatenate([np.flatnonzero(labels == label)[:n] for label in np.unique(labels)]))
        return images[taken], labels[taken]

    x_train, y_train = take(dataset.x_train, dataset.y_train)
    x_test, y_test = take(dataset.x_test, dataset.y_test)
    return replace(dataset, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


Standardization = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
STANDARDIZATIONS: Registry[Standardization] = Registry("standardization")
STANDARDIZATIONS.update(
    none=lambda train, test: (train, test),
    train_stats=lambda train, test: (_scale(train, train), _scale(test, train)),
    per_split_stats=lambda train, test: (_scale(train, train), _scale(test, test)),
    uncentered_train=lambda train, test: (_scale(train, train, center=False), _scale(test, test)),
    per_pixel_train_stats=lambda train, test: (_scale_per_pixel(train, train), _scale_per_pixel(test, train)),
    per_pixel_per_split_stats=lambda train, test: (_scale_per_pixel(train, train), _scale_per_pixel(test, test)),
)


def standardize(dataset: Dataset, method: str) -> Dataset:
    """Return the data set with its images centered and scaled; they are no longer between 0 and 1.

    ``method`` says whose mean and standard deviation are used:

    - "none": the images are returned unchanged;
    - "train_stats": those of all training pixels together, for both sets;
    - "per_split_stats": those of all pixels of each set, for that set;
    - "uncentered_train": as "per_split_stats", but training images are not centered (W2's mistake);
    - "per_pixel_train_stats": each pixel's own over the training images, for both sets;
    - "per_pixel_per_split_stats": each pixel's own over the images of each set, for that set (W4's mistake).

    A pixel that never changes is only centered. Raises UserError for another method, and if all pixels together have
    standard deviation 0.
    """
    x_train, x_test = STANDARDIZATIONS[method](dataset.x_train, dataset.x_test)
    return replace(dataset, x_train=x_train, x_test=x_test)


def _scale(images: np.ndarray, stats_of: np.ndarray, *, center: bool = True) -> np.ndarray:
    if stats_of.min() == stats_of.max():
        raise UserError("images cannot be standardized: their pixels are all equal (standard deviation 0)")
    mean = stats_of.mean() if center else 0
    return ((images - mean) / stats_of.std()).astype(np.float32, copy=False)


def _scale_per_pixel(images: np.ndarray, stats_of: np.ndarray) -> np.ndarray:
    from sklearn import preprocessing

    scaler = preprocessing.StandardScaler().fit(stats_of.reshape(len(stats_of), -1))
    return np.asarray(scaler.transform(images.reshape(len(images), -1))).reshape(images.shape)
