"""One training, and what is measured during it."""

import gc
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from noisy_digits import optimizers
from noisy_digits.backend import keras
from noisy_digits.errors import UserError
from noisy_digits.memory import shareable
from noisy_digits.progress import epoch_ended

tf.config.experimental.enable_op_determinism()
gc.freeze()  # looking for garbage among all that was imported takes a quarter of a second

STEPS_PER_EXECUTION = 64
EVALUATION_BATCH = 250
PREFETCHED = 4
DIVERGED = 100 * float(np.log(10))
"""A training that ends with a loss above this, in nats, has diverged: a hundred times that of guessing among ten."""

Probe = Callable[[keras.Model], Mapping[str, float]]
"""What is measured on a model after every epoch, by name."""


@dataclass(frozen=True)
class History:
    """What one training recorded: ``curves`` by name, one value per epoch.

    ``training_loss`` and, for classifiers, ``training_accuracy`` are Keras's running means over the epoch's batches,
    taken while the weights change and dropout is active, as the write-ups print them; ``validation_loss`` and
    ``validation_accuracy`` are taken at the end of each epoch, without dropout. Accuracies are fractions; losses are
    cross-entropies in nats, per image for classifiers and per pixel for autoencoders, with any L2 penalty. What probes
    measure is there under the names they give.
    """

    curves: dict[str, list[float]]

    @property
    def diverged(self) -> bool:
        """Whether the last epoch's training loss is not a finite number, or above ``DIVERGED``."""
        return not self.curves["training_loss"][-1] <= DIVERGED

    def last(self) -> dict[str, float]:
        """Each curve's value at the last epoch, by name; and ``diverged``, 1, if the training did."""
        return {name: values[-1] for name, values in self.curves.items()} | ({"diverged": 1.0} if self.diverged else {})


def seeded(seed: int) -> np.random.Generator:
    """Seed Keras (initial weights, shuffling, dropout) and return NumPy's generator for the noise.

    Everything random in a replicate follows from ``seed`` (0 or more). On one machine, with one number of
    threads, the same seed gives the same result to the last bit: TensorFlow's operations are deterministic here.
    """
    keras.utils.set_random_seed(seed)
    return np.random.default_rng(seed)


def batches(x: np.ndarray, y: np.ndarray, size: int, *, shuffle: bool = False) -> tf.data.Dataset:
    """Images ``x`` (n, …) and what belongs to them, ``y`` (n, …), ``size`` at a time; the last batch may be smaller.

    With ``shuffle`` every pass is in an order of its own, which follows from the seed given to ``seeded``. Keras's own
    shuffling, once seeded, repeats one order in every epoch; its pipeline's tuner can also hold up an epoch's end.
    Arrays must not be written to as long as the batches are in use: they may share their memory. Raises UserError where
    ``x`` and ``y`` are not equally many.
    """
    if len(x) != len(y):
        raise UserError(f"training: {len(x)} images and {len(y)} labels or targets: give one of each")
    n = len(x)
    x, y = (_shared(array) for array in (x, y))
    starts = tf.data.Dataset.range(0, n, size)

    def one_pass(key: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), key)
        return starts.map(lambda start: order[start : start + size])

    if shuffle:
        seed = int(keras.random.randint((), 0, 2**31 - 1))
        keys = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2).take(1)
        taken = keys.flat_map(one_pass).map(lambda at: (tf.gather(x.read_value(), at), tf.gather(y.read_value(), at)))
    else:
        taken = starts.map(lambda start: (x[start : start + size], y[start : start + size]))
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    counted = taken.apply(tf.data.experimental.assert_cardinality(math.ceil(n / size)))
    return counted.prefetch(PREFETCHED).with_options(options)


def _shared(array: np.ndarray) -> tf.Variable:
    """The array as TensorFlow's, without a copy; datasets copy every tensor they hold, but not what variables hold.

    It stays in the computer's memory, where datasets read it, whatever device trains.
    """
    with tf.device("CPU:0"):
        return tf.Variable(tf.experimental.dlpack.from_dlpack(shareable(array).__dlpack__()), trainable=False)


