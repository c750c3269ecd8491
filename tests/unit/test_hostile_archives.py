"""Files of MNIST that were made to do harm: refused in one line, with little memory, and nothing in them runs."""

import gzip
import io
import os
import pickle
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from noisy_digits import _sources

GIB = 2**30
MOST_MB = 150
READ = """\
import resource, sys
from noisy_digits import data
from noisy_digits.errors import UserError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, [used + 10**9] * 2)  # so that a test that fails does not take all memory
def peak():  # unlike ru_maxrss, it begins anew with the process
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
before = peak()
try:
    print("accepted", data.locate_dataset("mnist"))
except UserError as error:
    print(error)
print((peak() - before) / 1024, file=sys.stderr)
"""
"""What tries to read MNIST, and prints how many MB of memory it took besides Python and NumPy."""


class Trap:
    """An object that leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def npy(shape, descr="'|u1'", version=1, padding=0):
    """Return the header of an array of this shape and type."""
    literal = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {' ' * padding}}}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack({1: "<H", 2: "<I"}[version], len(literal)) + literal


def write_archive(folder, **members):
    """Write mnist.npz with these bytes as its members; those of MNIST that are not given have right headers only."""
    with zipfile.ZipFile(folder / "mnist.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for key, shape in _sources.SHAPES.items():
            archive.writestr(f"{key}.npy", members.pop(key, npy(shape)))
        for name, content in members.items():
            archive.writestr(name, content)


def write_idx(folder, content, suffix=""):
    for stem in _sources.IDX_FILES.values():
        (folder / (stem + suffix)).write_bytes(content)


def write_link(folder):
    """Write an archive one member of which is a symbolic link, as Unix's zip stores it."""
    with zipfile.ZipFile(folder / "mnist.npz", "w") as archive:
        link = zipfile.ZipInfo("x_train.npy")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")


def write_pickle(folder):
    array = np.empty(1, object)
    array[0] = Trap(str(folder / "unpickled"))
    np.save(file := io.BytesIO(), array, allow_pickle=True)
    write_archive(folder, x_train=file.getvalue())


def write_sparse(path):
    path.touch()
    os.truncate(path, 64 * GIB)


IDX_HEADER = struct.pack(">HBB3I", 0, 8, 3, 60_000, 28, 28)
ZEROS = bytes(20_000_000)
HOSTILE = {
    "an array of 10^12 elements": lambda at: write_archive(at, x_train=npy((10**12,))),
    "an array of 10^12 elements in three axes": lambda at: write_archive(at, x_train=npy((10**4, 10**4, 10**4))),
    "labels that are 8-byte floats": lambda at: write_archive(at, y_train=npy((60_000,), "'<f8'")),
    "images that are 8-byte floats": lambda at: write_archive(at, x_train=npy((60_000, 28, 28), "'<f8'")),
    "elements of 1 GB each": lambda at: write_archive(at, x_train=npy((60_000, 28, 28), "'|V1000000000'")),
    "a negative length": lambda at: write_archive(at, x_train=npy((-1, 28, 28))),
    "300 MB of zeros": lambda at: write_archive(at, x_train=npy((300_000_000,)) + ZEROS * 15),
    "a header of 900 MB": lambda at: write_archive(at, x_train=npy((60_000, 28, 28), version=2, padding=900_000_000)),
    "a header of 60,000 characters": lambda at: write_archive(at, x_train=npy((60_000, 28, 28), padding=60_000)),
    "a header of nested brackets": lambda at: write_archive(at, x_train=npy("(" * 5000)),
    "a header that is an expression": lambda at: write_archive(at, x_train=npy("__import__('os').getpid()")),
    "nothing after the headers": lambda at: write_archive(at),
    "names that lead out of the folder": lambda at: write_archive(at, x_train=b"", **{"../evil.npy": b"x"}),
    "a symbolic link": write_link,
    "a pickle that writes a file": write_pickle,
    "a pickle instead of an archive": lambda at: (at / "mnist.npz").write_bytes(
        pickle.dumps(Trap(str(at / "unpickled")))
    ),
    "64 GiB of nothing": lambda at: write_sparse(at / "mnist.npz"),
    "IDX: 64 GiB of nothing": lambda at: [write_sparse(at / stem) for stem in _sources.IDX_FILES.values()],
    "IDX: 2^96 elements": lambda at: write_idx(at, struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3)),
    "IDX: 255 axes": lambda at: write_idx(at, struct.pack(">HBB255I", 0, 8, 255, *[2**32 - 1] * 255)),
    "IDX: an empty file": lambda at: write_idx(at, b""),
    "gz: 2 GB of zeros": lambda at: write_idx(at, gzip.compress(IDX_HEADER) + gzip.compress(ZEROS) * 100, ".gz"),
    "gz: a file in a file in a file": lambda at: write_idx(
        at, gzip.compress(gzip.compress(gzip.compress(IDX_HEADER))), ".gz"
    ),
    "gz: cut off": lambda at: write_idx(at, gzip.compress(IDX_HEADER + ZEROS)[:100], ".gz"),
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited by what Linux reports")
@pytest.mark.parametrize("case", HOSTILE)
def test_locate_dataset_refuses_a_hostile_file_in_one_line_and_little_memory(tmp_path, case):
    HOSTILE[case](tmp_path)
    files = sorted(tmp_path.iterdir())
    environment = os.environ | {"NOISY_DIGITS_DATA": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", READ], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(str(tmp_path))
    assert done.stdout.endswith(": delete it or replace it\n")
    assert len(done.stdout) < 500 + len(str(tmp_path))
    assert float(done.stderr) < MOST_MB
    assert sorted(tmp_path.iterdir()) == files
    assert not (tmp_path.parent / "evil.npy").exists()
