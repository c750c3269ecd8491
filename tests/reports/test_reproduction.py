"""The layout of the figure of reported numbers."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits.pipeline.config import AssignmentConfig, NotebookConfig
from noisy_digits.reports.reproduction import (
    LIMIT,
    MARK_HEIGHT,
    MARK_WIDTH,
    choose_shape,
    clip_distance,
    lay_out_strips,
    stack_marks,
)

PLACES = st.lists(st.floats(-LIMIT, LIMIT) | st.sampled_from([0.0, 1.0, LIMIT]), max_size=30)


@given(PLACES)
def test_stack_marks_lets_no_two_marks_overlap_and_leaves_no_level_empty(places):
    levels = stack_marks(places)
    for (one, its_level), (other, other_level) in combinations(zip(places, levels, strict=True), 2):
        assert its_level != other_level or abs(one - other) >= MARK_WIDTH
    assert set(levels) == set(range(max(levels, default=-1) + 1))


@pytest.mark.parametrize(
    ("distance", "place", "shape"),
    [
        (0.0, 0.0, "inside"),
        (-1.0, -1.0, "inside"),
        (1.01, 1.01, "outside"),
        (-4.0, -4.0, "outside"),
        (5.0, 4.0, "above"),
        (-70.0, -4.0, "below"),
    ],
)
def test_numbers_beyond_the_limit_are_drawn_at_it(distance, place, shape):
    assert (clip_distance(distance), choose_shape(distance)) == (place, shape)


def section(*distances):
    config = AssignmentConfig(title="T", question="", order=1, notebooks={"n": NotebookConfig(title="N")})
    return {"name": "a", "config": config, "reported": [{"distance": distance} for distance in distances]}


def test_lay_out_strips_counts_and_places_the_compared_numbers_of_each_section():
    (strip,) = lay_out_strips([section(), section(0.0, None, 0.0, 9.0), section(None)])
    assert (strip["name"], strip["title"], strip["inside"], strip["outside"]) == ("a", "T", 2, 1)
    first, second, last = strip["marks"]
    assert first["x"] == second["x"] == 50 < last["x"] < 100
    assert first["y"] - second["y"] == MARK_HEIGHT
    assert 0 < second["y"] < first["y"] == last["y"] < strip["height"]
