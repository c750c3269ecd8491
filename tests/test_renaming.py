"""The map from the first edition's names to today's."""

import io
import re
import subprocess

import pandas as pd
import pytest

from .conftest import REPOSITORY
from .renaming import FIRST_EDITION, list_differences, read_results, rename_metric, rename_results
from .study import IS_FIRST_EDITION, RESULTS

PUBLISHED = RESULTS / "results.csv"


@pytest.mark.parametrize(
    ("old", "metric", "coordinates"),
    [
        ("training_loss", "train_loss", {}),
        ("accuracy_at_0.4", "accuracy", {"noise_level": "0.4"}),
        ("accuracy_on_salt_and_pepper_0.2", "accuracy", {"test_noise": "salt_and_pepper_0.2"}),
        ("level_of_0.9_clean_3A", "level_at_accuracy", {"target_accuracy": "0.9", "train_noise": "clean_3A"}),
        ("log_speed_1_over_2", "log_gradient_norm_ratio", {"layer": "1"}),
        ("kept_accuracy_change_at_0.5", "train_accuracy_same_noise_change", {"scale": "0.5"}),
        ("relative_change", "relative_weight_change", {}),
    ],
)
def test_rename_metric_moves_coordinates_into_columns(old, metric, coordinates):
    assert rename_metric(old) == (metric, coordinates)


def test_no_metric_of_the_published_study_has_a_coordinate_in_its_name():
    metrics = read_results(PUBLISHED)["metric"].unique()
    suspicious = [metric for metric in metrics if re.search(r"\d|_at_|_on_", metric.replace("l2", ""))]
    assert suspicious == ["level_at_accuracy"]


@pytest.mark.skipif(not IS_FIRST_EDITION, reason="the published study is no longer that of the first edition")
def test_the_published_numbers_are_those_of_the_first_edition():
    shown = subprocess.run(
        ["git", "show", f"{FIRST_EDITION}:results/mnist/results.csv"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if shown.returncode:
        pytest.skip(f"revision {FIRST_EDITION} is not in this clone")
    first = rename_results(pd.read_csv(io.StringIO(shown.stdout), dtype=str, keep_default_na=False))
    assert list_differences(first, read_results(PUBLISHED)) == []
    altered = read_results(PUBLISHED)
    altered.loc[5, "value"] = "0.5"
    assert len(list_differences(first, altered)) == 1
