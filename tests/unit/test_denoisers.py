import numpy as np
import pytest

from noisy_digits import denoisers, models
from noisy_digits.errors import UserError

IMAGES = np.random.default_rng(0).random((4, 28, 28), dtype=np.float32)


@pytest.mark.parametrize("name", denoisers.DENOISERS)
def test_every_filter_keeps_shape_and_type_and_treats_images_apart(name):
    assert not denoisers.needs_training(name)
    denoise = denoisers.get_denoiser(name)
    before = IMAGES.copy()
    denoised = denoise(IMAGES)
    assert denoised.shape == IMAGES.shape
    assert denoised.dtype == IMAGES.dtype
    assert np.array_equal(denoised[2], denoise(IMAGES[2:3])[0])
    assert np.array_equal(IMAGES, before)


def test_median_filter_is_the_median_of_the_neighborhood():
    filtered = denoisers.median_filter(IMAGES, 5)
    assert filtered[1, 10, 20] == np.median(IMAGES[1, 8:13, 18:23])
    assert filtered[3, 0, 0] == np.median(np.pad(IMAGES[3], 2, mode="edge")[:5, :5])


def test_median_filter_removes_single_pixels_of_noise():
    clean = np.zeros((1, 28, 28), dtype=np.float32)
    clean[0, 8:20, 8:20] = 1
    noisy = clean.copy()
    noisy[0, 3, 3], noisy[0, 14, 14] = 1, 0
    filtered = denoisers.get_denoiser("median_3")(noisy)
    corners = np.ix_([0], [8, 19], [8, 19])
    filtered[corners] = 1
    assert np.array_equal(filtered, clean)


def test_get_denoiser_none_returns_the_images_unchanged():
    assert np.array_equal(denoisers.get_denoiser("none")(IMAGES), IMAGES)


@pytest.mark.parametrize("name", models.AUTOENCODERS)
def test_get_denoiser_predicts_with_the_given_autoencoder(name):
    assert denoisers.needs_training(name)
    model = models.AUTOENCODERS[name]()
    assert np.allclose(denoisers.get_denoiser(name, model)(IMAGES), model.predict(IMAGES, verbose=0), atol=1e-6)


@pytest.mark.parametrize(("name", "message"), [("medain_3", "did you mean median_3"), ("dense", "give the trained")])
def test_get_denoiser_rejects_an_unknown_name_and_a_missing_model(name, message):
    with pytest.raises(UserError, match=message):
        denoisers.get_denoiser(name)


def test_needs_training_lists_filters_and_autoencoders_for_an_unknown_name():
    with pytest.raises(UserError, match=r"unknown denoiser \"x\" \(allowed: none, .*dense, convolutional\)"):
        denoisers.needs_training("x")


def test_an_autoencoder_in_the_registry_is_a_denoiser(monkeypatch):
    monkeypatch.setitem(models.AUTOENCODERS, "skip", models.dense_autoencoder)
    assert denoisers.needs_training("skip")
    assert denoisers.denoiser_names()[-1] == "skip"


def test_register_is_all_that_a_new_filter_needs(monkeypatch):
    monkeypatch.setitem(denoisers.DENOISERS, "blur", None)  # removed again after the test
    del denoisers.DENOISERS["blur"]

    @denoisers.register("blur")
    def blur(images):
        return images / 2

    assert "blur" in denoisers.denoiser_names()
    assert np.array_equal(denoisers.get_denoiser("blur")(IMAGES), IMAGES / 2)


def test_denoiser_names_rejects_a_filter_named_like_an_autoencoder(monkeypatch):
    monkeypatch.setitem(denoisers.DENOISERS, "dense", np.asarray)
    with pytest.raises(UserError, match='"dense" is a filter and an autoencoder: rename one of them'):
        denoisers.denoiser_names()
