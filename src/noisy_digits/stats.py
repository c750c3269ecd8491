"""Summarize replicates: means, standard deviations, confidence intervals and tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy import special

from noisy_digits.errors import UserError
from noisy_digits.formatting import format_number

ROUNDING_ERROR = 0.5e-4
"""Rounding error of a value printed to four decimals."""


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation, number of values, and 95 % confidence interval of the mean (NaN if n is 1)."""

    mean: float
    std: float
    n: int
    ci_low: float
    ci_high: float

    def __str__(self) -> str:
        spread = f" ± {format_number(self.std)}" if self.std >= 0 else ""
        return f"{format_number(self.mean)}{spread} (n = {self.n})"


def summarize(values: Sequence[float] | np.ndarray) -> Summary:
    """Return the summary of ``values``, with Student's interval. Raises ValueError if there is none or one is NaN."""
    array = np.asarray(values, dtype=float)
    n = len(array)
    if n == 0 or np.isnan(array).any():
        raise ValueError(f"stats.summarize: {'not a number among the values' if n else 'no values'}")
    mean = float(array.mean())
    if n == 1:
        return Summary(mean, np.nan, 1, np.nan, np.nan)
    std = float(array.std(ddof=1))
    half = float(special.stdtrit(n - 1, 0.975)) * std / np.sqrt(n)
    return Summary(mean, std, n, mean - half, mean + half)


def aggregate_seeds(runs: pd.DataFrame, by: Sequence[str] = (), metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the summary over seeds of every metric, at every combination of the columns ``by``.

    ``runs`` has one row per seed and combination of ``by``: the columns ``by``, "seed", and one column per metric.
    ``metrics`` are by default all other numeric columns. An empty cell (NaN) was not measured: it is not counted. Rows
    without a value in one of ``by`` are left out. The result has the columns ``by``, "metric" and the fields of
    ``Summary``; points are in order of first appearance, metrics in the order of their columns. Raises UserError if a
    metric has two values for the same seed at one point: grid points are no replicates.
    """
    by = list(by)
    numeric = runs.select_dtypes("number").columns.difference([*by, "seed"], sort=False)
    metrics = list(numeric) if metrics is None else metrics
    for metric in metrics if "seed" in runs else ():
        if runs.loc[runs[metric].notna(), [*by, "seed"]].dropna().duplicated().any():
            raise UserError(
                f"stats.aggregate_seeds: {metric} has several values for one seed at one point: name the columns in "
                f"which these rows differ in `by`, or select other `metrics`"
            )
    rows = [
        dict(zip(by, cast(tuple, point), strict=True)) | {"metric": metric} | vars(summarize(values))
        for point, group in (runs.groupby(by, sort=False) if by else [((), runs)])
        for metric in metrics
        if len(values := group[metric].dropna().to_numpy())
    ]
    return pd.DataFrame(rows, columns=[*by, "metric", *Summary.__dataclass_fields__])


def in_prediction_interval(summary: Summary, value: float) -> bool | None:
    """Return True if ``value`` lies in the 95 % prediction interval for one more replicate, None if n is 1.

    It is the mean ± Student's t times the standard deviation times √(1 + 1/n), widened by ``ROUNDING_ERROR``.
    """
    if summary.n < 2:
        return None
    half = special.stdtrit(summary.n - 1, 0.975) * summary.std * np.sqrt(1 + 1 / summary.n)
    return bool(abs(value - summary.mean) <= half + ROUNDING_ERROR)


def classify_difference(difference: Summary, words: tuple[str, str] = ("lower", "higher")) -> str:
    """Return the first of ``words`` if the 95 % interval of a mean difference is below 0, the second if above.

    If the interval contains 0 the answer is "inconclusive"; for a single value it is "needs replicates".
    """
    if difference.n < 2:
        return "needs replicates"
    if difference.ci_high < 0:
        return words[0]
    return words[1] if difference.ci_low > 0 else "inconclusive"


def friedman_test(values: np.ndarray) -> dict[str, Any]:
    """Test whether treatments (columns) differ over replicates (rows), paired: Friedman's test.

    Return ``statistic`` (chi-squared), ``pvalue``, ``n`` (replicates) and ``significant``: True if the p-value is below
    0.05, None for fewer than three replicates. The p-value is the fraction of 9,999 random orders within the rows, the
    same ones in every call, with a statistic at least as large; the chi-squared distribution is a poor approximation
    for few replicates. Source: Friedman 1937.
    """
    from scipy.stats import permutation_test, rankdata

    n, k = values.shape
    if n < 3:
        return {"statistic": np.nan, "pvalue": np.nan, "n": n, "significant": None}

    def chi_squared(*columns: np.ndarray, axis: int) -> np.ndarray:
        sums = np.array([column.sum(axis=axis) for column in columns])
        return 12 / (n * k * (k + 1)) * (sums**2).sum(axis=0) - 3 * n * (k + 1)

    ranks = tuple(rankdata(values, axis=1).T)
    kind: dict[str, Any] = {"permutation_type": "samples", "alternative": "greater", "vectorized": True}
    test = permutation_test(ranks, chi_squared, **kind, rng=np.random.default_rng(0))
    pvalue = float(test.pvalue)
    return {"statistic": float(test.statistic), "pvalue": pvalue, "n": n, "significant": pvalue < 0.05}
