import subprocess
import sys

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from noisy_digits import models, types

HEAVY = {"tensorflow", "keras", "sklearn", "scipy", "skimage"}


def validate(kind, value):
    return TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)


@pytest.mark.parametrize("module", ["types", "data", "noise", "models", "denoisers"])
def test_importing_a_module_of_names_is_light(module):
    code = f"import sys, noisy_digits.{module}; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (types.Fraction, 1),
        (types.Fraction, 0.0),
        (types.NonNegative, 0.0),
        (types.Positive, 1e-9),
        (types.Count, 1),
        (types.WholeNumber, 0),
        (list[types.Fraction], [0.1, 0.9]),
        (types.DatasetName, "auto"),
        (types.DatasetName, "fashion_mnist"),
        (types.StandardizationName, "per_pixel_train_stats"),
        (types.NoiseSpec, "clean"),
        (types.NoiseSpec, "salt_and_pepper_0.4"),
        (types.NoiseSampling, "per_epoch"),
        (types.ClassifierName, "cnn"),
        (types.AutoencoderName, "dense"),
        (types.DenoiserName, "dense"),
        (types.DenoiserName, "median_3"),
        (types.OptimizerName, "adam"),
    ],
)
def test_types_accept_what_is_allowed(kind, value):
    assert validate(kind, value) == value


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (types.Fraction, 1.01, "less than or equal to 1"),
        (types.Fraction, "0.5", "valid number"),
        (types.NonNegative, -0.1, "greater than or equal to 0"),
        (types.NonNegative, float("inf"), "finite"),
        (types.Positive, 0, "greater than 0"),
        (types.Positive, float("nan"), "finite"),
        (types.Count, 0, "greater than or equal to 1"),
        (types.Count, 1.5, "valid integer"),
        (types.WholeNumber, -1, "greater than or equal to 0"),
        (types.DatasetName, "mnits", "did you mean mnist"),
        (types.StandardizationName, "train_stat", "did you mean train_stats"),
        (types.NoiseSpec, "gausian_0.4", "did you mean gaussian"),
        (types.NoiseSpec, "salt_and_pepper_2", "less than or equal to 1"),
        (types.NoiseSampling, "once", "'fixed' or 'per_epoch'"),
        (types.ClassifierName, "dense", r"allowed: mlp, cnn"),
        (types.AutoencoderName, "mlp", r"allowed: dense, convolutional"),
        (types.DenoiserName, "medain_3", "did you mean median_3"),
        (types.OptimizerName, "adm", "'adam'"),
    ],
)
def test_types_reject_what_is_not_allowed(kind, value, message):
    with pytest.raises(ValidationError, match=message):
        validate(kind, value)


def test_types_accept_names_that_are_registered_later(monkeypatch):
    monkeypatch.setitem(models.AUTOENCODERS, "skip", models.dense_autoencoder)
    assert validate(types.AutoencoderName, "skip") == "skip"
    assert validate(types.DenoiserName, "skip") == "skip"
