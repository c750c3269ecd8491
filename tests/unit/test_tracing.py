"""Models of one architecture share one traced model, and nobody can tell."""

import keras
import numpy as np
import pytest

from noisy_digits import _tracing, models, training
from noisy_digits.errors import UserError

from .stored_training import (
    FEW,
    build_tiny,
    compiled,
    fit_few,
    fit_with_keras,
    stack,
    state_of,
    store,  # noqa: F401
)

LAYERS = keras.layers


def with_augmentation():
    return stack(
        models.augmentation(2, 10), LAYERS.BatchNormalization(), LAYERS.Dropout(0.3), LAYERS.GaussianNoise(0.1)
    )


def with_shared_layer():
    inputs, shared = keras.Input((28, 28)), LAYERS.Dense(6, activation="tanh")
    hidden = shared(LAYERS.Flatten()(inputs)) + shared(LAYERS.Flatten()(inputs * 0.5))
    return compiled(keras.Model(inputs, LAYERS.Dense(10, activation="softmax")(hidden)))


def with_frozen_kernel():
    model = stack(LAYERS.Dense(3))
    model.layers[0].kernel.trainable = False
    return model


def with_average_of_weights():
    model = stack()
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


MODELS = {
    "traced": lambda: compiled(models.mlp((4,), dropout=0.2, l2=0.01), optimizer="rmsprop", eager=False),
    "augmentation": with_augmentation,
    "shared layer": with_shared_layer,
    "frozen kernel": with_frozen_kernel,
    "average of weights": with_average_of_weights,
    "compiled part": lambda: compiled(keras.Sequential([LAYERS.GaussianNoise(0.5), compiled(models.mlp((3,)))])),
}


@pytest.mark.parametrize("name", MODELS)
def test_fit_gives_what_the_fit_of_keras_gives_to_the_last_bit(name):
    for seed in (0, 1):  # the second one finds a traced model with the state of the first
        training.set_random_seed(seed)
        history = fit_few(model := MODELS[name]())
        training.set_random_seed(seed)
        expected = fit_with_keras(reference := MODELS[name]())
        assert {key.removeprefix("train_"): values for key, values in history.curves.items()} == expected
        assert state_of(model) == state_of(reference)
        images = FEW.x_test[:7]
        assert np.array_equal(training.predict(model, images), reference.predict_on_batch(images))


def test_models_of_one_architecture_do_not_influence_each_other():
    first, second = build_tiny(0), build_tiny(1)
    fit_few(first)
    before = training.evaluate(first, FEW.x_test, FEW.y_test), training.predict(first, FEW.x_test).tobytes()
    state = state_of(first)
    fit_few(second)
    assert training.evaluate(second, FEW.x_test, FEW.y_test) != before[0]
    after = training.evaluate(first, FEW.x_test, FEW.y_test), training.predict(first, FEW.x_test).tobytes()
    assert after == before
    assert state_of(first) == state


@pytest.mark.parametrize("use", ["argument", "model", "other model", "another training"])
def test_an_epoch_metric_may_evaluate_predict_and_train_without_disturbing_the_training(use):
    model, other, seen = build_tiny(0), build_tiny(1), []

    def measure(trained):
        each = {"argument": trained, "model": model}.get(use, other)
        training.predict(each, FEW.x_test)
        if use == "another training":
            fit_few(compiled(each), epochs=1)
        seen.append(training.evaluate(each, FEW.x_test, FEW.y_test)["loss"])
        return {}

    reference = build_tiny(0)
    expected = fit_with_keras(reference, epochs=3)
    training.set_random_seed(0)
    model.set_weights(build_tiny(0).get_weights())
    history = fit_few(model, epochs=3, epoch_metrics=[measure])
    assert history.curves["val_loss"] == expected["val_loss"]
    assert state_of(model) == state_of(reference)
    assert len(seen) == 3
    if use in ("argument", "model"):
        assert seen == pytest.approx(expected["val_loss"], rel=1e-6)


