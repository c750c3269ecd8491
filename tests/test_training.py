import os

import numpy as np
import pytest

from noisy_digits import data, models, noise, training


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
