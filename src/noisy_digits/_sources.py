"""Find published data sets on disk or download them, and verify their content.

MNIST is known by its pixels, so ``mnist.npz`` and the four IDX files, plain or gzipped, are equally good. Fashion-MNIST
has no published digests of its pixels, only of its four ``.gz`` files: it is accepted as these files only. Their names
are MNIST's too, so each data set may have its own subfolder, ``mnist`` or ``fashion_mnist``.
"""

import contextlib
import gzip
import hashlib
import http.client
import math
import struct
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.lib import format as npy

from noisy_digits import _environment
from noisy_digits._files import flush
from noisy_digits.errors import UserError
from noisy_digits.project import find_project_root

Arrays = dict[str, np.ndarray]
"""The uint8 arrays x_train, y_train, x_test and y_test of a data set."""

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
TIMEOUT_S = 10
IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
GZIPPED_FILES = tuple(f"{file}.gz" for file in IDX_FILES.values())
SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}
MAX_BYTES = 60_000_000
"""Most bytes of a file, packed or not: the arrays of MNIST have 55 million. What is larger is refused unread."""
SHA256 = {
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
    "digits": {  # of scikit-learn's arrays, before they are resampled to 28×28
        "images": "20def7f70a702f0af9732fbba4375e147a7d54fe70d8c45569b8e7c1c7010c10",
        "target": "a3c91c262eddcf7ba8f0e37507c30284493c9b20412ffe4af30d536401f7ba21",
    },
}


class Source(NamedTuple):
    """The files of a published data set. ``other`` is the data set whose files have the same names."""

    title: str
    subfolders: tuple[str, ...]
    idx_suffixes: tuple[str, ...]
    downloads: tuple[str, ...]
    other: str


SOURCES = {
    "mnist": Source("MNIST", ("", "mnist"), ("", ".gz"), ("mnist.npz",), "fashion_mnist"),
    "fashion_mnist": Source("Fashion-MNIST", ("", "fashion-mnist", "fashion_mnist"), (".gz",), GZIPPED_FILES, "mnist"),
}


def obtain(name: str) -> tuple[str, Arrays]:
    """Return a data set's name, which differs from ``name`` for "auto", and its arrays. Downloads what is missing.

    Raises UserError if the data set cannot be had, and with "auto" only if a file of MNIST is damaged.
    """
    if name == "digits":
        return name, _bundled_digits()
    published = "mnist" if name == "auto" else name
    if found := search(published):
        return published, found[1]
    try:
        return published, _download(published)
    except UserError as error:
        if name != "auto":
            raise
        print(f"{error}. Using scikit-learn's bundled 1,797 digit scans instead.")
        return "digits", _bundled_digits()


def search(name: str) -> tuple[Path, Arrays] | None:
    """Return the path and the verified arrays of a published data set, from the first folder that has it.

    Raises UserError for a file that is damaged or holds something else, and for a folder that cannot be read.
    """
    for place in (folder / subfolder for folder in _folders() for subfolder in SOURCES[name].subfolders):
        try:
            if found := read_folder(place, name):
                return found
        except OSError as error:
            raise UserError(f"{place} cannot be searched ({error}): make it readable") from error
    return None


def _folders(*, with_project: bool = True) -> list[Path]:
    """Return the folders that may hold data sets, in the order in which they are searched."""
    named = _environment.data_folder()
    if named and not named.is_dir():
        raise UserError(f"NOISY_DIGITS_DATA is '{named}', which is not a folder: create it or correct the variable")
    folders = [named] if named else []
    if with_project:
        with contextlib.suppress(UserError):
            folders.append(find_project_root() / "data")
    for home in filter(None, [_environment.keras_home(), Path("~/.keras")]):
        with contextlib.suppress(RuntimeError):  # a user without a home folder
            folders.append(home.expanduser() / "datasets")
    return list(dict.fromkeys(folders))


def read_folder(folder: Path, name: str) -> tuple[Path, Arrays] | None:
    """Return what ``search`` returns, from one folder."""
    archive = folder / "mnist.npz"
    if name == "mnist" and archive.is_file():
        return archive, _read_mnist_archive(archive)
    source = SOURCES[name]
    paths = _find_idx_files(folder, source)
    arrays = {key: _read_idx(path, SHAPES[key]) for key, path in paths.items()}
    holders = {key: _identify(key, paths[key], array) for key, array in arrays.items()}
    if set(holders.values()) <= {source.other}:
        return None
    for key, path in paths.items():
        if holders[key] != name:
            raise UserError(
                f"{path} does not hold {source.title}'s {key}: delete it or replace it, or, if it is "
                f"{SOURCES[source.other].title}'s, move all four to a subfolder {source.other}"
            )
    return folder, arrays


def _find_idx_files(folder: Path, source: Source) -> dict[str, Path]:
    """Return the four IDX files in the spelling that is there; empty if there is none. Raises UserError for a part."""
    paths = {}
    for key, stem in IDX_FILES.items():
        stems = (stem, stem.replace("-idx", ".idx"))
        spellings = (folder / (each + suffix) for each in stems for suffix in source.idx_suffixes)
        if path := next(filter(Path.is_file, spellings), None):
            paths[key] = path
    if paths and (missing := [file for key, file in IDX_FILES.items() if key not in paths]):
        raise UserError(
            f"{folder} holds only {len(paths)} of {source.title}'s four IDX files: "
            f"add {', '.join(missing)}, or delete {', '.join(path.name for path in paths.values())}"
        )
    return paths


