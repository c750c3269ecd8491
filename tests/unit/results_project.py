"""A project with results, in which the tests of the module results work."""

import numpy as np
import yaml

from noisy_digits import results
from noisy_digits._environment import RunContext
from noisy_digits._files import write_json, write_text
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.store import write_plan

from ..conftest import write_notebook

PARAMETERS = """\
use_l2: bool = False  # penalty
n_layers: Count = 1  # hidden layers
scale: NonNegative = 0.5  # of the noise
n_seeds: Count = 1  # replicates"""
ASSIGNMENT = {
    "title": "t",
    "question": "q",
    "order": 1,
    "recipes": {"as_submitted": {}, "corrected": {}},
    "notebooks": {
        "1_train": {
            "title": "t",
            "grid": {
                "recipe": ["as_submitted", "corrected"],
                "use_l2": [False, True],
                "n_layers": [1, 2],
                "scale": [0, 1.0e-6, 0.5],
            },
            "coordinates": ["noise_level", "layer"],
            "reported": [
                {"recipe": "as_submitted", "use_l2": False, "n_layers": 1, "scale": 0, "accuracy": 0.5, "loss": 2},
                {"recipe": "as_submitted", "use_l2": False, "n_layers": 1, "scale": 0, "accuracy": 0.9},
                {"recipe": "as_submitted", "use_l2": True, "n_layers": 1, "scale": 0.5, "noise_level": 0.4, "ssim": 0.7},  # noqa: E501
            ],
            "mistakes": [
                {
                    "mistake": "a slip",
                    "metrics": ["accuracy", "n_parameters"],
                    "at": {"recipe": "as_submitted", "use_l2": False, "n_layers": 1, "scale": 0.5},
                    "without": {"recipe": "corrected"},
                }
            ],
            "literature": [
                {
                    "network": "CNN",
                    "source": "LeCun et al. 1998",
                    "differs": "tanh",
                    "metric": "accuracy",
                    "value": 0.99,
                    "at": {"recipe": "corrected", "use_l2": False, "n_layers": 1, "scale": 0.0},
                }
            ],
        },
        "2_compare": {"title": "t", "depends_on": ["1_train"], "coordinates": ["scale"]},
    },
}  # fmt: skip
RECORD = {
    "point": {}, "parameters": {}, "files": [], "started": "", "seconds": 1.0, "peak_memory_mb": 1, "threads": 1,
    "device": None, "trainings": [], "precision": "float32", "machine": "", "onednn": True, "versions": {},
    "revision": None, "data_sha256": None,
}  # fmt: skip


def make_project(root):
    """Write a project with two notebooks of all kinds of columns."""
    for name, parameters in (("1_train", PARAMETERS), ("2_compare", "collection: str = ''")):
        write_notebook(root / f"notebooks/toy/{name}.ipynb", parameters)
    write_text(root / "params/toy.yml", yaml.safe_dump(ASSIGNMENT, sort_keys=False))
    write_text(root / "project.yml", "reference_collection: mnist\n")
    return root


def record(monkeypatch, folder, rows, coordinates=(), models=()):
    """Save metrics as a notebook does in a build, with the run's record."""
    folder.mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patched:
        for variable, value in RunContext(record_folder=folder).to_environment().items():
            patched.setenv(variable, value)
        results.save_metrics(rows, coordinates=coordinates)
    write_json(folder / "run.json", RECORD | {"files": list(models)})


def build(root, monkeypatch, collection="mnist"):
    """Make a collection: two seeds per grid point, the second of which diverged once."""
    folder = root / "results" / collection
    plan = plan_runs(root, "full")
    write_plan(folder, plan)
    for index, run in enumerate(plan):
        rows = [{"seed": 0, "scale": 0.5, "macs": 10}, {"seed": 0, "macs_total": 2.5}]
        if run.notebook == "1_train":
            rows = [
                {"seed": 0, "accuracy": 0.1 + index / 7, "loss": np.float32(0.1), "n_parameters": 1000 + index},
                {"seed": 1, "diverged": 1.0, "loss": np.nan, "accuracy": np.float64(0.25)},
                *({"seed": 0, "noise_level": level, "ssim": level / 3} for level in (0.0, 0.4)),
                {"seed": 1, "noise_level": 0.4, "ssim": np.nan},
                *({"seed": 0, "layer": layer, "norm": 1 / layer} for layer in (1, 2)),
            ]
        record(monkeypatch, folder / run.path, rows, ["noise_level", "layer"] if len(rows) > 2 else ["scale"])
    return folder, plan
