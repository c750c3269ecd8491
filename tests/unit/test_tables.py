"""What tables say."""

import numpy as np
import pandas as pd
import pytest

from noisy_digits import stats, tables

RUNS = pd.DataFrame(
    {
        "recipe": ["corrected"] * 4,
        "scale": [0.0, 0.0, 4.0, 4.0],
        "seed": [0, 1, 0, 1],
        "train_accuracy": [0.9, 1.0, 0.5, 0.5],
        "test_accuracy": [0.8, 0.6, 0.25, 0.75],
    }
)


def aggregate(runs=RUNS):
    return stats.aggregate_seeds(runs, by=["recipe", "scale"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.97131, "0.9713"),
        (np.float32(0.5), "0.5000"),
        (1.24e-05, "1.2e-05"),
        (28015.03, "28,015"),
        (12, "12"),
        (np.nan, "–"),
        (None, "–"),
        (pd.NA, "–"),
        ("<a & b>", "&lt;a &amp; b&gt;"),
        (stats.summarize([1.0, 1.0]), "1.0000&nbsp;±&nbsp;0.0000 (n&nbsp;=&nbsp;2)"),
    ],
)
def test_cells_are_readable(value, shown):
    frame = pd.DataFrame({"a": ["x"], "b": pd.Series([value], dtype=object)})
    assert f"<td>{shown}</td>" in tables.Table(frame, "c")._repr_html_()


def test_a_table_has_a_caption_and_scopes():
    text = tables.Table(pd.DataFrame({"a": ["x"], "b": [1]}), "Counts & more")._repr_html_()
    assert text == (
        "<table><caption>Counts &amp; more</caption>"
        '<thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>'
        '<tbody><tr><th scope="row">x</th><td>1</td></tr></tbody></table>'
    )


def test_a_table_without_rows_says_so():
    assert "nothing to show" in tables.Table(pd.DataFrame({"a": []}), "Empty")._repr_html_()


def test_metric_summary_has_a_row_per_metric_with_its_interval():
    runs = pd.DataFrame({"seed": [0, 1], "test_accuracy": [0.8, 0.6], "l2_factor": [0.5, np.nan]})
    table = tables.metric_summary(stats.aggregate_seeds(runs), "After training")
    assert table.caption == "After training"
    assert list(table.frame.columns) == ["metric", "mean", "standard deviation", "n", "95 % interval of the mean"]
    assert list(table.frame["metric"]) == ["test accuracy", "l2 factor"]
    assert list(table.frame["95 % interval of the mean"]) == ["0.0055 to 0.9990", "needs replicates"]
    assert list(table.frame["n"]) == [2, 1]


def test_metric_summary_begins_with_the_columns_of_the_points():
    frame = tables.metric_summary(aggregate(), "c").frame
    assert list(frame.columns[:3]) == ["recipe", "scale", "metric"]
    assert list(frame["scale"]) == ["0", "0", "4", "4"]


def test_grid_summary_has_a_row_per_point_and_the_metrics_in_the_order_asked_for():
    table = tables.grid_summary(aggregate(), ["test_accuracy", "train_accuracy"], "The sweep")
    assert table.caption == "The sweep"
    assert list(table.frame.columns) == ["recipe", "scale", "test accuracy", "train accuracy"]
    assert list(table.frame["scale"]) == ["0", "4"]
    assert table.frame.iloc[0]["train accuracy"] == "0.9500 ± 0.0707 (n = 2)"
    assert list(tables.grid_summary(aggregate(), ["test_loss"], "c").frame["test loss"]) == ["–", "–"]


def test_grid_summary_counts_diverged_trainings():
    frame = tables.grid_summary(aggregate(RUNS.assign(diverged=[1.0, np.nan, np.nan, np.nan])), [], "c").frame
    assert list(frame["diverged"]) == [1, 0]


def test_grid_summary_without_grid_has_one_row():
    frame = tables.grid_summary(
        stats.aggregate_seeds(RUNS.iloc[:2], metrics=["test_accuracy"]), ["test_accuracy"], "c"
    ).frame
    assert frame.to_dict("records") == [{"test accuracy": "0.7000 ± 0.1414 (n = 2)"}]
