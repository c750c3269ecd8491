"""Keras's optimizers over TensorFlow's fused kernels: one pass over a variable's memory instead of a dozen.

The arithmetic is that of Keras's own classes. Source: the ``ResourceApply`` operations of TensorFlow's raw_ops.
"""

import tensorflow as tf

from noisy_digits.backend import keras
from noisy_digits.errors import UserError, near
from noisy_digits.schema import OPTIMIZERS


class Adadelta(keras.optimizers.Adadelta):
    """Keras's Adadelta, updated by one kernel."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update ``variable`` and what is remembered of it."""
        at = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdadelta(
            var=variable.handle,
            accum=self._accumulated_grads[at].handle,
            accum_update=self._accumulated_delta_vars[at].handle,
            lr=learning_rate,
            rho=self.rho,
            epsilon=self.epsilon,
            grad=gradient,
        )


class Adam(keras.optimizers.Adam):
    """Keras's Adam, updated by one kernel."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update ``variable`` and what is remembered of it."""
        at = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[at].handle,
            v=self._velocities[at].handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class RMSprop(keras.optimizers.RMSprop):
    """Keras's RMSprop, updated by one kernel, which wants to remember a momentum even where that is 0."""

    def build(self, variables: list[keras.Variable]) -> None:
        """Make what is remembered of each variable."""
        super().build(variables)
        self._unused_momentums = [self.add_variable_from_reference(each, name="momentum") for each in variables]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update ``variable`` and what is remembered of it."""
        at = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=self._velocities[at].handle,
            mom=self._unused_momentums[at].handle,
            lr=learning_rate,
            rho=self.rho,
            momentum=0.0,
            epsilon=self.epsilon,
            grad=gradient,
        )


FUSED = {"adadelta": Adadelta, "adam": Adam, "rmsprop": RMSprop}


def make(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """The optimizer of a ``name`` that Keras knows, at its defaults but for the rate; fused where there is a kernel.

    Raises UserError for a name that is not one of ``schema.OPTIMIZERS``.
    """
    if name not in OPTIMIZERS:
        raise UserError(f'unknown optimizer "{name}"{near(name, OPTIMIZERS)}')
    if fused := FUSED.get(name):
        return fused(learning_rate)
    return keras.optimizers.get({"class_name": name, "config": {"learning_rate": learning_rate}})
