from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97134, "0.9713"),
        (0, "0.0000"),
        (-0.25, "-0.2500"),
        (0.001, "0.0010"),
        (0.0000123, "1.2e-05"),
        (99.5, "99.5000"),
        (28_015.4, "28,015"),
        (18_234_567, "1.82e+07"),
    ],
)
def test_format_number_has_four_decimals_between_a_thousandth_and_a_hundred(value, text):
    assert formatting.format_number(value) == text


def test_format_number_marks_positive_values_if_asked_to():
    assert formatting.format_number(0.5, sign="+") == "+0.5000"
    assert formatting.format_number(-0.5, sign="+") == "-0.5000"
    assert formatting.format_number(123_456.0, sign="+") == "+123,456"


@pytest.mark.parametrize(
    ("value", "uncertainty", "text"),
    [
        (-2e-9, 0.0071, "+0.0000"),
        (3.3e-5, 0.00018, "+0.0000"),
        (1.5e-9, 0.9853, "+0.0000"),
        (0.0008, 0.00096, "+0.0008"),
        (5e-5, 1.2e-5, "+5e-05"),
        (0.00056, 5.2e-5, "+0.0006"),
        (0.00056, 4.2e-5, "+0.00056"),
        (2e-6, 4.2e-5, "+0.000002"),
        (0.0, 0.0, "+0.0000"),
    ],
)
def test_format_number_has_the_decimals_of_an_uncertainty_in_which_it_is_lost(value, uncertainty, text):
    assert formatting.format_number(value, "+", uncertainty) == text


@given(st.floats(-1e9, 1e9))
def test_format_number_is_within_half_a_unit_of_the_last_digit(value):
    shown = formatting.format_number(value)
    last_digit = Decimal(shown.replace(",", "")).as_tuple().exponent
    assert abs(float(shown.replace(",", "")) - value) <= 0.5 * 10.0**last_digit * (1 + 1e-9)


@pytest.mark.parametrize(
    ("level", "text"),
    [(0.5, "0.5"), (4.0, "4"), (np.float64(0.4), "0.4"), (3, "3"), ("as_submitted", "as submitted"), (True, "True")],
)
def test_format_label_is_short_and_without_underscores(level, text):
    assert formatting.format_label(level) == text


@pytest.mark.parametrize(
    ("spread", "center", "text"),
    [
        (0.00119, 0.9853, "0.0012"),
        (0.00058, 0.9853, "0.0006"),
        (0.00001, 0.1135, "< 0.0001"),
        (2e-8, 0.9, "0.0000"),
        (0.0, 0.1135, "0.0000"),
        (1.24e-05, 5e-05, "1.2e-05"),
        (0.00018, 3.3e-05, "0.0002"),
        (12.345, 28_015.0, "12.3450"),
    ],
)
def test_format_spread_has_the_decimals_of_what_it_belongs_to(spread, center, text):
    assert formatting.format_spread(spread, center) == text


def test_format_change_has_a_sign_and_no_digit_that_its_interval_lacks():
    assert formatting.format_change(0.0038, 0.0019, 0.0057) == "+0.0038 (0.0019 to 0.0057)"
    assert formatting.format_change(-2e-9, -0.0026, 0.0026) == "+0.0000 (-0.0026 to 0.0026)"
    assert formatting.format_change(4e-5, 2e-5, 6e-5) == "+4e-05 (2e-05 to 6e-05)"


def test_format_interval_formats_both_ends_alike():
    assert formatting.format_interval(-0.0019, 0.00001) == "-0.0019 to 0.0000"
    assert formatting.format_interval(-0.00001, 0.0019) == "0.0000 to 0.0019", "without a sign"
    assert formatting.format_interval(-6.3e-05, 0.00018) == "-0.0001 to 0.0002"
    assert formatting.format_interval(4.9e-05, 5e-05) == "4.9e-05 to 5e-05"
    assert formatting.format_interval(0.96209, 0.9713) == "0.9621 to 0.9713"
    assert formatting.format_interval(float("nan"), float("nan")) == "no interval"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (41, "41 s"),
        (119, "119 s"),
        (120, "2 min"),
        (420, "7 min"),
        (7199, "2 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_format_duration_rounds_to_what_is_of_interest(seconds, text):
    assert formatting.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("val_loss", "loss (nats)"),
        ("train_accuracy_same_noise", "accuracy (fraction)"),
        ("level_at_accuracy", "noise level (fraction of pixels)"),
        ("crossover_level", "noise level (fraction of pixels)"),
        ("psnr", "PSNR (dB)"),
        ("noise_level", "noise level (fraction of pixels)"),
        ("n_epochs", "n epochs"),
        ("floss", "floss"),
    ],
)
def test_axis_label_gives_units_or_the_metrics_own_words(metric, label):
    assert formatting.axis_label(metric) == label
