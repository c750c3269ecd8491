# ruff: noqa: E501
import copy
import re
from typing import get_args

import nbformat
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from papermill.parameterize import parameterize_notebook

from noisy_digits import denoising, params, schema
from noisy_digits.errors import UserError

from .conftest import (
    MEASURE,
    MEASURE_PARAMETERS,
    REPOSITORY,
    SUMMARY,
    TOY_PARAMS,
    make_toy,
    noisy_digits,
    write_notebook,
)


def runs(root, profile="full", seeds=None):
    return {run.path: run for run in params.plan(root, profile, seeds)}


def test_the_grid_is_expanded_in_the_order_of_the_file(toy):
    assert list(runs(toy)) == [
        *(f"toy/1_measure/recipe~{r}/scale~{s}" for r in ("as_submitted", "corrected") for s in (0.5, 2.0)),
        "toy/2_summary",
    ]


def test_a_run_has_every_parameter_of_its_notebook(toy):
    run = runs(toy)["toy/1_measure/recipe~corrected/scale~0.5"]
    assert run.parameters == {
        "scale": 0.5,
        "learning_rate": 1.0,
        "noise_level": 0.1,
        "scales": [0.1],
        "epochs": 3,
        "seeds": 2,
    }


def test_overrides_hold_at_their_grid_point_alone(toy):
    epochs = {path: run.parameters.get("epochs") for path, run in runs(toy).items()}
    assert epochs.pop("toy/1_measure/recipe~as_submitted/scale~2.0") == 7
    assert set(epochs.values()) == {3, None}


def test_the_quick_profile_wins_over_overrides_and_seeds_over_all(toy):
    path = "toy/1_measure/recipe~as_submitted/scale~2.0"
    assert runs(toy, "quick")[path].parameters["epochs"] == 1
    assert runs(toy, "quick")[path].parameters["seeds"] == 1
    assert runs(toy, "quick", seeds=5)[path].parameters["seeds"] == 5


def test_a_summary_reads_every_point_and_knows_the_published_numbers(toy):
    summary = runs(toy)["toy/2_summary"]
    assert len(summary.reads) == 4
    assert summary.in_print == ({"recipe": "as_submitted", "scale": 0.5, "test_accuracy": 0.25},)


def test_a_summary_reads_the_notebooks_of_assignments_before_its_own(toy):
    described = {"title": "Later", "question": "What then?", "order": 2}
    notebooks = {"2_summary": {"title": "All", "reads": ["toy/1_measure"]}}
    (toy / "params/later.yml").write_text(yaml.safe_dump(described | {"notebooks": notebooks}))
    write_notebook(toy / "notebooks/later/2_summary.ipynb", 'collection: str = "auto"', SUMMARY)
    summary = runs(toy)["later/2_summary"]
    assert set(summary.reads) == {path for path in runs(toy) if path.startswith("toy/1_measure")}
    assert summary.in_print == runs(toy)["toy/2_summary"].in_print
    (toy / "params/later.yml").write_text(yaml.safe_dump(described | {"order": 0, "notebooks": notebooks}))
    with pytest.raises(UserError, match=r"later\.yml: .*reads: toy/1_measure is not a notebook above this one"):
        runs(toy)


def test_changing_one_grid_value_changes_no_other_fingerprint(toy):
    before = runs(toy)
    change(toy, "2.0]}", "3.0]}")
    change(toy, "scale: 2.0}", "scale: 3.0}")
    after = runs(toy)
    same = [path for path in before if path in after and before[path].fingerprint == after[path].fingerprint]
    assert len(same) == 3


def change(root, old, new):
    file = root / "params" / "toy.yml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


