# ruff: noqa: E501
import copy
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits.data import DATASET_NAMES
from noisy_digits.errors import UserError
from noisy_digits.pipeline.plan import check_path_component, plan_runs

from ..conftest import (
    MEASURE_PARAMETERS,
    REPOSITORY,
    SUMMARY,
    SUMMARY_PARAMETERS,
    TOY_PARAMS,
    make_toy,
    write_notebook,
)


def by_path(root, profile="full", n_seeds=None, dataset=None):
    return {run.path: run for run in plan_runs(root, profile, n_seeds, dataset)}


def change(root, old, new):
    file = root / "params" / "toy.yml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_plan_runs_expands_the_grid_in_the_order_of_the_file(toy):
    assert list(by_path(toy)) == [
        *(f"toy/1_measure/recipe~{r}/scale~{s}" for r in ("as_submitted", "corrected") for s in (0.5, 2.0)),
        "toy/2_summary",
    ]


def test_plan_runs_adds_the_points_of_extra_grids_once(toy):
    before = list(by_path(toy))
    change(toy, "    n_seeds: 2", "    n_seeds: 2\n    extra_grids: [{scale: [0.5, 9.0], recipe: [corrected]}]")
    change(toy, "scale: 2.0}, set", "scale: 9.0}, set")
    assert list(by_path(toy)) == [*before[:4], "toy/1_measure/recipe~corrected/scale~9.0", *before[4:]]
    assert len(by_path(toy)["toy/2_summary"].depends_on) == 5


def test_a_run_has_every_parameter_of_its_notebook(toy):
    assert by_path(toy)["toy/1_measure/recipe~corrected/scale~0.5"].parameters == {
        "scale": 0.5,
        "learning_rate": 1.0,
        "noise_level": 0.1,
        "scales": [0.1],
        "epochs": 3,
        "n_seeds": 2,
    }


def test_overrides_hold_only_at_their_grid_point(toy):
    epochs = {path: run.parameters.get("epochs") for path, run in by_path(toy).items()}
    assert epochs.pop("toy/1_measure/recipe~as_submitted/scale~2.0") == 7
    assert set(epochs.values()) == {3, None}


def test_the_quick_profile_wins_over_overrides_and_n_seeds_over_all(toy):
    path = "toy/1_measure/recipe~as_submitted/scale~2.0"
    assert by_path(toy, "quick")[path].parameters["epochs"] == 1
    assert by_path(toy, "quick")[path].parameters["n_seeds"] == 1
    assert by_path(toy, "quick", n_seeds=5)[path].parameters["n_seeds"] == 5


def test_a_note_belongs_to_a_run_unless_n_seeds_replaces_all_values_of_its_override_or_the_profile_is_quick(toy):
    change(toy, "set: {epochs: 7}", "set: {epochs: 7, n_seeds: 1}, note: One long training.")
    path = "toy/1_measure/recipe~as_submitted/scale~2.0"
    assert by_path(toy)[path].notes == by_path(toy, n_seeds=5)[path].notes == ("One long training.",)
    assert by_path(toy, "quick")[path].notes == ()
    before = by_path(toy)
    change(toy, "One long training.", "One very long training.")
    assert [key for key, run in by_path(toy).items() if run.fingerprint != before[key].fingerprint] == [path]


def test_an_override_for_a_data_set_needs_data_sets(toy):
    change(toy, "scale: 2.0}, set", "dataset: digits}, set")
    assert len(plan_runs(toy, "full")) == 5
    (toy / "project.yml").unlink()
    with pytest.raises(UserError, match=r"toy\.yml: .*where\.dataset: project\.yml names no `datasets`; leave"):
        plan_runs(toy, "full")


def test_plan_runs_refuses_an_unknown_profile_or_data_set(toy):
    with pytest.raises(UserError, match=r'unknown profile "quik"; did you mean quick\?'):
        plan_runs(toy, "quik")
    with pytest.raises(UserError, match=r'unknown dataset "mnits"; did you mean mnist\?'):
        plan_runs(toy, "full", dataset="mnits")


