"""Make tables and answers for reading: HTML with a caption, summaries over seeds as text."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from noisy_digits.formatting import format_interval, format_label, format_number, format_spread
from noisy_digits.stats import Summary

_FIELDS = [field.name for field in fields(Summary)]


@dataclass(frozen=True)
class Table:
    """A data frame as an HTML table with a caption and header scopes; its first column heads the rows."""

    frame: pd.DataFrame
    caption: str

    def _repr_html_(self) -> str:
        if self.frame.empty:
            return f"<p>{html.escape(self.caption)}: there is nothing to show.</p>"
        head = "".join(_cell("th", format_label(column), ' scope="col"') for column in self.frame.columns)
        body = "".join(
            "<tr>" + _cell("th", first, ' scope="row"') + "".join(_cell("td", value) for value in rest) + "</tr>"
            for first, *rest in self.frame.itertuples(index=False)
        )
        return (
            f"<table><caption>{html.escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


@dataclass(frozen=True)
class Answer:
    """The answer to a notebook's question: a few sentences of Markdown, with their numbers.

    The page shows it under the question, the index its first paragraph. A notebook that answers several gives each the
    number of its ``question`` in the params file.
    """

    text: str
    question: str | None = None

    def _repr_mimebundle_(self, **_: object) -> tuple[dict, dict]:
        return {"text/markdown": self.text}, {"answer": True} | ({"question": self.question} if self.question else {})


def _cell(tag: str, value: object, scope: str = "") -> str:
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        value = "–"
    text = format_number(float(value)) if isinstance(value, float | np.floating) else html.escape(str(value))
    return f"<{tag}{scope}>{text.replace(' ± ', '&nbsp;±&nbsp;').replace('(n = ', '(n&nbsp;=&nbsp;')}</{tag}>"


def metric_summary(summary: pd.DataFrame, caption: str) -> Table:
    """Return the table of ``stats.aggregate_seeds`` for reading: a row per point and metric, the interval as text.

    A single metric has no column; its name heads that of the means.
    """
    intervals = [_describe_interval(Summary(*values)) for values in summary[_FIELDS].itertuples(index=False)]
    frame = summary.drop(columns=["ci_low", "ci_high"])
    labels = [*_key_columns(summary), "metric"]
    frame[labels] = frame[labels].map(format_label)
    measured = list(zip(summary["mean"], summary["std"], strict=True))
    frame["mean"] = [format_number(mean, uncertainty=std) for mean, std in measured]
    frame["std"] = [None if np.isnan(std) else format_spread(std, mean) for mean, std in measured]
    frame.insert(int(frame.columns.get_indexer(["n"])[0]) + 1, "95 % interval of the mean", intervals)
    names = {"std": "standard deviation"}
    if len(labels) > 1 and len(set(summary["metric"])) == 1:
        names["mean"] = f"mean {frame.pop('metric').iloc[0]}"
    return Table(frame.rename(columns=names), caption)


def _describe_interval(summary: Summary) -> str:
    if summary.n == 1:
        return "needs replicates"
    return format_interval(*summary.interval) if summary.std else "constant"


def grid_summary(summary: pd.DataFrame, metrics: Sequence[str], caption: str) -> Table:
    """Return the table of ``stats.aggregate_seeds`` for reading: a row per point, a column per metric of ``metrics``.

    A cell is "mean ± standard deviation (n = …)", or "–" where no seed recorded the metric. If trainings diverged, a
    last column counts them.
    """
    keys = _key_columns(summary)
    points: dict[tuple, dict[str, Summary]] = {}
    for row in summary.to_dict("records"):
        measured = points.setdefault(tuple(row[key] for key in keys), {})
        measured[row["metric"]] = Summary(*(row[field] for field in _FIELDS))
    rows = [
        [*map(format_label, point), *(str(measured.get(metric, "–")) for metric in metrics)]
        for point, measured in points.items()
    ]
    frame = pd.DataFrame(rows, columns=[*map(format_label, [*keys, *metrics])])
    if "diverged" in set(summary["metric"]):
        frame["diverged"] = [measured["diverged"].n if "diverged" in measured else 0 for measured in points.values()]
    return Table(frame, caption)


def _key_columns(summary: pd.DataFrame) -> list[str]:
    return [column for column in summary.columns if column not in ("metric", *_FIELDS)]