def _identify(key: str, path: Path, array: np.ndarray) -> str | None:
    if _is_mnist(key, array):
        return "mnist"
    is_fashion = hashlib.sha256(path.read_bytes()).hexdigest() == SHA256["fashion_mnist"][key]
    return "fashion_mnist" if is_fashion else None


def _is_mnist(key: str, array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.shape == SHAPES[key] and _array_sha256(array) == SHA256["mnist"][key]


def _array_sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


@contextlib.contextmanager
def _name_damaged(path: Path) -> Iterator[None]:
    """Turn any error of a reader, or the size of the file, into a UserError that names it."""
    if path.stat().st_size > MAX_BYTES:
        raise UserError(
            f"{path} is larger than {MAX_BYTES / 1e6:g} MB, and no file of MNIST is: delete it or replace it"
        )
    try:
        yield
    except Exception as error:  # zipfile, zlib, gzip, struct and NumPy raise a dozen types between them
        reason = " ".join(f"{type(error).__name__}: {error}"[:200].split())
        raise UserError(f"{path} cannot be read ({reason}): delete it or replace it") from error


def _read_mnist_archive(path: Path) -> Arrays:
    with _name_damaged(path), zipfile.ZipFile(path) as archive:
        for key in IDX_FILES:
            with archive.open(f"{key}.npy") as member:
                _check_header(key, member)
        arrays = {key: npy.read_array(archive.open(f"{key}.npy"), allow_pickle=False) for key in IDX_FILES}
    for key, array in arrays.items():
        if not _is_mnist(key, array):
            raise UserError(f"{path} does not hold MNIST ({key} differs): delete it or replace it")
    return arrays


def _check_header(key: str, member: IO[bytes]) -> None:
    """Raise ValueError unless the header of an array of MNIST announces its shape and type: a header may lie."""
    if (version := npy.read_magic(member)) != (1, 0):  # others may be of any length
        raise ValueError(f"the header of {key} is of version {version[0]} instead of 1")
    shape, _, dtype = npy.read_array_header_1_0(member)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which could run code and are refused")
    if (shape, dtype) != (SHAPES[key], np.uint8):
        raise ValueError(f"{key} is {dtype} of shape {shape} instead of uint8 of shape {SHAPES[key]}")


def _read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the uint8 array of an IDX file, plain or gzipped (format: http://yann.lecun.com/exdb/mnist/)."""
    n_bytes = 4 + 4 * len(shape) + math.prod(shape)
    with _name_damaged(path), (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = file.read(n_bytes)
        zeros, kind, dimensions = struct.unpack_from(">HBB", content)
        if (zeros, kind) != (0, 8):
            raise ValueError("not an IDX file of unsigned bytes")
        found = struct.unpack_from(f">{dimensions}I", content, offset=4)
        if found != shape or len(content) < n_bytes or file.read(1):
            raise ValueError(f"{len(content)} bytes or more of shape {found} instead of {n_bytes} of shape {shape}")
        return np.frombuffer(content, np.uint8, offset=n_bytes - math.prod(shape)).reshape(shape)


def _download(name: str) -> Arrays:
    """Download a published data set and return its arrays. Its files are put in place only after verification."""
    source = SOURCES[name]
    target = _folders(with_project=False)[0] / ("" if name == "mnist" else name)
    reason = "the downloaded files are not the published data set"
    contents = {}
    try:
        for file in source.downloads:
            with urllib.request.urlopen(URL + file, timeout=TIMEOUT_S) as response:
                print(f"Downloading {URL}{file} to {target}")
                contents[file] = response.read(MAX_BYTES)
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".download-") as staging, contextlib.suppress(UserError):
            for file, content in contents.items():
                Path(staging, file).write_bytes(content)
                flush(Path(staging, file))
            if found := read_folder(Path(staging), name):
                for file in contents:
                    Path(staging, file).replace(target / file)
                return found[1]
    except (OSError, http.client.HTTPException) as error:
        reason = str(error)
    files = (
        "mnist.npz (or the four IDX files)" if name == "mnist" else f"a folder {name} with {', '.join(GZIPPED_FILES)}"
    )
    raise UserError(
        f"{source.title} was neither found nor downloadable from {URL} to {target} ({reason}): "
        f"put {files} into {' or '.join(map(str, _folders()))}"
    )


def _bundled_digits() -> Arrays:
    """Return the 1,797 scans of scikit-learn's load_digits in MNIST's frame: a box of 20×20 centered in 28×28.

    There are 1,437 training and 360 test images, stratified and shuffled with a fixed seed.
    """
    from scipy import ndimage
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    scans = cast(Any, load_digits())
    if {"images": _array_sha256(scans.images), "target": _array_sha256(scans.target)} != SHA256["digits"]:
        raise UserError("scikit-learn's load_digits holds other scans than expected: install requirements.lock")
    boxes = ndimage.zoom(scans.images, (1, 2.5, 2.5), order=1, mode="grid-constant", grid_mode=True)
    images = np.pad(np.rint(np.asarray(boxes) * 255 / 16).astype(np.uint8), ((0, 0), (4, 4), (4, 4)))
    labels = scans.target.astype(np.uint8)
    parts = train_test_split(images, labels, test_size=360, stratify=labels, random_state=0)
    return dict(zip(("x_train", "x_test", "y_train", "y_test"), map(np.asarray, parts), strict=True))
