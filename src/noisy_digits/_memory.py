"""Arrays whose memory NumPy and TensorFlow share: a copy of 60,000 images takes 190 MB, and twice that to make."""

import numpy as np

ALIGNMENT = 64
"""Bytes. TensorFlow ends the process if the memory of a tensor does not begin at a multiple of this."""


def empty_aligned(shape: tuple[int, ...], dtype: np.typing.DTypeLike = np.float32) -> np.ndarray:
    """Return an array, not filled, whose memory a tensor can use as it is."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


def as_aligned(array: np.ndarray) -> np.ndarray:
    """Return ``array`` itself if a tensor can use its memory as it is, otherwise a copy that a tensor can use."""
    if array.flags.carray and array.ctypes.data % ALIGNMENT == 0:  # writeable, in C order
        return array
    copy = empty_aligned(array.shape, array.dtype)
    copy[...] = array
    return copy
