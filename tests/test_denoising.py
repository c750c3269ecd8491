import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits import denoising, models, noise, plots
from noisy_digits.errors import UserError

RNG = np.random.default_rng(0)
IMAGES = RNG.random((4, 28, 28), dtype=np.float32)


def test_a_median_filter_takes_single_pixels_of_noise_away():
    clean = np.zeros((1, 28, 28), dtype=np.float32)
    clean[0, 8:20, 8:20] = 1
    noisy = clean.copy()
    noisy[0, 3, 3], noisy[0, 14, 14] = 1, 0
    filtered = denoising.denoiser("median_3")(noisy)
    corners = np.ix_([0], [8, 19], [8, 19])
    filtered[corners] = 1
    assert np.array_equal(filtered, clean)


def test_median_filters_do_not_mix_images():
    assert np.array_equal(denoising.median(IMAGES, 5)[2], denoising.median(IMAGES[2:3], 5)[0])


def test_psnr_of_a_known_error():
    assert denoising.psnr(np.zeros((2, 28, 28)), np.full((2, 28, 28), 0.1)) == pytest.approx(20)
    assert denoising.psnr(IMAGES, IMAGES) == np.inf


def test_ssim_is_one_for_equal_images_alone():
    assert denoising.ssim(IMAGES, IMAGES) == pytest.approx(1)
    assert denoising.ssim(IMAGES, noise.salt_and_pepper(IMAGES, 0.5, RNG)) < 0.9


def test_denoisers_by_name():
    assert np.array_equal(denoising.denoiser("none")(IMAGES), IMAGES)
    for name in denoising.AUTOENCODERS:
        trained = denoising.autoencoder(name)
        expected = trained.predict(IMAGES, verbose=0)
        assert np.allclose(denoising.denoiser(name, trained)(IMAGES), expected)


@pytest.mark.parametrize(("name", "message"), [("medain_3", "did you mean median_3"), ("dense", "give the trained")])
def test_what_is_wrong_with_a_denoiser_is_said(name, message):
    with pytest.raises(UserError, match=message):
        denoising.denoiser(name)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(UserError, match="dense, convolutional"):
        denoising.autoencoder("thin")


@pytest.mark.parametrize("name", denoising.AUTOENCODERS)
def test_encoder_and_decoder_of_a_kept_autoencoder_make_the_whole(name, tmp_path):
    whole = denoising.autoencoder(name)
    whole.save(tmp_path / "whole.keras")
    kept = keras.models.load_model(tmp_path / "whole.keras")
    codes = models.encoder(kept).predict(IMAGES, verbose=0)
    assert np.allclose(models.decoder(kept).predict(codes, verbose=0), whole.predict(IMAGES, verbose=0), atol=1e-6)


def test_levels_are_split_from_metrics():
    table = pd.DataFrame(
        [("none", 0, "psnr_at_0.4", 9.0), ("none", 0, "majority_rate", 0.1), ("none", 0, "accuracy_at_1.0", 0.2)],
        columns=["denoiser", "seed", "metric", "value"],
    )
    split = denoising.by_level(table)
    assert list(split.columns) == ["denoiser", "seed", "level", "metric", "value"]
    assert list(split.itertuples(index=False, name=None)) == [
        ("none", 0, 0.4, "psnr", 9.0),
        ("none", 0, 1.0, "accuracy", 0.2),
    ]


LEVELS = np.linspace(0, 1, 11)


@given(st.floats(0.01, 1), st.floats(0.1, 10))
def test_straight_lines_cross_where_they_do(place, slope):
    assert denoising.crossing(LEVELS, slope * LEVELS, np.full(11, slope * place)) == pytest.approx(place)


def test_the_first_crossing_counts_and_only_from_below():
    first = np.array([0.0, 2.0, 0.0, 2.0])
    assert denoising.crossing(np.arange(4), first, np.ones(4)) == 0.5
    assert np.isnan(denoising.crossing(np.arange(4), first + 1, np.ones(4))), "not below at the start"
    assert np.isnan(denoising.crossing(np.arange(4), first - 2, np.ones(4))), "never there"


def test_matched_codes_have_the_moments_of_the_real_ones():
    normal = RNG.multivariate_normal([0.3, 9.0, -9.0], [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], size=20000)
    real = np.maximum(normal, 0)
    drawn = denoising.matched_codes(real, 20000, RNG)
    assert drawn.shape == real.shape
    assert np.allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.05)
    assert np.allclose(np.cov(drawn, rowvar=False), np.cov(real, rowvar=False), atol=0.08)
    assert np.allclose((drawn == 0).mean(axis=0), (real == 0).mean(axis=0), atol=0.02)
    assert denoising.code_facts(drawn) == pytest.approx(denoising.code_facts(real), abs=0.1)


def test_naive_codes_fill_the_box():
    drawn = denoising.naive_codes(np.array([[0.0, 1.0], [4.0, 2.0]]), 1000, RNG)
    assert drawn.shape == (1000, 2)
    assert drawn.min() >= 0
    assert np.allclose(drawn.max(axis=0), 4, atol=0.1)


def test_readings():
    probabilities = np.array([[0.95, 0.05, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0]])
    found = denoising.readings(probabilities, sure=0.9)
    assert found == {"mean_confidence": pytest.approx(0.85), "share_sure": pytest.approx(2 / 3), "classes": 2}


def test_the_diagram_says_every_layer_with_its_parameters():
    alt = plots.diagram(models.autoencoder()).alt
    assert "226,416 parameters" in alt
    assert alt.count("Dense") == 4
    assert "Dense sigmoid 784 101,136 parameters" in alt


def test_the_loss_figure_says_where_the_loss_is():
    loss = np.zeros((28, 28))
    loss[0, 0] = 784.0
    picture = plots.loss_per_pixel({"noisy": IMAGES[0], "clean": IMAGES[1]}, loss)
    assert "mean 1.0000" in picture.alt
    assert "100%" in picture.alt
    assert "image/png" in picture._repr_mimebundle_()[0]
