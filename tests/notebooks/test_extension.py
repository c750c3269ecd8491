"""Adding one thing touches one place: what is registered appears on pages, in figures and in the playground."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from noisy_digits.noise import NOISES

from ..conftest import FEW, REPOSITORY, copy_project, environment, keep_levels
from .test_by_hand import run_all

pytestmark = pytest.mark.slow

NOISE = '''

@register("speckle", amount=Positive)
def speckle(images: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply each pixel by 1 plus normal noise of standard deviation ``amount``."""
    return (images * (1 + amount * rng.standard_normal(images.shape, dtype=np.float32))).astype(np.float32)
'''
FILTER = '''

@register("mean_3")
def mean_filter(images: np.ndarray) -> np.ndarray:
    """Replace each pixel by the mean of the 3 × 3 pixels around it."""
    from scipy import ndimage

    return ndimage.uniform_filter(images, size=3, axes=(1, 2), mode="nearest")
'''
NETWORKS = '''

@CLASSIFIERS.register("linear")
def softmax_regression() -> keras.Model:
    """Build softmax regression: one dense layer."""
    return mlp(())


@AUTOENCODERS.register("narrow")
def narrow_autoencoder() -> keras.Model:
    """Build a dense autoencoder with a bottleneck of 16 units."""
    return dense_autoencoder(64, 16)
'''
GRIDS = {
    "denoising": {
        "2_mlp": {},
        "3a_cnn": {},
        "4a_autoencoder": {"autoencoder": ["dense", "convolutional", "narrow"]},
        "4c_evaluate_denoiser": {
            "denoiser": ["none", "median_3", "median_5", "mean_3", "dense", "convolutional", "narrow"]
        },
        "4c_compare_denoisers": {},
    },
    "beyond": {
        "1_noise_transfer": {"model": ["mlp", "linear"], "train_noise": ["clean", "speckle_0.4"]},
        "2_transfer_compare": {},
    },
}
DENOISERS = GRIDS["denoising"]["4c_evaluate_denoiser"]["denoiser"]


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """This project with a noise, a filter, an autoencoder and a network more, and a few grid points, built."""
    root = copy_project(tmp_path_factory.mktemp("extended"), "src", "notebooks")
    for module, code in {"noise": NOISE, "denoisers": FILTER, "models": NETWORKS}.items():
        with (root / f"src/noisy_digits/{module}.py").open("a") as file:
            file.write(code)
    (root / "params").mkdir()
    for name, notebooks in GRIDS.items():
        assignment = yaml.safe_load((REPOSITORY / f"params/{name}.yml").read_text())
        kept = {}
        for key, grid in notebooks.items():
            kept[key] = assignment["notebooks"][key]
            if grid:
                kept[key] = keep_levels(kept[key], grid) | {"grid": grid}
            quick = kept[key].get("quick", {})
            kept[key]["quick"] = quick | {parameter: value for parameter, value in FEW.items() if parameter in quick}
        (root / f"params/{name}.yml").write_text(
            yaml.safe_dump(
                {"title": name, "question": "?", "order": assignment["order"], "notebooks": kept}, sort_keys=False
            )
        )
    command = [sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick"]
    done = subprocess.run(command, cwd=root, env=environment() | with_package(root), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return root


def with_package(root):
    """Return the variable with which Python takes the package of another folder."""
    return {"PYTHONPATH": str(root / "src")}


def test_a_new_noise_network_and_denoisers_have_pages(extended):
    reports = extended / "reports/digits-quick"
    assert (reports / "beyond/1_noise_transfer/model~linear/train_noise~speckle_0.4.html").is_file()
    assert (reports / "denoising/4a_autoencoder/autoencoder~narrow.html").is_file()
    assert {page.stem for page in reports.glob("denoising/4c_evaluate_denoiser/*.html")} == {
        f"denoiser~{name}" for name in DENOISERS
    }


def test_seven_denoisers_are_seven_lines_of_one_figure(extended):
    page = (extended / "reports/digits-quick/denoising/4c_compare_denoisers.html").read_text()
    (described,) = re.findall(r'alt="(Line chart against [^"]*accuracy, none[^"]*)"', page)
    assert all(f"accuracy, {name.replace('_', ' ')}" in described for name in DENOISERS)


def test_a_new_noise_and_network_are_in_the_heat_map(extended):
    page = (extended / "reports/digits-quick/beyond/2_transfer_compare.html").read_text()
    assert re.search(r'alt="Heat map [^"]*LINEAR: [^"]*"', page)
    assert "speckle 0.4" in page


def test_the_playground_offers_what_is_registered(extended):
    notebook = run_all(extended, "beyond/playground", **with_package(extended))
    widgets = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    choices = [set(widget["state"]["_options_labels"]) for widget in widgets if "_options_labels" in widget["state"]]
    assert {*NOISES, "speckle"} in choices
    assert set(DENOISERS) in choices
    assert "LINEAR predicts" in json.dumps(notebook)


CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text()
EXAMPLE = re.search(r"```yaml\n(title: My assignment.*?)```", CONTRIBUTING, re.DOTALL)[1]
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}
IMPORTS, PARAMETERS, MEASURE = re.search(
    r"```python\n(from .*?)\n# the parameters cell\n(.*?)\n# the last cell\n(.*?)```", CONTRIBUTING, re.DOTALL
).groups()
FIRST_NOTEBOOK = (
    ("markdown", [], "# The first question\n\n**Question.** What does noise cost?"),
    ("code", [], IMPORTS.strip()),
    ("code", ["parameters"], PARAMETERS.strip()),
    ("markdown", [], "## Results"),
    ("code", [], MEASURE.strip()),
    ("markdown", [], "## Discussion\n\n**Exercises.** Change the scale."),
)


@pytest.fixture
def clone_with_assignment(tmp_path):
    """A clone of this project with the example in CONTRIBUTING.md of a new assignment, ready for make."""
    root = tmp_path / "clone"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    build_cell = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    cells = [
        build_cell[kind](source, metadata={"tags": tags} if tags else {}, id=str(place))
        for place, (kind, tags, source) in enumerate(FIRST_NOTEBOOK)
    ]
    (root / "notebooks/mine").mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=METADATA), root / "notebooks/mine/1_first.ipynb")
    (root / "params/mine.yml").write_text(EXAMPLE)
    subprocess.run(
        ["touch", "--date=2000-01-01", *root.glob("requirements.lock"), *root.glob("pyproject.toml")], check=True
    )
    (root / ".venv").symlink_to(Path(sys.executable).parents[1])
    return root


def run_in(root, *command):
    """Run a command in a clone, with its own package."""
    variables = environment() | with_package(root)
    return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True)


def test_the_new_assignment_of_contributing_passes_lint_and_the_tests_of_notebooks_and_plans(clone_with_assignment):
    linted = run_in(clone_with_assignment, "make", "lint")
    assert linted.returncode == 0, linted.stdout + linted.stderr
    files = ("tests/notebooks/test_style.py", "tests/pipeline/test_plan.py")
    tested = run_in(clone_with_assignment, sys.executable, "-m", "pytest", "-v", "-n", "0", *files)
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"test_every_parameter_has_a_type_and_a_help_text\[mine/1_first\] PASSED", tested.stdout)


@pytest.mark.faults
def test_the_new_assignment_of_contributing_passes_the_whole_of_make_test(clone_with_assignment):
    tested = run_in(clone_with_assignment, "make", "test")
    assert tested.returncode == 0, tested.stdout[-5000:]
