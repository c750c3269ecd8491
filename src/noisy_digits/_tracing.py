"""Trace a model's TensorFlow functions once per architecture: tracing takes longer than a training on few images."""

import contextlib
import json
import random
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import keras
import numpy as np

OWN_MODULE = "noisy_digits._optimizers"
"""Beside Keras's own, the module whose classes are described by their settings; the code of others is not known."""


@dataclass(frozen=True, eq=False)
class _Traced:
    """A model that runs for others of its description, and its optimizer's variables before a training."""

    description: str
    model: keras.Model
    initial: list[np.ndarray]


_idle: list[_Traced] = []
"""The one used last: the seeds of an architecture are trained one after the other, and each takes memory."""


def describe_model(model: keras.Model) -> str | None:
    """Return architecture and settings of a built model as text, equal for equal ones whatever their layers are called.

    Returns None for a model with layers, losses or optimizers whose code is not Keras's or the suite's, or with a state
    outside of its variables.
    """
    parts = [*model._flatten_layers(), *([model.optimizer] if model.compiled and model.optimizer else [])]
    if not model.built or not all(map(_is_known, parts)):
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # of lambdas
            described = keras.saving.serialize_keras_object(model)
    except Exception:  # from the get_config of a loss or metric
        return None
    if not _is_own(described):
        return None
    names = {name: f"part {place}" for place, name in enumerate(_generated_names(described))}
    settings = [keras.config.epsilon(), keras.config.floatx(), _describe_variables(model)]
    return json.dumps([_rename(described, names), settings], sort_keys=True)


@contextlib.contextmanager
def borrow_traced(model: keras.Model) -> Iterator[keras.Model]:
    """Lend a traced model of the same architecture and settings, brought to the state of ``model``, to run instead.

    Its optimizer is a new one. Nobody else gets it meanwhile, and nobody afterwards if the work with it fails. Lends
    ``model`` itself where ``describe_model`` returns None or no such model can be built. Draws nothing.
    """
    if (traced := _take(model)) is None:
        yield model
        return
    copy_state(model, traced.model)
    for variable, value in zip(_optimizer_variables(traced.model), traced.initial, strict=True):
        variable.assign(value)
    yield traced.model
    _idle[:] = [traced]


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copy weights and random states between models of the same architecture."""
    if source is not target:
        for old, new in zip(source.variables, target.variables, strict=True):
            new.assign(old)


def _take(model: keras.Model) -> _Traced | None:
    """Return the idle traced model if it is like ``model``, or a new one; None if there can be none."""
    if (description := describe_model(model)) is None:
        return None
    if _idle and _idle[0].description == description:
        return _idle.pop()
    _idle.clear()
    try:
        similar = _build_like(model)
    except (TypeError, ValueError):  # Keras does not find the optimizer of a compiled part, for example
        return None
    if _describe_variables(similar) != _describe_variables(model):
        return None
    return _Traced(description, similar, [variable.numpy() for variable in _optimizer_variables(similar)])


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


def _describe_variables(model: keras.Model) -> list[str]:
    return [
        f"{each.shape} {each.dtype} {each.trainable} {keras.constraints.serialize(each.constraint)}"
        for each in model.variables
    ]


def _is_known(part: Any) -> bool:
    """Return True if a layer or an optimizer runs known code only, and is what its settings and variables say."""
    replaced = any(isinstance(value, MethodType | partial) for value in vars(part).values())
    functions = [value for value in vars(part).values() if isinstance(value, FunctionType)]
    adapts = hasattr(part, "finalize_state")  # Normalization computes with copies of its variables
    excludes = hasattr(part, "_exclude_from_weight_decay")  # some variables, which its settings do not tell
    modules = [each.__module__ for each in (type(part), *functions)]
    known = all(_is_of_keras(module) or module == OWN_MODULE for module in modules)
    return known and not (replaced or adapts or excludes)


def _is_of_keras(module: Any) -> bool:
    return str(module).partition(".")[0] == "keras"


def _is_own(described: Any) -> bool:
    """Return True unless a serialized object names a module whose code is not known, or holds a lambda."""
    if isinstance(described, dict):
        module = described.get("module", "keras")  # None for what a notebook defines
        known = _is_of_keras(module) or module == OWN_MODULE
        return known and described.get("class_name") != "__lambda__" and all(map(_is_own, described.values()))
    return not isinstance(described, list | tuple) or all(map(_is_own, described))


def _generated_names(described: Any) -> Iterator[str]:
    """Yield the names that Keras gave to a model's parts, such as dense_3, in order."""
    if isinstance(described, dict):
        config = described.get("config")
        name = str(config.get("name")) if isinstance(config, dict) else ""
        if name.rstrip("_0123456789").replace("_", "") == str(described.get("class_name")).lower():
            yield name
        described = list(described.values())
    if isinstance(described, list):
        for each in described:
            yield from _generated_names(each)


def _rename(described: Any, names: Mapping[str, str]) -> Any:
    if isinstance(described, dict):
        functions = {key: value for key, value in described.items() if key.endswith("activation")}  # "softmax" is both
        return {key: _rename(value, names) for key, value in described.items()} | functions
    if isinstance(described, list | tuple):
        return [_rename(value, names) for value in described]
    return names.get(described, described) if isinstance(described, str) else described
