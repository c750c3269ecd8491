"""Draw charts: sweeps, bars and forest plots of summaries over seeds, curves over epochs, functions."""

from collections.abc import Mapping, Sequence
from itertools import product
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.formatting import axis_label, format_label, format_number
from noisy_digits.plots import _alt_text
from noisy_digits.plots._figure import AltFigure, add_legend, draw_bars, series_color, series_style, styled
from noisy_digits.stats import Summary

if TYPE_CHECKING:
    from noisy_digits.training import History

MOST_LINES = 5
"""Replicates that are drawn as lines of their own, at most."""
CROWDED = 1.35
"""Ratio of two levels on a logarithmic axis below which the labels of both would touch."""


@styled
def sweep(
    summary: pd.DataFrame,
    x: str,
    y: str | Sequence[str],
    *,
    xlabel: str,
    col: str | None = None,
    hue: str | None = None,
    secondary_y: str | Sequence[str] = (),
    reported: pd.DataFrame | None = None,
    hlines: Mapping[str, float] | None = None,
    vspans: Mapping[object, Summary] | None = None,
    logx: bool = False,
) -> AltFigure:
    """Draw means of the metrics ``y`` against the column ``x``; error bars are one standard deviation.

    ``summary`` is the table of ``stats.aggregate_seeds``. There is a panel per value of the column ``col`` (default:
    per metric) and in it a line per value of the column ``hue`` (default: per metric). Metrics in ``secondary_y`` have
    an axis on the right. Losses are on a logarithmic axis, and so is ``x`` with ``logx``: linear up to the smallest
    level above 0. ``reported`` has the columns ``x``, ``col``, ``hue`` and one per metric (NaN: not reported), drawn as
    open diamonds. ``hlines`` gives horizontal lines by label, ``vspans`` a level of ``x``, with its 95 % confidence
    interval, by line. Raises UserError for a column or metric that the summary lacks, for two rows at one point of a
    line, for several metrics with both ``col`` and ``hue``, and for ``secondary_y`` without ``col`` or with ``hue``.
    """
    metrics, right = ([names] if isinstance(names, str) else list(names) for names in (y, secondary_y))
    hlines, vspans = hlines or {}, vspans or {}
    _check_sweep(summary, metrics, right, [x, *filter(None, (col, hue))], col, hue)
    rows = summary.loc[summary["metric"].isin(metrics)].reset_index(drop=True)
    panels, keys = (list(dict.fromkeys(rows[column])) if column else metrics for column in (col, hue))
    points = _add_reported(rows, reported, [x, *filter(None, (col, hue))], metrics).sort_values(x)
    groups = dict(iter(points.groupby([col or "metric", hue or "metric"])))
    lines = {line: groups[line] for line in product(panels, keys) if line in groups}
    figure = Figure(figsize=(max(7, 4.6 * len(panels)), 4.2))
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=bool(col))[0]
    for axes, panel in zip(grid, panels, strict=True):
        metric = next(metric for metric in metrics if metric not in right) if col else panel
        _set_axes(axes, sorted(rows[x].unique()), logx, metric, labeled=not col or axes is grid[0])
        axes.set_title(format_label(panel) if col else _describe_largest(rows, metric, x, hue))
        twin = _add_right_axis(axes, rows.loc[rows["metric"].isin(right)]) if right else axes
        for place, key in enumerate(keys):
            if (panel, key) in lines:
                _draw_line(twin if key in right else axes, lines[panel, key], x, place, key, vspans.get(key))
        for place, (name, value) in enumerate(hlines.items(), start=len(keys)):
            axes.axhline(value, label=name, **(series_style(place) | {"marker": None}))
    if right:
        twin.set_ylabel(axis_label(right[0]))
    figure.supxlabel(xlabel, fontsize=11)
    add_legend(figure)
    return AltFigure(figure, _alt_text.describe_sweep(x, xlabel, lines, hlines, vspans))


