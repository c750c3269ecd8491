"""Arrays whose memory NumPy and TensorFlow share: a copy of 60,000 images takes 190 MB, and twice that to make."""

import numpy as np

ALIGNMENT = 64
"""TensorFlow ends the process where a tensor's memory does not begin at a multiple of so many bytes."""


def aligned(shape: tuple[int, ...], dtype: np.typing.DTypeLike = np.float32) -> np.ndarray:
    """An array, not filled, whose memory a tensor can use as it is."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


def shareable(array: np.ndarray) -> np.ndarray:
    """The ``array`` itself, if a tensor can use its memory as it is, and a copy otherwise."""
    flags = array.flags
    if flags.c_contiguous and flags.writeable and array.ctypes.data % ALIGNMENT == 0:
        return array
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy
