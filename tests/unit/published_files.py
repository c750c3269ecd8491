"""Small stand-ins for the published data sets, and the files that hold them."""

import gzip
import struct

import numpy as np

from noisy_digits import _sources

SHAPES = {"x_train": (12, 28, 28), "y_train": (12,), "x_test": (5, 28, 28), "y_test": (5,)}


def make_arrays(seed):
    rng = np.random.default_rng(seed)
    return {key: rng.integers(0, 256 if key.startswith("x") else 10, shape, np.uint8) for key, shape in SHAPES.items()}


MNIST, FASHION, OTHER = make_arrays(1), make_arrays(2), make_arrays(3)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def gz(array):
    return gzip.compress(idx(array), mtime=0)


def write_npz(folder, arrays=MNIST, name="mnist.npz"):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / name, **arrays)
    return folder / name


def write_idx(folder, arrays, suffix="", dotted=False):
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        stem = _sources.IDX_FILES[key].replace("-idx", ".idx") if dotted else _sources.IDX_FILES[key]
        (folder / (stem + suffix)).write_bytes(gz(array) if suffix else idx(array))
    return folder
