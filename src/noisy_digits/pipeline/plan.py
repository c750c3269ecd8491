"""Plan the runs of a project: every notebook at every grid point. Every mistake is found before a kernel starts."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from noisy_digits.errors import UserError, check_name, did_you_mean
from noisy_digits.pipeline.config import (
    AssignmentConfig,
    Claim,
    NotebookConfig,
    Scalar,
    Values,
    is_selected,
    list_levels,
    load_assignments,
)
from noisy_digits.pipeline.datasets import load_datasets
from noisy_digits.pipeline.parameters import Parameter, read_parameters, validate_parameter
from noisy_digits.project import read_project
from noisy_digits.registry import Registry

PROFILES = ("full", "quick")

Parameters = Mapping[str, Parameter]
Types = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One notebook at one grid point, with all its seeds: one job of Snakemake.

    ``point`` holds the grid values, ``parameters`` every parameter of the notebook, ``notes`` what the params file says
    about them, ``depends_on`` the paths of the runs whose results it reads, and ``reference_values`` what is reported
    and published of these, and their mistakes.
    """

    assignment: str
    notebook: str
    point: Mapping[str, Any]
    parameters: Mapping[str, Any]
    notes: tuple[str, ...]
    depends_on: tuple[str, ...]
    reference_values: tuple[Mapping[str, Any], ...]
    headline_metric: str | None
    headline_at: Mapping[str, Any]
    coordinates: tuple[str, ...]

    @property
    def path(self) -> str:
        """Return its folder below results/<collection>: ``cnn_noise/2_train/recipe~corrected/scale~0.5``."""
        return "/".join([self.assignment, self.notebook, *(f"{key}~{value}" for key, value in self.point.items())])

    def is_headline(self, row: Mapping[str, Any]) -> bool:
        """Return True if a row of metrics.json holds the headline metric."""
        headline = {"metric": self.headline_metric, **self.headline_at}
        return {key: level for key, level in row.items() if key not in ("seed", "value")} == headline

    @property
    def fingerprint(self) -> str:
        """Return everything in the params files that its result and its page depend on, as one line of JSON."""
        return json.dumps([self.parameters, self.notes, self.reference_values, self.coordinates], sort_keys=True)


def plan_runs(root: Path, profile: str, n_seeds: int | None = None, dataset: str | None = None) -> list[Run]:
    """Return every run of the project at ``root``, in the order of the params files.

    ``profile`` is one of ``PROFILES``; ``n_seeds`` replaces every notebook's own number of seeds. ``dataset`` is that
    of the collection; it changes parameters, never the paths of the runs. Without it every mistake is found, too.
    Raises UserError for the first mistake in the params files or in the parameters cells of the notebooks.
    """
    check_name("profile", profile, PROFILES)
    datasets = load_datasets(read_project(root)).DATASET_NAMES
    if dataset is not None:
        check_name("dataset", dataset, datasets)
    planned: dict[str, list[Run]] = {}
    references: dict[str, list[Values]] = {}
    for name, assignment in load_assignments(root).items():
        check_path_component(name, f"{name}.yml: its name")
        cells = {key: _read_parameters(root, name, key) for key in assignment.notebooks}
        declared = {key: parameter.annotation for cell in cells.values() for key, parameter in cell.items()}
        for recipe, values in assignment.recipes.items():
            _validate(declared, values, f"{name}.yml: recipes.{recipe}")
        for key, notebook in assignment.notebooks.items():
            where = f"{name}.yml: notebooks.{key}"
            read = [_find_notebook(other, name, planned, f"{where}.depends_on") for other in notebook.depends_on]
            planned[f"{name}/{key}"] = [
                Run(
                    assignment=name,
                    notebook=key,
                    point=point,
                    parameters=values,
                    notes=notes,
                    depends_on=tuple(run.path for other in read for run in planned[other]),
                    reference_values=tuple(row for other in read for row in references[other]),
                    headline_metric=notebook.headline_metric,
                    headline_at=notebook.headline_at,
                    coordinates=tuple(notebook.coordinates),
                )
                for point, values, notes in _expand(assignment, notebook, cells[key], profile, n_seeds, dataset, where)
            ]
            _check_overrides(notebook, cells[key], datasets, f"{where}.overrides")
            described = [each.model_dump() for each in (*notebook.literature, *notebook.mistakes)]
            references[f"{name}/{key}"] = [*notebook.reported, *described]
        for key, claim in assignment.claims.items():
            _check_claim(claim, assignment, cells[claim.notebook], f"{name}.yml: claims.{key}")
    return [run for runs in planned.values() for run in runs]


