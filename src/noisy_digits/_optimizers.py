"""Keras's optimizers over TensorFlow's fused kernels: one pass over a variable's memory instead of a dozen.

The arithmetic is that of Keras's own classes. Source: the ``ResourceApply`` operations of TensorFlow's raw_ops.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from noisy_digits.errors import check_name
from noisy_digits.number_types import OPTIMIZERS


def _handles(optimizer: keras.Optimizer, variable: tf.Variable, **state: Sequence[Any]) -> dict[str, Any]:
    """Return what a kernel writes to: the variable, and the optimizer's ``state`` for it, by the kernel's names."""
    index = optimizer._get_variable_index(variable)
    return {"var": variable.handle} | {name: variables[index].handle for name, variables in state.items()}


class Adadelta(keras.optimizers.Adadelta):
    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        handles = _handles(self, variable, accum=self._accumulated_grads, accum_update=self._accumulated_delta_vars)
        settings = {"lr": learning_rate, "rho": self.rho, "epsilon": self.epsilon}
        tf.raw_ops.ResourceApplyAdadelta(**handles, **settings, grad=gradient)


class Adam(keras.optimizers.Adam):
    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        handles = _handles(self, variable, m=self._momentums, v=self._velocities)
        iterations: Any = self.iterations
        step = tf.cast(iterations.value + 1, tf.float32)
        powers = {"beta1_power": tf.pow(self.beta_1, step), "beta2_power": tf.pow(self.beta_2, step)}
        settings = {"lr": learning_rate, "beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
        tf.raw_ops.ResourceApplyAdam(**handles, **powers, **settings, grad=gradient)


class RMSprop(keras.optimizers.RMSprop):
    def build(self, variables: list[keras.Variable]) -> None:
        super().build(variables)  # the kernel needs room for a momentum even if that is 0
        self._unused_momentums = [self.add_variable_from_reference(each, name="momentum") for each in variables]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        handles = _handles(self, variable, ms=self._velocities, mom=self._unused_momentums)
        settings = {"lr": learning_rate, "rho": self.rho, "momentum": 0.0, "epsilon": self.epsilon}
        tf.raw_ops.ResourceApplyRMSProp(**handles, **settings, grad=gradient)


class LegacyRMSprop(RMSprop):
    """RMSprop as in Keras up to 2.10: epsilon is added to the root of the mean square, not to the mean square.

    The kernel is Adam's, without a first moment and without its corrections for the first steps. Source: optimizer_v2
    of Keras 2.10, today ``tf.keras.optimizers.legacy``.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        handles = _handles(self, variable, m=self._unused_momentums, v=self._velocities)
        settings = {"lr": learning_rate, "beta1": 0.0, "beta2": self.rho, "epsilon": self.epsilon}
        tf.raw_ops.ResourceApplyAdam(**handles, **settings, beta1_power=0.0, beta2_power=0.0, grad=gradient)


FUSED = {"adadelta": Adadelta, "adam": Adam, "legacy_rmsprop": LegacyRMSprop, "rmsprop": RMSprop}


def build_optimizer(name: str, learning_rate: float) -> keras.Optimizer:
    """Return the optimizer ``name``, at Keras's defaults except for ``learning_rate``.

    Raises UserError for a name that is not in ``number_types.OPTIMIZERS``.
    """
    if fused := FUSED.get(check_name("optimizer", name, OPTIMIZERS)):
        return fused(learning_rate)
    return keras.optimizers.get({"class_name": name, "config": {"learning_rate": learning_rate}})
