"""Milliseconds of a training step: plain Keras, as the write-ups call it, and ours, in turn on the same data.

Every way of training has processes of its own, since TensorFlow's threads are fixed when it starts; they wait for each
other, so that one way runs at a time. Plain Keras is one process on all processors; ours is that, too, and then one
process a processor, as the build runs them: in float32, without TensorFlow's deterministic operations, in bfloat16.
"""

import contextlib
import itertools
import math
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from noisy_digits.execution import PEAK_UNIT, THREAD_VARIABLES
from noisy_digits.memory import aligned
from noisy_digits.params import Run
from noisy_digits.project import PRECISION

ROUNDS = 3
CORES = os.cpu_count()
PLAIN, OURS, PACKED, LOOSE, BFLOAT16 = "plain", "ours", "packed", "not deterministic", "bfloat16"
BUSY = "plain without waits"
WAYS = {  # number of processes, threads of each (0: as many as TensorFlow takes), precision
    PLAIN: (1, 0, "float32"),
    OURS: (1, 0, "float32"),
    PACKED: (CORES, 1, "float32"),
    LOOSE: (CORES, 1, "float32"),
    BFLOAT16: (CORES, 1, "mixed_bfloat16"),
}


@dataclass(frozen=True)
class Case:
    """A network as the runs below the folders ``runs`` train it.

    ``images`` and ``epochs`` are a round's; ``published`` is how many steps the write-up trains in all, ``trained_for``
    how many trainings it has for one of ours.
    """

    runs: tuple[str, ...]
    network: str
    arguments: dict[str, Any]
    optimizer: str
    batch_size: int
    images: int = 60_000
    epochs: int = 1
    published: int = 0
    trained_for: int = 1

    def steps_of(self, run: Run) -> int:
        """How many steps of this case a run trains, all its replicates."""
        if not run.path.startswith(self.runs):
            return 0
        settings = run.parameters
        images = settings["per_class"] * 10 if "per_class" in settings else settings["train_size"]
        return math.ceil(images / settings["batch_size"]) * settings["epochs"] * settings["seeds"]


EPOCH = 469
DEEP_CNN = {"hidden": (200, 128), "pool_between": True, "feature_dropout": 0}
SIGMOIDS = {"hidden": (30, 30, 30), "activation": "sigmoid"}
CASES = {
    "W1 512-512, RMSprop": Case(
        ("mlp_noise/2_training", "beyond/1_transfer/network~mlp", "beyond/3_fresh_noise"),
        "mlp",
        {"dropout": 0.2},
        "rmsprop",
        128,
        published=6 * 20 * EPOCH,
    ),
    "W2 CNN, Adadelta": Case(("cnn_noise/2_training",), "cnn", {}, "adadelta", 128, published=7 * 12 * EPOCH),
    "W3 64-64, SGD": Case(("denoising/2_mlp",), "mlp", {"hidden": (64, 64)}, "sgd", 128, published=10 * EPOCH),
    "W3 500-300 with L2, SGD": Case(
        *(("denoising/2d_weight_decay",), "mlp", {"hidden": (500, 300), "l2": 1e-4}, "sgd", 128),
        published=5 * 3 * 40 * EPOCH,
    ),
    "W3 CNN, SGD": Case(
        ("denoising/3a_cnn", "beyond/1_transfer/network~cnn"), "cnn", DEEP_CNN, "sgd", 128, published=40 * EPOCH
    ),
    "W3 autoencoder, Adam": Case(
        ("denoising/4a_autoencoder/architecture~dense",), "autoencoder", {}, "adam", 64, published=32 * 938
    ),
    "convolutional autoencoder, Adam": Case(
        ("denoising/4a_autoencoder/architecture~convolutional",), "convolutional_autoencoder", {}, "adam", 64
    ),
    "W4 30-30-30, Adam": Case(
        *(("depth/2_training",), "mlp", SIGMOIDS, "adam", 10, 1000, 20), published=6 * 3 * 30 * 100, trained_for=3
    ),
    "W4 CNN, Adam": Case(("depth/3_augmentation",), "leaky_cnn", {}, "adam", 10, 1000, 2, published=30 * 100),
}
"""The write-up's 2D trains five factors three times each; W4 trains each configuration once for each of its curves."""


