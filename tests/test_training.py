import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits import data, memory, models, noise, optimizers, plots, results, storage, training
from noisy_digits.errors import UserError


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def fit(model, digits, **changes):
    settings = {"optimizer": "rmsprop", "learning_rate": 0.001, "epochs": 2, "batch_size": 128} | changes
    validation = (digits.x_test, digits.y_test)
    return training.fit(model, digits.x_train, digits.y_train, validation=validation, **settings)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (lambda: models.mlp((512, 512), dropout=0.2), 669_706),
        (models.cnn, 1_199_882),
        (lambda: models.mlp((64, 64)), 55_050),
        (lambda: models.cnn((200, 128), pool_between=True, feature_dropout=0), 366_034),
        (lambda: models.mlp((30,), activation="sigmoid"), 23_860),
        (lambda: models.mlp((30, 30), activation="sigmoid"), 24_790),
        (lambda: models.mlp((30, 30, 30), activation="sigmoid"), 25_720),
        (lambda: models.leaky_cnn(models.augmentation(3, 3)), 619_786),
    ],
)
def test_parameter_counts_equal_the_published_ones(model, parameters):
    assert model().count_params() == parameters


def test_multiply_accumulates_count_a_weight_once_in_a_dense_layer_and_once_a_place_in_a_convolution():
    dense = training.multiply_accumulates(models.mlp((64, 64)))
    assert list(dense["multiply-accumulates"]) == [784 * 64, 64 * 64, 64 * 10]
    network = models.cnn((200, 128), pool_between=True, feature_dropout=0)
    convolutions = training.multiply_accumulates(network)["multiply-accumulates"]
    assert list(convolutions)[:2] == [26 * 26 * 9 * 32, 11 * 11 * 9 * 32 * 64]
    transposed = training.multiply_accumulates(models.convolutional_autoencoder())["multiply-accumulates"]
    assert list(transposed)[2:4] == [7 * 7 * 9 * 32 * 32, 14 * 14 * 9 * 32 * 32]
    connected = training.multiply_accumulates(network)["fully connected"]
    assert list(connected)[:3] == [28 * 28 * 26 * 26 * 32, 13 * 13 * 32 * 11 * 11 * 64, 5 * 5 * 64 * 200]
    assert list(dense["fully connected"]) == list(dense["multiply-accumulates"])


def test_autoencoders_give_images_and_their_halves_compose():
    images = np.random.default_rng(0).random((3, 28, 28), dtype=np.float32)
    for build, parameters, code in (
        (models.autoencoder, 226_416, (96,)),
        (models.convolutional_autoencoder, 28_353, (7, 7, 32)),
    ):
        training.seeded(0)
        model = build()
        assert model.count_params() == parameters
        whole = model.predict(images, verbose=0)
        codes = models.encoder(model).predict(images, verbose=0)
        assert whole.shape == images.shape
        assert whole.min() >= 0
        assert whole.max() <= 1
        assert codes.shape == (3, *code)
        assert np.allclose(models.decoder(model).predict(codes, verbose=0), whole, atol=1e-5)


def test_an_autoencoder_learns_to_take_noise_away(digits):
    rng = training.seeded(0)
    noisy, noisy_test = (noise.salt_and_pepper(x, 0.4, rng) for x in (digits.x_train, digits.x_test))
    model = models.autoencoder()
    history = training.fit(
        model,
        noisy,
        digits.x_train,
        validation=(noisy_test, digits.x_test),
        optimizer="adam",
        learning_rate=0.001,
        epochs=15,
        batch_size=64,
    )
    assert set(history.curves) == {"training_loss", "validation_loss"}
    denoised = model.predict(noisy_test, verbose=0)
    assert np.mean((denoised - digits.x_test) ** 2) < 0.5 * np.mean((noisy_test - digits.x_test) ** 2)


def test_the_layers_are_the_published_ones():
    table = training.parameter_table(models.cnn())
    assert list(table["layer"]) == [
        *("Reshape", "Conv2D", "Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense", "Dropout", "Dense"),
    ]
    assert table["output shape"].iloc[2] == "24 × 24 × 64"


