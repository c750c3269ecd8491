"""Keras on TensorFlow. Keras imports all of scikit-learn for wrappers that nobody uses here: half a second a run."""

import sys

without_wrappers = sys.modules.setdefault("sklearn", None) is None
import keras  # noqa: E402
from keras import layers  # noqa: E402

if without_wrappers:
    del sys.modules["sklearn"]

__all__ = ["keras", "layers"]
