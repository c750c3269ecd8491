"""Measure the milliseconds of a training step: plain Keras, as the write-ups call it, and ours, on the same data.

Every way of training has its own processes, since TensorFlow's threads are fixed when it starts. They take turns, so
that one way runs at a time. Plain Keras is one process on all processors. Ours is that, too, and then one process per
processor, as the build runs them: in float32, without TensorFlow's deterministic operations, and in bfloat16.
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

from noisy_digits._environment import ONEDNN, THREAD_VARIABLES, RunContext, kernel_variables
from noisy_digits._memory import empty_aligned
from noisy_digits.pipeline.execute import PEAK_UNIT
from noisy_digits.pipeline.plan import Run

N_ROUNDS = 3
N_CORES = os.cpu_count() or 1
PLAIN, OURS, PACKED, LOOSE, BFLOAT16 = "plain", "ours", "packed", "not deterministic", "bfloat16"
BUSY = "plain without waits"
WAYS = {  # number of processes, threads of each (0: as many as TensorFlow takes), precision
    PLAIN: (1, 0, "float32"),
    OURS: (1, 0, "float32"),
    PACKED: (N_CORES, 1, "float32"),
    LOOSE: (N_CORES, 1, "float32"),
    BFLOAT16: (N_CORES, 1, "mixed_bfloat16"),
}


@dataclass(frozen=True)
class Case:
    """A model as the runs below the folders ``runs`` train it.

    ``builder`` is a function of ``models``. A round has ``epochs`` of ``images``. ``reported`` is the number of steps
    that the write-up trains in all, ``trainings_per_run`` how many trainings it has for one of ours.
    """

    runs: tuple[str, ...]
    builder: str
    arguments: dict[str, Any]
    optimizer: str
    batch_size: int
    images: int = 60_000
    epochs: int = 1
    reported: int = 0
    trainings_per_run: int = 1

    @property
    def loss(self) -> str:
        """The loss that the model is trained with."""
        return "binary_crossentropy" if "autoencoder" in self.builder else "sparse_categorical_crossentropy"

    def count_steps(self, run: Run) -> int:
        """Return how many steps of this case a run trains, over all its seeds."""
        if not f"{run.path}/".startswith(tuple(f"{folder}/" for folder in self.runs)):
            return 0
        settings = run.parameters
        images = settings["n_per_class"] * 10 if "n_per_class" in settings else settings["train_size"]
        return math.ceil(images / settings["batch_size"]) * settings["epochs"] * settings["n_seeds"]


EPOCH = 469
W3_CNN = {"hidden_units": (200, 128), "pool_after_first": True, "conv_dropout": 0}
W4_MLP = {"hidden_units": (30, 30, 30), "activation": "sigmoid"}
CASES = {
    "W1 512-512, RMSprop": Case(
        ("mlp_noise/2_train", "beyond/1_noise_transfer/model~mlp", "beyond/3_noise_resampling"),
        "mlp",
        {"dropout": 0.2},
        "rmsprop",
        128,
        reported=6 * 20 * EPOCH,
    ),
    "W2 CNN, Adadelta": Case(("cnn_noise/2_train",), "cnn", {}, "adadelta", 128, reported=7 * 12 * EPOCH),
    "W3 64-64, SGD": Case(("denoising/2_mlp",), "mlp", {"hidden_units": (64, 64)}, "sgd", 128, reported=10 * EPOCH),
    "W3 500-300 with L2, SGD": Case(
        *(("denoising/2d_l2_train",), "mlp", {"hidden_units": (500, 300), "l2": 1e-4}, "sgd", 128),
        reported=5 * 3 * 40 * EPOCH,
    ),
    "W3 CNN, SGD": Case(
        ("denoising/3a_cnn", "beyond/1_noise_transfer/model~cnn"), "cnn", W3_CNN, "sgd", 128, reported=40 * EPOCH
    ),
    "W3 autoencoder, Adam": Case(
        ("denoising/4a_autoencoder/autoencoder~dense",), "dense_autoencoder", {}, "adam", 64, reported=32 * 938
    ),
    "convolutional autoencoder, Adam": Case(
        ("denoising/4a_autoencoder/autoencoder~convolutional",), "convolutional_autoencoder", {}, "adam", 64
    ),
    "W4 30-30-30, Adam": Case(
        *(("depth/2_train",), "mlp", W4_MLP, "adam", 10, 1000, 20), reported=6 * 3 * 30 * 100, trainings_per_run=3
    ),
    "W4 CNN, Adam": Case(("depth/3_augmentation",), "leaky_relu_cnn", {}, "adam", 10, 1000, 2, reported=30 * 100),
}
"""The write-up's 2D trains five factors three times each; W4 trains each configuration once per curve."""