CLAIM = "claims:\n  falls: {says: It falls, notebook: 1_measure, metric: test_accuracy, at: {scale: 0.5}, below: 0.0"
BAD = {
    "a claim about no notebook": ("order: 1", f"order: 1\n{CLAIM}}}".replace("1_m", "1_n"), r"no notebook 1_neasure.*did"),
    "a claim off the grid": ("order: 1", f"order: 1\n{CLAIM}}}".replace("scale:", "scal:"), r"at scal: not in the grid of"),
    "a claim that pools a column": ("order: 1", f"order: 1\n{CLAIM}}}".replace("at: {scale: 0.5}, ", ""), r"its scale; list"),
    "a claim with an empty region": ("order: 1", f"order: 1\n{CLAIM}, above: 1.0}}", r"the one less than the other"),
    "an exact claim on replicates": ("order: 1", f"order: 1\n{CLAIM}, exact: true}}", r"1_measure has replicates"),
    "a published unknown recipe": ("{recipe: as_submitted, scale: 0.5, t", "{recipe: as_submited, scale: 0.5, t", r"as_submited"),
    "a claim without a region": ("order: 1", f"order: 1\n{CLAIM}}}".replace(", below: 0.0", ""), r"give above, below or"),
    "a claim's misspelt key": ("order: 1", f"order: 1\n{CLAIM}, abov: 1.0}}", r"abov: unknown key; did you mean above"),
    "a claim along one level": ("order: 1", f"order: 1\n{CLAIM}, along: scale}}", r"along: at\.scale must list two"),
    "the figure of a grid": ("order: 1", "order: 1\nfigure: 1_measure", r"figure: 1_measure has a grid"),
    "the figure of no notebook": ("order: 1", "order: 1\nfigure: 2_sumary", r"no notebook 2_sumary.*did you mean 2_summ"),
    "a misspelt parameter": ("fixed: {epochs: 3}", "fixed: {epoch: 3}", r"fixed\.epoch.*did you mean epochs\?"),
    "a misspelt grid key": ("scale: [0.5,", "scal: [0.5,", r"grid\.scal:.*did you mean scale\?"),
    "a misspelt schema key": ("    title: Measuring", "    titel: Measuring", r"titel: unknown key; did you mean title"),
    "a negative scale": ("[0.5, 2.0]", "[-0.5, 2.0]", r"grid\.scale: -0\.5: .*greater than or equal to 0"),
    "a noise level of 1.2": ("{epochs: 3}", "{epochs: 3, noise_level: 1.2}", r"noise_level: 1\.2: .*less than or equal"),
    "1e-4 as text": ("{learning_rate: 0.5}", "{learning_rate: 1e-4}", r"'1e-4': text, not a number; .*as in 1\.0e-4"),
    "a number in quotes": ("epochs: 3}", "epochs: '3'}", r"fixed\.epochs: '3': text, not a number.*no quotes"),
    "a word for a number": ("epochs: 3}", "epochs: many}", r"fixed\.epochs: 'many': .*integer"),
    "half an epoch": ("epochs: 3}", "epochs: 2.5}", r"fixed\.epochs: 2\.5: .*integer"),
    "a truth for a number": ("[0.5, 2.0]", "[true, 2.0]", r"grid\.scale: True"),
    "not a number": ("[0.5, 2.0]", "[.nan, 2.0]", r"grid\.scale: nan: .*finite"),
    "infinite noise": ("[0.5, 2.0]", "[.inf, 2.0]", r"grid\.scale: inf: .*finite"),
    "no epochs": ("epochs: 3}", "epochs: 0}", r"fixed\.epochs: 0: .*greater than or equal to 1"),
    "an unknown recipe": ("recipe: [as_submitted, corrected]", "recipe: [corected]", r'unknown recipe "corected"; did you'),
    "an unknown recipe parameter": ("{learning_rate: 0.5}", "{learning_rat: 0.5}", r"recipes\.as_submitted\.learning_rat"),
    "a negative learning rate": ("{learning_rate: 0.5}", "{learning_rate: -1}", r"learning_rate: -1: .*greater than 0"),
    "an empty grid": ("[0.5, 2.0]", "[]", r"grid\.scale: .*at least 1 item"),
    "a value twice": ("[0.5, 2.0]", "[1, 1.0]", r"grid\.scale: 1\.0 appears twice"),
    "a key twice": ("    seeds: 2", "    seeds: 2\n    seeds: 3", r'line 9.*the key "seeds" appears twice'),
    "an override off the grid": ("scale: 2.0}, set", "scale: 9.0}, set", r"overrides: where\.scale: 9\.0 is not in the grid"),
    "an override of nothing": ("where: {recipe: as_submitted, scale: 2.0}", "where: {}", r"where: .*at least 1 item"),
    "a published number from nowhere": ("{recipe: as_submitted, scale: 0.5, test", "{scale: 0.5, test", r"submitted: .*does not say its recipe"),
    "a published number as text": ("test_accuracy: 0.25}", "test_accuracy: '0.25'}", r"submitted\.test_accuracy: '0\.25': text, not a number"),
    "a misspelt quick parameter": ("quick: {epochs: 1", "quick: {epohcs: 1", r"quick\.epohcs: .*did you mean epochs"),
    "a negative scale in a list": ("{epochs: 3}", "{epochs: 3, scales: [0.1, -0.5]}", r"fixed\.scales\[1\]: -0\.5: .*greater than or equal to 0"),
    "1e-4 as text in a list": ("{epochs: 3}", "{epochs: 3, scales: [1e-4]}", r"fixed\.scales\[0\]: '1e-4': text, not a number"),
    "an unknown notebook": ("  2_summary:", "  2_sumary:", r"no notebook notebooks/toy/2_sumary\.ipynb; did you mean 2_summary"),
    "reading what is not there": ("[1_measure]", "[1_mesure]", r"reads: 1_mesure is not a notebook above.*did you mean"),
    "no seeds": ("    seeds: 2", "    seeds: 0", r"seeds: .*greater than or equal to 1"),
    "no title": ("title: A toy assignment\n", "", r"title: Field required"),
    "broken YAML": ("notebooks:", "notebooks: [", r"toy\.yml line \d+: not valid YAML"),
    "a Python object": ("order: 1", "order: !!python/object/apply:os.getpid []", r"not valid YAML"),
    "a tag": ("order: 1", "order: !point 1", r"toy\.yml line 3: not valid YAML: .*!point"),
    "an anchor": ("order: 1", "order: &one 1", r'line 3: not valid YAML: "one" is an anchor or alias'),
    "an alias": ("order: 1", "order: *one", r'line 3: not valid YAML: "one" is an anchor or alias'),
    "a bomb of aliases": (None, "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n", r'line 1: .*"a" is an anchor'),
    "nested too deeply": (None, "[" * 5000, r"nested too deeply"),
    "two documents": ("order: 1", "order: 1\n---\ntitle: x", r"not valid YAML: but found another document"),
    "a tab": ("order: 1", "order:\t1\n\tx: 1", r"line \d: not valid YAML"),
    "a list for a file": (None, "- 1\n- 2\n", r"toy\.yml: must hold keys and values \(allowed: title"),
    "a number for a file": (None, "42", r"toy\.yml: must hold keys and values"),
    "a date that is none": ("A toy assignment", "2024-13-45", r"not valid YAML: month must be in 1\.\.12: write text in quotes"),
    "a hexadecimal number that is none": ("A toy assignment", "0x_", r"not valid YAML: invalid literal"),
    "a tag that does not fit": ("seeds: 2", "seeds: !!int 'x'", r"not valid YAML: invalid literal"),
    "a tag of nothing": ("seeds: 2", "seeds: !!int ''", r"not valid YAML: "),
    "a truth value that is none": ("seeds: 2", "seeds: !!bool 'x'", r"not valid YAML: "),
    "a date in a list": ("{epochs: 3}", "{epochs: 3, scales: [2001-01-01]}", r"fixed\.scales.*valid JSON"),
    "half a character": ("A toy assignment", '"caf\\ud800"', r"holds text that is no Unicode"),
    "a recipe with a very long name": ("as_submitted", "a" * 300, r"cannot be part of a path; .* at most 100"),
    "a recipe that climbs out": ("as_submitted", "../../x", r"'\.\./\.\./x' cannot be part of a path"),
    "a list for a key": ("order: 1", "order: 1\n? [a, b]\n: 1", r"not valid YAML"),
    "a number for a key": ("order: 1", "order: 1\n1: 2", r"toy\.yml: "),
    "a date for a number": ("order: 1", "order: 2026-01-01", r"order: .*integer"),
    "nothing for a number": ("order: 1", "order:", r"order: .*integer"),
    "a list for a number": ("epochs: 3}", "epochs: [3]}", r"fixed\.epochs: \[3\]: .*integer"),
    "a mapping for a list": ("[0.5, 2.0]", "{a: 0.5}", r"grid\.scale: .*list"),
    "a number for a list": ("[0.5, 2.0]", "0.5", r"grid\.scale: .*list"),
    "a million grid points": ("[0.5, 2.0]", f"[{', '.join(str(n / 2) for n in range(500_000))}]", r"grid: 1,000,000 points; at most 10,000"),
    "a notebook that reads itself": ("[1_measure]", "[2_summary]", r"reads: 2_summary is not a notebook above this one"),
    "a cycle of two": ("    seeds: 2", "    seeds: 2\n    reads: [2_summary]", r"1_measure\.reads: 2_summary is not a notebook above"),
    "a notebook outside": ("  2_summary:", "  ../../2_summary:", r"'../../2_summary' cannot be part of a path"),
    "a notebook with a space": ("  2_summary:", "  2 summary:", r"'2 summary' cannot be part of a path"),
    "no notebooks": (None, "title: t\nquestion: q\norder: 1\nnotebooks: {}", r"notebooks: .*at least 1 item"),
    "a truth for seeds": ("    seeds: 2", "    seeds: true", r"seeds: .*integer"),
    "half a seed": ("    seeds: 2", "    seeds: 2.5", r"seeds: .*integer"),
    "minus one seed": ("    seeds: 2", "    seeds: -1", r"seeds: .*greater than or equal to 1"),
    "an override of an unknown parameter": ("set: {epochs: 7}", "set: {epoch: 7}", r"overrides\.epoch: .*did you mean epochs"),
    "an override that sets nothing": ("set: {epochs: 7}", "set: {}", r"set: .*at least 1 item"),
    "a quick number as text": ("quick: {epochs: 1", "quick: {epochs: '1'", r"quick\.epochs: '1': text, not a number"),
    "a number too large for a float": ("[0.5, 2.0]", f"[{'9' * 400}, 2.0]", r"grid\.scale"),
    "a number with a comma": ("[0.5, 2.0]", "['0,5', 2.0]", r"grid\.scale: '0,5'"),
    "an empty file": (None, "", r"toy\.yml: "),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_naming_the_file_and_the_key(toy, case):
    old, new, message = BAD[case]
    if old is None:
        (toy / "params" / "toy.yml").write_text(new)
    else:
        change(toy, old, new)
    with pytest.raises(UserError) as caught:
        params.plan(toy, "full")
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


STEEPEST = "claims:\n  c: {says: s, notebook: 1_measure, metric: m, at: {scale: [0.5, 2.0]}, along: scale, steepest: 2.0, below: 0.0}"
MINUS = (
    "  d: {says: s, notebook: 1_measure, metric: m, at: {scale: 0.5}, minus: {metric: n, at: {scale: 2.0}}, above: 0.0}"
)
TOY = yaml.safe_load(f"{TOY_PARAMS}figure: 2_summary\n{STEEPEST}\n{MINUS}")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), each, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("fuzzed") / "toy project")