def test_a_run_depends_on_every_point_and_knows_the_reported_numbers(toy):
    summary = by_path(toy)["toy/2_summary"]
    assert len(summary.depends_on) == 4
    assert summary.reference_values == ({"recipe": "as_submitted", "scale": 0.5, "test_accuracy": 0.25},)


def test_a_run_depends_on_notebooks_of_earlier_assignments(toy):
    described = {"title": "Later", "question": "What then?", "order": 2}
    notebooks = {"2_summary": {"title": "All", "depends_on": ["toy/1_measure"]}}
    (toy / "params/later.yml").write_text(yaml.safe_dump(described | {"notebooks": notebooks}))
    write_notebook(toy / "notebooks/later/2_summary.ipynb", SUMMARY_PARAMETERS, SUMMARY)
    summary = by_path(toy)["later/2_summary"]
    assert set(summary.depends_on) == {path for path in by_path(toy) if path.startswith("toy/1_measure")}
    assert summary.reference_values == by_path(toy)["toy/2_summary"].reference_values
    (toy / "params/later.yml").write_text(yaml.safe_dump(described | {"order": 0, "notebooks": notebooks}))
    with pytest.raises(UserError, match=r"later\.yml: .*depends_on: toy/1_measure is not a notebook above this one"):
        plan_runs(toy, "full")


def test_a_run_knows_its_headline_and_coordinates(toy):
    change(toy, "headline_metric: test_accuracy", "headline_metric: psnr\n    headline_at: {noise_level: 0.4}")
    change(toy, "    n_seeds: 2", "    n_seeds: 2\n    coordinates: [noise_level, target_accuracy]")
    run = by_path(toy)["toy/1_measure/recipe~corrected/scale~0.5"]
    assert (run.headline_metric, run.headline_at) == ("psnr", {"noise_level": 0.4})
    assert run.coordinates == ("noise_level", "target_accuracy")


def test_changing_one_grid_value_changes_no_other_fingerprint(toy):
    before = by_path(toy)
    change(toy, "2.0]}", "3.0]}")
    change(toy, "scale: 2.0}", "scale: 3.0}")
    after = by_path(toy)
    same = [path for path in before if path in after and before[path].fingerprint == after[path].fingerprint]
    assert len(same) == 3


def test_a_mistake_changes_the_fingerprints_of_the_runs_that_read_it(toy):
    before = by_path(toy)
    mistake = "{mistake: m, metrics: [a], at: {recipe: as_submitted, scale: 0.5}, without: {recipe: corrected}}"
    change(toy, "    reported:", f"    mistakes: [{mistake}]\n    reported:")
    after = by_path(toy)
    assert [path for path in before if before[path].fingerprint != after[path].fingerprint] == ["toy/2_summary"]


def test_a_reported_metric_may_be_called_like_a_parameter(toy):
    change(toy, "test_accuracy: 0.25}", "test_accuracy: 0.25, epochs: 0.5, learning_rate: -3.0}")
    row = by_path(toy)["toy/2_summary"].reference_values[0]
    assert (row["epochs"], row["learning_rate"]) == (0.5, -3.0)


def test_reported_numbers_literature_and_claims_may_name_coordinates(toy):
    change(toy, "    n_seeds: 2", "    n_seeds: 2\n    coordinates: [noise_level, model]")
    change(toy, "test_accuracy: 0.25}", "noise_level: 0.4, test_accuracy: 0.25}")
    claim = {"statement": "s", "notebook": "1_measure", "metric": "test_accuracy", "greater_than": 0.0}
    at = {"at": {"scale": 0.5, "noise_level": [0.1, 0.4]}, "minus": {"at": {"model": "mlp"}}}
    with (toy / "params/toy.yml").open("a") as file:
        yaml.safe_dump({"claims": {"falls": claim | at}}, file)
    assert by_path(toy)["toy/2_summary"].reference_values[0]["noise_level"] == 0.4


