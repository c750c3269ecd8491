"""Noisy Digits: four course assignments on noisy MNIST digits, as submitted and corrected."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
