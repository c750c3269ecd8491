"""Milliseconds of a training step: plain Keras, as the write-ups call it, and ours, in turn on the same data.

Every way of training has processes of its own, since TensorFlow's threads are fixed when it starts; they wait for each
other, so that one way runs at a time. Plain Keras is one process on all processors; ours is that, too, and then one
process a processor, as the build runs them, in float32 and in bfloat16.
"""

import contextlib
import itertools
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from noisy_digits.execution import THREAD_VARIABLES
from noisy_digits.project import PRECISION

ROUNDS = 5
CORES = os.cpu_count()
PLAIN, OURS, PACKED, BFLOAT16 = "plain", "ours", "packed", "bfloat16"
WAYS = {  # number of processes, threads of each (0: as many as TensorFlow takes), precision
    PLAIN: (1, 0, "float32"),
    OURS: (1, 0, "float32"),
    PACKED: (CORES, 1, "float32"),
    BFLOAT16: (CORES, 1, "mixed_bfloat16"),
}


@dataclass(frozen=True)
class Case:
    """A network as its write-up trains it; ``images`` and ``epochs`` are a round's."""

    network: str
    arguments: dict[str, Any]
    optimizer: str
    batch_size: int
    images: int
    epochs: int
    published_steps: int
    our_steps: int


MNIST_STEPS = 469
CASES = {
    "W1 512-512, RMSprop": Case(
        "mlp", {"dropout": 0.2}, "rmsprop", 128, 19_200, 4, 6 * 20 * MNIST_STEPS, 6 * 20 * MNIST_STEPS
    ),
    "W2 CNN, Adadelta": Case("cnn", {}, "adadelta", 128, 19_200, 1, 7 * 12 * MNIST_STEPS, 7 * 12 * MNIST_STEPS),
    "W3 64-64, SGD": Case("mlp", {"hidden": (64, 64)}, "sgd", 128, 19_200, 6, 10 * MNIST_STEPS, 10 * MNIST_STEPS),
    "W3 500-300 with L2, SGD": Case(
        "mlp", {"hidden": (500, 300), "l2": 1e-4}, "sgd", 128, 19_200, 4, 15 * 40 * MNIST_STEPS, 15 * 40 * MNIST_STEPS
    ),
    "W3 CNN, SGD": Case(
        "cnn",
        {"hidden": (200, 128), "pool_between": True, "feature_dropout": 0},
        *("sgd", 128, 19_200, 1, 40 * MNIST_STEPS, 40 * MNIST_STEPS),
    ),
    "W3 autoencoder, Adam": Case("autoencoder", {}, "adam", 64, 19_200, 4, 32 * 938, 32 * 938),
    "W4 30-30-30, Adam": Case(
        "mlp",
        {"hidden": (30, 30, 30), "activation": "sigmoid"},
        *("adam", 10, 1000, 20, 6 * 3 * 30 * 100, 6 * 30 * 100),
    ),
    "W4 CNN, Adam": Case("augmented", {}, "adam", 10, 1000, 2, 30 * 100, 30 * 100),
}
"""Steps are those of the write-ups' whole trainings; W4 trains each configuration three times, once for each curve."""


def build(case: Case) -> Any:
    """The network of a case, uncompiled."""
    from noisy_digits import models

    if case.network == "augmented":
        return models.leaky_cnn(models.augmentation(3, 3))
    return getattr(models, case.network)(**case.arguments)


def report_operations(link: Connection, case: Case) -> None:
    """Send the operations of one step's products: forward, and backward to all weights and all inputs but the first.

    Each multiply-accumulate is two. What is not a product (activations, dropout, the optimizer) is left out.
    """
    from noisy_digits import training

    model = build(case)
    products = training.multiply_accumulates(model)["multiply-accumulates"]
    link.send(2.0 * case.batch_size * (3 * products.sum() - products.iloc[0]))


class Turns:
    """Called after a round: sends the seconds it took and waits to be told to go on."""

    def __init__(self, link: Connection) -> None:
        self.link = link
        self.began = time.perf_counter()

    def __call__(self) -> None:
        """End a round and begin the next."""
        self.link.send(time.perf_counter() - self.began)
        self.link.recv()
        self.began = time.perf_counter()


def worker(link: Connection, case: Case, way: str) -> None:
    """Train when told to, and send the seconds of every round, then the peak memory in bytes."""
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, x_test = (rng.random((n, 28, 28), dtype=np.float32) for n in (case.images, case.images // 6))
    y, y_test = (
        (x, x_test) if case.network == "autoencoder" else (rng.integers(0, 10, len(part)) for part in (x, x_test))
    )
    classifies = y.ndim == 1
    model = build(case)

    turn = Turns(link)
    if way == PLAIN:
        model.compile(
            optimizer=case.optimizer,
            loss="sparse_categorical_crossentropy" if classifies else "binary_crossentropy",
            metrics=["accuracy"] if classifies else None,
        )
        for _ in range(ROUNDS + 1):
            model.fit(x, y, validation_data=(x_test, y_test), batch_size=case.batch_size, epochs=case.epochs, verbose=0)
            turn()
    else:
        from noisy_digits import training

        epochs = itertools.count(1)

        def probe(_: keras.Model) -> dict[str, float]:
            if next(epochs) % case.epochs == 0:
                turn()
            return {}

        training.fit(
            model,
            *(x, y),
            validation=(x_test, y_test),
            optimizer=case.optimizer,
            learning_rate=0.001,
            epochs=case.epochs * (ROUNDS + 1),
            batch_size=case.batch_size,
            probes=[probe],
        )
    link.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


@contextlib.contextmanager
def environment(threads: int, precision: str) -> Iterator[None]:
    """What a process started inside finds in its environment."""
    before = dict(os.environ)
    os.environ |= {PRECISION: precision, "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def start(target: Callable, *arguments: Any, threads: int = 0, precision: str = "float32") -> Connection:
    """Start ``target`` in a process of its own; what it sends arrives at the connection."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    with environment(threads, precision):
        multiprocessing.get_context("spawn").Process(target=target, args=(there, *arguments), daemon=True).start()
    return here


def measure(case: Case) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Milliseconds a step of every round, and the peak memory of a process in bytes, by way.

    Where n processes train at once, a step takes the n-th part of what it takes in each of them.
    """
    links = {}
    for way, (processes, threads, precision) in WAYS.items():
        links[way] = [start(worker, case, way, threads=threads, precision=precision) for _ in range(processes)]
        for link in links[way]:
            link.recv()
    seconds = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            for link in links[way]:
                link.send("go")
            seconds[way].append(np.mean([link.recv() for link in links[way]]))
    memory = {}
    for way in WAYS:
        for link in links[way]:
            link.send("end")
        memory[way] = max(link.recv() for link in links[way])
    steps = -(-case.images // case.batch_size) * case.epochs
    return {way: 1000 * np.array(values) / steps / len(links[way]) for way, values in seconds.items()}, memory


def multiply(link: Connection, dtype: str) -> None:
    """Send the rate of one 2048³ matrix product, in floating-point operations a second: the median of 20."""
    import tensorflow as tf

    square = tf.cast(tf.random.uniform((2048, 2048)), dtype)
    rates = []
    for _ in range(23):
        began = time.perf_counter()
        tf.linalg.matmul(square, square).numpy()
        rates.append(2 * 2048**3 / (time.perf_counter() - began))
    link.send(float(np.median(rates[3:])))