CLAIM = (
    "claims:\n  falls: {statement: It falls, notebook: 1_measure, metric: accuracy, at: {scale: 0.5}, less_than: 0.0"
)
BAD = {
    "a misspelt parameter": ("fixed: {epochs: 3}", "fixed: {epoch: 3}", r"fixed\.epoch: .*did you mean epochs\?"),
    "a misspelt grid key": ("scale: [0.5,", "scal: [0.5,", r"grid\.scal: .*did you mean scale\?"),
    "a negative scale": ("[0.5, 2.0]", "[-0.5, 2.0]", r"grid\.scale: -0\.5: .*greater than or equal to 0"),
    "1e-4 as text": ("{learning_rate: 0.5}", "{learning_rate: 1e-4}", r"'1e-4': text, not a number; .*as in 1\.0e-4"),
    "an unknown recipe": ("recipe: [as_submitted, corrected]", "recipe: [corected]", r'unknown recipe "corected"; did you'),
    "an unknown corrected recipe": ("corrected_recipe: corrected", "corrected_recipe: corect", r'corrected_recipe: .*"corect"'),
    "a recipe that climbs out": ("as_submitted", "../../x", r"'\.\./\.\./x' cannot be part of a path"),
    "too many grid points": ("[0.5, 2.0]", f"[{', '.join(str(n / 2) for n in range(6_000))}]", r"grid: 12,000 points; at most 10,000"),
    "a reserved coordinate": ("    n_seeds: 2", "    n_seeds: 2\n    coordinates: [metric]", r"cannot be called metric \(nor assignment"),
    "a coordinate of the grid": ("    n_seeds: 2", "    n_seeds: 2\n    coordinates: [scale]", r"grid and coordinates: scale appears twice"),
    "a headline elsewhere": ("    n_seeds: 2", "    n_seeds: 2\n    headline_at: {level: 1}", r"headline_at\.level: not a coordinate"),
    "an override off the grid": ("scale: 2.0}, set", "scale: 9.0}, set", r"where\.scale: 9\.0 is not in the grid \(there"),
    "an override for no data set": ("scale: 2.0}, set", "dataset: digit}, set", r'dataset "digit"; did you mean digits\?'),
    "an override elsewhere": ("scale: 2.0}, set: {epochs", "dataset: mnist}, set: {epoch", r"overrides\.epoch: .*did you mean"),
    "a reported number from nowhere": ("{recipe: as_submitted, scale: 0.5, t", "{scale: 0.5, t", r"reported: .*does not give its recipe"),
    "a reported number as text": ("test_accuracy: 0.25}", "test_accuracy: '0.25'}", r"reported\.test_accuracy: '0\.25': text, not a number"),
    "a deviation of nothing reported": ("    reported:", "    deviations: [{metric: loss, at: {scale: 0.5}, cause: x}]\n    reported:", r"no loss is reported at"),
    "an unknown notebook": ("  2_summary:", "  2_sumary:", r"no notebook notebooks/toy/2_sumary\.ipynb; did you mean 2_summary"),
    "a notebook that reads itself": ("[1_measure]", "[2_summary]", r"depends_on: 2_summary is not a notebook above this one"),
    "a claim off the grid": ("order: 1", f"order: 1\n{CLAIM}}}".replace("scale:", "scal:"), r"at\.scal: neither in the grid nor a"),
    "a claim that pools a column": ("order: 1", f"order: 1\n{CLAIM}}}".replace("{scale: 0.5}", "{}"), r"at: \{\} does not give its scale; add it"),
    "a claim with an empty region": ("order: 1", f"order: 1\n{CLAIM}, greater_than: 1.0}}", r"the first below the second"),
    "a cause that is not run": ("original_recipe: as_submitted", f"original_recipe: as_submitted\n{CLAIM}, cause: {{mistake: x, alone: other}}}}", r"claims.falls: 1_measure does not run other"),
    "an extra grid of other parameters": ("    n_seeds: 2", "    n_seeds: 2\n    extra_grids: [{recipe: [corrected]}]", r"extra_grids: \['recipe'\] must be the parameters of the grid, \['recipe', 'scale'\]"),
    "an extra grid beyond its limits": ("    n_seeds: 2", "    n_seeds: 2\n    extra_grids: [{recipe: [corrected], scale: [-1.0]}]", r"grid\.scale: -1\.0: .*greater than or equal to 0"),
    "a mistake that pools a column": ("    reported:", "    mistakes: [{mistake: m, metrics: [a], at: {recipe: as_submitted}, without: {recipe: corrected}}]\n    reported:", r"mistakes: m: at: .*does not give its scale; add it"),
    "a mistake off the grid": ("    reported:", "    mistakes: [{mistake: m, metrics: [a], at: {recipe: as_submitted, scale: 0.5, levl: 1}, without: {recipe: corrected}}]\n    reported:", r"mistakes: m: at\.levl: neither in the grid nor a"),
    "a mistake against no recipe": ("    reported:", "    mistakes: [{mistake: m, metrics: [a], at: {recipe: as_submitted, scale: 0.5}, without: {recipe: corected}}]\n    reported:", r"mistakes: m: without\.recipe: .*did you mean corrected"),
    "a mistake against another column": ("    reported:", "    mistakes: [{mistake: m, metrics: [a], at: {recipe: as_submitted, scale: 0.5}, without: {scal: 2.0}}]\n    reported:", r"without\.scal: `at` does not give it; did you mean scale"),
    "a mistake against itself": ("    reported:", "    mistakes: [{mistake: m, metrics: [a], at: {recipe: corrected, scale: 0.5}, without: {recipe: corrected}}]\n    reported:", r"without: gives the values of `at`"),
    "a mistake against several points": ("    reported:", "    mistakes: [{mistake: m, metrics: [a], at: {recipe: as_submitted, scale: 0.5}, without: {scale: [0.5, 2.0]}}]\n    reported:", r"without\.scale: give one value here and in `at`"),
    "a rate without a column": ("order: 1", f"order: 1\n{CLAIM}, per_unit: true}}", r"per_unit: there is no along"),
    "a cause without recipes": ("original_recipe: as_submitted", f"{CLAIM}, cause: {{mistake: x}}}}", r"cause: the file must name its original_recipe"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_plan_runs_names_file_key_and_mistake_in_one_line(toy, case):
    old, new, message = BAD[case]
    change(toy, old, new)
    with pytest.raises(UserError) as caught:
        plan_runs(toy, "full")
    text = str(caught.value)
    assert re.search(message, text), text
    assert text.startswith("toy.yml")
    assert "\n" not in text


def places(value, here=()):
    """Every place in nested lists and mappings, as keys from the outside in."""
    yield here
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from places(each, (*here, key))


CLAIMS = """\
claims:
  c: {statement: s, notebook: 1_measure, metric: m, at: {scale: [0.5, 1.0, 2.0]}, along: scale, largest_change_at: 2.0,
      less_than: 0.0}
  d: {statement: s, notebook: 1_measure, metric: m, at: {scale: 0.5}, minus: {metric: n, at: {scale: 2.0, level: 1}},
      greater_than: 0.0, stated_in: p, cause: {mistake: c, alone: as_submitted, without: corrected}}
"""
TOY = yaml.safe_load(f"{TOY_PARAMS}{CLAIMS}")
TOY["notebooks"]["1_measure"]["overrides"].append({"where": {"dataset": "digits"}, "set": {"n_seeds": 1}, "note": "n"})
TOY["notebooks"]["1_measure"] |= {
    "coordinates": ["level"],
    "headline_at": {"level": 0.5},
    "literature": [
        {"network": "n", "source": "s", "differs": "d", "metric": "m", "value": 1.0, "at": {"recipe": "corrected", "scale": 0.5}}
    ],
    "mistakes": [
        {"mistake": "m", "note": "n", "metrics": ["m"], "at": {"recipe": "as_submitted", "scale": [0.5, 2.0]}, "without": {"recipe": "corrected"}}
    ],
}  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), each, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("fuzzed") / "toy project")