@pytest.mark.parametrize("model", [lambda: models.mlp((512, 512), dropout=0.2), models.cnn])
def test_outputs_are_probabilities(model):
    training.seeded(0)
    output = model().predict(np.random.default_rng(0).random((5, 28, 28), dtype=np.float32), verbose=0)
    assert output.shape == (5, 10)
    assert np.allclose(output.sum(axis=1), 1, atol=1e-5)


def test_bfloat16_is_inside_alone():
    script = (
        "from noisy_digits import models; import numpy as np; x = np.zeros((2, 28, 28), dtype=np.float32)\n"
        "for build in (models.mlp, models.cnn, models.autoencoder, models.convolutional_autoencoder):\n"
        "    model = build(); inside = {layer.compute_dtype for layer in model.layers[:-1]}\n"
        "    print(model.predict_on_batch(x).dtype, 'bfloat16' in inside, model.weights[0].dtype)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"NOISY_DIGITS_PRECISION": "mixed_bfloat16"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == ["float32 True float32"] * 4


def test_it_learns_and_records_one_value_an_epoch(digits):
    training.seeded(0)
    model = models.mlp((512, 512), dropout=0.2)
    history = fit(model, digits, epochs=6)
    assert all(len(values) == 6 for values in history.curves.values())
    assert history.curves["training_loss"][-1] < history.curves["training_loss"][0]
    measured = training.evaluate(model, digits.x_test, digits.y_test)
    assert measured["test_accuracy"] > 0.85
    assert measured["test_accuracy"] == pytest.approx(history.last()["validation_accuracy"])


def test_every_image_is_seen_once_an_epoch(digits):
    """Steps run in groups; an epoch that is no whole number of groups must not lose or repeat any."""
    training.seeded(0)
    model = models.mlp((8,))
    fit(model, digits, epochs=3, batch_size=100)
    assert model.optimizer.iterations.numpy() == 3 * 15


def test_every_pass_has_an_order_of_its_own_which_the_seed_decides():
    x = np.arange(50, dtype=np.float32)
    orders = {}
    for seed in (0, 0, 1):
        training.seeded(seed)
        made = training.batches(x, x, 8, shuffle=True)
        passes = [np.concatenate([images for images, _ in made.as_numpy_iterator()]) for _ in range(3)]
        assert all(np.array_equal(np.sort(order), x) for order in passes)
        assert not any(np.array_equal(*pair) for pair in itertools.combinations([x, *passes], 2))
        assert all(np.array_equal(*pair) for pair in zip(passes, orders.setdefault(seed, passes), strict=True))
    assert not np.array_equal(orders[0][0], orders[1][0])


def test_batches_keep_images_with_their_labels_and_in_order_unless_shuffled():
    x = np.random.default_rng(0).random((25, 28, 28), dtype=np.float32)
    plain = list(training.batches(x, np.arange(25), 10).as_numpy_iterator())
    assert [len(images) for images, _ in plain] == [10, 10, 5]
    assert np.array_equal(np.concatenate([images for images, _ in plain]), x)
    training.seeded(0)
    for images, labels in training.batches(x, np.arange(25), 10, shuffle=True).as_numpy_iterator():
        assert np.array_equal(images, x[labels])


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_hold_no_copy_of_the_images(shuffle):
    x, labels = memory.aligned((400, 28, 28)), np.zeros(400)
    x[...] = 0
    taken = training.batches(x, labels, 4, shuffle=shuffle).as_numpy_iterator()
    assert not next(taken)[0].any()
    x[...] = 1  # which a copy would not show
    assert list(taken)[-1][0].all()


@given(shape=st.tuples(st.integers(1, 5), st.integers(2, 7)), dtype=st.sampled_from(["f4", "f8", "i8", "u1"]))
def test_what_is_aligned_is_shared_and_everything_else_copied_whole(shape, dtype):
    array = memory.aligned(shape, dtype)
    array[...] = np.arange(array.size).reshape(shape)
    assert memory.shareable(array) is array
    for other in (array[::-1], array.T, array.copy()[..., 1:]):
        copy = memory.shareable(other)
        assert np.array_equal(copy, other)
        assert copy.flags.c_contiguous
        assert copy.ctypes.data % memory.ALIGNMENT == 0


TRAIN_ELSEWHERE = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from noisy_digits import data, models, training
digits = data.load("digits")
training.seeded(0)
with tf.device("CPU:1"):
    model = models.mlp((32,))
    known = training.batches(digits.x_test, digits.y_test, 250)
    history = training.fit(model, digits.x_train, digits.y_train, validation=(digits.x_test, digits.y_test),
                           optimizer="adam", learning_rate=0.01, epochs=3, batch_size=32)
    accuracy = training.evaluate(model, digits.x_test, digits.y_test)["test_accuracy"]
variables = [each for each in training.gc.get_objects() if isinstance(each, tf.Variable) and each.shape[:1] == 360]
of_weights, of_images = ({each.device[-1] for each in group} for group in ([w.value for w in model.weights], variables))
print(of_weights, of_images, accuracy > 0.8)
"""


def test_images_stay_in_memory_whatever_device_trains():
    """A second processor stands for a GPU, which TensorFlow also finds at a place of its own."""
    done = subprocess.run([sys.executable, "-c", TRAIN_ELSEWHERE], capture_output=True, text=True)
    assert done.stdout.split() == ["{'1'}", "{'0'}", "True"], done.stderr


def test_predictions_are_those_of_keras_in_their_order():
    images = np.random.default_rng(0).random((training.EVALUATION_BATCH + 3, 28, 28), dtype=np.float32)
    model = models.mlp((8,))
    assert np.allclose(training.predict(model, images), model.predict(images, verbose=0), atol=1e-6)


def test_images_and_labels_are_equally_many(digits):
    with pytest.raises(UserError, match="360 images and 1437 labels"):
        training.evaluate(models.mlp((8,)), digits.x_test, digits.y_train)


def test_evaluating_draws_nothing(digits):
    weights = []
    for evaluates in (False, True):
        training.seeded(0)
        if evaluates:
            network = models.mlp((4,))
            training.seeded(0)
            training.evaluate(network, digits.x_test, digits.y_test)
        weights.append(models.mlp((8,)).get_weights()[0])
    assert np.array_equal(*weights)


def test_a_kept_model_opens_in_keras_alone_and_answers_alike(digits, tmp_path, monkeypatch):
    monkeypatch.setenv(storage.RECORD, str(tmp_path))
    training.seeded(0)
    model = models.mlp((16,))
    fit(model, digits)
    results.keep(model, 3)
    script = (
        f"import keras, numpy, sys; model = keras.models.load_model({str(tmp_path / 'mlp_3.keras')!r})\n"
        "assert 'noisy_digits' not in sys.modules\n"
        "print(model.predict(numpy.ones((1, 28, 28)), verbose=0)[0, 3])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(told.stdout) == pytest.approx(model.predict(np.ones((1, 28, 28)), verbose=0)[0, 3], rel=1e-5)
    kept = keras.models.load_model(tmp_path / "mlp_3.keras")
    scores = [training.evaluate(each, digits.x_test, digits.y_test) for each in (model, kept)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


@pytest.mark.parametrize("name", optimizers.FUSED)
def test_fused_updates_are_those_of_keras(digits, name):
    weights = []
    for made in (keras.optimizers.get(name), optimizers.make(name, float(keras.optimizers.get(name).learning_rate))):
        training.seeded(0)
        model = models.mlp((32,))
        model.compile(optimizer=made, loss="sparse_categorical_crossentropy", jit_compile=False)
        training.seeded(0)
        model.fit(
            training.batches(digits.x_train, digits.y_train, 100, shuffle=True), epochs=3, shuffle=False, verbose=0
        )
        weights.append(model.get_weights())
    assert all(np.allclose(*pair, atol=2e-5) for pair in zip(*weights, strict=True))
    assert not np.allclose(weights[0][0], models.mlp((32,)).get_weights()[0], atol=1e-2)


def test_an_unknown_optimizer_is_named_with_its_near_miss():
    with pytest.raises(UserError, match=r'unknown optimizer "adm"; did you mean adam\?'):
        optimizers.make("adm", 0.1)


def test_the_criterion_is_the_mean_negative_log_probability_of_the_true_class(digits):
    training.seeded(0)
    model = models.mlp((16,))
    fit(model, digits)
    probabilities = model.predict(digits.x_test, verbose=0)
    by_hand = -np.log(probabilities[np.arange(len(digits.y_test)), digits.y_test]).mean()
    assert training.evaluate(model, digits.x_test, digits.y_test)["test_loss"] == pytest.approx(by_hand, rel=1e-4)


def test_a_seed_fixes_weights_order_dropout_and_noise_to_the_last_bit(digits):
    def replicate(seed):
        rng = training.seeded(seed)
        noisy = noise.gaussian(digits.x_train[:300], 0.5, rng)
        model = models.mlp((32,), dropout=0.2)
        history = training.fit(
            model,
            noisy,
            digits.y_train[:300],
            validation=(digits.x_test, digits.y_test),
            optimizer="rmsprop",
            learning_rate=0.001,
            epochs=2,
            batch_size=32,
        )
        return history.curves, [weights.tobytes() for weights in model.get_weights()]

    assert replicate(3) == replicate(3)
    assert replicate(3) != replicate(4)


def depth(digits, hidden_layers, **changes):
    """A short training of W4's network with all its probes: the model and its history."""
    training.seeded(0)
    model = models.mlp((30,) * hidden_layers, activation="sigmoid")
    x, y = digits.x_train, digits.y_train
    probes = [
        training.zero_one_error(x, y, "training_error"),
        training.zero_one_error(digits.x_test, digits.y_test, "test_error"),
        training.learning_speed(x, y),
        training.relative_change(model, model.count_params()),
    ]
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 3, "batch_size": 10, "probes": probes} | changes
    return model, fit(model, digits, **settings)


