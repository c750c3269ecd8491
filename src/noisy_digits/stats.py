"""Summarize replicates: means, standard deviations, confidence intervals and tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy import special

from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.formatting import format_change, format_number, format_spread

UNBOUNDED, POSITIVE, FRACTION = (-np.inf, np.inf), (0.0, np.inf), (0.0, 1.0)
BOUNDS = {
    **dict.fromkeys(("accuracy", "accuracy_same_noise", "accuracy_new_noise", "accuracy_so_far"), FRACTION),
    **dict.fromkeys(("error", "level", "fraction"), FRACTION),
    **dict.fromkeys(("loss", "entropy"), POSITIVE),
}
"""Least and largest value of a metric, by the end of its name."""


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation, number of values, and 95 % confidence interval of the mean (NaN if n is 1)."""

    mean: float
    std: float
    n: int
    ci_low: float
    ci_high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Return the ends of the confidence interval."""
        return self.ci_low, self.ci_high

    def __str__(self) -> str:
        spread = f" ± {format_spread(self.std, self.mean)}" if self.std >= 0 else ""
        return f"{format_number(self.mean, uncertainty=self.std)}{spread} (n = {self.n})"


def find_bounds(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that ``metric`` can have: 0 and 1 for an accuracy."""
    return next((bounds for end, bounds in BOUNDS.items() if metric.endswith(end)), UNBOUNDED)


def summarize(values: Sequence[float] | np.ndarray, bounds: tuple[float, float] = UNBOUNDED) -> Summary:
    """Return the summary of ``values``, with Student's interval on a scale that respects their ``bounds``.

    The scale is the logit between two bounds and the logarithm above a single one, where the standard error is that of
    the delta method (Casella and Berger 2002, section 5.5.4). Raises ValueError if there is no value or one is NaN.
    """
    array = np.asarray(values, dtype=float)
    n = len(array)
    if n == 0 or np.isnan(array).any():
        raise ValueError(f"stats.summarize: {'not a number among the values' if n else 'no values'}")
    mean = float(array.mean())
    if n == 1:
        return Summary(mean, np.nan, 1, np.nan, np.nan)
    std = float(array.std(ddof=1))
    return Summary(mean, std, n, *_make_interval(mean, _quantile(n) * std / np.sqrt(n), bounds))


def prediction_interval(
    values: Sequence[float] | np.ndarray, bounds: tuple[float, float] = UNBOUNDED
) -> tuple[float, float]:
    """Return the 95 % prediction interval for one more replicate, (NaN, NaN) if there is only one.

    It is the mean ± Student's t times the standard deviation times √(1 + 1/n): on the scale of ``summarize`` or, above
    a single bound, of the logarithms of the values, since losses of trainings that diverge scatter over powers of ten.
    With a value at that bound it is on the scale of ``summarize``.
    """
    low, high = bounds
    if np.isinf(high) and np.isfinite(low) and (np.asarray(values) > low).all():
        ends = np.exp(prediction_interval(np.log(np.asarray(values) - low)))
        return low + float(ends[0]), low + float(ends[1])
    summary = summarize(values, bounds)
    half = _quantile(summary.n) * summary.std * np.sqrt(1 + 1 / summary.n)
    return _make_interval(summary.mean, half, bounds)


def _quantile(n: int) -> float:
    return float(special.stdtrit(n - 1, 0.975))


