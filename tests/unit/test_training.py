import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits import _environment, _memory, data, models, noise, results, training
from noisy_digits._batches import draw_order_seed, make_dataset
from noisy_digits.errors import UserError

from .small_training import DIGITS, fit


def run_python(code, **variables):
    """Run code in a process of its own and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fit_learns_and_records_one_value_per_epoch():
    training.set_random_seed(0)
    model = models.mlp((512, 512), dropout=0.2)
    history = fit(model, epochs=6)
    assert set(history.curves) == {"train_loss", "train_accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 6 for values in history.curves.values())
    assert history.curves["train_loss"][-1] < history.curves["train_loss"][0]
    measured = training.evaluate(model, DIGITS.x_test, DIGITS.y_test)
    assert measured["accuracy"] > 0.85
    assert measured["accuracy"] == pytest.approx(history.final_metrics()["val_accuracy"])


def test_fit_teaches_an_autoencoder_to_remove_noise():
    rng = training.set_random_seed(0)
    x_train, x_test = (noise.salt_and_pepper(x, 0.4, rng) for x in (DIGITS.x_train, DIGITS.x_test))
    model = models.dense_autoencoder()
    training.compile(model, optimizer="adam", learning_rate=0.001, loss="binary_crossentropy")
    validation = (x_test, DIGITS.x_test)
    history = training.fit(model, x_train, DIGITS.x_train, validation_data=validation, epochs=15, batch_size=64)
    assert set(history.curves) == {"train_loss", "val_loss"}
    denoised = model.predict(x_test, verbose=0)
    assert np.mean((denoised - DIGITS.x_test) ** 2) < 0.5 * np.mean((x_test - DIGITS.x_test) ** 2)


def test_fit_shows_every_image_once_per_epoch():
    """Steps run in groups; an epoch that is no whole number of groups must not lose or repeat any."""
    training.set_random_seed(0)
    model = models.mlp((8,))
    fit(model, epochs=3, batch_size=100)
    assert model.optimizer.iterations.numpy() == 3 * 15


def test_fit_trains_a_model_that_plain_keras_compiled():
    training.set_random_seed(0)
    model = models.mlp((16,))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    validation = (DIGITS.x_test, DIGITS.y_test)
    x, y = DIGITS.x_train, DIGITS.y_train
    history = training.fit(model, x, y, validation_data=validation, epochs=2, batch_size=50)
    assert history.curves["train_loss"][1] < history.curves["train_loss"][0]


def test_fit_logs_every_epoch_for_a_build(monkeypatch, tmp_path):
    monkeypatch.setenv(_environment.PROGRESS, str(tmp_path / "progress"))
    fit(models.mlp((4,)), epochs=2)
    device = training.device_name()
    assert _environment.read_epochs(tmp_path / "progress") == [
        {"epoch": epoch, "epochs": 2, "device": device} for epoch in (1, 2)
    ]


def test_fit_calls_epoch_metrics_after_validation_and_keeps_numbers_and_lists():
    order, model = [], models.mlp((4,))

    def measure(trained):
        order.append(trained.optimizer.iterations.numpy())
        return {"steps": float(order[-1]), "steps_twice": [order[-1]] * 2}

    history = fit(model, epochs=2, epoch_metrics=[measure])
    assert order == [12, 24]
    assert history.curves["steps"] == [12.0, 24.0]
    assert history.curves["steps_twice"] == [[12, 12], [24, 24]]
    assert history.final_metrics()["steps"] == 24.0
    assert "steps_twice" not in history.final_metrics()


def replicate(seed):
    """Train on noise with dropout; return all that was recorded and the weights, to the last bit."""
    rng = training.set_random_seed(seed)
    x, y = noise.gaussian(DIGITS.x_train[:300], 0.5, rng), DIGITS.y_train[:300]
    model = models.mlp((32,), dropout=0.2)
    training.compile(model, optimizer="rmsprop", learning_rate=0.001, loss="sparse_categorical_crossentropy")
    validation = (DIGITS.x_test, DIGITS.y_test)
    history = training.fit(model, x, y, validation_data=validation, epochs=2, batch_size=32)
    return history.curves, [weights.tobytes() for weights in model.get_weights()]


def test_set_random_seed_fixes_weights_order_dropout_and_noise_to_the_last_bit():
    assert replicate(3) == replicate(3)
    assert replicate(3) != replicate(4)


def test_compile_draws_nothing():
    draws = []
    for compiles in (False, True):
        training.set_random_seed(0)
        model = models.mlp((8,), dropout=0.2)
        if compiles:
            loss = "sparse_categorical_crossentropy"
            training.compile(model, optimizer="rmsprop", learning_rate=0.001, loss=loss)
        draws.append([int(keras.random.randint((), 0, 2**31 - 1)), *np.random.get_state()[1]])  # noqa: NPY002
    assert draws[0] == draws[1]


def test_compile_measures_accuracy_for_labels_only():
    classifier, autoencoder = models.mlp((4,)), models.dense_autoencoder(4, 2)
    loss = "sparse_categorical_crossentropy"
    training.compile(classifier, optimizer="sgd", learning_rate=0.5, loss=loss)
    training.compile(autoencoder, optimizer="sgd", learning_rate=0.5, loss="binary_crossentropy")
    scores = classifier.evaluate(DIGITS.x_test, DIGITS.y_test, verbose=0, return_dict=True)
    assert set(scores) == {"loss", "accuracy"}
    assert isinstance(autoencoder.evaluate(DIGITS.x_test, DIGITS.x_test, verbose=0), float)
    assert float(classifier.optimizer.learning_rate) == 0.5


def test_compile_refuses_an_unknown_optimizer():
    with pytest.raises(UserError, match=r'unknown optimizer "adm"; did you mean adam\?'):
        training.compile(models.mlp((4,)), optimizer="adm", learning_rate=0.1, loss="binary_crossentropy")


def test_make_dataset_has_another_order_in_every_epoch_which_the_seed_decides():
    x = np.arange(50, dtype=np.float32)
    orders = {}
    for seed in (0, 0, 1):
        training.set_random_seed(seed)
        dataset = make_dataset(x, x, 8, order_seed=draw_order_seed())
        epochs = [np.concatenate([images for images, _ in dataset.as_numpy_iterator()]) for _ in range(3)]
        assert all(np.array_equal(np.sort(order), x) for order in epochs)
        assert not any(np.array_equal(*pair) for pair in itertools.combinations([x, *epochs], 2))
        assert all(np.array_equal(*pair) for pair in zip(epochs, orders.setdefault(seed, epochs), strict=True))
    assert not np.array_equal(orders[0][0], orders[1][0])


def test_make_dataset_keeps_images_with_their_labels_and_in_order_unless_shuffled():
    x = np.random.default_rng(0).random((25, 28, 28), dtype=np.float32)
    batches = list(make_dataset(x, np.arange(25), 10).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [10, 10, 5]
    assert np.array_equal(np.concatenate([images for images, _ in batches]), x)
    training.set_random_seed(0)
    for images, labels in make_dataset(x, np.arange(25), 10, order_seed=draw_order_seed()).as_numpy_iterator():
        assert np.array_equal(images, x[labels])


@pytest.mark.parametrize("order_seed", [None, 1])
def test_make_dataset_holds_no_copy_of_the_images(order_seed):
    x, labels = _memory.empty_aligned((400, 28, 28)), np.zeros(400)
    x[...] = 0
    batches = make_dataset(x, labels, 4, order_seed=order_seed).as_numpy_iterator()
    assert not next(batches)[0].any()
    x[...] = 1  # which a copy would not show
    assert list(batches)[-1][0].all()


def test_make_dataset_refuses_more_labels_than_images():
    with pytest.raises(UserError, match="360 images and 1437 labels"):
        training.evaluate(models.mlp((8,)), DIGITS.x_test, DIGITS.y_train)


@given(shape=st.tuples(st.integers(1, 5), st.integers(2, 7)), dtype=st.sampled_from(["f4", "f8", "i8", "u1"]))
def test_as_aligned_shares_what_is_aligned_and_copies_everything_else_whole(shape, dtype):
    array = _memory.empty_aligned(shape, dtype)
    array[...] = np.arange(array.size).reshape(shape)
    assert _memory.as_aligned(array) is array
    for other in (array[::-1], array.T, array.copy()[..., 1:]):
        copy = _memory.as_aligned(other)
        assert np.array_equal(copy, other)
        assert copy.flags.c_contiguous
        assert copy.ctypes.data % _memory.ALIGNMENT == 0


TRAIN_ELSEWHERE = """
import gc
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from noisy_digits import data, models, training
from noisy_digits._batches import draw_order_seed, make_dataset
training.configure()
digits = data.load("digits")
training.set_random_seed(0)
with tf.device("CPU:1"):
    model = models.mlp((32,))
    known = make_dataset(digits.x_test, digits.y_test, 250)
    training.compile(model, optimizer="adam", learning_rate=0.01, loss="sparse_categorical_crossentropy")
    validation = (digits.x_test, digits.y_test)
    training.fit(model, digits.x_train, digits.y_train, validation_data=validation, epochs=3, batch_size=32)
    accuracy = training.evaluate(model, digits.x_test, digits.y_test)["accuracy"]