def build_model(case: Case) -> Any:
    """Build the model of a case, uncompiled."""
    from noisy_digits import models

    if case.builder == "leaky_relu_cnn":
        return models.leaky_relu_cnn(models.augmentation(3, 3))
    return getattr(models, case.builder)(**case.arguments)


def send_operations(link: Connection, case: Case) -> None:
    """Send the operations of one step's products: forward, and backward to all weights and all inputs but the first.

    Each multiply-accumulate is two. What is not a product (activations, dropout, the optimizer) is left out.
    """
    from noisy_digits.profiling import count_macs

    macs = count_macs(build_model(case))["multiply-accumulates"]
    link.send(2.0 * case.batch_size * (3 * macs.sum() - macs.iloc[0]))


class Turns:
    """Send the cost of each round, and wait for the signal to go on."""

    def __init__(self, link: Connection) -> None:
        self.link = link
        self.start = time.perf_counter()

    def end_round(self, busy: float = math.nan) -> None:
        """Send a round's seconds, those it was ``busy``, and the peak memory in bytes; begin the next round."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT
        self.link.send((time.perf_counter() - self.start, busy, memory))
        self.link.recv()
        self.start = time.perf_counter()


def train_in_turns(link: Connection, case: Case, way: str) -> None:
    """Train whenever it is this way's turn, and send what every round cost."""
    import keras

    from noisy_digits import training

    if way != PLAIN:
        training.configure()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, x_test = (empty_aligned((n, 28, 28)) for n in (case.images, case.images // 6))  # as noise makes them
    for images in (x, x_test):
        rng.random(out=images, dtype=np.float32)
    denoises = case.loss == "binary_crossentropy"
    y, y_test = (x, x_test) if denoises else (rng.integers(0, 10, len(part)) for part in (x, x_test))
    train = _train_plain if way == PLAIN else _train_ours
    train(case, way, (x, y), (x_test, y_test), Turns(link))


def _train_plain(case: Case, way: str, data: tuple, validation_data: tuple, turns: Turns) -> None:
    model = build_model(case)
    metrics = ["accuracy"] if case.loss == "sparse_categorical_crossentropy" else None
    model.compile(optimizer=case.optimizer, loss=case.loss, metrics=metrics)
    clock = _busy_clock()
    settings = {"batch_size": case.batch_size, "epochs": case.epochs, "callbacks": [clock]}
    for _ in range(N_ROUNDS + 1):
        clock.seconds = 0.0
        model.fit(*data, validation_data=validation_data, verbose=0, **settings)
        turns.end_round(clock.seconds)


def _train_ours(case: Case, way: str, data: tuple, validation_data: tuple, turns: Turns) -> None:
    from tensorflow.python.framework import config

    from noisy_digits import training

    if way == LOOSE:
        config.disable_op_determinism()
    n_epochs = itertools.count(1)

    def end_round(_: Any) -> dict[str, float]:
        if next(n_epochs) % case.epochs == 0:
            turns.end_round()
        return {}

    model = build_model(case)
    training.compile(model, optimizer=case.optimizer, learning_rate=0.001, loss=case.loss)
    epochs = case.epochs * (N_ROUNDS + 1)
    settings = {"epochs": epochs, "batch_size": case.batch_size, "epoch_metrics": [end_round]}
    training.fit(model, *data, validation_data=validation_data, **settings)


def _busy_clock() -> Any:
    """Return a Keras callback that counts seconds from an epoch's begin to its last batch, and those of validation.

    It leaves out plain Keras's wait for the tuner of its data pipeline, after an epoch's last batch.
    """
    import keras

    class Clock(keras.callbacks.Callback):
        seconds = 0.0
        async_safe = True  # like Keras's own callbacks; otherwise plain Keras would be slower

        def on_epoch_begin(self, *_: object, **__: object) -> None:
            self.start = time.perf_counter()

        on_test_begin = on_epoch_begin

        def on_train_batch_end(self, *_: object, **__: object) -> None:
            now = time.perf_counter()
            self.seconds += now - self.start
            self.start = now

        on_test_batch_end = on_train_batch_end

    return Clock()


@contextlib.contextmanager
def environment(n_threads: int, precision: str, plain: bool) -> Iterator[None]:
    """Set the variables of processes started inside: those of a notebook, with ``n_threads`` (0: not set).

    A ``plain`` one takes TensorFlow's own decision whether oneDNN is used.
    """
    before = dict(os.environ)
    os.environ |= kernel_variables() | RunContext(precision=precision).to_environment()
    for name in (*THREAD_VARIABLES, *([ONEDNN] if plain else [])):
        os.environ.pop(name)
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(n_threads)) if n_threads else {}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def start(
    target: Callable, *arguments: Any, n_threads: int = 0, precision: str = "float32", plain: bool = False
) -> Connection:
    """Start ``target`` in its own process and return the connection at which what it sends arrives."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    with environment(n_threads, precision, plain):
        multiprocessing.get_context("spawn").Process(target=target, args=(there, *arguments), daemon=True).start()
    return here


@dataclass(frozen=True)
class Measured:
    """Milliseconds per step of every round, by way and for ``BUSY``; peak memory of one process in bytes, by way."""

    steps: dict[str, np.ndarray]
    memory: dict[str, float]


def measure(case: Case) -> Measured:
    """Let all ways train in turn. If n processes train at once, a step takes the n-th part of what each takes."""
    links = {}
    for way, (n_processes, n_threads, precision) in WAYS.items():
        settings = {"n_threads": n_threads, "precision": precision, "plain": way == PLAIN}
        links[way] = [start(train_in_turns, case, way, **settings) for _ in range(n_processes)]
        for link in links[way]:
            link.recv()
    costs = {way: [] for way in WAYS}
    for _ in range(N_ROUNDS):
        for way in WAYS:
            for link in links[way]:
                link.send("go")
            costs[way].append(np.mean([link.recv() for link in links[way]], axis=0))
    for link in itertools.chain(*links.values()):
        link.send("end")
    n_steps = math.ceil(case.images / case.batch_size) * case.epochs
    seconds = {way: np.array(rounds)[:, 0] / len(links[way]) for way, rounds in costs.items()}
    seconds[BUSY] = np.array(costs[PLAIN])[:, 1]
    return Measured(
        {way: 1000 * values / n_steps for way, values in seconds.items()},
        {way: rounds[-1][2] for way, rounds in costs.items()},
    )


def send_product_rate(link: Connection, dtype: str) -> None:
    """Send the rate of one 2048³ matrix product, in floating-point operations per second: the median of 100."""
    import tensorflow as tf

    square = tf.cast(tf.random.uniform((2048, 2048)), dtype)
    rates = []
    for _ in range(120):
        start = time.perf_counter()
        tf.linalg.matmul(square, square).numpy()
        rates.append(2 * 2048**3 / (time.perf_counter() - start))
    link.send(float(np.median(rates[20:])))
