"""Reading and packing networks for play.html, against Keras."""

import zlib

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers

from noisy_digits import models
from noisy_digits.errors import UserError
from noisy_digits.play._networks import INT16_MAX, pack, quantize, read_network

FLOATS = st.floats(-100, 100, width=32).map(lambda weight: weight if abs(weight) > 1e-6 else 0.0)
"""Weights of networks: a step of smaller ones would not be a normal number."""
KEYS = ("kernel", "bias")


def save(tmp_path, *stack, shape=(28, 28, 1)):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input(shape), *stack]).save(path)
    return path


@pytest.mark.parametrize("build", [models.mlp, models.cnn, *models.AUTOENCODERS.values()])
def test_read_network_finds_the_weights_of_each_layer(tmp_path, build):
    model = build()
    model.save(tmp_path / "model.keras")
    read = [layer[key] for layer in read_network(tmp_path / "model.keras") if "kernel" in layer for key in KEYS]
    assert len(read) == len(model.get_weights())
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(read, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: layers.BatchNormalization(name="norm"), "norm, a layer BatchNormalization"),
        (lambda: layers.Conv2D(2, 3, strides=2, name="c"), r"c, a layer Conv2D with strides \[2, 2\]"),
        (lambda: layers.Conv2D(2, 3, activation="tanh", name="c"), "c, a layer Conv2D with activation tanh"),
        (lambda: layers.Dense(2, use_bias=False, name="d"), "d, a layer Dense with use_bias False"),
        (lambda: layers.MaxPooling2D(2, padding="same", name="p"), "p, a layer MaxPooling2D with padding same"),
        (lambda: layers.Conv2DTranspose(2, 3, name="t"), "t, a layer Conv2DTranspose with padding valid"),
    ],
)
def test_read_network_names_a_layer_that_the_page_cannot_compute(tmp_path, layer, message):
    with pytest.raises(UserError, match=f"^it cannot compute {message}$"):
        read_network(save(tmp_path, layer()))


def test_read_network_names_a_damaged_file(tmp_path):
    path = save(tmp_path, layers.Dense(2))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.keras cannot be opened .* run `make reports` again"):
        read_network(path)


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=1, max_dims=3), elements=FLOATS))
def test_quantize_rounds_to_the_nearest_step(weights):
    quantized, step = quantize(weights)
    assert quantized.dtype == np.int16
    assert quantized.shape == weights.shape
    assert step > 0
    assert np.abs(quantized * step - weights).max() <= 0.501 * step
    assert step <= max(np.abs(weights).max(), 1e-30) / INT16_MAX * 1.001 or not weights.any()


def test_quantize_has_coarser_steps_for_larger_arrays():
    rng = np.random.default_rng(0)
    steps = [quantize(rng.standard_normal(size, np.float32))[1] for size in (10_000, 50_000, 320_000)]
    assert steps == sorted(steps)
    assert steps[2] == pytest.approx(320_000 / 2**27, rel=0.01)


def test_pack_keeps_weights_and_images(tmp_path):
    rng = np.random.default_rng(0)
    network = read_network(save(tmp_path, layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)))
    images = rng.integers(0, 256, (2, 28, 28)).astype(np.uint8)
    packed, described = pack({"net": network}, images)
    block = np.frombuffer(zlib.decompress(packed), np.uint8)
    planes, pixels = block[: -images.size].reshape(2, -1), block[-images.size :]
    values = np.ascontiguousarray(planes.T).view("<i2").ravel()
    place = 0
    for layer, entry in zip(network, described["net"], strict=True):
        for key in KEYS:
            length, step = entry[key]["length"], entry[key]["step"]
            assert np.abs(values[place : place + length] * step - layer[key].ravel()).max() <= step
            place += length
    assert place == len(values)
    assert np.array_equal(pixels, images.ravel())
