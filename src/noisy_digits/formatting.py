"""Format numbers, grid values, intervals and durations as tables, figures and messages show them."""

import math
import re
from collections.abc import Mapping

QUANTITIES = {
    "loss": "loss (nats)",
    "loss_logarithm": "logarithm of the loss (base 10, nats)",
    "cross_entropy": "cross-entropy (nats)",
    "accuracy": "accuracy (fraction)",
    "accuracy_same_noise": "accuracy (fraction)",
    "accuracy_new_noise": "accuracy (fraction)",
    "majority_baseline": "accuracy (fraction)",
    "generalization_gap": "generalization gap (fraction)",
    "error": "error rate (fraction)",
    "psnr": "PSNR (dB)",
    "ssim": "structural similarity (SSIM)",
    "crossover_level": "noise level (fraction of pixels)",
    "level_at_accuracy": "noise level (fraction of pixels)",
    "bias_gradient_norm": "gradient norm (nats per unit of bias)",
    "relative_weight_change": "relative weight change (fraction)",
    "l2_penalty": "L2 penalty (nats)",
    "scale": "scale (standard deviation of the noise)",
    "noise_level": "noise level (fraction of pixels)",
    "target_accuracy": "target accuracy (fraction)",
    "l2": "factor of the L2 penalty",
    "n_hidden_layers": "number of hidden layers",
}
"""Axis labels with units by metric or grid column, without a leading train, val, test, mean or max.

Others are their own words.
"""


FINEST = 0.5e-4
"""An uncertainty from here on has a digit among the first four decimals."""


def format_number(value: float, sign: str = "", uncertainty: float = 0.0) -> str:
    """Return a measured value as text: 0.9713, 1.2e-05, 28,015, 1.8e+07. ``sign`` "+" marks positive values.

    A small value has the decimals of its ``uncertainty``: 0.0003, 0.0000.
    """
    size = abs(value)
    if size < 0.001 and (uncertainty >= FINEST or size < uncertainty / 2):
        decimals = 4 if uncertainty >= FINEST else 1 - math.floor(math.log10(uncertainty))
        return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"
    if 0 < size < 0.001:
        return f"{value:{sign}.2g}"
    if size < 100:
        return f"{value:{sign}.4f}"
    return f"{value:{sign},.0f}" if size < 1e6 else f"{value:{sign}.3g}"


def format_spread(spread: float, center: float) -> str:
    """Return a measured value with the decimals of another one, whose uncertainty it is: 0.0012, < 0.0001.

    What is below the rounding of float32 is 0.0000.
    """
    if abs(center) >= 100 or (abs(center) < 0.001 and spread < FINEST):
        return format_number(spread)
    rounding = 1.2e-7 * abs(center)  # of float32
    return "< 0.0001" if rounding < abs(spread) < FINEST else f"{spread:.4f}"


def format_label(level: object) -> str:
    """Return a grid value or the name of a metric as text: 0.5, 4, as submitted."""
    return f"{level:g}" if isinstance(level, float) else str(level).replace("_", " ")


def axis_label(metric: str) -> str:
    """Return the label, with its unit, of an axis that shows ``metric``, or a grid column."""
    return QUANTITIES.get(re.sub("^(train|val|test|mean|max)_", "", metric), format_label(metric))


def format_point(point: Mapping[str, object]) -> str:
    """Return grid values or coordinates as text: scale 0.1, denoiser none."""
    return ", ".join(f"{format_label(name)} {format_label(level)}" for name, level in point.items())


def format_interval(low: float, high: float) -> str:
    """Return an interval as text, both ends alike: 0.9621 to 0.9713; "no interval" without ends."""
    if math.isnan(low) or math.isnan(high):
        return "no interval"
    size = max(abs(low), abs(high))
    has_four_decimals = size < 100 and (size >= 0.001 or high - low >= FINEST)
    ends = (f"{round(end, 4) + 0.0:.4f}" if has_four_decimals else format_number(end) for end in (low, high))
    return " to ".join(ends)


def format_change(mean: float, low: float, high: float) -> str:
    """Return a mean difference with its interval as text: +0.0038 (0.0019 to 0.0057)."""
    return f"{format_number(mean, '+', high - low)} ({format_interval(low, high)})"


def format_duration(seconds: float) -> str:
    """Return a duration as text: 41 s, 7 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