def test_the_params_file_that_is_fuzzed_is_valid(project):
    (project / "params/toy.yml").write_text(yaml.safe_dump(TOY))
    assert len(plan_runs(project, "full")) == 5


@given(place=st.sampled_from(list(places(TOY))), key=st.none() | st.text(max_size=8), value=ANYTHING)
def test_plan_runs_rejects_arbitrary_yaml_in_one_line_that_names_the_file(project, place, key, value):
    """A value replaces another, or is added next to it under a key of its own."""
    described = copy.deepcopy(TOY)
    inside = described
    for step in place[:-1]:
        inside = inside[step]
    if not place:
        described = value
    elif key is not None and isinstance(inside, dict):
        inside[key] = value
    else:
        inside[place[-1]] = value
    (project / "params/toy.yml").write_text(yaml.safe_dump(described, allow_unicode=True), encoding="utf-8")
    refused = "toy.yml"
    try:
        plan_runs(project, "full")
    except UserError as error:
        refused = str(error)
    assert refused.startswith("toy.yml")
    assert "\n" not in refused


SELECTORS = {"dataset": DATASET_NAMES, "recipe": ("as_submitted", "corrected"), "scale": (0.5, 2.0)}


@given(
    where=st.fixed_dictionaries({}, optional={key: st.sampled_from(each) for key, each in SELECTORS.items()}).filter(
        bool
    ),
    dataset=st.none() | st.sampled_from(DATASET_NAMES),
)
def test_an_override_changes_the_runs_that_it_selects_and_no_others(project, where, dataset):
    described = copy.deepcopy(TOY)
    plans = []
    for override in ([], [{"where": where, "set": {"noise_level": 0.2}, "note": "More noise."}]):
        described["notebooks"]["1_measure"]["overrides"] += override
        (project / "params/toy.yml").write_text(yaml.safe_dump(described))
        plans.append(plan_runs(project, "full", dataset=dataset))
    for before, after in zip(*plans, strict=True):
        selected = after.notebook == "1_measure" and where.items() <= {**after.point, "dataset": dataset}.items()
        parameters, notes = {**before.parameters, "noise_level": 0.2}, (*before.notes, "More noise.")
        assert after == (replace(before, parameters=parameters, notes=notes) if selected else before)