variables = [each for each in gc.get_objects() if isinstance(each, tf.Variable) and each.shape[:1] == 360]
of_weights, of_images = ({each.device[-1] for each in group} for group in ([w.value for w in model.weights], variables))
print(of_weights, of_images, accuracy > 0.8)
"""


def test_images_stay_in_memory_whatever_device_trains():
    """A second processor stands for a GPU, which TensorFlow also finds at a place of its own."""
    assert run_python(TRAIN_ELSEWHERE).split() == ["{'1'}", "{'0'}", "True"]


def test_fit_and_evaluate_leave_no_images_behind():
    import gc

    import tensorflow as tf

    model = models.mlp((4,))
    fit(model)
    training.evaluate(model, DIGITS.x_test, DIGITS.y_test)
    kept = [each for each in gc.get_objects() if isinstance(each, tf.Variable) and each.shape[:1] == len(DIGITS.x_test)]
    assert kept == []


def test_evaluate_gives_the_mean_negative_log_probability_of_the_true_class():
    training.set_random_seed(0)
    model = models.mlp((16,))
    fit(model)
    probabilities = model.predict(DIGITS.x_test, verbose=0)
    by_hand = -np.log(probabilities[np.arange(len(DIGITS.y_test)), DIGITS.y_test]).mean()
    assert training.evaluate(model, DIGITS.x_test, DIGITS.y_test)["loss"] == pytest.approx(by_hand, rel=1e-4)


def test_evaluate_agrees_with_keras_even_where_the_network_is_certain_and_wrong():
    training.set_random_seed(0)
    model = models.mlp((8,), l2=0.01)
    training.compile(model, optimizer="sgd", learning_rate=0.1, loss="sparse_categorical_crossentropy")
    x, y = 500 * DIGITS.x_test, DIGITS.y_test
    loss, accuracy = model.evaluate(x, y, batch_size=250, verbose=0)
    ours = training.evaluate(model, x, y)
    assert loss > 20  # nats: more than the logarithm of the smallest probability that Keras would clip to
    assert ours == pytest.approx({"loss": loss, "accuracy": accuracy}, rel=1e-5)
    with pytest.raises(UserError, match="360 images and 359 labels"):
        training.evaluate(model, x, y[1:])


def test_evaluate_draws_nothing():
    weights = []
    for evaluates in (False, True):
        training.set_random_seed(0)
        if evaluates:
            model = models.mlp((4,))
            training.set_random_seed(0)
            training.evaluate(model, DIGITS.x_test, DIGITS.y_test)
        weights.append(models.mlp((8,)).get_weights()[0])
    assert np.array_equal(*weights)


def test_predict_gives_what_keras_gives_in_its_order():
    images = np.random.default_rng(0).random((training.EVALUATION_BATCH + 3, 28, 28), dtype=np.float32)
    model = models.mlp((8,))
    assert np.allclose(training.predict(model, images), model.predict(images, verbose=0), atol=1e-6)


def test_history_marks_a_training_that_ends_with_a_loss_that_is_not_finite():
    training.set_random_seed(0)
    history = fit(models.mlp((16, 16)), optimizer="sgd", learning_rate=1e30, epochs=5)
    assert history.diverged
    assert len(history.curves["train_loss"]) == 1
    assert history.final_metrics()["diverged"] == 1.0
    assert not np.isfinite(history.final_metrics()["train_loss"])
    recorded = results.save_metrics([{"seed": 0, **history.final_metrics()}])
    assert "train_loss" not in recorded
    assert recorded["diverged"][0] == 1.0


def test_history_marks_an_exploding_training_which_goes_on():
    training.set_random_seed(0)
    history = fit(models.mlp((16,)), optimizer="adam", learning_rate=1e4, epochs=3)
    assert history.diverged
    assert len(history.curves["train_loss"]) == 3
    assert history.final_metrics()["diverged"] == 1.0
    assert "diverged" not in fit(models.mlp((16,))).final_metrics()


def test_stack_curves_fills_a_training_that_stopped_early_with_nan():
    whole = training.History({"train_loss": [2.0, 1.0], "norms": [[1.0, 2.0], [3.0, 4.0]]})
    short = training.History({"train_loss": [3.0], "norms": [[5.0, 6.0]]})
    stacked = training.stack_curves([whole, short])
    assert stacked["train_loss"].dtype == np.float32
    assert np.array_equal(stacked["train_loss"], [[2, 1], [3, np.nan]], equal_nan=True)
    assert stacked["norms"].shape == (2, 2, 2)
    assert np.array_equal(stacked["norms"][1], [[5, 6], [np.nan, np.nan]], equal_nan=True)


def test_history_does_not_mark_a_training_that_comes_down_again():
    curves = {"train_loss": [5000.0, 800.0, 2.3], "val_loss": [300.0, 20.0, 2.3]}
    assert training.History(curves).final_metrics() == {"train_loss": 2.3, "val_loss": 2.3}
    assert training.History(curves | {"train_loss": [2.3, 800.0]}).diverged


def test_trained_models_are_saved_for_keras_alone_and_answer_alike(tmp_path, monkeypatch):
    monkeypatch.setenv(_environment.RECORD, str(tmp_path))
    training.set_random_seed(0)
    model = models.mlp((16,))
    fit(model)
    results.save_model(model, 3)
    code = (
        f"import keras, numpy, sys; model = keras.models.load_model({str(tmp_path / 'mlp_3.keras')!r})\n"
        "assert 'noisy_digits' not in sys.modules\n"
        "print(model.predict(numpy.ones((1, 28, 28)), verbose=0)[0, 3])"
    )
    answer = model.predict(np.ones((1, 28, 28)), verbose=0)[0, 3]
    assert float(run_python(code)) == pytest.approx(answer, rel=1e-5)
    saved = keras.models.load_model(tmp_path / "mlp_3.keras")
    scores = [training.evaluate(each, DIGITS.x_test, DIGITS.y_test) for each in (model, saved)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


BFLOAT16 = """
import numpy as np
from noisy_digits import models, training
training.configure({precision})
x = np.zeros((2, 28, 28), dtype=np.float32)
for build in (models.mlp, models.cnn, models.dense_autoencoder, models.convolutional_autoencoder):
    model = build()
    inside = {{layer.compute_dtype for layer in model.layers[:-1]}}
    print(model.predict_on_batch(x).dtype, "bfloat16" in inside, model.weights[0].dtype)