@given(place=st.sampled_from(list(places(TOY))), key=st.none() | st.text(max_size=8), value=ANYTHING)
def test_whatever_stands_anywhere_is_a_plan_or_one_line_that_names_the_file(project, place, key, value):
    """A value is put in the place of another, or beside it under a key of its own."""
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
        params.plan(project, "full")
    except UserError as error:
        refused = str(error)
    assert refused.startswith("toy.yml")
    assert "\n" not in refused


WITHOUT_LIMITS = {"collection", "augment_validation", "penalised"}
"""Parameters for which everything of their type is allowed; the build itself fills in the first."""


def test_every_parameter_of_every_notebook_has_limits():
    notebooks = (REPOSITORY / "notebooks").glob("*/[0-9]*.ipynb")
    assert {name for path in notebooks for name in params.declared(path)} - schema.CONSTRAINTS.keys() == WITHOUT_LIMITS


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("dataset", "str", "mnits"),
        ("denoiser", "str", "median_7"),
        ("architecture", "str", "dence"),
        ("trained_on", "str", "gausian_0.4"),
        ("tested_on", "list", ["clean", "gaussian_-1"]),
        ("drawn", "str", "twice"),
        ("levels", "list", [0.5, "<b>"]),
        ("levels", "list", [0.5, float("nan")]),
        ("labels", "list", [10]),
        ("human", "list", [0.4]),
        ("seed", "int", -1),
        ("images", "int", -3),
        ("sigma", "float", 0.0),
        ("sure", "float", 17.0),
        ("alphas", "list", ["x"]),
    ],
)
def test_a_value_beyond_its_limits_is_refused_with_its_place(name, kind, value):
    with pytest.raises(UserError, match=rf"^here\.{name}"):
        schema.checked(name, kind, value, f"here.{name}")


