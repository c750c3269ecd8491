"""Noisy Digits: four course assignments on noisy MNIST digits, as submitted and corrected."""

import gc
import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# With this package jsonschema compiles a grammar of IRIs when it is imported: 0.6 s a run, and no notebook holds any.
sys.modules.setdefault("rfc3987_syntax", None)
# Importing TensorFlow makes so many objects that looking for garbage among them takes a second of the five.
gc.set_threshold(200_000, 50, 50)
