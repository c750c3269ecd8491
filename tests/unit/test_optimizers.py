import keras
import numpy as np
import pytest

from noisy_digits import _optimizers, models, training
from noisy_digits._batches import draw_order_seed, make_dataset
from noisy_digits._optimizers import build_optimizer
from noisy_digits.errors import UserError
from noisy_digits.number_types import OPTIMIZERS

from .small_training import DIGITS


class FormerRMSprop(keras.optimizers.RMSprop):
    """RMSprop as Keras 2.10 documents it, in Keras's own operations."""

    def update_step(self, gradient, variable, learning_rate):
        mean_square = self._velocities[self._get_variable_index(variable)]
        self.assign(mean_square, self.rho * mean_square + (1 - self.rho) * keras.ops.square(gradient))
        root = keras.ops.sqrt(mean_square) + self.epsilon
        self.assign_sub(variable, learning_rate * gradient / root)


def build_by_keras(name):
    return FormerRMSprop() if name == "legacy_rmsprop" else keras.optimizers.get(name)


@pytest.mark.parametrize("name", _optimizers.FUSED)
def test_fused_optimizers_update_as_those_of_keras(name):
    rate = float(build_by_keras(name).learning_rate)
    weights = []
    for optimizer in (build_by_keras(name), build_optimizer(name, rate)):
        training.set_random_seed(0)
        model = models.mlp((32,))
        model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", jit_compile=False)
        training.set_random_seed(0)
        dataset = make_dataset(DIGITS.x_train, DIGITS.y_train, 100, order_seed=draw_order_seed())
        model.fit(dataset, epochs=3, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert all(np.allclose(*pair, atol=2e-5) for pair in zip(*weights, strict=True))
    assert not np.allclose(weights[0][0], models.mlp((32,)).get_weights()[0], atol=1e-2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_build_optimizer_builds_every_name_with_the_rate_asked_for(name):
    optimizer = build_optimizer(name, 0.25)
    assert float(optimizer.learning_rate) == 0.25
    assert isinstance(optimizer, type(keras.optimizers.get(name.removeprefix("legacy_"))))


def test_epsilon_outside_the_root_moves_weights_further_where_gradients_are_small():
    steps = {}
    for name in ("rmsprop", "legacy_rmsprop"):
        variable, optimizer = keras.Variable([1.0, 1.0]), build_optimizer(name, 0.001)
        optimizer.apply([keras.ops.convert_to_tensor([1e-5, 1.0])], [variable])
        steps[name] = 1 - variable.numpy()
    mean_square = 0.1 * 1e-5**2
    small = {"rmsprop": 1e-8 / np.sqrt(mean_square + 1e-7), "legacy_rmsprop": 1e-8 / (np.sqrt(mean_square) + 1e-7)}
    assert all(np.isclose(steps[name][0], small[name], rtol=0.01) for name in steps), steps
    assert np.isclose(steps["rmsprop"][1], steps["legacy_rmsprop"][1], rtol=1e-3)


def test_build_optimizer_names_the_near_miss_of_an_unknown_name():
    with pytest.raises(UserError, match=r'unknown optimizer "adm"; did you mean adam\?'):
        build_optimizer("adm", 0.1)
