"""The data sets: MNIST, Fashion-MNIST, and scikit-learn's bundled digit scans for when there is no network.

MNIST and Fashion-MNIST are looked for in ``$NOISY_DIGITS_DATA``, the project's ``data/``,
``$KERAS_HOME/datasets`` and ``~/.keras/datasets``, then downloaded once. MNIST is known by its pixels, so
``mnist.npz`` and the four IDX files, plain or gzipped, are equally good. Fashion-MNIST has no published
digests of its pixels, only of its four ``.gz`` files: it is accepted as these files alone. Their names are
MNIST's too, so each data set may have its own subfolder, ``mnist`` or ``fashion_mnist``.
"""

import contextlib
import gzip
import hashlib
import http.client
import os
import struct
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from noisy_digits.errors import UserError, near
from noisy_digits.memory import aligned
from noisy_digits.project import project_root

NAMES = ("mnist", "fashion_mnist", "digits")

_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TIMEOUT = 10  # seconds
_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_GZIPPED = tuple(f"{file}.gz" for file in _FILES.values())
_SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}
_SHA256 = {
    "mnist": {  # of the uint8 arrays' bytes in C order
        "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    },
    "fashion_mnist": {  # of the four .gz files
        "x_train": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "y_train": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "x_test": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "y_test": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    "digits": {  # of scikit-learn's arrays, as they are before they are brought to 28x28
        "images": "20def7f70a702f0af9732fbba4375e147a7d54fe70d8c45569b8e7c1c7010c10",
        "target": "a3c91c262eddcf7ba8f0e37507c30284493c9b20412ffe4af30d536401f7ba21",
    },
}
_NUMERALS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


class DatasetError(UserError):
    """A data set, or a choice about it, that the user can mend; the message is one line."""


@dataclass(frozen=True, eq=False)
class Digits:
    """A data set of ten classes, split into training and test images.

    Images are float32 of shape (n, 28, 28) in [0, 1]; labels are int64 of shape (n,), from 0 to 9.
    ``sha256`` identifies the content of the whole data set, however few of its images were asked for.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class _Source:
    """How a published data set is found on disk and where it is put when it is downloaded."""

    title: str
    wanted: str
    subfolders: tuple[str, ...]
    idx_suffixes: tuple[str, ...]
    download_to: str
    downloads: tuple[str, ...]
    other: str


_SOURCES = {
    "mnist": _Source(
        title="MNIST",
        wanted="mnist.npz (or the four IDX files)",
        subfolders=("", "mnist"),
        idx_suffixes=("", ".gz"),
        download_to="",
        downloads=("mnist.npz",),
        other="fashion_mnist",
    ),
    "fashion_mnist": _Source(
        title="Fashion-MNIST",
        wanted=f"a folder fashion_mnist with {', '.join(_GZIPPED)}",
        subfolders=("", "fashion-mnist", "fashion_mnist"),
        idx_suffixes=(".gz",),
        download_to="fashion_mnist",
        downloads=_GZIPPED,
        other="mnist",
    ),
}


def load(name: str = "auto", *, train_size: int | None = None, test_size: int | None = None) -> Digits:
    """A data set by name, or with "auto" MNIST if it can be had and scikit-learn's digit scans otherwise.

    ``train_size`` and ``test_size`` (at least 1) take the first images of each set, at most what there is;
    None takes all. Raises DatasetError wherever ``resolve`` does, and for a size below 1.
    """
    for option, size in {"train_size": train_size, "test_size": test_size}.items():
        if size is not None and size < 1:
            raise DatasetError(f"{option} is {size}: give at least 1, or leave it out for all images")
    name, arrays = _obtain(name)
    return Digits(
        name=name,
        x_train=_pixels(arrays["x_train"][:train_size]),
        y_train=arrays["y_train"][:train_size].astype(np.int64),
        x_test=_pixels(arrays["x_test"][:test_size]),
        y_test=arrays["y_test"][:test_size].astype(np.int64),
        class_names=_GARMENTS if name == "fashion_mnist" else _NUMERALS,
        sha256=digest(name),
    )


def _pixels(images: np.ndarray) -> np.ndarray:
    return np.divide(images, np.float32(255), out=aligned(images.shape))


def digest(name: str) -> str:
    """The SHA-256 that identifies the content of a data set, from what every ``load`` verifies; nothing is read."""
    return hashlib.sha256("".join(_SHA256[name].values()).encode()).hexdigest()


def resolve(name: str) -> str:
    """The concrete data set that a name stands for, made sure to be here: found or downloaded, and verified.

    Of "digits", which scikit-learn brings, nothing is read here; ``load`` verifies it.

    "auto" becomes "mnist" if that is found or can be downloaded; otherwise "digits", with one line on stderr.
    Raises DatasetError for an unknown name, a data set that cannot be had, a file that is damaged or holds
    something else (also with "auto"), and a ``$NOISY_DIGITS_DATA`` that is not a folder.
    """
    return name if name == "digits" else _obtain(name)[0]


def find(name: str) -> Path | None:
    """Where a data set lies on this machine, verified: mnist.npz or the folder of the four files.

    None if it is nowhere, and for "digits", which scikit-learn brings. Downloads nothing; raises DatasetError
    otherwise as ``resolve`` does, and for "auto".
    """
    found = _search(name) if _known(name, NAMES, "data set") != "digits" else None
    return found and found[0]


def first_of_each_class(digits: Digits, n: int) -> Digits:
    """The first ``n`` images (at least 1) of each class, of the training and of the test set, in their order.

    Of a class that has fewer, all are taken. Raises DatasetError for an ``n`` below 1. Source: W4.
    """
    if n < 1:
        raise DatasetError(f"first_of_each_class: n is {n}: give at least 1")
    train, test = (
        np.sort(np.concatenate([np.flatnonzero(labels == label)[:n] for label in np.unique(labels)]))
        for labels in (digits.y_train, digits.y_test)
    )
    return replace(
        digits,
        x_train=digits.x_train[train],
        y_train=digits.y_train[train],
        x_test=digits.x_test[test],
        y_test=digits.y_test[test],
    )


def standardise(digits: Digits, how: str) -> Digits:
    """The data set with its images centred and scaled; they are no longer between 0 and 1.

    ``how`` says whose mean and standard deviation are used:

    - "none": nobody's, the images are returned unchanged;
    - "training_set": those of all training pixels together, for both sets;
    - "each_set": those of all pixels of each set, for itself;
    - "uncentred_training": as "each_set", but training images are not centred (W2's mistake);
    - "pixel_training_set": each pixel's own over the training images, for both sets;
    - "pixel_each_set": each pixel's own over the images of each set, for itself (W4's mistake).

    A pixel that never changes is only centred. Raises DatasetError for another value, and where all pixels together
    have no deviation.
    """
    standardised = STANDARDISATIONS[_known(how, STANDARDISATIONS, "standardisation")]
    x_train, x_test = standardised(digits.x_train, digits.x_test)
    return replace(digits, x_train=x_train, x_test=x_test)


def _scaled(images: np.ndarray, *, by: np.ndarray, centred: bool = True) -> np.ndarray:
    if by.min() == by.max():
        raise DatasetError("images cannot be standardised: their pixels are all equal (standard deviation 0)")
    mean = by.mean() if centred else 0
    return ((images - mean) / by.std()).astype(np.float32, copy=False)


def _scaled_by_pixel(images: np.ndarray, *, by: np.ndarray) -> np.ndarray:
    from sklearn import preprocessing

    scaler = preprocessing.StandardScaler().fit(by.reshape(len(by), -1))
    return scaler.transform(images.reshape(len(images), -1)).reshape(images.shape)


STANDARDISATIONS = {
    "none": lambda train, test: (train, test),
    "training_set": lambda train, test: (_scaled(train, by=train), _scaled(test, by=train)),
    "each_set": lambda train, test: (_scaled(train, by=train), _scaled(test, by=test)),
    "uncentred_training": lambda train, test: (
        _scaled(train, by=train, centred=False),
        _scaled(test, by=test),
    ),
    "pixel_training_set": lambda train, test: (_scaled_by_pixel(train, by=train), _scaled_by_pixel(test, by=train)),
    "pixel_each_set": lambda train, test: (_scaled_by_pixel(train, by=train), _scaled_by_pixel(test, by=test)),
}


def _known(value: str, allowed: Iterable[str], what: str) -> str:
    if value not in allowed:
        raise DatasetError(f"unknown {what} {value!r}{near(value, allowed)}")
    return value


def _obtain(name: str) -> tuple[str, dict[str, np.ndarray]]:
    """The concrete name and the four uint8 arrays."""
    _known(name, ("auto", *NAMES), "data set")
    if name == "digits":
        return name, _bundled_digits()
    published = "mnist" if name == "auto" else name
    if found := _search(published):
        return published, found[1]
    try:
        return published, _download(published)
    except DatasetError as error:
        if name != "auto":
            raise
        print(f"{error}. For now, scikit-learn's bundled 1,797 digit scans are used.", file=sys.stderr)
        return "digits", _bundled_digits()


def _folders() -> list[Path]:
    """Where published data sets are looked for, in this order."""
    project = []
    with contextlib.suppress(UserError):
        project.append(project_root() / "data")
    return list(dict.fromkeys([*_named_folder(), *project, *_keras_folders()]))


def _named_folder() -> list[Path]:
    named = os.environ.get("NOISY_DIGITS_DATA")
    if named and not Path(named).is_dir():
        raise DatasetError(f"NOISY_DIGITS_DATA is {named!r}, which is not a folder: create it or correct the variable")
    return [Path(named)] if named else []


def _keras_folders() -> list[Path]:
    homes = filter(None, [os.environ.get("KERAS_HOME"), "~/.keras"])
    return [Path(home).expanduser() / "datasets" for home in homes]


def _search(name: str) -> tuple[Path, dict[str, np.ndarray]] | None:
    """The path and the verified arrays of a published data set; the first place that has one decides."""
    source = _SOURCES[name]
    for folder in _folders():
        for place in (folder / subfolder for subfolder in source.subfolders):
            try:
                if found := _look_in(place, name):
                    return found
            except OSError as error:
                raise DatasetError(f"{place} cannot be searched ({error}): make it readable") from error
    return None


def _look_in(folder: Path, name: str) -> tuple[Path, dict[str, np.ndarray]] | None:
    archive = folder / "mnist.npz"
    if name == "mnist" and archive.is_file():
        return archive, _read_mnist_archive(archive)
    source = _SOURCES[name]
    files = _idx_files(folder, source)
    if not files or all(_is_published(source.other, key, path) for key, path in files.items()):
        return None
    for key, path in files.items():
        if not _is_published(name, key, path):
            raise DatasetError(
                f"{path} does not hold {source.title}'s {key}: delete it or replace it, or, if it is "
                f"{_SOURCES[source.other].title}'s, move all four to a subfolder {source.other}"
            )
    return folder, {key: _read_idx(path) for key, path in files.items()}


def _idx_files(folder: Path, source: _Source) -> dict[str, Path]:
    """The four IDX files, in whichever spelling is there; empty if none is."""
    files = {}
    for key, stem in _FILES.items():
        spellings = (
            folder / (spelling + suffix)
            for spelling in (stem, stem.replace("-idx", ".idx"))
            for suffix in source.idx_suffixes
        )
        if path := next(filter(Path.is_file, spellings), None):
            files[key] = path
    if files and (missing := [_FILES[key] for key in _FILES if key not in files]):
        raise DatasetError(
            f"{folder} holds only {len(files)} of {source.title}'s four IDX files: "
            f"add {', '.join(missing)}, or delete {', '.join(path.name for path in files.values())}"
        )
    return files


def _is_published(name: str, key: str, path: Path) -> bool:
    if name == "mnist":
        return _is_mnist(key, _read_idx(path))
    return hashlib.sha256(path.read_bytes()).hexdigest() == _SHA256[name][key]


def _is_mnist(key: str, array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.shape == _SHAPES[key] and _array_sha256(array) == _SHA256["mnist"][key]


def _array_sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turns whatever a reader raises over a damaged file into one line that names the file."""
    try:
        yield
    except Exception as error:  # zipfile, zlib, gzip, struct and NumPy raise a dozen types between them
        reason = (
            "it holds pickled objects, which could run code and are refused"
            if "pickle" in str(error)
            else " ".join(f"{type(error).__name__}: {error}".split())
        )
        raise DatasetError(f"{path} cannot be read ({reason}): delete it or replace it") from error


def _read_mnist_archive(path: Path) -> dict[str, np.ndarray]:
    with _blaming(path), np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in _FILES}
    for key, array in arrays.items():
        if not _is_mnist(key, array):
            raise DatasetError(
                f"{path} does not hold MNIST ({key}, {array.dtype} of shape {array.shape}, differs): "
                "delete it or replace it"
            )
    return arrays


def _read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file, plain or gzipped (format: http://yann.lecun.com/exdb/mnist/)."""
    with _blaming(path):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        zeros, kind, dimensions = struct.unpack_from(">HBB", content)
        if (zeros, kind) != (0, 8):
            raise ValueError("not an IDX file of unsigned bytes")
        shape = struct.unpack_from(f">{dimensions}I", content, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _download(name: str) -> dict[str, np.ndarray]:
    """The arrays of a published data set, whose files are put in place only once they are verified."""
    source = _SOURCES[name]
    target = [*_named_folder(), *_keras_folders()][0] / source.download_to
    try:
        contents = {file: _fetch(file, target) for file in source.downloads}
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".download-") as staging:
            for file, content in contents.items():
                Path(staging, file).write_bytes(content)
            if not (found := _look_in(Path(staging), name)):
                raise DatasetError("what came holds another data set")
            for file in contents:
                Path(staging, file).replace(target / file)
        return found[1]
    except DatasetError:
        reason = "what came is not the published data set"
    except (OSError, http.client.HTTPException) as error:
        reason = str(error)
    raise DatasetError(
        f"{source.title} was neither found nor downloadable from {_URL} to {target} ({reason}): "
        f"put {source.wanted} into {' or '.join(map(str, _folders()))}"
    )


def _fetch(file: str, target: Path) -> bytes:
    with urllib.request.urlopen(_URL + file, timeout=_TIMEOUT) as response:
        print(f"Downloading {_URL}{file} to {target}", file=sys.stderr)
        return response.read()


def _bundled_digits() -> dict[str, np.ndarray]:
    """The 1,797 scans of scikit-learn's load_digits in MNIST's frame: a box of 20x20 centred in 28x28.

    1,437 training and 360 test images, stratified and shuffled with a fixed seed.
    """
    from scipy import ndimage
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    scans = load_digits()
    if {"images": _array_sha256(scans.images), "target": _array_sha256(scans.target)} != _SHA256["digits"]:
        raise DatasetError("scikit-learn's load_digits holds other scans than expected: install requirements.lock")
    boxes = ndimage.zoom(scans.images, (1, 2.5, 2.5), order=1, mode="grid-constant", grid_mode=True)
    images = np.pad(np.rint(boxes * 255 / 16).astype(np.uint8), ((0, 0), (4, 4), (4, 4)))
    labels = scans.target.astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=360, stratify=labels, random_state=0)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