"""


def test_configure_uses_bfloat16_inside_models_only_if_the_build_says_so():
    from_build = run_python(BFLOAT16.format(precision=""), **{_environment.PRECISION: "mixed_bfloat16"})
    assert from_build.splitlines() == ["float32 True float32"] * 4
    given = run_python(BFLOAT16.format(precision="'float32'"), **{_environment.PRECISION: "mixed_bfloat16"})
    assert given.splitlines() == ["float32 False float32"] * 4


def test_configure_makes_operations_deterministic():
    code = (
        "from noisy_digits import training\n"
        "from tensorflow.python.framework import config\n"
        "before = config.is_op_determinism_enabled()\n"
        "training.configure(); training.configure()\n"
        "print(before, config.is_op_determinism_enabled())"
    )
    assert run_python(code) == "False True\n"


def test_configure_refuses_an_unknown_precision():
    with pytest.raises(UserError, match=r'unknown precision "float23"; did you mean float32\?'):
        training.configure("float23")


def test_configure_refuses_another_backend_of_keras(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match=r'Keras runs on "jax": set KERAS_BACKEND=tensorflow'):
        training.configure()


@pytest.mark.skipif(_environment.data_folder() is None, reason="real MNIST is needed: set NOISY_DIGITS_DATA")
def test_fit_on_noise_made_for_another_range_of_pixels_leaves_only_the_majority_class():
    """W1's central mistake, on a part of real MNIST: with 255 times the noise only guessing is left."""
    digits = data.load("mnist", train_size=6000)
    accuracy = {}
    for factor in (1, 255):
        rng = training.set_random_seed(0)
        model = models.mlp((512, 512), dropout=0.2)
        x_train, x_test = (noise.gaussian(x, factor * 0.1, rng) for x in (digits.x_train, digits.x_test))
        training.compile(model, optimizer="rmsprop", learning_rate=0.001, loss="sparse_categorical_crossentropy")
        validation = (x_test, digits.y_test)
        training.fit(model, x_train, digits.y_train, validation_data=validation, epochs=3, batch_size=128)
        accuracy[factor] = training.evaluate(model, x_test, digits.y_test)["accuracy"]
    assert accuracy[1] > 0.9
    assert accuracy[255] < 0.13
