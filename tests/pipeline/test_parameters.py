import json
import subprocess
import sys
from typing import Literal

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from papermill.parameterize import parameterize_notebook

from noisy_digits import types
from noisy_digits.errors import UserError
from noisy_digits.number_types import Count, Fraction, NonNegative
from noisy_digits.pipeline.parameters import Parameter, read_parameters, validate_parameter

from ..conftest import REPOSITORY

PROJECT_NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*/[0-9]*.ipynb"))


def write(path, parameters, *above):
    """Write a notebook with code cells ``above`` its parameters cell."""
    cells = [nbformat.v4.new_code_cell(source) for source in above]
    cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def notebook(tmp_path):
    return tmp_path / "1_measure.ipynb"


def test_read_parameters_evaluates_types_and_defaults(notebook):
    write(
        notebook,
        "scale: NonNegative = 1  # of the noise\nlevels: list[t.Fraction] = [0, 0.5]\n"
        "sampling: Literal['fixed', 'per_epoch'] = 'fixed'\n"
        "n: noisy_digits.number_types.Count = 3\nuse_l2: bool = False",
        "%matplotlib inline\nfrom typing import Literal\nimport noisy_digits",
        "from noisy_digits import types as t\nfrom noisy_digits.types import NonNegative",
    )
    assert read_parameters(notebook) == {
        "scale": Parameter(NonNegative, 1.0),
        "levels": Parameter(list[Fraction], [0.0, 0.5]),
        "sampling": Parameter(Literal["fixed", "per_epoch"], "fixed"),
        "n": Parameter(Count, 3),
        "use_l2": Parameter(bool, False),
    }


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("scale = 0.5", "`scale = 0.5` is not `name: type = value`"),
        ("scale: float = make()", "is not `name: type = value` with a literal value"),
        ("scale: float = ", r"parameters cell, line 1: invalid syntax"),
        ("scale: Positive = 0.5", r"scale: Positive is not imported in a cell above: .* did you mean positive\?"),
        ("scale: types.Positve = 0.5", r"scale: noisy_digits\.types has no Positve; did you mean Positive\?"),
        ("scale: positive = 0.5", r"scale: `positive` is not a type \(allowed: int, float, str, bool, list, dict, and"),
        ("scale: 'float' = 0.5", r"scale: `'float'` is not a type"),
        ("scale: list[3] = [0.5]", r"scale: `list\[3\]` is not a type"),
        ("scale: float[int] = 0.5", r"scale: `float\[int\]` is not a type"),
        ("scale: types.Count(3) = 1", r"scale: `types\.Count\(3\)` is not a type"),
        ("scale: missing.Type = 1", r"scale: missing cannot be imported: No module named 'no_such_module'"),
        ("epochs: types.Count = 0", r"parameters\.epochs: 0: must be greater than or equal to 1"),
        ("data: types.DatasetName = 'mnits'", r"parameters\.data: 'mnits': unknown dataset .* did you mean mnist\?"),
    ],
)  # fmt: skip
def test_read_parameters_refuses_what_is_no_typed_literal(notebook, cell, message):
    imports = "from noisy_digits import types\nfrom math import e as positive\nimport no_such_module as missing"
    write(notebook, cell, imports)
    with pytest.raises(UserError, match=rf"1_measure\.ipynb: {'.*' if message[0] != 'p' else ''}{message}"):
        read_parameters(notebook)


def test_read_parameters_ignores_imports_below_the_cell(notebook):
    write(notebook, "n: Count = 3")
    written = nbformat.read(notebook, as_version=4)
    written.cells.append(nbformat.v4.new_code_cell("from noisy_digits.types import Count"))
    nbformat.write(written, notebook)
    with pytest.raises(UserError, match="Count is not imported in a cell above"):
        read_parameters(notebook)


