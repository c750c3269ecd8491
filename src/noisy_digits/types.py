"""Types for the parameters of a notebook: ``noise_level: Fraction = 0.4``. They say which values are allowed.

Names are checked against their registries. Importing this module imports neither TensorFlow nor scikit-learn.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator

from noisy_digits import data, denoisers, models, noise
from noisy_digits.number_types import OPTIMIZERS, Count, Fraction, NonNegative, Positive, WholeNumber  # noqa: F401


def _check_noise(spec: str) -> str:
    noise.parse_spec(spec)
    return spec


def _check_denoiser(name: str) -> str:
    denoisers.needs_training(name)
    return name


DatasetName = Annotated[str, AfterValidator(data.check_dataset_name)]
StandardizationName = Annotated[str, AfterValidator(data.STANDARDIZATIONS.check)]
NoiseSpec = Annotated[str, AfterValidator(_check_noise)]
NoiseSampling = Literal["fixed", "per_epoch"]
ClassifierName = Annotated[str, AfterValidator(models.CLASSIFIERS.check)]
AutoencoderName = Annotated[str, AfterValidator(models.AUTOENCODERS.check)]
DenoiserName = Annotated[str, AfterValidator(_check_denoiser)]
OptimizerName = Literal[OPTIMIZERS]