def test_denoisers_are_those_that_there_are():
    for name, known in (
        ("denoiser", {**denoising.FILTERS, **denoising.AUTOENCODERS}),
        ("architecture", denoising.AUTOENCODERS),
    ):
        assert set(get_args(schema.CONSTRAINTS[name])) == set(known)


def test_a_default_beyond_its_limits_is_refused(toy):
    write_notebook(
        toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS.replace("epochs: int = 2", "epochs: int = -2")
    )
    with pytest.raises(UserError, match=r"1_measure\.ipynb: parameters cell: epochs: -2: .*greater than or equal to 1"):
        params.plan(toy, "full")


@pytest.mark.parametrize(
    "content",
    [
        '{"cells": 3}',
        '{"cells": [3]}',
        '{"cells": [{"cell_type": "code"}]}',
        '{"cells": [{"metadata": {"tags": null}}]}',
        '{"cells": [{"metadata": {"tags": ["parameters"]}}]}',
        '{"cells": [{"metadata": {"tags": ["parameters"]}, "source": 3}]}',
        '{"cells": [{"metadata": {"tags": ["parameters"]}, "source": "x: dict = {[]: 1}"}]}',
    ],
)
def test_a_damaged_notebook_is_named(toy, content):
    (toy / "notebooks/toy/1_measure.ipynb").write_text(content)
    with pytest.raises(UserError, match=r"1_measure\.ipynb: (not a readable notebook|parameters cell)"):
        params.plan(toy, "full")


