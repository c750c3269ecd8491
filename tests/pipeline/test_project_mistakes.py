"""Every mistake of this project's params files: its effect can be measured, and turns with the numbers."""

import pandas as pd
import pytest

from noisy_digits.pipeline.config import load_assignments
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.references import measure_effects
from noisy_digits.results import list_points

from ..conftest import REPOSITORY

PLAN = plan_runs(REPOSITORY, "full")
MISTAKES = [
    pytest.param(name, key, mistake, id=f"{name}/{key}: {mistake.mistake}")
    for name, assignment in load_assignments(REPOSITORY).items()
    for key, notebook in assignment.notebooks.items()
    for mistake in notebook.mistakes
]
every_mistake = pytest.mark.parametrize(("name", "key", "mistake"), MISTAKES)


@every_mistake
def test_both_sides_of_a_mistake_are_run(name, key, mistake):
    planned = [run.point for run in PLAN if (run.assignment, run.notebook) == (name, key)]
    for point in list_points(mistake.at):
        for side in (point, point | mistake.without):
            assert {column: side[column] for column in planned[0]} in planned, side


@every_mistake
@pytest.mark.parametrize(("effect", "word"), [(-0.1, "lower"), (0.1, "higher")])
def test_the_effect_of_a_mistake_turns_with_the_numbers(name, key, mistake, effect, word):
    rows = [
        {**side, "seed": seed, "metric": metric, "value": seed + change * (1 + seed / 100)}
        for point in list_points(mistake.at)
        for side, change in ((point, effect), (point | mistake.without, 0.0))
        for metric in mistake.metrics
        for seed in range(3)
    ]
    rows = pd.DataFrame(rows).drop_duplicates(["seed", "metric", *mistake.at])
    effects = measure_effects(rows, [mistake.model_dump()])
    assert [each.word for each in effects] == [word] * len(mistake.metrics) * len(list_points(mistake.at))