def test_zero_one_error_and_accuracy_add_to_one_after_every_epoch(digits):
    model, history = depth(digits, 2)
    both = np.add(history.curves["test_error"], history.curves["validation_accuracy"])
    assert both == pytest.approx([1, 1, 1], abs=1e-6)
    on_training = training.evaluate(model, digits.x_train, digits.y_train)["test_accuracy"]
    assert history.last()["training_error"] + on_training == pytest.approx(1, abs=1e-6)


def loss_in_double_precision(weights, x, y):
    """The mean cross-entropy of a network of sigmoid layers and a softmax, with NumPy."""
    activity = x.reshape(len(x), -1).astype(np.float64)
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        activity = 1 / (1 + np.exp(-(activity @ kernel + bias)))
    z = activity @ weights[-2] + weights[-1]
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])


def test_learning_speeds_are_the_norms_of_finite_differences(digits):
    model, history = depth(digits, 3, epochs=2)
    weights = [weight.astype(np.float64) for weight in model.get_weights()]
    step = 1e-5
    for layer in (1, 2, 3):
        bias = weights[2 * layer - 1]
        slopes = np.empty_like(bias)
        for unit in range(len(bias)):
            sides = []
            for change in (step, -step):
                bias[unit] += change
                sides.append(loss_in_double_precision(weights, digits.x_train, digits.y_train))
                bias[unit] -= change
            slopes[unit] = (sides[0] - sides[1]) / (2 * step)
        assert history.last()[f"learning_speed_{layer}"] == pytest.approx(np.linalg.norm(slopes), rel=1e-3)


