"""The runs that params/*.yml plan, checked against the notebooks: everything wrong is found here, before any kernel."""

import ast
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisy_digits.errors import UserError, near
from noisy_digits.schema import TYPES, Assignment, Claim, Notebook, Values, checked, load

PROFILES = ("full", "quick")
LARGEST_GRID = 10_000
"""Grid points of one notebook: far more than a study has, and not yet more than a plan takes seconds to make."""


@dataclass(frozen=True)
class Run:
    """One notebook at one grid point, all its seeds: what Snakemake makes a job of."""

    assignment: str
    notebook: str
    point: Mapping[str, Any]
    parameters: Mapping[str, Any]
    reads: tuple[str, ...]
    in_print: tuple[Mapping[str, Any], ...]
    headline: str | None

    @property
    def path(self) -> str:
        """Its folder below results/<collection>: ``cnn_noise/2_training/recipe~corrected/scale~0.5``."""
        return "/".join([self.assignment, self.notebook, *(f"{k}~{v}" for k, v in self.point.items())])

    @property
    def fingerprint(self) -> str:
        """Everything in the params files that its result depends on, as one line of JSON."""
        return json.dumps([self.parameters, self.in_print], sort_keys=True)


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: ``scale: float = 0.5  # help``."""

    type: str
    default: Any


