"""Read trained networks from Keras's files without TensorFlow, and pack them for play.html."""

import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from noisy_digits.errors import UserError

Layer = dict[str, Any]
"""A layer as networks.js computes it; "kernel" and "bias" are arrays."""

WEIGHTED = {"Dense": "dense", "Conv2D": "conv2d", "Conv2DTranspose": "conv2d_transpose"}
"""Keras's classes of layers with weights, and what their groups in a file of weights are called."""
ACTIVATIONS = ("linear", "relu", "sigmoid", "softmax")
SUPPORTED: dict[str, dict[str, Any]] = {
    "Dense": {"activation": ACTIVATIONS, "use_bias": [True]},
    "Conv2D": {
        "activation": ACTIVATIONS,
        "use_bias": [True],
        "strides": [[1, 1]],
        "dilation_rate": [[1, 1]],
        "groups": [1],
    },
    "Conv2DTranspose": {
        "activation": ACTIVATIONS,
        "use_bias": [True],
        "padding": ["same"],
        "dilation_rate": [[1, 1]],
        "output_padding": [None],
    },
    "MaxPooling2D": {"pool_size": [[2, 2]], "strides": [[2, 2]], "padding": ["valid"]},
    "Reshape": {},
    "Flatten": {},
    "InputLayer": {},
    "Dropout": {},
}
"""The layers that networks.js computes, or needs not, and what their settings may be."""
RESOLUTION = 1 << 27
"""Steps per root mean square of an array, times its size."""
INT16_MAX = np.iinfo(np.int16).max


def read_network(path: Path) -> list[Layer]:
    """Return the layers of a Sequential model in a ``.keras`` file, those that only act in training left out.

    Raises UserError for a layer that play.html cannot compute, and for a damaged file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))["config"]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
                return _read_layers(config["layers"], weights)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be opened ({error}): delete it and run `make reports` again") from None


def _read_layers(described: list[dict[str, Any]], weights: Any) -> list[Layer]:
    layers: list[Layer] = []
    met: Counter[str] = Counter()
    for layer in described:
        kind, config = layer["class_name"], layer["config"]
        _check_supported(kind, config)
        if kind in WEIGHTED:
            name = WEIGHTED[kind]
            variables = weights[f"layers/{name}{f'_{met[name]}' if met[name] else ''}/vars"]
            met[name] += 1
            kernel, bias = (_read_weights(variables[place]) for place in "01")
            found = {"kind": name, "activation": config["activation"], "kernel": kernel, "bias": bias}
            if kind != "Dense":
                found |= {"size": config["kernel_size"], "padding": config["padding"], "stride": config["strides"][0]}
            layers.append(found)
        elif kind == "MaxPooling2D":
            layers.append({"kind": "max_pooling2d"})
        elif kind == "Reshape":
            layers.append({"kind": "reshape", "shape": config["target_shape"]})
    return layers


def _read_weights(dataset: Any) -> np.ndarray:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file")
    return np.asarray(dataset, np.float32)


def _check_supported(kind: str, config: dict[str, Any]) -> None:
    if kind not in SUPPORTED:
        raise UserError(f"it cannot compute {config['name']}, a layer {kind}")
    for key, allowed in SUPPORTED[kind].items():
        if config[key] not in allowed:
            raise UserError(f"it cannot compute {config['name']}, a layer {kind} with {key} {config[key]}")


def quantize(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Return ``weights`` as int16 multiples of a step, and the step.

    The step is the finest that int16 allows, but an array of n weights has at most ``RESOLUTION`` / n steps per root
    mean square: the errors of many weights add up to little, and what is left of 16 bits compresses well.
    """
    root_mean_square = np.sqrt(np.mean(np.square(weights)))
    step = max(np.abs(weights).max() / INT16_MAX, root_mean_square * weights.size / RESOLUTION)
    step = float(np.float32(step)) or 1.0
    return np.clip(np.rint(weights / step), -INT16_MAX, INT16_MAX).astype(np.int16), step


def pack(networks: Mapping[str, list[Layer]], images: np.ndarray) -> tuple[bytes, dict[str, list[Layer]]]:
    """Return the weights of ``networks`` and uint8 ``images`` as one compressed block, and what describes its order.

    The block, compressed by zlib, holds the low bytes of all quantized weights, then their high bytes, then the
    images. In the description a kernel or a bias is its number of values and its step.
    """
    arrays: list[np.ndarray] = []

    def describe(weights: np.ndarray) -> dict[str, float]:
        quantized, step = quantize(weights)
        arrays.append(quantized.ravel())
        return {"length": weights.size, "step": step}

    described = {
        name: [
            {key: describe(value) if isinstance(value, np.ndarray) else value for key, value in layer.items()}
            for layer in layers
        ]
        for name, layers in networks.items()
    }
    planes = np.concatenate(arrays).astype("<i2").view(np.uint8).reshape(-1, 2).T
    compressor = zlib.compressobj(level=9, strategy=zlib.Z_RLE)  # weights do not repeat: to look for it costs bits
    return compressor.compress(planes.tobytes() + images.tobytes()) + compressor.flush(), described