def check_path_component(value: Any, where: str) -> None:
    """Refuse a value that cannot be part of the path of a run."""
    if not re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,99}", str(value)):
        raise UserError(f"{where}: {value!r} cannot be part of a path; use letters, digits and . _ + -, at most 100")


def _read_parameters(root: Path, name: str, key: str) -> Parameters:
    where = f"{name}.yml: notebooks"
    check_path_component(key, where)
    folder = root / "notebooks" / name
    present = [notebook.stem for notebook in folder.glob("*.ipynb")]
    if key not in present:
        suggestion = did_you_mean(key, present)
        raise UserError(f"{where}.{key}: there is no notebook notebooks/{name}/{key}.ipynb{suggestion}")
    return read_parameters(folder / f"{key}.ipynb")


def _find_notebook(other: str, name: str, planned: Mapping[str, list[Run]], where: str) -> str:
    """Return "assignment/notebook" of a notebook that is planned already, as named in the assignment ``name``."""
    known = {path.removeprefix(f"{name}/"): path for path in planned}
    if other not in known:
        raise UserError(f"{where}: {other} is not a notebook above this one{did_you_mean(other, known)}")
    return known[other]


def _expand(
    assignment: AssignmentConfig,
    notebook: NotebookConfig,
    cell: Parameters,
    profile: str,
    n_seeds: int | None,
    dataset: str | None,
    where: str,
) -> Iterator[tuple[Values, Values, tuple[str, ...]]]:
    """Yield each grid point with the values of all parameters there, and the notes of the overrides among these.

    Later layers override earlier ones. The quick profile has no notes: its pages say that it is no result.
    """
    types = {name: parameter.annotation for name, parameter in cell.items()}
    columns = _column_types(assignment, notebook, cell, f"{where}.grid")
    _check_references(notebook, columns, where)
    points = _list_points(notebook, columns, where)
    quick = _validate(types, notebook.quick, f"{where}.quick")
    if "n_seeds" in notebook.model_fields_set and "n_seeds" not in cell:
        raise UserError(
            f"{where}.n_seeds: the notebook declares no such parameter; add `n_seeds: Count = 1` to its cell"
        )
    seeds = {"n_seeds": notebook.n_seeds} if "n_seeds" in cell else {}
    for point in points:
        recipe = assignment.recipes.get(str(point.get("recipe")), {})
        selectors = point | {"dataset": dataset}
        values, notes = {name: parameter.default for name, parameter in cell.items()} | seeds, {}
        for origin, layer, note in (
            ("fixed", notebook.fixed, ""),
            ("recipe", {key: value for key, value in recipe.items() if key in cell}, ""),
            ("grid", {key: value for key, value in point.items() if key != "recipe"}, ""),
            *(("overrides", each.set, each.note) for each in notebook.overrides if is_selected(selectors, each.where)),
            ("quick", quick if profile == "quick" else {}, ""),
            ("SEEDS", dict.fromkeys(seeds, n_seeds) if n_seeds is not None else {}, ""),
        ):
            values |= _validate(types, layer, f"{where}.{origin}")
            notes |= dict.fromkeys(layer, note)
        yield point, values, () if profile == "quick" else tuple(dict.fromkeys(filter(None, notes.values())))


def _column_types(assignment: AssignmentConfig, notebook: NotebookConfig, cell: Parameters, where: str) -> Types:
    """Return the types of the grid columns and coordinates of a notebook."""
    recipes = Registry("recipe")
    recipes.update(assignment.recipes)
    types = {name: parameter.annotation for name, parameter in cell.items()}
    types["recipe"] = Annotated[str, AfterValidator(recipes.check)]
    _check_declared(notebook.grid, types, where)
    return {key: types[key] for key in notebook.grid} | dict.fromkeys(notebook.coordinates, Scalar)


def _check_declared(keys: Iterable[str], types: Types, where: str) -> None:
    if unknown := [key for key in keys if key not in types]:
        raise UserError(f"{where}.{unknown[0]}: no parameters cell declares it{did_you_mean(unknown[0], types)}")