def declared(notebook: Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares in its cell tagged ``parameters``, read without running it.

    Raises UserError where there is no such cell, or a line of it is not ``name: type = literal``.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{notebook}: not a readable notebook: {error!r}") from None
    if len(tagged) != 1:
        raise UserError(f'{notebook}: {len(tagged)} cells are tagged "parameters"; one is needed')
    parameters = {}
    try:
        body = ast.parse(tagged[0]).body
    except SyntaxError as error:
        raise UserError(f"{notebook}: parameters cell, line {error.lineno}: {error.msg}") from None
    for statement in body:
        try:
            name, kind, default = statement.target.id, ast.unparse(statement.annotation), statement.value
            parameters[name] = Parameter(kind, ast.literal_eval(default))
            TYPES[kind]
        except (AttributeError, ValueError, KeyError, TypeError):
            raise UserError(
                f"{notebook}: parameters cell: `{ast.unparse(statement)}` is not `name: type = value` "
                f"with a type of {', '.join(TYPES)}"
            ) from None
        checked(name, kind, parameters[name].default, f"{notebook}: parameters cell: {name}")
    return parameters


def plan(root: Path, profile: str, seeds: int | None = None) -> list[Run]:
    """Every run of the project at ``root``, in the order of the params files, checked against the notebooks.

    ``profile`` is "full" or "quick"; ``seeds``, where given, replaces every notebook's own number of seeds.
    Raises UserError for the first thing that is wrong.
    """
    if profile not in PROFILES:
        raise UserError(f'profile "{profile}" is not known{near(profile, PROFILES)}')
    described = assignments(root)
    planned: dict[str, list[Run]] = {}
    for name in described:
        planned |= _assignment_runs(root, name, described, planned, profile, seeds)
    return [run for runs in planned.values() for run in runs]


def assignments(root: Path) -> dict[str, Assignment]:
    """Every assignment of the project at ``root`` by name, as its params file describes it, in their order."""
    if overlooked := sorted((root / "params").glob("*.yaml")):
        raise UserError(f"{overlooked[0]}: the names of params files end in .yml; rename it")
    files = sorted((root / "params").glob("*.yml"))
    if not files:
        raise UserError(f"{root / 'params'}: no params files (*.yml)")
    described = {path.stem: load(path) for path in files}
    return dict(sorted(described.items(), key=lambda item: item[1].order))


def _assignment_runs(
    root: Path,
    name: str,
    described: Mapping[str, Assignment],
    planned: Mapping[str, list[Run]],
    profile: str,
    seeds: int | None,
) -> dict[str, list[Run]]:
    """The runs of the assignment ``name`` by notebook, ``assignment/notebook``; ``planned`` are those before it."""
    assignment = described[name]
    _path_component(name, f"{name}.yml: its name")
    cells = {
        _path_component(key, f"{name}.yml: notebooks"): _parameters_cell(root, name, key)
        for key in assignment.notebooks
    }
    _check_recipes(assignment, cells, f"{name}.yml")
    runs: dict[str, list[Run]] = {}
    for key, notebook in assignment.notebooks.items():
        where = f"{name}.yml: notebooks.{key}"
        known = {path.removeprefix(f"{name}/"): group for path, group in {**planned, **runs}.items()}
        if unread := [other for other in notebook.reads if other not in known]:
            raise UserError(f"{where}.reads: {unread[0]} is not a notebook above this one{near(unread[0], known)}")
        reads = tuple(run.path for other in notebook.reads for run in known[other])
        in_print = tuple(row for other in notebook.reads for row in _in_print(described, known[other][0]))
        runs[f"{name}/{key}"] = [
            Run(
                name,
                key,
                point,
                values,
                reads,
                in_print,
                notebook.headline,
            )
            for point, values in _points(assignment, notebook, cells[key], profile, seeds, where)
        ]
        _check_submitted(notebook, assignment, where)
    for key, claim in assignment.claims.items():
        _check_claim(claim, assignment, cells, f"{name}.yml: claims.{key}")
    if assignment.figure is not None:
        drawn = _notebook(assignment.figure, assignment, f"{name}.yml: figure")
        if drawn.grid:
            raise UserError(f"{name}.yml: figure: {assignment.figure} has a grid; name a notebook without one")
    return runs


def _in_print(described: Mapping[str, Assignment], run: Run) -> list[Values]:
    """The published numbers that a run's notebook is held against."""
    notebook = described[run.assignment].notebooks[run.notebook]
    return [*notebook.submitted, *(reference.model_dump() for reference in notebook.literature)]


def _parameters_cell(root: Path, name: str, key: str) -> dict[str, Parameter]:
    folder = root / "notebooks" / name
    present = [notebook.stem for notebook in folder.glob("*.ipynb")]
    if key not in present:
        raise UserError(
            f"{name}.yml: notebooks.{key}: there is no notebook notebooks/{name}/{key}.ipynb{near(key, present)}"
        )
    return declared(folder / f"{key}.ipynb")


def _check_recipes(assignment: Assignment, cells: Mapping[str, Mapping[str, Parameter]], file: str) -> None:
    known = {name: parameter for cell in cells.values() for name, parameter in cell.items()}
    for recipe, values in assignment.recipes.items():
        for key, value in values.items():
            _declared_and_checked(known, key, value, f"{file}: recipes.{recipe}.{key}")


def _points(
    assignment: Assignment,
    notebook: Notebook,
    parameters: Mapping[str, Parameter],
    profile: str,
    seeds: int | None,
    where: str,
) -> Iterable[tuple[Values, Values]]:
    """Each grid point with the values of all parameters there; what is named later wins."""
    grid = _grid(assignment, notebook, parameters, where)
    for key, value in notebook.quick.items():
        _declared_and_checked(parameters, key, value, f"{where}.quick.{key}")
    number = {"seeds": notebook.seeds} if "seeds" in parameters else {}
    quick = notebook.quick if profile == "quick" else {}
    asked = {} if seeds is None or "seeds" not in parameters else {"seeds": seeds}
    for combination in itertools.product(*grid.values()):
        point = dict(zip(grid, combination, strict=True))
        recipe = assignment.recipes.get(point.get("recipe"), {})
        values = {name: parameter.default for name, parameter in parameters.items()} | number
        for origin, layer in (
            ("fixed", notebook.fixed),
            ("recipe", {key: value for key, value in recipe.items() if key in parameters}),
            ("grid", {key: value for key, value in point.items() if key != "recipe"}),
            *(("overrides", o.set) for o in notebook.overrides if o.where.items() <= point.items()),
            ("quick", quick),
            ("SEEDS", asked),
        ):
            for key, value in layer.items():
                values[key] = _declared_and_checked(parameters, key, value, f"{where}.{origin}.{key}")
        yield point, values


def _grid(
    assignment: Assignment, notebook: Notebook, parameters: Mapping[str, Parameter], where: str
) -> dict[str, list]:
    points = math.prod(map(len, notebook.grid.values()))
    if points > LARGEST_GRID:
        raise UserError(
            f"{where}.grid: {points:,} points; at most {LARGEST_GRID:,}: leave values out, or split the notebook"
        )
    grid = {
        key: [_grid_value(assignment, key, value, parameters, f"{where}.grid.{key}") for value in values]
        for key, values in notebook.grid.items()
    }
    for key, values in grid.items():
        value, times = Counter(values).most_common(1)[0]
        if times > 1:
            raise UserError(f"{where}.grid.{key}: {value} appears twice")
    for override in notebook.overrides:
        _check_where(override.where, grid, f"{where}.overrides: where")
    return grid


def _grid_value(
    assignment: Assignment, key: str, value: object, parameters: Mapping[str, Parameter], where: str
) -> Any:
    if key == "recipe":
        _check_recipe(value, assignment, where)
    else:
        value = _declared_and_checked(parameters, key, value, where)
    return _path_component(value, where)


def _check_recipe(value: object, assignment: Assignment, where: str) -> None:
    if value not in list(assignment.recipes):
        raise UserError(f'{where}: unknown recipe "{value}"{near(value, assignment.recipes)}')


def _path_component(value: Any, where: str) -> Any:
    if not re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,99}", str(value)):
        raise UserError(f"{where}: {value!r} cannot be part of a path; use letters, digits and . _ + -, at most 100")
    return value


