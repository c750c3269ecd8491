import keras
import numpy as np
import pytest

from noisy_digits import models
from noisy_digits.errors import UserError

IMAGES = np.random.default_rng(0).random((5, 28, 28), dtype=np.float32)


@pytest.mark.parametrize(
    ("build_model", "n_parameters"),
    [
        (models.dropout_mlp, 669_706),
        (models.cnn, 1_199_882),
        (lambda: models.mlp((64, 64)), 55_050),
        (models.lenet_cnn, 366_034),
        (lambda: models.mlp((30,), activation="sigmoid"), 23_860),
        (lambda: models.mlp((30, 30), activation="sigmoid"), 24_790),
        (lambda: models.mlp((30, 30, 30), activation="sigmoid"), 25_720),
        (lambda: models.leaky_relu_cnn(models.augmentation(3, 3)), 619_786),
        (models.dense_autoencoder, 226_416),
        (models.convolutional_autoencoder, 28_353),
    ],
)
def test_builders_give_the_reported_number_of_parameters(build_model, n_parameters):
    assert build_model().count_params() == n_parameters


def test_cnn_has_the_reported_layers():
    assert [type(layer).__name__ for layer in models.cnn().layers] == [
        *("Reshape", "Conv2D", "Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense", "Dropout", "Dense"),
    ]
    assert [type(layer).__name__ for layer in models.lenet_cnn().layers][1:6] == [
        *("Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten"),
    ]


def test_mlp_adds_the_l2_penalty_of_hidden_weights_to_the_loss():
    model = models.mlp((30, 30), activation="sigmoid", l2=0.5)
    model(IMAGES)
    squares = sum(np.sum(layer.kernel.numpy() ** 2) for layer in model.layers[1:3])
    assert float(sum(model.losses)) == pytest.approx(0.5 * squares, rel=1e-5)
    assert not models.mlp((30,)).losses


@pytest.mark.parametrize("name", models.CLASSIFIERS)
def test_every_classifier_returns_probabilities(name):
    probabilities = models.CLASSIFIERS[name]().predict_on_batch(IMAGES)
    assert probabilities.shape == (5, models.NUM_CLASSES)
    assert probabilities.dtype == models.OUTPUT_DTYPE
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_classifiers_rejects_an_unknown_name():
    with pytest.raises(UserError, match=r'unknown classifier "mpl"; did you mean mlp\?'):
        models.CLASSIFIERS["mpl"]


@pytest.mark.parametrize("name", models.AUTOENCODERS)
def test_every_autoencoder_returns_images_and_its_halves_compose(name, tmp_path):
    whole = models.AUTOENCODERS[name]()
    images = whole.predict_on_batch(IMAGES)
    assert images.shape == IMAGES.shape
    assert images.min() >= 0
    assert images.max() <= 1
    whole.save(tmp_path / "whole.keras")
    for model in (whole, keras.models.load_model(tmp_path / "whole.keras")):
        codes = models.get_encoder(model).predict_on_batch(IMAGES)
        assert codes.shape == (5, *model.get_layer("bottleneck").output.shape[1:])
        assert np.allclose(models.get_decoder(model).predict_on_batch(codes), images, atol=1e-5)


def test_dense_autoencoder_takes_the_size_of_its_bottleneck():
    assert models.get_encoder(models.dense_autoencoder(32, latent_dim=8)).output.shape == (None, 8)


@pytest.mark.parametrize("name", [*models.CLASSIFIERS, *models.AUTOENCODERS])
def test_every_builder_draws_its_weights_from_keras_seed(name):
    build_model = (models.CLASSIFIERS | models.AUTOENCODERS)[name]
    weights = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        weights.append(build_model().get_weights()[0])
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_augmentation_acts_in_training_only_and_moves_every_image_by_its_own_draw():
    keras.utils.set_random_seed(0)
    same = np.zeros((20, 28, 28), np.float32)
    same[:, 8:20, 12:16] = 1
    augmentation = models.augmentation(3, 3)
    moved = np.array(augmentation(same, training=True))
    assert moved.shape == same.shape
    assert all(np.abs(moved[0] - other).max() > 0.01 for other in moved[1:])
    assert np.array_equal(augmentation(same, training=False), same)
    assert np.array_equal(np.array(models.augmentation(0, 0)(same, training=True)), same)


def test_augmentation_shifts_by_at_most_the_given_pixels():
    keras.utils.set_random_seed(0)
    dot = np.zeros((200, 28, 28), np.float32)
    dot[:, 14, 14] = 1
    moved = np.array(models.augmentation(3, 0)(dot, training=True))
    rows, columns = (moved.sum(axis=axis) @ np.arange(28) for axis in (2, 1))
    for places in (rows, columns):
        assert np.abs(places - 14).max() <= 3.001
        assert np.abs(places - 14).max() > 2.5
        assert abs(np.mean(places - 14)) < 3 * np.sqrt(3 / 200)