def device() -> str:
    """Where models are trained: the name of the first GPU that TensorFlow sees, or "CPU" where there is none."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_device_details(gpu)["device_name"]
    return "CPU"


def fit(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    validation: tuple[np.ndarray, np.ndarray],
    optimizer: str,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    probes: Sequence[Probe] = (),
) -> History:
    """Compile and train a model; return its history. A training whose loss is no longer finite ends with that epoch.

    ``x`` holds images (n, 28, 28), shuffled every epoch, and ``validation`` is a pair like (x, y). With labels ``y``
    (n,) from 0 to 9 the model is a classifier trained with cross-entropy; labels are integers, and sparse
    categorical cross-entropy is the one-hot criterion without the zeros. With images ``y`` (n, 28, 28) from 0 to 1 it
    is an autoencoder trained with binary cross-entropy. ``optimizer`` is a name Keras knows ("rmsprop",
    "adadelta", "sgd", "adam"). Every one of ``probes`` is asked after every epoch.
    """
    probed = defaultdict(list)

    def after_epoch(epoch: int, logs: Mapping[str, float]) -> None:
        epoch_ended(epoch + 1, epochs, trains_on)
        for name, value in (item for probe in probes for item in probe(model).items()):
            probed[name].append(value)
        model.stop_training = not np.isfinite(logs["loss"])

    classifies, trains_on = y.ndim == 1, device()
    model.compile(
        optimizer=optimizers.make(optimizer, learning_rate),
        loss="sparse_categorical_crossentropy" if classifies else "binary_crossentropy",
        metrics=["accuracy"] if classifies else None,
        steps_per_execution=STEPS_PER_EXECUTION,
        jit_compile=False,
    )
    recorded = model.fit(
        batches(x, y, batch_size, shuffle=True),
        validation_data=batches(*validation, EVALUATION_BATCH),
        epochs=epochs,
        shuffle=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
        verbose=0,
    ).history
    gc.collect()  # batches are part of a cycle, and would stay beside the next replicate's
    names = {name: f"training_{name}".replace("training_val_", "validation_") for name in recorded}
    return History({names[name]: values for name, values in recorded.items()} | probed)


def zero_one_error(x: np.ndarray, y: np.ndarray, name: str) -> Probe:
    """A probe of ``name``: the fraction of images ``x`` (n, 28, 28) whose most probable class is not ``y`` (n,)."""
    return lambda model: {name: float(np.mean(model.predict_on_batch(x).argmax(axis=1) != y))}


def gradients(
    model: keras.Model, x: np.ndarray, y: np.ndarray, variables: Sequence[keras.Variable]
) -> list[np.ndarray]:
    """The gradient of the mean cross-entropy of images ``x`` (n, 28, 28) with labels ``y`` (n,), without any penalty.

    One array for each of the classifier's ``variables``, of its shape, in nats per unit of the variable.
    """
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(y, model(x, training=False))
        criterion = tf.reduce_mean(loss)
    return [gradient.numpy() for gradient in tape.gradient(criterion, [variable.value for variable in variables])]


def hidden_layers(model: keras.Model) -> list[keras.layers.Dense]:
    """The dense layers of a model before its last one, from the input on."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][:-1]