def _check_sweep(
    summary: pd.DataFrame, metrics: list[str], right: list[str], keys: list[str], col: str | None, hue: str | None
) -> None:
    for kind, names, known in (("column", keys, summary.columns), ("metric", metrics, summary["metric"].unique())):
        for name in names:
            if name not in known:
                raise UserError(f'the summary has no {kind} "{name}"{did_you_mean(name, known)}')
    if col and hue and len(metrics) > 1:
        raise UserError(f"one metric at a time with both col and hue, not {', '.join(metrics)}")
    if right and (hue or not col or set(metrics) <= set(right)):
        raise UserError("secondary_y needs col, no hue, and a metric in y for the left axis")
    if summary.loc[summary["metric"].isin(metrics), [*keys, "metric"]].duplicated().any():
        raise UserError(
            f"several rows at one point of a line: {', '.join(keys)} do not tell them apart; name col or hue"
        )


def _add_reported(rows: pd.DataFrame, reported: pd.DataFrame | None, keys: list, metrics: list) -> pd.DataFrame:
    if reported is None or reported.empty:
        return rows.assign(reported=np.nan)
    present = [metric for metric in metrics if metric in reported]
    tidy = reported.melt(keys, present, var_name="metric", value_name="reported")
    return pd.concat([rows, tidy.astype({"reported": float})])


def _set_axes(axes: Axes, levels: Sequence[float], logx: bool, metric: str, labeled: bool) -> None:
    """Set scales, ticks and label before anything is drawn: margins are computed on the scale in force then."""
    if logx and levels[0] > 0:
        axes.set_xscale("log")
    elif logx and len(levels) > 1:
        axes.set_xscale("symlog", linthresh=levels[1])
    axes.set_xticks(levels, _label_ticks(levels, logx))
    axes.minorticks_off()
    axes.set(ylabel=axis_label(metric) if labeled else "", yscale="log" if metric.endswith("loss") else "linear")


def _label_ticks(levels: Sequence[float], logx: bool) -> list[str]:
    """Return a label per level, on a logarithmic axis without those too close to the last one that has a label."""
    labels, last = [], 0.0
    for level in levels:
        crowded = logx and last > 0 and level < CROWDED * last
        labels.append("" if crowded else _label_level(level))
        last = last if crowded else level
    return labels


def _label_level(level: float) -> str:
    """Return a level as text: whole numbers as they are, others with four digits."""
    return f"{level:.0f}" if float(level).is_integer() else f"{level:.4g}"


def _describe_largest(rows: pd.DataFrame, metric: str, x: str, hue: str | None) -> str:
    best = rows.loc[rows.loc[rows["metric"] == metric, "mean"].idxmax()]
    owner = format_label(best[hue]) if hue else ""
    owner = f", {format_label(hue)} {owner}" if owner.isdigit() else f", {owner}" if owner else ""
    return f"largest mean {best['mean']:.4g}, at {_label_level(best[x])}{owner}"


def _add_right_axis(axes: Axes, rows: pd.DataFrame) -> Axes:
    twin = axes.twinx()
    twin.set_ylim(0, 1.08 * float(np.max(rows["mean"] + rows["std"].fillna(0))))
    twin.spines["right"].set_visible(True)
    twin.grid(visible=False)
    return twin


def _draw_line(axes: Axes, points: pd.DataFrame, x: str, place: int, key: object, span: Summary | None) -> None:
    label = format_label(key)
    style, ours, theirs = series_style(place), points.dropna(subset="mean"), points.dropna(subset="reported")
    axes.errorbar(ours[x], ours["mean"], ours["std"], label=label, **style)
    if len(theirs):
        _draw_diamonds(axes, theirs[x], theirs["reported"], place, f"reported, {label}")
    if span:
        axes.axvline(span.mean, color=style["color"], linewidth=1)
        if span.n > 1:
            axes.axvspan(*span.interval, color=style["color"], alpha=0.15)


def _draw_diamonds(axes: Axes, x: Any, y: Any, place: int, label: str) -> None:
    axes.plot(x, y, "D", color=series_color(place), fillstyle="none", markersize=9, label=label)


