"""Means, deviations and intervals over replicates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

PRINTED = 0.5e-4
"""How far a number that is printed with four decimals may be from itself."""


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation (NaN for one value), n, and the 95 % confidence interval of the mean."""

    mean: float
    deviation: float
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        spread = f" ± {number(self.deviation)}" if self.deviation >= 0 else ""
        return f"{number(self.mean)}{spread} (n = {self.n})"


def number(value: float, sign: str = "") -> str:
    """A measured value as tables and sentences show it: 0.9713, 1.2e-05, 28,015, 1.8e+07; ``sign`` "+" adds a plus."""
    size = abs(value)
    digits = ".2g" if 0 < size < 0.001 else ".4f" if size < 100 else ",.0f" if size < 1e6 else ".3g"
    return f"{value:{sign}{digits}}"


def summarise(values: Sequence[float]) -> Summary:
    """Summary of the replicates in ``values`` (one or more numbers); the interval is Student's t, n − 1 degrees.

    One value alone has no deviation and no interval: both are NaN. Raises ValueError where there is no value, and
    where one is not a number.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0 or np.isnan(values).any():
        raise ValueError(f"statistics.summarise: {'not a number among the values' if n else 'no values'}")
    mean = float(values.mean())
    if n == 1:
        return Summary(mean, np.nan, 1, np.nan, np.nan)
    deviation = float(values.std(ddof=1))
    half = float(special.stdtrit(n - 1, 0.975)) * deviation / np.sqrt(n)
    return Summary(mean, deviation, n, mean - half, mean + half)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """A tidy table (…, seed, metric, value) with its seeds summarised: …, metric and the fields of ``Summary``.

    One row per combination of the other columns, in the order of their first appearance.
    """
    keys = [column for column in table.columns if column not in ("seed", "value")]
    rows = [
        dict(zip(keys, key, strict=True)) | vars(summarise(values))
        for key, values in table.groupby(keys, sort=False)["value"]
    ]
    return pd.DataFrame(rows, columns=[*keys, *Summary.__dataclass_fields__])


def lookup(summary: pd.DataFrame) -> dict[Any, Summary]:
    """What ``over_seeds`` made, by key: ``rows["corrected", 0.5, "test_accuracy"]``, or by metric."""
    fields = list(Summary.__dataclass_fields__)
    keys = summary.drop(columns=fields).itertuples(index=False, name=None)
    values = summary[fields].itertuples(index=False, name=None)
    return {key if len(key) > 1 else key[0]: Summary(*value) for key, value in zip(keys, values, strict=True)}


def listed(summary: pd.DataFrame) -> pd.DataFrame:
    """What ``over_seeds`` made, for reading: one row a metric, with the interval as text."""
    return pd.DataFrame(
        {
            "metric": summary["metric"].str.replace("_", " "),
            "mean": summary["mean"],
            "standard deviation": summary["deviation"],
            "n": summary["n"],
            "95 % interval of the mean": [
                f"{number(low)} to {number(high)}" if n > 1 else "needs replicates"
                for low, high, n in zip(summary["low"], summary["high"], summary["n"], strict=True)
            ],
        }
    )


def wide(summary: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """What ``over_seeds`` made, for reading: one row a grid point, one column for each of ``metrics``.

    Where replicates diverged another column counts them; what none of them recorded, a loss that is not finite, is "–".
    """
    fields = ["metric", *Summary.__dataclass_fields__]
    columns = [column for column in summary.columns if column not in fields]
    values = lookup(summary)
    points = dict.fromkeys(summary[columns].itertuples(index=False, name=None))
    frame = pd.DataFrame(
        [[*map(shown, point), *(str(values.get((*point, metric), "–")) for metric in metrics)] for point in points],
        columns=[*map(shown, columns), *map(shown, metrics)],
    )
    diverged = [values[*point, "diverged"].n if (*point, "diverged") in values else 0 for point in points]
    return frame.assign(diverged=diverged) if any(diverged) else frame


def shown(level: object) -> str:
    """A grid value as tables and figures show it: 0.5, 4, as submitted."""
    return f"{level:g}" if isinstance(level, float) else str(level).replace("_", " ")


def difference(table: pd.DataFrame, first: str, second: str, *, name: str) -> pd.DataFrame:
    """``first`` minus ``second`` within each replicate of a tidy table, as a tidy table of the metric ``name``."""
    keys = [column for column in table.columns if column not in ("metric", "value")]
    values = [table[table["metric"] == metric].set_index(keys)["value"] for metric in (first, second)]
    gap = (values[0] - values[1]).reset_index()
    return gap.assign(metric=name)[list(table.columns)]


def allows(replicates: Summary, value: float) -> bool | None:
    """Whether ``value`` could be one more replicate: it lies in the 95 % prediction interval; None without replicates.

    The interval is the mean ± Student's t times the deviation times √(1 + 1/n), and half a unit of the fourth decimal,
    to which numbers are published.
    """
    if replicates.n < 2:
        return None
    half = special.stdtrit(replicates.n - 1, 0.975) * replicates.deviation * np.sqrt(1 + 1 / replicates.n)
    return bool(abs(value - replicates.mean) <= half + PRINTED)


def sign(difference: Summary, words: tuple[str, str] = ("lower", "higher")) -> str:
    """On which side of 0 the 95 % interval of a mean difference lies, in ``words``; or that replicates cannot tell."""
    if difference.n < 2:
        return "needs replicates"
    return words[0] if difference.high < 0 else words[1] if difference.low > 0 else "not distinguishable"


def friedman(values: np.ndarray, level: float = 0.05) -> dict[str, Any]:
    """Friedman's test of whether columns (treatments) differ over rows (replicates, paired): chi2, p, n and verdict.

    ``values`` (replicates, treatments). p is the share of 9,999 random orders within the rows, always the same ones,
    whose chi2 is as large: with few replicates the chi-squared distribution is no good approximation. ``differ`` is
    whether p is below ``level``, or None ("not decided") with fewer than three replicates. Source: Friedman 1937.
    """
    from scipy import stats

    n, k = values.shape
    if n < 3:
        return {"chi2": np.nan, "p": np.nan, "n": n, "differ": None}

    def chi2(*columns: np.ndarray, axis: int) -> np.ndarray:
        sums = np.array([column.sum(axis=axis) for column in columns])
        return 12 / (n * k * (k + 1)) * (sums**2).sum(axis=0) - 3 * n * (k + 1)

    ranks = stats.rankdata(values, axis=1)
    drawn = np.random.default_rng(0)
    found = stats.permutation_test(
        tuple(ranks.T), chi2, permutation_type="samples", vectorized=True, alternative="greater", rng=drawn
    )
    return {"chi2": float(found.statistic), "p": float(found.pvalue), "n": n, "differ": bool(found.pvalue < level)}


def majority_rate(labels: np.ndarray) -> float:
    """Accuracy of always answering the most frequent class of ``labels`` (n,), as a fraction."""
    return float(np.bincount(labels).max() / len(labels))


def beats_majority(accuracy: float, labels: np.ndarray) -> bool:
    """Whether ``accuracy`` on ``labels`` (n,) is more than guessing: a one-sided exact binomial test at 1 %."""
    n = len(labels)
    probability = special.bdtrc(round(accuracy * n) - 1, n, majority_rate(labels))
    return bool(probability < 0.01)