def penalty_pull(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """The norm of the L2 penalty's gradient with respect to the hidden weights, over that of the mean cross-entropy's.

    ``x`` (n, 28, 28) and ``y`` (n,) are all training images and labels. 0 for a multilayer perceptron without penalty.
    """
    layers = hidden_layers(model)
    by_data = gradients(model, x, y, [layer.kernel for layer in layers])
    by_penalty = [
        2 * layer.kernel_regularizer.l2 * layer.kernel.numpy() for layer in layers if layer.kernel_regularizer
    ]
    penalty, data = (np.sqrt(sum((gradient**2).sum() for gradient in pulls)) for pulls in (by_penalty, by_data))
    return float(penalty / data)


def learning_speed(x: np.ndarray, y: np.ndarray) -> Probe:
    """A probe of ``learning_speed_1`` and so on, one for each hidden layer of a multilayer perceptron, input first.

    The speed of a layer is the norm of the gradient of the criterion, over all of ``x`` (n, 28, 28) and ``y`` (n,),
    with respect to the layer's biases. Source: Nielsen, Neural Networks and Deep Learning, chapter 5.
    """

    def probe(model: keras.Model) -> dict[str, float]:
        biases = [layer.bias for layer in hidden_layers(model)]
        norms = map(np.linalg.norm, gradients(model, x, y, biases))
        return {f"learning_speed_{number}": float(norm) for number, norm in enumerate(norms, start=1)}

    return probe


def relative_change(model: keras.Model, parameters: int) -> Probe:
    """A probe of ``relative_change``: the sum of |Δw / w| over all weights and biases, divided by ``parameters``.

    Δw is the change of a weight since the probe was last asked, at first since it was made; one that is 0
    adds nothing. Source: W4, which calls this the learning speed.
    """
    before = model.get_weights()

    def probe(model: keras.Model) -> dict[str, float]:
        nonlocal before
        now = model.get_weights()
        total = sum(
            np.divide(np.abs(new - old), np.abs(new), out=np.zeros_like(new), where=new != 0).sum()
            for old, new in zip(before, now, strict=True)
        )
        before = now
        return {"relative_change": float(total / parameters)}

    return probe


def evaluate(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """``test_loss`` (nats per image) and ``test_accuracy`` (a fraction) of a trained classifier on images ``x``."""
    if not model.compiled:  # as kept models are
        model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    loss, accuracy = model.evaluate(batches(x, y, EVALUATION_BATCH), verbose=0)
    gc.collect()
    return {"test_loss": loss, "test_accuracy": accuracy}


def predict(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What a model gives for ``x`` (n, …), images or codes: an array (n, …), worked out a few hundred at a time.

    A trained model's own ``predict`` would work out ``STEPS_PER_EXECUTION`` batches at once, and hold all of them.
    """
    parts = [
        model.predict_on_batch(x[start : start + EVALUATION_BATCH]) for start in range(0, len(x), EVALUATION_BATCH)
    ]
    return np.concatenate(parts)


def parameter_table(model: keras.Model) -> pd.DataFrame:
    """One row per layer: its kind, its output shape without the batch, and its number of parameters."""
    return pd.DataFrame(
        {
            "layer": type(layer).__name__,
            "output shape": " × ".join(map(str, layer.output.shape[1:])),
            "parameters": f"{layer.count_params():,}",
        }
        for layer in model.layers
    )


def multiply_accumulates(model: keras.Model) -> pd.DataFrame:
    """One row per layer with weights: its kind, parameters, and multiply-accumulates for one image.

    A dense layer uses each weight once; a convolution uses each at every place of its output, a transposed one at every
    place of its input. The last column is what a
    dense layer of the same input and output shapes would need, in weights and in multiply-accumulates.
    """
    weighted = [layer for layer in model.layers if layer.count_params()]
    places = [layer.input if isinstance(layer, keras.layers.Conv2DTranspose) else layer.output for layer in weighted]
    return pd.DataFrame(
        {
            "layer": type(layer).__name__,
            "output shape": " × ".join(map(str, layer.output.shape[1:])),
            "parameters": layer.count_params(),
            "multiply-accumulates": int(np.prod(layer.kernel.shape) * np.prod(at.shape[1:-1])),
            "fully connected": int(np.prod(layer.input.shape[1:]) * np.prod(layer.output.shape[1:])),
        }
        for layer, at in zip(weighted, places, strict=True)
    )


def milliseconds_per_step(
    model: keras.Model, x: np.ndarray, y: np.ndarray, *, batch_size: int, steps: int, rounds: int = 5
) -> float:
    """Milliseconds that one training step of a classifier takes here: the median over ``rounds`` of ``steps`` each.

    A round before them, which compiles the step, is not counted. The model is trained by it, with plain SGD.
    """
    n = batch_size * steps
    prepared = batches(np.resize(x, (n, *x.shape[1:])), np.resize(y, n), batch_size)
    model.compile(
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        steps_per_execution=STEPS_PER_EXECUTION,
        jit_compile=False,
    )
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        model.fit(prepared, shuffle=False, verbose=0)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds[1:]) / steps * 1000)