def _validate(types: Types, values: Mapping[str, Any], where: str) -> Values:
    """Return ``values`` as the types that a parameters cell declares."""
    _check_declared(values, types, where)
    return {key: validate_parameter(key, types[key], value, where) for key, value in values.items()}


def _list_points(notebook: NotebookConfig, columns: Types, where: str) -> list[Values]:
    """Return the points of all grids of a notebook, each once."""
    points: dict[str, Values] = {}
    for grid in (notebook.grid, *notebook.extra_grids):
        checked: dict[str, list] = {}
        for key in notebook.grid:
            checked[key] = [validate_parameter(key, columns[key], value, f"{where}.grid") for value in grid[key]]
            for value in checked[key]:
                check_path_component(value, f"{where}.grid.{key}")
            value, times = Counter(checked[key]).most_common(1)[0]
            if times > 1:
                raise UserError(f"{where}.grid.{key}: {value} appears twice")
        for combination in itertools.product(*checked.values()):
            points[repr(combination)] = dict(zip(checked, combination, strict=True))
    return list(points.values())


def _check_overrides(notebook: NotebookConfig, cell: Parameters, datasets: Sequence[str], where: str) -> None:
    """Check every override, those for other data sets included."""
    types, grid = {name: parameter.annotation for name, parameter in cell.items()}, notebook.levels
    for override in notebook.overrides:
        _validate(types, override.set, where)
        for key, value in ((key, level) for key, levels in override.where.items() for level in list_levels(levels)):
            if key == "dataset" and not datasets:
                raise UserError(f"{where}: where.dataset: project.yml names no `datasets`; leave the data set out")
            if key == "dataset" and value not in datasets:
                raise UserError(f'{where}: where.dataset: unknown dataset "{value}"{did_you_mean(value, datasets)}')
            if key != "dataset" and value not in grid.get(key, []):
                place = f"not in the grid (there: {grid[key]}); change both" if key in grid else "not in the grid"
                raise UserError(f"{where}: where.{key}: {value} is {place}")


def _check_references(notebook: NotebookConfig, columns: Types, where: str) -> None:
    """Check that a reported or published number, or a mistake, names its grid point, which need not be run."""
    for row in notebook.reported:
        point = {key: value for key, value in row.items() if key in columns}
        _check_point(point, columns, notebook.grid, f"{where}.reported")
        for metric in row.keys() - point.keys():
            validate_parameter(metric, float, row[metric], f"{where}.reported")
    for deviation in notebook.deviations:
        _check_point(deviation.at, columns, (), f"{where}.deviations: at")
        if not any(deviation.metric in row and is_selected(row, deviation.at) for row in notebook.reported):
            raise UserError(f"{where}.deviations: no {deviation.metric} is reported at {deviation.at}")
    for reference in notebook.literature:
        _check_point(reference.at, columns, notebook.grid, f"{where}.literature: {reference.source}: at")
    for mistake in notebook.mistakes:
        _check_point(mistake.at, columns, notebook.grid, f"{where}.mistakes: {mistake.mistake}: at")
        _check_point(mistake.without, columns, (), f"{where}.mistakes: {mistake.mistake}: without")


def _check_claim(claim: Claim, assignment: AssignmentConfig, cell: Parameters, where: str) -> None:
    notebook = assignment.notebooks[claim.notebook]
    columns = _column_types(assignment, notebook, cell, where)
    _check_point(claim.at, columns, notebook.grid.keys() - {"recipe"}, f"{where}.at")
    _check_point(claim.minus.at if claim.minus else {}, columns, (), f"{where}.minus.at")
    if (claim.exact or claim.pvalue_less_than is not None) and "n_seeds" in cell:
        raise UserError(f"{where}: {claim.notebook} has seeds, so its numbers are neither exact nor p-values")


def _check_point(point: Mapping[str, Any], columns: Types, required: Iterable[str], where: str) -> None:
    """Check that a point names the required columns and no unknown ones, each with a value or a list of them."""
    for key, levels in point.items():
        if key not in columns:
            raise UserError(f"{where}.{key}: neither in the grid nor a coordinate{did_you_mean(key, columns)}")
        for level in list_levels(levels):
            validate_parameter(key, columns[key], level, where)
    if missing := [key for key in required if key not in point]:
        raise UserError(f"{where}: {point} does not give its {missing[0]}; add it")