def _make_interval(mean: float, half: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of half width ``half`` around ``mean``, symmetric on the scale that ``bounds`` ask for."""
    low, high = bounds
    if not half or not low < mean < high:
        return mean - half, mean + half
    if np.isfinite(high):
        width, middle = high - low, special.logit((mean - low) / (high - low))
        reach = half * width / ((mean - low) * (high - mean))
        return low + width * float(special.expit(middle - reach)), low + width * float(special.expit(middle + reach))
    if np.isfinite(low):
        factor = np.exp(half / (mean - low))
        return low + (mean - low) / float(factor), low + (mean - low) * float(factor)
    return mean - half, mean + half


def aggregate_seeds(runs: pd.DataFrame, by: Sequence[str] = (), metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the summary over seeds of every metric, at every combination of the columns ``by``.

    ``runs`` has one row per seed and combination of ``by``: the columns ``by``, "seed", and one column per metric.
    ``metrics`` are by default all other numeric columns. An empty cell (NaN) was not measured: it is not counted. Rows
    without a value in one of ``by`` are left out. The result has the columns ``by``, "metric" and the fields of
    ``Summary``; points are in order of first appearance, metrics in the order of their columns. Raises UserError for
    a column that is missing, and if a metric has two values for one seed at one point: grid points are no replicates.
    """
    by = list(by)
    for name in [*by, *(metrics or ())]:
        if name not in runs:
            raise UserError(
                f'stats.aggregate_seeds: the table has no column "{name}"{did_you_mean(name, runs.columns)}'
            )
    numeric = runs.select_dtypes("number").columns.difference([*by, "seed"], sort=False)
    metrics = list(numeric) if metrics is None else metrics
    for metric in metrics if "seed" in runs else ():
        if runs.loc[runs[metric].notna(), [*by, "seed"]].dropna().duplicated().any():
            raise UserError(
                f"stats.aggregate_seeds: {metric} has several values for one seed at one point: name the columns in "
                f"which these rows differ in `by`, or select other `metrics`"
            )
    rows = [
        dict(zip(by, cast(tuple, point), strict=True))
        | {"metric": metric}
        | vars(summarize(values, find_bounds(metric)))
        for point, group in (runs.groupby(by, sort=False) if by else [((), runs)])
        for metric in metrics
        if len(values := group[metric].dropna().to_numpy())
    ]
    return pd.DataFrame(rows, columns=[*by, "metric", *Summary.__dataclass_fields__])


def classify_differences(
    differences: Sequence[Summary] | pd.DataFrame, words: tuple[str, str] = ("lower", "higher")
) -> list[str]:
    """Return for each mean difference the first of ``words`` if it is below 0, the second if it is above.

    ``differences`` are summaries, or rows of ``aggregate_seeds``. All are tested together: Student's test of each at a
    significance level of 5 %, corrected for their number by Holm's method (Holm 1979). A difference that is not
    significant is "inconclusive", one that is 0 in every replicate "none", one of one replicate "needs replicates".
    """
    if isinstance(differences, pd.DataFrame):
        differences = cast(list[Summary], list(differences.itertuples()))
    tested = {place: _pvalue(each) for place, each in enumerate(differences) if each.n > 1 and (each.mean or each.std)}
    answers = ["none" if each.n > 1 else "needs replicates" for each in differences]
    adjusted = 0.0
    for rank, place in enumerate(sorted(tested, key=tested.__getitem__)):
        adjusted = max(adjusted, tested[place] * (len(tested) - rank))
        answers[place] = words[int(differences[place].mean > 0)] if adjusted < 0.05 else "inconclusive"
    return answers


def _pvalue(difference: Summary) -> float:
    """Return the two-sided p-value of Student's test that a mean difference is 0."""
    if not difference.std:
        return 0.0
    return float(2 * special.stdtr(difference.n - 1, -abs(difference.mean) * np.sqrt(difference.n) / difference.std))


def describe_change(change: Summary | pd.Series) -> str:
    """Return a mean difference with its 95 % interval as text: +0.0038 (0.0019 to 0.0057).

    ``change`` is a summary, or a row of ``aggregate_seeds``.
    """
    values: Any = vars(change) if isinstance(change, Summary) else change
    return format_change(values["mean"], values["ci_low"], values["ci_high"])


def describe_difference(changed: pd.Series | np.ndarray, before: pd.Series | np.ndarray) -> str:
    """Return the mean difference within the replicates with its 95 % interval as text: +0.0038 (0.0019 to 0.0057).

    ``changed`` and ``before`` hold a value per seed; a seed without one of the two is left out.
    """
    return describe_change(summarize(pd.Series(changed - before).dropna().tolist()))


def summarize_epochs(values: np.ndarray) -> dict[str, Summary]:
    """Return summaries over replicates of ``values`` (replicates, epochs), of which the largest is the best.

    They are the number of the best epoch, from 1, and the values after the first epoch, the best and the last.
    """
    columns = {
        "best epoch": values.argmax(axis=1) + 1,
        "after the first": values[:, 0],
        "best": values.max(axis=1),
        "after the last": values[:, -1],
    }
    return {name: summarize(column) for name, column in columns.items()}


def friedman_test(values: np.ndarray) -> dict[str, Any]:
    """Test whether treatments (three or more columns) differ over replicates (rows), paired: Friedman's test.

    Return ``statistic`` (chi-squared, corrected for ties; NaN if all are ties), ``pvalue``, ``n`` (replicates) and
    ``significant``: True if the p-value is below 0.05, None for fewer than three replicates. The p-value is the
    fraction of all orders within the rows with a statistic at least as large or, where there are more than 9,999, of as
    many random ones, the same in every call; the chi-squared distribution is a poor approximation for few replicates.
    Source: Friedman 1937.
    """
    from scipy.stats import friedmanchisquare, permutation_test, rankdata

    n = len(values)
    if n < 3:
        return {"statistic": np.nan, "pvalue": np.nan, "n": n, "significant": None}

    def spread(*columns: np.ndarray, axis: int) -> np.ndarray:
        sums = np.array([column.sum(axis=axis) for column in columns])
        return (sums**2).sum(axis=0)  # a linear function of chi-squared, for orders of the same ranks

    ranks = tuple(rankdata(values, axis=1).T)
    kind: dict[str, Any] = {"permutation_type": "samples", "alternative": "greater", "vectorized": True}
    test = permutation_test(ranks, spread, **kind, rng=np.random.default_rng(0))
    pvalue = float(test.pvalue)
    with np.errstate(invalid="ignore"):
        statistic = float(friedmanchisquare(*values.T).statistic)
    return {"statistic": statistic, "pvalue": pvalue, "n": n, "significant": pvalue < 0.05}