@pytest.mark.parametrize("name", ["a b", "a;touch b", "$(touch b)", "ä"])
def test_the_name_of_a_params_file_is_part_of_paths(toy, name):
    (toy / "params/toy.yml").rename(toy / f"params/{name}.yml")
    (toy / "notebooks/toy").rename(toy / f"notebooks/{name}")
    with pytest.raises(UserError, match=r"its name: .* cannot be part of a path"):
        params.plan(toy, "full")


def test_a_params_file_is_not_overlooked_for_its_ending(toy):
    (toy / "params" / "mine.yaml").write_text(TOY_PARAMS)
    with pytest.raises(UserError, match=r"mine\.yaml: the names of params files end in \.yml; rename it"):
        params.plan(toy, "full")


def test_a_params_file_that_is_not_text_is_named(toy):
    (toy / "params/toy.yml").write_bytes(b"\xff\xfe\x00title")
    with pytest.raises(UserError, match=r"toy\.yml: cannot be read"):
        params.plan(toy, "full")


@given(text=st.text(), number=st.floats(allow_nan=False), numbers=st.lists(st.floats(allow_nan=False) | st.text()))
def test_a_parameter_arrives_as_the_value_it_is_and_never_as_code(text, number, numbers):
    cell = nbformat.v4.new_code_cell("text: str = ''", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(
        cells=[cell],
        metadata={"papermill": {}, "kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    given = {"text": text, "number": number, "numbers": numbers}
    filled = parameterize_notebook(notebook, given)
    found = {}
    exec(filled.cells[-1].source, found)
    assert {name: found[name] for name in given} == given


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "--dataset", "mnits"], "unknown data set 'mnits'; did you mean mnist?"),
        (["build", "--profile", "quik"], 'profile "quik" is not known; did you mean quick?'),
        (["build", "--seeds", "0"], "--seeds: '0' is not a whole number"),
        (["build", "--seeds", "two"], "--seeds: 'two' is not a whole number"),
        (["build", "--cores", "0"], "--cores: '0' is not a whole number"),
        (
            ["run", "toy/1_measure/recipe~corrected/scale~-1"],
            "no run toy/1_measure/recipe~corrected/scale~-1 is planned",
        ),
        (["run", "toy/1_measure/recipe~corected/scale~0.5"], "did you mean toy/1_measure/recipe~corrected/scale~0.5?"),
        (["biuld"], "invalid choice: 'biuld'"),
    ],
)
def test_a_bad_command_is_one_line_and_status_2(toy, arguments, message):
    done = noisy_digits(toy, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (toy / "results").exists()


def test_outside_a_project_the_command_says_so(tmp_path):
    done = noisy_digits(tmp_path, "check")
    assert done.returncode == 2
    assert "not inside a project" in done.stderr


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("scale = 0.5", "is not `name: type = value`"),
        ("scale: float = make()", "is not `name: type = value`"),
        ("scale: number = 0.5", "is not `name: type = value`"),
        ("scale: float = ", "parameters cell"),
    ],
)
def test_a_parameters_cell_holds_typed_literals(toy, cell, message):
    write_notebook(toy / "notebooks" / "toy" / "1_measure.ipynb", cell, MEASURE)
    with pytest.raises(UserError, match=message):
        params.plan(toy, "full")