def test_read_parameters_imports_neither_tensorflow_nor_what_no_type_needs(notebook):
    write(notebook, "level: NoiseSpec = 'clean'", "import keras\nfrom noisy_digits.types import NoiseSpec")
    code = "import pathlib, sys; from noisy_digits.pipeline.parameters import read_parameters\n"
    code += f"read_parameters(pathlib.Path({str(notebook)!r})); print({{'keras', 'tensorflow'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "content",
    [
        '{"cells": 3}',
        '{"cells": [{"cell_type": "code"}]}',
        '{"cells": [{"metadata": {"tags": null}}]}',
        '{"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": 3}]}',
        '{"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "x: dict = {[]: 1}"}]}',
        '{"cells": []}',
    ],
)
def test_read_parameters_names_a_damaged_notebook(notebook, content):
    notebook.write_text(content)
    with pytest.raises(
        UserError, match=r"1_measure\.ipynb: (not a readable notebook|parameters cell|0 cells are tagged)"
    ):
        read_parameters(notebook)


def test_read_parameters_refuses_a_cell_that_papermill_would_leave_out(notebook):
    write(notebook, "n: int = 3")
    content = nbformat.read(notebook, as_version=4)
    content.cells[0].metadata["tags"] = ["papermill-error-cell-tag"]
    nbformat.write(content, notebook)
    with pytest.raises(UserError, match=r"leaves out cells tagged .*: remove the tag"):
        read_parameters(notebook)


@pytest.mark.parametrize("path", PROJECT_NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_parameter_of_this_project_has_limits(path):
    """A name, a collection and a truth value may be anything of their type; for all others the type says more."""
    for name, parameter in read_parameters(path).items():
        if name != "collection":
            assert parameter.annotation not in (int, float, str, list, dict), name


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (types.NonNegative, -0.5, r"-0\.5: must be greater than or equal to 0"),
        (types.NonNegative, float("inf"), r"inf: must be a finite number"),
        (types.NonNegative, True, r"True: must be a number"),
        (types.Positive, 0.0, r"0\.0: must be greater than 0"),
        (types.Positive, "1e-4", r"'1e-4': text, not a number; YAML wants a decimal point .* 1\.0e-4, and no quotes"),
        (types.Fraction, 17.0, r"17\.0: .*less than or equal to 1"),
        (types.Count, "many", r"'many': text, not a number"),
        (types.Count, 2.5, r"2\.5: must be a whole number"),
        (float, None, r"None: must be a number"),
        (types.DenoiserName, "median_7", r'unknown denoiser "median_7"; did you mean median_'),
        (types.AutoencoderName, "dence", r'unknown autoencoder "dence"; did you mean dense\?'),
        (types.NoiseSpec, "gausian_0.4", r"gausian"),
        (types.NoiseSampling, "twice", r"'twice': unknown value \(allowed: fixed, per_epoch\)"),
        (types.OptimizerName, "admn", r"unknown value; did you mean adam\? \(allowed: adam, sgd, rmsprop,"),
        (types.Count, 0, r"0: .*greater than or equal to 1"),
    ],
)
def test_validate_parameter_says_what_is_wrong_and_what_is_allowed(kind, value, message):
    with pytest.raises(UserError, match=rf"^here\.name: .*{message}"):
        validate_parameter("name", kind, value, "here")


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (list[types.NonNegative], [0.1, -0.5], r"^here\.name\[1\]: -0\.5: .*greater than or equal to 0"),
        (list[types.NonNegative], ["1e-4"], r"^here\.name\[0\]: '1e-4': text, not a number"),
        (list[types.NoiseSpec], ["clean", "gaussian_-1"], r"^here\.name\[1\]: 'gaussian_-1': "),
        (dict[str, float], {"a": "x"}, r"^here\.name\[a\]: 'x': text, not a number"),
    ],
)
def test_validate_parameter_says_where_in_a_list_or_mapping(kind, value, message):
    with pytest.raises(UserError, match=message):
        validate_parameter("name", kind, value, "here")


@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=12) | st.none() | st.booleans()
)
def test_validate_parameter_accepts_a_scale_that_is_a_number_of_zero_or_more(value):
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        assert validate_parameter("scale", NonNegative, value, "here") == float(value)
    else:
        with pytest.raises(UserError, match="here"):
            validate_parameter("scale", NonNegative, value, "here")


@given(text=st.text(), number=st.floats(allow_nan=False), numbers=st.lists(st.floats(allow_nan=False) | st.text()))
def test_papermill_passes_a_value_as_it_is_and_never_as_code(text, number, numbers):
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
    assert json.dumps([found[name] for name in given])
