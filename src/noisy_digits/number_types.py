"""Limits of parameters: number types (0.5 is a ``Fraction``, 1.5 is not; all are finite) and optimizer names."""

from typing import Annotated

from pydantic import Field

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
WholeNumber = Annotated[int, Field(ge=0)]

OPTIMIZERS = (
    "sgd", "rmsprop", "legacy_rmsprop", "adam", "adamw", "adadelta", "adagrad", "adamax", "nadam", "ftrl", "lion"
)  # fmt: skip
"""Keras's names; "legacy_rmsprop" is RMSprop as it was up to Keras 2.10, with epsilon outside the root."""
