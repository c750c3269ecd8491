"""Batches of images for training and evaluation, as a ``tf.data`` pipeline without copies of the images."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from noisy_digits._memory import as_aligned
from noisy_digits.errors import UserError


def draw_order_seed() -> int:
    """Draw a seed for the order of images from Keras's generator, which ``training.set_random_seed`` seeds."""
    return int(keras.random.randint((), 0, 2**31 - 1))


def make_dataset(x: np.ndarray, y: np.ndarray, batch_size: int, *, order_seed: int | None = None) -> tf.data.Dataset:
    """Return batches of images ``x`` (n, …) with their labels or targets ``y`` (n, …); the last may be smaller.

    With ``order_seed`` every epoch has another order, which follows from it and TensorFlow's global seed (Keras's own
    shuffling, once seeded, repeats one order). Do not write to the arrays while the dataset is in use: it may share
    their memory. Raises UserError if ``x`` and ``y`` differ in length.
    """
    n = len(x)
    if n != len(y):
        raise UserError(f"training: {n} images and {len(y)} labels or targets: give one of each")
    images, targets = _share(x), _share(y)
    starts = tf.data.Dataset.range(0, n, batch_size)
    if order_seed is not None:
        orders = _shuffle(starts, n, batch_size, order_seed)
        batches = orders.map(
            lambda index: (tf.gather(images.read_value(), index), tf.gather(targets.read_value(), index))
        )
    else:
        batches = starts.map(lambda start: (images[start : start + batch_size], targets[start : start + batch_size]))
    options = tf.data.Options()
    options.autotune.enabled = False  # tuning can delay the end of an epoch
    options.threading.private_threadpool_size = 1
    counted = batches.apply(tf.data.experimental.assert_cardinality(math.ceil(n / batch_size)))
    return counted.prefetch(4).with_options(options)


def _shuffle(starts: tf.data.Dataset, n: int, batch_size: int, seed: int) -> tf.data.Dataset:
    """Return the indices of each batch, from a permutation of n that differs in every iteration."""

    def one_epoch(key: tf.Tensor) -> tf.data.Dataset:
        random: Any = tf.random  # its stubs lack experimental
        order = random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), key)
        return starts.map(lambda start: order[start : start + batch_size])

    keys = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2).take(1)
    return keys.flat_map(one_epoch)


def _share(array: np.ndarray) -> tf.Variable:
    """Return the array as a TensorFlow variable, without a copy: datasets copy tensors, but not what variables hold."""
    with tf.device("CPU:0"):  # datasets read there, whatever device trains
        return tf.Variable(tf.experimental.dlpack.from_dlpack(as_aligned(array).__dlpack__()), trainable=False)
