import keras
import numpy as np
import pytest

from noisy_digits import _optimizers, models, training
from noisy_digits._batches import draw_order_seed, make_dataset
from noisy_digits._optimizers import build_optimizer
from noisy_digits.errors import UserError
from noisy_digits.number_types import OPTIMIZERS

from .small_training import DIGITS


@pytest.mark.parametrize("name", _optimizers.FUSED)
def test_fused_optimizers_update_as_those_of_keras(name):
    rate = float(keras.optimizers.get(name).learning_rate)
    weights = []
    for optimizer in (keras.optimizers.get(name), build_optimizer(name, rate)):
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
    assert isinstance(optimizer, type(keras.optimizers.get(name)))


def test_build_optimizer_names_the_near_miss_of_an_unknown_name():
    with pytest.raises(UserError, match=r'unknown optimizer "adm"; did you mean adam\?'):
        build_optimizer("adm", 0.1)