def _check_where(condition: Values, grid: Mapping[str, list], where: str) -> None:
    for key, value in condition.items():
        if key not in grid:
            raise UserError(f"{where}.{key}: not in the grid{near(key, grid)}")
        if value not in grid[key]:
            raise UserError(f"{where}.{key}: {value} is not in the grid (there: {grid[key]}); change both")


def _check_submitted(notebook: Notebook, assignment: Assignment, where: str) -> None:
    """A published number names its whole grid point, which need not be run, and is a number."""
    for row in notebook.submitted:
        missing = [key for key in notebook.grid if key not in row]
        if missing:
            raise UserError(f"{where}.submitted: {row} does not say its {missing[0]}")
        if "recipe" in notebook.grid:
            _check_recipe(row["recipe"], assignment, f"{where}.submitted")
        for metric in row.keys() - notebook.grid.keys():
            checked(metric, "float", row[metric], f"{where}.submitted.{metric}")
    for reference in notebook.literature:
        if odd := notebook.grid.keys() ^ reference.at:
            told = f"at must name {', '.join(notebook.grid) or 'nothing'}"
            raise UserError(f"{where}.literature: {reference.source}: {told}, and {min(odd)} is not in both")


def _notebook(key: str, assignment: Assignment, where: str) -> Notebook:
    if key not in assignment.notebooks:
        raise UserError(f"{where}: there is no notebook {key} in this file{near(key, assignment.notebooks)}")
    return assignment.notebooks[key]


def _check_claim(
    claim: Claim, assignment: Assignment, cells: Mapping[str, Mapping[str, Parameter]], where: str
) -> None:
    """A claim names every column of its notebook's grid, not necessarily levels that are run, and one region."""
    grid = _notebook(claim.notebook, assignment, f"{where}.notebook").grid
    named = [*claim.at.items(), *(claim.minus.at.items() if claim.minus else ())]
    for key, levels in named:
        if key not in grid:
            raise UserError(f"{where}: at {key}: not in the grid of {claim.notebook}{near(key, grid)}")
        for level in levels if isinstance(levels, list) else [levels]:
            _grid_value(assignment, key, level, cells[claim.notebook], f"{where}: at {key}")
    if missing := [key for key in grid if key not in dict(named) and key != "recipe"]:
        raise UserError(f"{where}: at does not say its {missing[0]}; list the levels that are meant")
    low, high = (-math.inf if claim.above is None else claim.above), (math.inf if claim.below is None else claim.below)
    if (claim.p_below is None) == (claim.above is None and claim.below is None) or low >= high:
        raise UserError(f"{where}: give above, below or both, the one less than the other, or else p_below")
    if (claim.exact or claim.p_below is not None) and "seeds" in cells[claim.notebook]:
        raise UserError(
            f"{where}: {claim.notebook} has replicates, so its numbers are neither exact nor the p of a test"
        )
    if claim.along:
        levels = claim.at.get(claim.along)
        if not isinstance(levels, list) or len(levels) < 2 or claim.minus:
            raise UserError(f"{where}.along: at.{claim.along} must list two levels or more, and minus be left out")
    if claim.steepest is not None and (not claim.along or claim.steepest not in sorted(claim.at[claim.along])[1:]):
        raise UserError(f"{where}.steepest: {claim.steepest:g} is not a level after the first of those along a column")


def _declared_and_checked(parameters: Mapping[str, Parameter], key: str, value: object, where: str) -> Any:
    if key not in parameters:
        raise UserError(f"{where}: no parameters cell declares it{near(key, parameters)}")
    return checked(key, parameters[key].type, value, where)