def test_the_pull_of_the_penalty_is_the_ratio_of_two_gradients(digits):
    training.seeded(0)
    model = models.mlp((30, 30), activation="sigmoid", l2=0.5)
    kernels = [layer.kernel for layer in training.hidden_layers(model)]
    by_data = training.gradients(model, digits.x_train, digits.y_train, kernels)
    squares = [np.sum(by_data[layer] ** 2) for layer in (0, 1)], [np.sum(k.numpy() ** 2) for k in kernels]
    expected = np.sqrt(sum(squares[1]) / sum(squares[0]))
    assert training.penalty_pull(model, digits.x_train, digits.y_train) == pytest.approx(expected, rel=1e-5)
    free = models.mlp((30,), activation="sigmoid")
    assert training.penalty_pull(free, digits.x_train, digits.y_train) == 0


def test_the_relative_change_is_the_write_ups(digits):
    training.seeded(0)
    model = models.mlp((3,), activation="sigmoid")
    probe = training.relative_change(model, 10)
    before = model.get_weights()
    model.set_weights([2 * weight for weight in before])
    nonzero = sum(np.count_nonzero(weight) for weight in before)
    assert probe(model)["relative_change"] == pytest.approx(nonzero * 0.5 / 10)
    assert probe(model)["relative_change"] == 0


