"""The notebooks as they are committed: clean, typed, thin, in the field's words."""

import json
import re

import pytest

from noisy_digits.pipeline.parameters import read_parameters

from ..conftest import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*/[0-9]*.ipynb"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in NOTEBOOKS]
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
HEADINGS = ["Data", "Data and noise", "Labels", "Model", "Training", "Results", "Discussion"]
MAX_CELL_LINES = 25
WORDS = [
    "overfitting",
    "generalization gap",
    "baseline",
    "ReLU",
    "hyperparameter",
    "bottleneck",
    "latent",
    "vanishing gradient",
    "confidence interval",
    "data augmentation",
    "significant",
    "standard deviation",
]


def read_cells(path, kind):
    """Return the sources of a notebook's cells of one kind."""
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


@every_notebook
def test_no_cell_is_longer_than_a_screen(path):
    assert max(len(cell.splitlines()) for cell in read_cells(path, "code")) <= MAX_CELL_LINES


@every_notebook
def test_notebooks_are_committed_without_outputs(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


@every_notebook
def test_every_parameter_has_a_type_and_a_help_text(path):
    assert read_parameters(path)
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    (cell,) = (cell for cell in code if "parameters" in cell["metadata"].get("tags", []))
    lines = "".join(cell["source"]).splitlines()
    assert all(re.match(r"\w+: \w+(\[\w+\])? = .+  # .+", line) for line in lines), "name: Type = value  # help"


@every_notebook
def test_prose_holds_no_measured_number(path):
    """Prose must be true at every grid point: a number with a decimal point in it would be a typed-in result."""
    assert not re.search(r"\d\.\d", " ".join(read_cells(path, "markdown")))


@every_notebook
def test_every_notebook_asks_first_and_ends_with_exercises(path):
    prose = read_cells(path, "markdown")
    headings = [h for h in re.findall(r"^## (.+)$", "\n".join(prose), re.MULTILINE) if h in HEADINGS]
    assert prose[0].startswith("# ")
    assert "**Question.**" in prose[0]
    assert headings == sorted(headings, key=HEADINGS.index)
    assert headings[-1] == "Discussion"
    assert "**Exercises.**" in prose[-1]


def test_a_student_finds_the_words_that_they_have_read_elsewhere():
    prose = " ".join(cell for path in NOTEBOOKS for cell in read_cells(path, "markdown"))
    assert [word for word in WORDS if word.lower() not in prose.lower()] == []


@every_notebook
def test_a_notebook_that_trains_shows_its_model_its_loss_and_its_training(path):
    code = "\n".join(read_cells(path, "code"))
    if "training.fit(" in code:
        assert "plots.show_source(" in code
        assert re.search(r"training\.compile\(.*?loss=", code, re.DOTALL)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("norm(inputs @ w, sigma)", "norm(inputs @ w, sigma / np.sqrt(2))", "not the ridge solution"),
        ("norm(0, 1 / np.sqrt(alpha))", "norm(0, 1 / np.sqrt(2 * alpha))", "not the ridge solution"),
        ("* alpha / 2\n", "* alpha\n", "criteria differ"),
        ("x.T @ (p - t)", "x.T @ (p - t) / 2", "gradients differ"),
    ],
)
def test_a_wrong_factor_of_one_half_makes_the_theory_fail(right, wrong, message):
    """The notebook's own cells, once as they are and once with the mistake, in this process."""
    code = read_cells(REPOSITORY / "notebooks/depth/1_theory.ipynb", "code")
    whole = "\n".join(code).replace('DatasetName = "auto"', 'DatasetName = "digits"')
    assert whole.count(right) == 1
    exec(whole, {})
    with pytest.raises(AssertionError, match=message):
        exec(whole.replace(right, wrong), {})