def test_an_epoch_metric_that_uses_the_model_instead_of_its_argument_sees_its_current_weights():
    model, seen = build_tiny(), []

    def measure(trained):
        seen.append([model.get_weights(), trained.get_weights()])
        return {}

    fit_few(model, epoch_metrics=[measure])
    for own, traced in seen:
        assert all(map(np.array_equal, own, traced))
    assert not np.array_equal(seen[0][0][0], seen[1][0][0])


def test_a_trained_model_is_trained_further_only_after_it_is_compiled_again():
    model = build_tiny()
    fit_few(model)
    state = state_of(model)
    with pytest.raises(UserError, match="this model was trained before"):
        fit_few(model)
    assert state_of(model) == state
    history = fit_few(compiled(model))
    reference = build_tiny()
    fit_with_keras(reference)
    expected = fit_with_keras(compiled(reference))
    assert history.curves["val_loss"] == expected["val_loss"]
    assert int(model.optimizer.iterations) == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_training_is_not_kept_and_does_not_disturb_the_next(store, error):  # noqa: F811
    def interrupt(model):
        raise error

    model = build_tiny()
    with pytest.raises(error):
        fit_few(model, epoch_metrics=[interrupt])
    assert store.entries == []
    assert np.isfinite(training.evaluate(model, FEW.x_test, FEW.y_test)["loss"])
    other = {"validation_data": (FEW.x_train[:30], FEW.y_train[:30])}
    after = fit_few(model := build_tiny(), **other).curves, state_of(model)
    assert store.restored == [False]
    store.entries[0].unlink()
    _tracing._idle.clear()
    expected = fit_few(model := build_tiny(), **other).curves, state_of(model)
    assert after == expected
    assert store.restored == [False, False]


def test_a_model_that_cannot_be_trained_leaves_nothing_behind(store):  # noqa: F811
    model = build_tiny()
    with pytest.raises(UserError, match="119 labels"):
        fit_few(model, y=FEW.y_train[:-1])
    assert store.entries == []
    fit_few(model)
    assert store.restored == [False]


def test_functions_are_traced_once_for_all_seeds(monkeypatch):
    known, traces = LAYERS.Dense.call, []

    def call(self, inputs, *arguments, **settings):
        if not isinstance(inputs, keras.KerasTensor):
            traces.append(self)
        return known(self, inputs, *arguments, **settings)

    monkeypatch.setattr(LAYERS.Dense, "call", call)
    counts = []
    for seed in range(3):
        model = build_tiny(seed, hidden_units=(3,), eager=False)
        fit_few(model)
        counts.append(len(traces))
    assert counts[0] > 0
    assert counts == [counts[0]] * 3


def test_the_traced_model_used_last_is_kept_and_no_other_takes_memory():
    first, second = models.mlp((1,)), models.mlp((2,))
    with _tracing.borrow_traced(first):
        pass
    (kept,) = _tracing._idle
    with _tracing.borrow_traced(first) as again:
        assert again is kept.model
    with _tracing.borrow_traced(second):
        assert _tracing._idle == []
    assert [traced.description for traced in _tracing._idle] == [_tracing.describe_model(second)]


def test_a_model_is_lent_to_one_at_a_time():
    network = models.mlp((4,))
    with _tracing.borrow_traced(network) as first, _tracing.borrow_traced(network) as second:
        assert len({id(first), id(second), id(network)}) == 3
        assert all(np.array_equal(*pair) for pair in zip(first.get_weights(), second.get_weights(), strict=True))


def test_lending_draws_nothing():
    draws = []
    for lends in (False, True):
        training.set_random_seed(0)
        model = models.mlp((7,), dropout=0.2)
        if lends:
            _tracing._idle.clear()
            training.predict(model, FEW.x_test)
        draws.append([float(keras.random.uniform(())), models.mlp((2,)).get_weights()[0].tobytes()])
    assert draws[0] == draws[1]