def test_a_notebook_without_a_parameters_cell_is_refused(toy):
    notebook = toy / "notebooks" / "toy" / "1_measure.ipynb"
    write_notebook(notebook, MEASURE_PARAMETERS, MEASURE)
    notebook.write_text(notebook.read_text().replace('"parameters"', '"other"'))
    with pytest.raises(UserError, match=r'0 cells are tagged "parameters"'):
        params.plan(toy, "full")


@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=12) | st.none() | st.booleans()
)
def test_a_scale_is_a_finite_number_of_zero_or_more_or_refused(value):
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        assert schema.checked("scale", "float", value, "here") == float(value)
    else:
        with pytest.raises(UserError, match="here"):
            schema.checked("scale", "float", value, "here")


@given(st.text(max_size=20))
def test_no_grid_value_can_leave_the_results_folder(text):
    """A path is made of the grid's values: whatever is accepted stays one plain component."""
    parameters = {"name": params.Parameter("str", "")}
    assignment = schema.Assignment(title="t", question="q", order=1, notebooks={"n": schema.Notebook(title="n")})
    try:
        value = params._grid_value(assignment, "name", text, parameters, "here")
    except UserError:
        return
    assert re.fullmatch(r"[\w.+-]+", f"{value}", re.ASCII)
    assert value not in (".", "..")


def test_this_projects_own_plan_is_the_assignments_grid():
    planned = params.plan(REPOSITORY, "full")
    paths = {run.path for run in planned}
    assert {f"mlp_noise/2_training/recipe~corrected/scale~{s}" for s in (0.0, 0.1, 0.5, 1.0, 2.0, 4.0)} <= paths
    assert {f"cnn_noise/2_training/recipe~corrected/scale~{s}" for s in (0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0)} <= paths