@styled
def grouped_bars(summary: pd.DataFrame, x: str, *, col: str, xlabel: str, metrics: Sequence[str]) -> AltFigure:
    """Draw metrics (fractions) as bars, a group per value of ``col`` and ``x``; error bars are one standard deviation.

    ``summary`` is the table of ``stats.aggregate_seeds`` by ``col`` and ``x``; ``xlabel`` names both, with the unit.
    """
    points = list(dict.fromkeys(summary[[col, x]].itertuples(index=False, name=None)))
    figure = Figure(figsize=(8, 3.6))
    axes = figure.subplots()
    means = {}
    for place, metric in enumerate(metrics):
        rows = summary[summary["metric"] == metric].set_index([col, x]).reindex(points)
        label = format_label(metric)
        bars = draw_bars(axes, place, len(metrics), rows["mean"], yerr=rows["std"], label=label)
        axes.bar_label(bars, fmt="%.3f", padding=2, fontsize=9)
        means[label] = rows["mean"]
    names = [(format_label(group), format_label(level)) for group, level in points]
    axes.set_xticks(range(len(points)), [f"{group}\n{x} {level}" for group, level in names])
    axes.set(xlabel=xlabel, ylabel=axis_label(metrics[0]), ylim=(0, 1.12))
    add_legend(figure)
    return AltFigure(figure, _alt_text.describe_grouped_bars(xlabel, list(map(" at ".join, names)), means))


