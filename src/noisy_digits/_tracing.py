"""Trace a model's TensorFlow functions once per architecture: tracing takes longer than a training on few images."""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

OWN_MODULE = "noisy_digits._optimizers"
"""Beside Keras's own, the module whose classes are described by their settings; the code of others is not known."""
MAX_KEPT = 8
"""Traced models kept at a time."""

_traced: dict[str, tuple[keras.Model, list[np.ndarray]]] = {}
"""By description: the model, and its optimizer's variables before a training."""


def describe_model(model: keras.Model) -> str | None:
    """Return architecture and settings of a built model as text, equal for equal ones whatever their layers are called.

    Returns None for a model with layers, losses or optimizers whose code is not Keras's or the suite's.
    """
    if not model.built:
        return None
    described = keras.saving.serialize_keras_object(model)
    if not _is_own(described):
        return None
    names = {name: f"part {place}" for place, name in enumerate(_generated_names(described))}
    return json.dumps(_rename(described, names), sort_keys=True)


def borrow_traced(model: keras.Model) -> keras.Model:
    """Return a traced model of the same architecture and settings, brought to the state of ``model``, to run instead.

    Its optimizer is a new one. Returns ``model`` itself where ``describe_model`` returns None. Draws nothing.
    """
    if (description := describe_model(model)) is None:
        return model
    if description not in _traced:
        if len(_traced) == MAX_KEPT:
            del _traced[next(iter(_traced))]
        similar = _build_like(model)
        _traced[description] = similar, [variable.numpy() for variable in _optimizer_variables(similar)]
    traced, initial = _traced[description]
    copy_state(model, traced)
    for variable, value in zip(_optimizer_variables(traced), initial, strict=True):
        variable.assign(value)
    return traced


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copy weights and random states between models of the same architecture."""
    if source is not target:
        for old, new in zip(source.variables, target.variables, strict=True):
            new.assign(old)


def _build_like(model: keras.Model) -> keras.Model:
    """Return a new model of the same architecture and settings."""
    drawn = random.getstate()  # Keras draws the seeds of layers from Python's own generator
    try:
        similar: Any = type(model).from_config(model.get_config())
    finally:
        random.setstate(drawn)
    if model.compiled:
        described: Any = model.get_compile_config()
        settings: Any = keras.saving.deserialize_keras_object(described | {"optimizer": None})
        if model.optimizer:
            settings["optimizer"] = type(model.optimizer).from_config(model.optimizer.get_config())
            settings["optimizer"].build(similar.trainable_variables)
        similar.compile(**settings)
    return similar


def _optimizer_variables(model: keras.Model) -> list[keras.Variable]:
    return model.optimizer.variables if model.compiled and model.optimizer else []


def _is_own(described: Any) -> bool:
    """Return True unless a serialized object names a module whose code is not known."""
    if isinstance(described, dict):
        module = described.get("module", "keras")
        known = module.partition(".")[0] == "keras" or module == OWN_MODULE
        return known and all(map(_is_own, described.values()))
    return not isinstance(described, list | tuple) or all(map(_is_own, described))


def _generated_names(described: Any) -> Iterator[str]:
    """Yield the names that Keras gave to a model's parts, such as dense_3, in order."""
    if isinstance(described, dict):
        config = described.get("config")
        name = str(config.get("name")) if isinstance(config, dict) else ""
        if name.rstrip("_0123456789").replace("_", "") == str(described.get("class_name")).lower():
            yield name
    inner = described.values() if isinstance(described, dict) else described if isinstance(described, list) else ()
    for each in inner:
        yield from _generated_names(each)


def _rename(described: Any, names: Mapping[str, str]) -> Any:
    if isinstance(described, dict):
        return {key: _rename(value, names) for key, value in described.items()}
    if isinstance(described, list | tuple):
        return [_rename(value, names) for value in described]
    return names.get(described, described) if isinstance(described, str) else described
