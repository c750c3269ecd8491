"""The time left of a build."""

import heapq
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits.pipeline.estimate import START_S, Estimator, expect_cost
from noisy_digits.pipeline.plan import plan_runs
from tests.conftest import REPOSITORY

SPREAD = 1.3
"""How many times longer or shorter than expected a run takes, apart from the speed of the machine."""


def expected_seconds():
    """Return what each run of this project is expected to take on MNIST, longest first."""
    per_seed = yaml.safe_load((REPOSITORY / "workflow/measured.yml").read_text())["seconds_per_seed"]
    runs = {
        run.path: expect_cost(run, REPOSITORY / "no results", per_seed).seconds
        for run in plan_runs(REPOSITORY, "full", dataset="mnist")
    }
    return dict(sorted(runs.items(), key=lambda run: -run[1]))


EXPECTED = expected_seconds()


def simulate(expected, true, cores):
    """Return the end of a build, and whenever a run ends the totals that the estimator and a naive estimate predict.

    Runs start in the order of ``expected`` and take their ``true`` seconds. The naive total is that of runs which all
    take as long as those done.
    """
    estimator, now, running, totals = Estimator(expected), 0.0, [], []
    for path in [*expected, *[None] * cores]:
        if len(running) == cores or (path is None and running):
            now, ended = heapq.heappop(running)
            estimator.end(ended, now)
            left = estimator.seconds_left(now, {})
            totals.append((now + left, now * len(expected) / (len(totals) + 1)))
        if path:
            estimator.start(path, now)
            heapq.heappush(running, (now + true[path], path))
    return now, totals


def worst(predicted, true):
    """Return the largest factor between predicted and true totals."""
    return max(max(each / true, true / each) for each in predicted)


@given(
    st.lists(st.floats(1 / SPREAD, SPREAD), min_size=len(EXPECTED), max_size=len(EXPECTED)),
    st.floats(0.05, 5),
    st.integers(1, 8),
)
def test_seconds_left_knows_what_runs_cost_where_a_naive_estimate_does_not(spread, speed, cores):
    """The ratio of the machine is known to a factor SPREAD and every run to another, and the last runs overlap."""
    true = {path: seconds * each * speed for (path, seconds), each in zip(EXPECTED.items(), spread, strict=True)}
    end, totals = simulate(EXPECTED, true, cores)
    estimated, naive = zip(*totals, strict=True)
    assert worst(estimated, end) < SPREAD**2
    assert worst(naive, end) > 5


def test_seconds_left_is_right_if_runs_take_what_is_expected():
    end, totals = simulate(EXPECTED, EXPECTED, 2)
    assert worst([estimated for estimated, _ in totals], end) < 1.01


def test_seconds_left_of_nothing_known_is_none():
    estimator = Estimator({"a/1/x": 10.0, "a/1/y": 10.0})
    estimator.start("a/1/x", 0.0)
    assert estimator.seconds_left(3.0, {}) is None
    estimator.start("index", 3.0)
    estimator.end("index", 4.0)
    assert estimator.seconds_left(4.0, {}) is None


def test_seconds_left_follows_the_notebook_then_all_notebooks():
    estimator = Estimator({"a/1/x": 10.0, "a/1/y": 10.0, "a/2/x": 100.0, "b/1": 1.0})
    estimator.start("a/1/x", 0.0)
    estimator.end("a/1/x", 20.0)
    estimator.start("b/1", 20.0)
    estimator.end("b/1", 24.0)
    assert estimator.seconds_left(24.0, {}) == pytest.approx(20 + 100 * 24 / 11)


def test_seconds_left_counts_what_running_runs_have_done_and_report():
    estimator = Estimator({"a/1/x": 100.0, "a/1/y": 100.0})
    estimator.start("a/1/x", 0.0)
    estimator.start("a/1/y", 0.0)
    reported = START_S + 20 / 0.25
    now = START_S + 20
    assert estimator.seconds_left(now, {"a/1/x": 0.25}) == pytest.approx(reported - now)
    assert estimator.seconds_left(now, {"a/1/x": 0.0}) is None


def test_seconds_left_ends_with_the_longest_run_and_without_failed_ones():
    estimator = Estimator({"a/1/x": 10.0, "a/1/y": 10.0, "a/2": 40.0, "a/3": 5.0})
    for path in ("a/1/x", "a/1/y"):
        estimator.start(path, 0.0)
    estimator.end("a/1/x", 10.0)
    estimator.end("a/1/y", 10.0, failed=True)
    assert estimator.seconds_left(10.0, {}) == 40
    estimator.start("a/1/y", 10.0)  # a retry
    estimator.start("a/2", 10.0)
    assert estimator.seconds_left(60.0, {}) == 5


def test_expect_takes_the_last_time_then_the_run_then_its_notebook_then_a_second_per_seed(built):
    collection = built / "results/digits-quick"
    run = plan_runs(built, "quick", 4, "digits")[0]
    last = expect_cost(run, collection, {run.path: 7.0})
    assert 1 <= last.seconds != START_S + 4 * 7
    assert (last.folder, last.n_trainings) == (collection / run.path, 4)
    (collection / run.path / "run.json").write_text("damaged")
    assert expect_cost(run, collection, {run.path: 7.0, "toy/1_measure": 3.0}).seconds == START_S + 4 * 7
    assert expect_cost(run, collection, {"toy/1_measure": 3.0}).seconds == START_S + 4 * 3
    assert expect_cost(replace(run, parameters={}), collection, {}).seconds == START_S + 1
