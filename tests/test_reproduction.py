"""The numbers of the write-ups next to the published study: they reappear, or are known not to, for a stated reason."""

import pytest

from noisy_digits.pipeline.config import is_selected, load_assignments
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.store import Collection
from noisy_digits.reports.overview import Overview
from noisy_digits.results import list_points

from .conftest import REPOSITORY
from .study import as_committed, second_edition

UNEXPLAINED = "cause unknown"
"""What the index says of a number outside its interval for which no params file lists a deviation."""


@pytest.fixture(scope="module")
def reported():
    """Every number of the write-ups as the index compares it: with ours, its prediction interval and the cause."""
    runs = plan_runs(REPOSITORY, "full", dataset="mnist")
    return [
        line for section in Overview(REPOSITORY, runs, Collection("mnist")).sections() for line in section["reported"]
    ]


def name(line):
    return f"{line['notebook']}, {line['where']}, {line['metric']}: {line['reported']}, ours {line['ours']}"


def test_every_deviation_is_that_of_a_reported_number():
    for assignment in load_assignments(REPOSITORY).values():
        for notebook in assignment.notebooks.values():
            for deviation in notebook.deviations:
                rows = [row for row in notebook.reported if deviation.metric in row]
                unreported = [at for at in list_points(deviation.at) if not any(is_selected(row, at) for row in rows)]
                assert not unreported, f"{notebook.title}: {deviation.metric} is not reported at {unreported}"


@as_committed
@second_edition
def test_every_reported_number_is_compared_if_it_has_replicates(reported):
    assert reported
    compared = [line for line in reported if line["inside"] in ("yes", "no")]
    single = [line for line in reported if line["ours"].endswith("(n = 1)") or line["ours"].endswith("diverged")]
    assert [name(line) for line in reported if line not in compared and line not in single] == []


@as_committed
@second_edition
def test_every_reported_number_outside_its_interval_is_listed_with_its_cause(reported):
    """List it under `deviations` in the params file, with what is known of the cause."""
    outside = [line for line in reported if line["inside"] == "no"]
    assert [name(line) for line in outside if line["cause"] == UNEXPLAINED] == []


@as_committed
@second_edition
def test_no_reported_number_inside_its_interval_is_listed_as_a_deviation(reported):
    """Take it off the list: it reappears."""
    inside = [line for line in reported if line["inside"] == "yes"]
    assert [name(line) for line in inside if line["cause"] != UNEXPLAINED] == []
