"""The page play.html: draw a digit, add noise, and see what the networks of a collection read. It needs no Python.

project.yml names this package as its ``extra_page``.
"""

import base64
import sys
from importlib import resources
from pathlib import Path

import numpy as np

from noisy_digits import data, readers
from noisy_digits.errors import UserError
from noisy_digits.play._networks import pack, read_network
from noisy_digits.project import find_project_root
from noisy_digits.reports._templates import TEMPLATES
from noisy_digits.reports.compare import embed_json, hash_script
from noisy_digits.results import dataset_name, find_runs, is_built

TITLE = "Try it: draw a digit"
SCRIPTS = ("networks.js", "play.js", "reading_test.js")
NETWORKS = {
    "mlp": ("MLP", "denoising/2_mlp", {}),
    "cnn": ("CNN", "denoising/3a_cnn", {}),
    "dense": ("dense autoencoder", "denoising/4a_autoencoder", {"autoencoder": "dense"}),
    "convolutional": ("convolutional autoencoder", "denoising/4a_autoencoder", {"autoencoder": "convolutional"}),
}
"""The networks of the page by name: what it calls them, and the notebook and the grid point that trained them."""
SEED = 0
DIGITS_PER_CLASS = 12


def render_page(collection: str, notices: list[str]) -> str | None:
    """Return the page of a collection, which has its trained networks and some of its test digits in it.

    ``notices`` are shown first. Returns None if the networks are not trained, if the data set is not here or not one of
    digits, and, with a line on stderr, if a model is missing or has a layer that the page cannot compute.
    """
    if not all(is_built(notebook, collection) for _, notebook, _ in NETWORKS.values()):
        return None
    dataset = dataset_name(collection)
    if dataset not in readers.N_TEST_IMAGES or (dataset != "digits" and data.locate_dataset(dataset) is None):
        return None
    try:
        models = {name: _find_model(collection, notebook, point) for name, (_, notebook, point) in NETWORKS.items()}
        networks = {name: read_network(file) for name, (_, file) in models.items()}
    except UserError as error:
        print(f"play.html is left out: {error}", file=sys.stderr)
        return None
    indices, labels, images = _select_digits(dataset)
    packed, layers = pack(networks, images)
    script = "\n".join(map(_read_source, SCRIPTS))
    settings = {
        "networks": layers,
        "digits": [{"index": index, "label": label} for index, label in zip(indices, labels, strict=True)],
        "dataset": dataset,
        "columns": list(readers.COLUMNS),
        "levels": readers.LEVELS,
        "digitsPerLevel": readers.DIGITS_PER_LEVEL,
    }
    return TEMPLATES.from_string(_read_source("play.html.j2")).render(
        title=TITLE,
        notices=notices,
        dataset_title=data.dataset_title(dataset),
        origins=[(NETWORKS[name][0], f"{path}.html") for name, (path, _) in models.items()],
        n_trials=readers.DIGITS_PER_LEVEL * len(readers.LEVELS),
        style=_read_source("play.css"),
        script=script,
        hashes=[hash_script(script)],
        settings=embed_json(settings),
        packed=base64.b64encode(packed).decode(),
    )


def _read_source(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _find_model(collection: str, notebook: str, point: dict[str, str]) -> tuple[str, Path]:
    """Return the path of the run that trained a network, and the file of its model. Raises UserError without one."""
    for run in find_runs(notebook, collection):
        folder = find_project_root() / "results" / collection / run.path
        if point.items() <= run.point.items() and (files := sorted(folder.glob(f"*_{SEED}.keras"))):
            return run.path, files[0]
    where = "".join(f" with {key} {value}" for key, value in point.items())
    raise UserError(f"no run of {notebook}{where} saved a model of seed {SEED}")


def _select_digits(dataset: str) -> tuple[list[int], list[int], np.ndarray]:
    """Return the first test digits of each class: their places in the test set, their labels, their uint8 pixels."""
    digits = data.load(dataset, train_size=1)
    places = [np.flatnonzero(digits.y_test == label)[:DIGITS_PER_CLASS] for label in range(10)]
    chosen = np.sort(np.concatenate(places))
    pixels = np.rint(digits.x_test[chosen] * 255).astype(np.uint8)
    return chosen.tolist(), digits.y_test[chosen].tolist(), pixels