def test_a_training_whose_loss_is_not_finite_ends_and_is_marked(digits):
    training.seeded(0)
    history = fit(models.mlp((16, 16)), digits, optimizer="sgd", learning_rate=1e30, epochs=5)
    assert history.diverged
    assert len(history.curves["training_loss"]) == 1
    table = results.record({0: history.last(), 1: {"training_loss": 0.5}})
    recorded = {(row.seed, row.metric): row.value for row in table.itertuples()}
    assert recorded[0, "diverged"] == 1
    assert (0, "training_loss") not in recorded
    assert recorded[1, "training_loss"] == 0.5
    assert "diverged" not in str(plots.learning_curves([history, history]).alt)


def test_an_exploding_training_goes_on_and_is_marked(digits):
    training.seeded(0)
    history = fit(models.mlp((16,)), digits, optimizer="adam", learning_rate=1e4, epochs=3)
    assert history.diverged
    assert len(history.curves["training_loss"]) == 3
    assert history.last()["diverged"] == 1
    assert "diverged" not in fit(models.mlp((16,)), digits).last()


def test_a_training_that_comes_down_again_has_not_diverged():
    curves = {"training_loss": [5000.0, 800.0, 2.3], "validation_loss": [300.0, 20.0, 2.3]}
    assert "diverged" not in training.History(curves).last()
    assert training.History(curves | {"training_loss": [2.3, 800.0]}).diverged


def test_a_number_that_is_not_finite_is_recorded_of_diverged_trainings_alone():
    with pytest.raises(UserError, match="test_loss of seed 3 is nan"):
        results.record({3: {"test_loss": np.nan, "test_accuracy": 0.1}})


def test_augmentation_acts_in_training_alone_and_moves_every_image_by_itself(digits):
    training.seeded(0)
    augment = models.augmentation(3, 3)
    same = np.repeat(digits.x_train[:1], 20, axis=0)
    moved = np.array(augment(same, training=True))
    assert moved.shape == same.shape
    assert all(np.abs(moved[0] - other).max() > 0.01 for other in moved[1:])
    assert np.array_equal(augment(same, training=False), same)
    assert np.array_equal(np.array(models.augmentation(0, 0)(same, training=True)), same)


def test_shifts_stay_within_three_pixels():
    training.seeded(0)
    dot = np.zeros((200, 28, 28), dtype=np.float32)
    dot[:, 14, 14] = 1
    moved = np.array(models.augmentation(3, 0)(dot, training=True))
    rows, columns = (moved.sum(axis=axis) @ np.arange(28) for axis in (2, 1))
    for places in (rows, columns):
        assert np.abs(places - 14).max() <= 3.001
        assert np.abs(places - 14).max() > 2.5
        assert abs(np.mean(places - 14)) < 3 * np.sqrt(3 / 200)


@pytest.mark.skipif(
    not os.environ.get("NOISY_DIGITS_DATA"), reason="real MNIST is needed: set NOISY_DIGITS_DATA to its folder"
)
def test_noise_made_for_another_range_of_pixels_leaves_only_the_majority_class():
    """W1's central mistake, on a part of real MNIST: of 255 times the noise only guessing is left."""
    digits = data.load("mnist", train_size=6000)
    accuracy = {}
    for factor in (1, 255):
        rng = training.seeded(0)
        model = models.mlp((512, 512), dropout=0.2)
        x_train, x_test = (noise.gaussian(x, factor * 0.1, rng) for x in (digits.x_train, digits.x_test))
        training.fit(
            model,
            x_train,
            digits.y_train,
            validation=(x_test, digits.y_test),
            optimizer="rmsprop",
            learning_rate=0.001,
            epochs=3,
            batch_size=128,
        )
        accuracy[factor] = training.evaluate(model, x_test, digits.y_test)["test_accuracy"]
    assert accuracy[1] > 0.9
    assert accuracy[255] < 0.13


@pytest.mark.parametrize("before", ["", "import sklearn; "])
def test_keras_is_imported_without_scikit_learn_which_can_be_imported_before_and_after(before):
    code = "from noisy_digits import models; import sys; print('sklearn' in sys.modules); import sklearn.linear_model"
    done = subprocess.run([sys.executable, "-c", before + code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{bool(before)}\n"