def build(case: Case) -> Any:
    """The network of a case, uncompiled."""
    from noisy_digits import models

    if case.network == "leaky_cnn":
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
    """Called after a round: sends what it cost and waits to be told to go on."""

    def __init__(self, link: Connection) -> None:
        self.link = link
        self.began = time.perf_counter()

    def __call__(self, busy: float = math.nan) -> None:
        """End a round and begin the next. Sends its seconds, those it was ``busy``, and the peak memory in bytes."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT
        self.link.send((time.perf_counter() - self.began, busy, memory))
        self.link.recv()
        self.began = time.perf_counter()


def worker(link: Connection, case: Case, way: str) -> None:
    """Train when told to, and send what every round cost."""
    import keras
    from tensorflow.python.framework import config

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, x_test = (aligned((n, 28, 28)) for n in (case.images, case.images // 6))  # as noise makes them
    for images in (x, x_test):
        rng.random(out=images, dtype=np.float32)
    denoises = "autoencoder" in case.network
    y, y_test = (x, x_test) if denoises else (rng.integers(0, 10, len(part)) for part in (x, x_test))
    model = build(case)

    turn = Turns(link)
    if way == PLAIN:
        model.compile(
            optimizer=case.optimizer,
            loss="binary_crossentropy" if denoises else "sparse_categorical_crossentropy",
            metrics=None if denoises else ["accuracy"],
        )
        clock = _busy_clock(keras.callbacks.Callback)
        for _ in range(ROUNDS + 1):
            clock.seconds = 0.0
            model.fit(
                *(x, y),
                validation_data=(x_test, y_test),
                batch_size=case.batch_size,
                epochs=case.epochs,
                verbose=0,
                callbacks=[clock],
            )
            turn(clock.seconds)
        return
    from noisy_digits import training

    if way == LOOSE:
        config.disable_op_determinism()
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


def _busy_clock(callback: type) -> Any:
    """A Keras callback that counts seconds from an epoch's begin to its last batch, and those of validation.

    What is left out is plain Keras's wait for the tuner of its data pipeline, after an epoch's last batch.
    """

    class Clock(callback):
        seconds = 0.0
        async_safe = True  # as Keras's own: with another, plain Keras would be slower

        def on_epoch_begin(self, *_: object, **__: object) -> None:
            self.began = time.perf_counter()

        on_test_begin = on_epoch_begin

        def on_train_batch_end(self, *_: object, **__: object) -> None:
            now = time.perf_counter()
            self.seconds += now - self.began
            self.began = now

        on_test_batch_end = on_train_batch_end

    return Clock()


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


@dataclass(frozen=True)
class Measured:
    """Milliseconds a step of every round, by way and for ``BUSY``; peak memory of one process in bytes, by way."""

    steps: dict[str, np.ndarray]
    memory: dict[str, float]


def measure(case: Case) -> Measured:
    """Let all ways train in turn. Where n processes train at once, a step takes the n-th part of what each takes."""
    links = {}
    for way, (processes, threads, precision) in WAYS.items():
        links[way] = [start(worker, case, way, threads=threads, precision=precision) for _ in range(processes)]
        for link in links[way]:
            link.recv()
    costs = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            for link in links[way]:
                link.send("go")
            costs[way].append(np.mean([link.recv() for link in links[way]], axis=0))
    for link in itertools.chain(*links.values()):
        link.send("end")
    steps = math.ceil(case.images / case.batch_size) * case.epochs
    seconds = {way: np.array(rounds)[:, 0] / len(links[way]) for way, rounds in costs.items()}
    seconds[BUSY] = np.array(costs[PLAIN])[:, 1]
    return Measured(
        {way: 1000 * values / steps for way, values in seconds.items()},
        {way: rounds[-1][2] for way, rounds in costs.items()},
    )


def multiply(link: Connection, dtype: str) -> None:
    """Send the rate of one 2048³ matrix product, in floating-point operations a second: the median of 100."""
    import tensorflow as tf

    square = tf.cast(tf.random.uniform((2048, 2048)), dtype)
    rates = []
    for _ in range(120):
        began = time.perf_counter()
        tf.linalg.matmul(square, square).numpy()
        rates.append(2 * 2048**3 / (time.perf_counter() - began))
    link.send(float(np.median(rates[20:])))
