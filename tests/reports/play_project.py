"""A project in which the networks of play.html are trained briefly, so that the page can be made."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from noisy_digits import data, models, noise, results, training
from noisy_digits._environment import RunContext
from noisy_digits._files import is_complete, write_json
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.store import Collection, write_plan

from ..conftest import copy_project
from ..unit.results_project import RECORD

NOTEBOOKS = ("2_mlp", "3a_cnn", "4a_autoencoder")
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "2_mlp": lambda: models.mlp((64, 64)),
    "3a_cnn": lambda: models.cnn((200, 128), pool_after_first=True, conv_dropout=0),
}


def train(run, dataset, epochs):
    """Train the network of a run on few images with Adam, which gets far in few steps."""
    rng = training.set_random_seed(0)
    if run.notebook in CLASSIFIERS:
        model, loss = CLASSIFIERS[run.notebook](), "sparse_categorical_crossentropy"
        inputs, targets = dataset.x_train, dataset.y_train
    else:
        model, loss = models.AUTOENCODERS[run.point["autoencoder"]](), "binary_crossentropy"
        inputs, targets = noise.salt_and_pepper(dataset.x_train, 0.4, rng), dataset.x_train
    training.compile(model, optimizer="adam", learning_rate=0.002, loss=loss)
    few = inputs[:100], targets[:100]
    training.fit(model, inputs, targets, validation_data=few, epochs=epochs, batch_size=64)
    return model


def make_project(root, name, train_size=None, epochs=4):
    """Write the project and the runs that train the networks of the page; return the networks by their name there."""
    copy_project(root, "notebooks", "params")
    dataset = data.load(name, train_size=train_size)
    folder = root / "results" / Collection(name, "full", "float32").name
    runs = [run for run in plan_runs(root, "full") if run.assignment == "denoising" and run.notebook in NOTEBOOKS]
    write_plan(folder, runs)
    networks = {}
    for run in runs:
        model = train(run, dataset, epochs)
        file = f"{model.name}_0.keras"
        save(model, folder / run.path)
        write_json(folder / run.path / "run.json", RECORD | {"models": [file]})
        assert is_complete(folder / run.path)
        networks[run.point.get("autoencoder", run.notebook.partition("_")[2])] = model
    return networks


def save(model, folder):
    """Save a model as a notebook does in a build, and metrics without a number."""
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in RunContext(record_folder=folder).to_environment().items():
            patched.setenv(variable, value)
        results.save_model(model, 0)
        results.save_metrics([])


def noisy_images(dataset, n, rng):
    """Return ``n`` test images with both noises, at amounts from 0 to 1."""
    clean = dataset.x_test[:n]
    amounts = np.linspace(0, 1, n)
    kinds = [noise.gaussian, noise.salt_and_pepper]
    return np.stack([kinds[i % 2](clean[i], amounts[i], rng) for i in range(n)])