@styled
def forest_plot(ours: Mapping[str, Summary], theirs: Mapping[str, float], xlabel: str) -> AltFigure:
    """Draw our means with their 95 % confidence intervals and the literature's values as open diamonds, a row per name.

    ``theirs`` names rows of ``ours``; a row without a value in the literature has no diamond.
    """
    figure = Figure(figsize=(7.5, 0.55 * len(ours) + 1.3))
    axes = figure.subplots()
    rows = {name: row for row, name in enumerate(ours)}
    means = [summary.mean for summary in ours.values()]
    ends = [(summary.mean, summary.mean) if summary.n == 1 else summary.interval for summary in ours.values()]
    reach = np.abs(np.array(ends).T - means)
    axes.errorbar(means, range(len(ours)), xerr=reach, fmt="o", color=series_color(0), label="ours, 95 % interval")
    _draw_diamonds(axes, list(theirs.values()), [rows[name] for name in theirs], 1, "literature")
    axes.set_yticks(range(len(ours)), ours)
    axes.set(xlabel=xlabel, ylim=(len(ours) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=4)
    add_legend(figure)
    return AltFigure(figure, _alt_text.describe_forest_plot(ours, theirs, xlabel))


@styled
def learning_curves(histories: Sequence["History"]) -> AltFigure:
    """Draw training and validation loss, and accuracy if there is one, against the epoch.

    A thin line is one seed, a thick one the mean over seeds; for more than ``MOST_LINES`` seeds a band is one standard
    deviation to each side. If a training diverged, losses are on a logarithmic axis, with their geometric means.
    """
    quantities = [quantity for quantity in ("loss", "accuracy") if f"train_{quantity}" in histories[0].curves]
    figure = Figure(figsize=(4.3 * len(quantities), 3.6))
    means = {}
    for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        training, validation = (
            [history.curves[f"{part}_{quantity}"] for history in histories] for part in ("train", "val")
        )
        logy = quantity == "loss" and any(history.diverged for history in histories)
        drawn = _draw_curves(axes, {"training": training, "validation": validation}, logy)
        means |= {f"{part} {quantity}": mean for part, mean in drawn.items()}
        axes.set(ylabel=axis_label(quantity))
        axes.set_title(f"validation {quantity} {format_number(drawn['validation'].iloc[-1])} at the end")
        axes.legend()
    return AltFigure(figure, _alt_text.describe_learning_curves(means))


@styled
def epoch_curves(curves: Mapping[str, Sequence[Sequence[float]]], ylabel: str, *, logy: bool = False) -> AltFigure:
    """Draw values recorded after every epoch, replicates and their mean as in ``learning_curves``.

    ``curves`` gives by legend the replicates, each one value per epoch; their lengths may differ. On a logarithmic axis
    mean and standard deviation are those of the logarithms.
    """
    figure = Figure(figsize=(7.5, 3.8))
    axes = figure.subplots()
    means = _draw_curves(axes, curves, logy)
    axes.set(ylabel=ylabel)
    add_legend(figure)
    return AltFigure(figure, _alt_text.describe_epoch_curves(means, ylabel, logy))


@styled
def curve_grid(
    curves: Mapping[tuple[str, str], Mapping[str, np.ndarray]], ylabel: str, *, logy: bool = False
) -> AltFigure:
    """Draw curves over epochs as small multiples, one panel per (row, column), all on the same axes.

    ``curves`` gives for each panel the replicates by legend, an array (n_seeds, n_epochs) each, NaN where a replicate
    stopped early. A line is the mean over replicates, the band around it one standard deviation to each side; on a
    logarithmic axis those of the logarithms.
    """
    rows, columns = (list(dict.fromkeys(place[axis] for place in curves)) for axis in (0, 1))
    figure = Figure(figsize=(max(6.5, 1.55 * len(columns)), 1.45 * len(rows) + 1))
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    means: dict[tuple[str, str], dict[str, pd.Series]] = {place: {} for place in curves}
    for (row, name), (column, title) in product(enumerate(rows), enumerate(columns)):
        axes = grid[row, column]
        axes.set_visible((name, title) in curves)
        for place, (legend, replicates) in enumerate(curves.get((name, title), {}).items()):
            table = pd.DataFrame(replicates.T, index=np.arange(1, replicates.shape[1] + 1))
            _draw_band(axes, place, table, logy)
            style = series_style(place) | {"marker": None, "linewidth": 1.4}
            mean = means[name, title][legend] = _average(table, logy)
            axes.plot(table.index, mean, label=legend, **style)
        axes.set_yscale("log" if logy else "linear")
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(fill(title, 18), fontsize=10)
    for axes, name in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(name, fontsize=10)
    figure.supxlabel("epoch", fontsize=11)
    figure.supylabel(ylabel, fontsize=11)
    add_legend(figure)
    return AltFigure(figure, _alt_text.describe_curve_grid(means, ylabel, logy))


def _average(table: pd.DataFrame, logy: bool) -> pd.Series:
    """Return the mean over the columns, the geometric one for a logarithmic axis."""
    return np.exp(np.log(table).mean(axis=1)) if logy else table.mean(axis=1)


def _draw_band(axes: Axes, place: int, table: pd.DataFrame, logy: bool) -> None:
    """Shade one standard deviation to each side of the mean of replicates: a row per epoch, a column per replicate."""
    scaled = np.log(table) if logy else table
    mean, std = scaled.mean(axis=1), scaled.std(axis=1).fillna(0)
    low, high = (np.exp(end) if logy else end for end in (mean - std, mean + std))
    axes.fill_between(table.index, low, high, color=series_color(place), alpha=0.25, linewidth=0)


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[Sequence[float]]], logy: bool) -> dict[str, pd.Series]:
    """Draw replicates and means; return by legend the mean, over those that got so far, at every epoch.

    More replicates than ``MOST_LINES`` are drawn as a band, one standard deviation to each side of their mean.
    """
    means = {}
    for place, (legend, replicates) in enumerate(curves.items()):
        table = pd.concat([pd.Series(replicate, dtype=float) for replicate in replicates], axis=1)
        epochs = table.index = np.arange(1, len(table) + 1)
        means[legend] = _average(table, logy)
        if len(replicates) > MOST_LINES:
            _draw_band(axes, place, table, logy)
        else:
            axes.plot(epochs, table, color=series_color(place), alpha=0.35, linewidth=0.8)
        style = series_style(place) | {"markersize": 3.5, "markevery": max(1, len(epochs) // 10)}
        axes.plot(epochs, means[legend], label=legend, **style)
    last = max([2, *map(len, means.values())])
    axes.set(xlabel="epoch", xlim=(0.5, last + 0.5), yscale="log" if logy else "linear")
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    return means


@styled
def line_plot(
    x: np.ndarray,
    values: Mapping[str, np.ndarray],
    labels: tuple[str, str],
    *,
    marks: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    logx: bool = False,
) -> AltFigure:
    """Draw functions of ``x`` (n,), each with its legend and its values (n,); ``labels`` names the two axes.

    ``marks`` gives points (x, y) by legend, drawn as open circles in the color of that line.
    """
    figure = Figure(figsize=(7.5, 3.8))
    axes = figure.subplots()
    for place, (legend, y) in enumerate(values.items()):
        style = series_style(place)
        axes.plot(x, y, label=legend, color=style["color"], linestyle=style["linestyle"])
        if marks and legend in marks:
            axes.plot(*marks[legend], "o", color=style["color"], fillstyle="none", markersize=8)
    axes.set(xlabel=labels[0], ylabel=labels[1], xscale="log" if logx else "linear")
    add_legend(figure)
    return AltFigure(figure, _alt_text.describe_line_plot(x, values, labels))