def test_the_study_on_mnist_has_no_overrides_of_its_own():
    assert plan_runs(REPOSITORY, "full", dataset="mnist") == plan_runs(REPOSITORY, "full")


@given(st.text(max_size=20))
def test_no_grid_value_can_leave_the_results_folder(text):
    """A path is made of grid values: whatever is accepted stays one plain component."""
    try:
        check_path_component(text, "here")
    except UserError:
        return
    assert re.fullmatch(r"[\w.+-]+", text, re.ASCII)
    assert text not in (".", "..")


@pytest.mark.parametrize("name", ["a b", "a;touch b", "$(touch b)", "ä"])
def test_the_name_of_a_params_file_is_part_of_paths(toy, name):
    (toy / "params/toy.yml").rename(toy / f"params/{name}.yml")
    (toy / "notebooks/toy").rename(toy / f"notebooks/{name}")
    with pytest.raises(UserError, match=r"its name: .* cannot be part of a path"):
        plan_runs(toy, "full")


def test_plan_runs_refuses_a_default_beyond_its_limits(toy):
    cell = MEASURE_PARAMETERS.replace("epochs: Count = 2", "epochs: Count = -2")
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", cell)
    with pytest.raises(UserError, match=r"1_measure\.ipynb: parameters\.epochs: -2: .*greater than or equal to 1"):
        plan_runs(toy, "full")


def test_this_projects_plan_is_the_assignments_grid_and_needs_no_tensorflow():
    code = "import pathlib, sys; from noisy_digits.pipeline.plan import plan_runs\n"
    code += f"print(*(run.path for run in plan_runs(pathlib.Path({str(REPOSITORY)!r}), 'full')))\n"
    code += "assert not {'tensorflow', 'keras', 'sklearn', 'skimage'} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    paths = set(done.stdout.split())
    assert {f"mlp_noise/2_train/recipe~corrected/scale~{s}" for s in (0.0, 0.1, 0.5, 1.0, 2.0, 4.0)} <= paths
    assert {f"cnn_noise/2_train/recipe~corrected/scale~{s}" for s in (0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0)} <= paths
