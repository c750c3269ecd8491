"""Load the data sets of a project. They belong to the subject of its notebooks, so project.yml names their module."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from noisy_digits.errors import UserError
from noisy_digits.project import Project


def _refuse_all(name: str) -> None:
    if name != "auto":
        raise UserError(f'unknown dataset "{name}": project.yml names no `datasets`; leave the data set out')


@dataclass(frozen=True)
class Datasets:
    """The functions that a build calls in the module of the data sets; the defaults fit a project without data sets.

    ``resolve_dataset`` takes a name or "auto" and raises UserError if that data set cannot be had; the others take a
    name, or None without data sets. ``dataset_notice`` returns the sentences that every page must show first.
    """

    DATASET_NAMES: tuple[str, ...] = ()
    resolve_dataset: Callable[[str], str | None] = _refuse_all
    dataset_sha256: Callable[[Any], str | None] = lambda name: None
    dataset_title: Callable[[Any], str] = lambda name: ""
    dataset_notice: Callable[[Any], str | None] = lambda name: None


def load_datasets(project: Project) -> Datasets:
    """Import the module that ``project.datasets`` names. Raises UserError if it is missing or lacks a function."""
    if project.datasets is None:
        return Datasets()
    try:
        module = importlib.import_module(project.datasets)
    except Exception as error:  # a module can raise anything
        raise UserError(
            f"project.yml: datasets: {project.datasets} cannot be imported: {type(error).__name__}: {error}"
        ) from None
    try:
        return Datasets(**{field.name: getattr(module, field.name) for field in fields(Datasets)})
    except AttributeError as error:
        raise UserError(f"project.yml: datasets: {project.datasets} has no {error.name}") from None
