"""Read and write run results. All writes are atomic."""

import ast
import csv
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from noisy_digits._environment import RunContext
from noisy_digits._files import (
    NOT_COORDINATES,
    StoredRun,
    is_complete,
    read_arrays,
    read_metrics,
    read_plan,
    write_arrays,
    write_metrics,
)
from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.formatting import format_point
from noisy_digits.project import find_project_root, read_project

if TYPE_CHECKING:
    import keras

Row = dict[str, Any]
RUN_FIRST = "run `make quick` (minutes) or `make reports`"


def save_metrics(rows: Iterable[Mapping[str, Any]], *, coordinates: Sequence[str] = ()) -> pd.DataFrame:
    """Save what a notebook measured, and return it as a table with a line for each of ``rows``.

    A row is a mapping with "seed", those of the ``coordinates`` that its metrics depend on, and the metrics: all other
    keys. In a build they are written to the run's metrics.json, and ``attrs["collection"]`` of the table names the
    collection; by hand nothing is written, and it is "none". Raises UserError for a metric that is not finite, or
    given twice; it is left out if the row, or that of its seed without coordinates, has the metric "diverged".
    """
    if isinstance(rows, Mapping):
        raise UserError('results.save_metrics: give a list of rows, such as [{"seed": 0, "test_accuracy": 0.9}]')
    if isinstance(coordinates, str):
        raise UserError(f'results.save_metrics: give a list of coordinates, ["{coordinates}"]')
    rows = [{key: _to_scalar(value) for key, value in row.items()} for row in rows]
    points = [_read_point(row, coordinates) for row in rows]
    diverged = {row["seed"] for row, point in zip(rows, points, strict=True) if "diverged" in row and len(point) == 1}
    lines: list[Row] = []
    tidy: dict[tuple, Row] = {}
    for row, point in zip(rows, points, strict=True):
        lines.append(dict(point))
        for metric, value in row.items():
            if metric in ("metric", "value"):
                raise UserError(f'results.save_metrics: a metric cannot be called "{metric}"')
            if metric in point or (_is_lost(value) and ("diverged" in row or row["seed"] in diverged)):
                continue
            place = (metric, *point.items())
            if place in tidy:
                raise UserError(f"results.save_metrics: {metric} of {format_point(point)} is given twice")
            lines[-1][metric] = _to_number(value, metric, point)
            tidy[place] = {**point, "metric": metric, "value": lines[-1][metric]}
    context = RunContext.from_environment()
    if context.record_folder:
        write_metrics(context.record_folder, tidy.values())
    table = pd.DataFrame(lines)
    keys = [key for key in ("seed", *coordinates) if key in table]
    table = table.reindex(columns=[*keys, *table.columns.difference(keys, sort=False)])
    table.attrs["collection"] = context.collection or "none"
    return table


def _to_scalar(value: Any) -> Any:
    """Return a NumPy number as one of Python's, with all its digits, and anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def _read_point(row: Row, coordinates: Sequence[str]) -> Row:
    point = {key: row[key] for key in ("seed", *coordinates) if key in row}
    if not isinstance(point.get("seed"), int):
        raise UserError(f"results.save_metrics: the seed is {row.get('seed')!r}: every row needs one, a whole number")
    for key, value in point.items():
        if not isinstance(value, bool | int | float | str) or _is_lost(value):
            raise UserError(f"results.save_metrics: the {key} is {value!r}: not a finite number, text, True or False")
    return point


def _is_lost(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _to_number(value: Any, metric: str, point: Row) -> int | float:
    if not isinstance(value, int | float) or _is_lost(value):
        hint = "; if it is a coordinate, name it in `coordinates`" if isinstance(value, str) else ""
        place = f"{metric} of {format_point(point)}"
        raise UserError(f"results.save_metrics: {place} is {value!r}: not a finite number{hint}")
    return int(value) if isinstance(value, bool) else value


def save_arrays(**arrays: Any) -> None:
    """Save what a notebook measured as arrays by name, for ``load_arrays``: curves, counts, images; never objects.

    In a notebook opened by hand save nothing.
    """
    if folder := RunContext.from_environment().record_folder:
        write_arrays(folder, {name: np.asarray(array) for name, array in arrays.items()})


def load_arrays(notebook: str, *, collection: str = "auto") -> list[tuple[Row, dict[str, np.ndarray]]]:
    """Load the arrays that ``notebook`` saved: for each grid point its values and the arrays by name.

    Raises UserError as ``find_runs`` does, and if a run saved none.
    """
    collection = resolve_collection(notebook, collection=collection)
    folder = find_project_root() / "results" / collection
    loaded = [(run.point, read_arrays(folder / run.path)) for run in find_runs(notebook, collection)]
    if not all(arrays for _, arrays in loaded):
        raise UserError(f"results/{collection}: a run of {notebook} saved no arrays; {RUN_FIRST}")
    return loaded


def load_metrics(notebook: str, *, coordinate: str | None = None, collection: str = "auto") -> pd.DataFrame:
    """Load what ``notebook`` ("mlp_noise/2_train") measured: one line per grid point and seed.

    The columns are the grid, "seed", and the metrics that depend on no coordinate; with a ``coordinate``, of which
    every value has a line, those that depend on it alone. ``attrs["collection"]`` names the collection; "auto" is what
    ``resolve_collection`` returns. Raises UserError if there are no such results.
    """
    collection = resolve_collection(notebook, collection=collection)
    grid, rows = _load_rows(find_project_root() / "results" / collection, notebook)
    by_coordinates: dict[str, list[Row]] = {}
    for row in rows:
        by_coordinates.setdefault(", ".join(sorted(row.keys() - {*grid, *NOT_COORDINATES})), []).append(row)
    if (coordinate or "") not in by_coordinates:
        raise UserError(
            f"results/{collection}: no metric of {notebook} depends on exactly the coordinate {coordinate or 'none'} "
            f"(there: {'; '.join(names or 'none' for names in by_coordinates)})"
        )
    lines: dict[tuple, Row] = {}
    for row in by_coordinates[coordinate or ""]:
        point = {key: row[key] for key in (*grid, "seed", *filter(None, [coordinate]))}
        lines.setdefault(tuple(point.values()), point)[row["metric"]] = row["value"]
    table = pd.DataFrame(list(lines.values()))
    table.attrs["collection"] = collection
    return table


def _load_rows(folder: Path, notebook: str) -> tuple[list[str], list[Row]]:
    """Return the grid columns of ``notebook`` and its tidy rows, from its runs or else from results.csv."""
    if read_plan(folder) is not None:
        runs = find_runs(notebook, folder.name)
        rows = [{**run.point, **row} for run in runs for row in read_metrics(folder / run.path)]
        return list(runs[0].point), rows
    if not (rows := _read_csv(folder / "results.csv", notebook)):
        raise UserError(f"results/{folder.name}: no results of {notebook}; {RUN_FIRST}")
    return list(read_params(notebook).get("grid", {})), rows


def _read_csv(path: Path, notebook: str) -> list[Row]:
    """Return the rows of ``notebook`` in a results.csv, without the columns that are empty there."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if f"{row.pop('assignment')}/{row.pop('notebook')}" == notebook]
    return [{key: _parse_cell(text) for key, text in row.items() if text} for row in rows]


def _parse_cell(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def load_rows(notebook: str, *, collection: str = "auto") -> pd.DataFrame:
    """Load what ``notebook`` measured, one number per line: grid columns, coordinates, seed, metric, value.

    What a number does not depend on is NaN. The collection, and the errors, are those of ``load_metrics``.
    """
    collection = resolve_collection(notebook, collection=collection)
    _, rows = _load_rows(find_project_root() / "results" / collection, notebook)
    return pd.DataFrame(rows)


def list_points(at: Mapping[str, Any]) -> list[Row]:
    """Return every combination of the levels in ``at``, which gives one level, or a list of them, for each column."""
    levels = [value if isinstance(value, list) else [value] for value in at.values()]
    return [dict(zip(at, combination, strict=True)) for combination in itertools.product(*levels)]


def select_values(rows: pd.DataFrame, metric: str, at: Mapping[str, Any]) -> pd.Series:
    """Return the values of ``metric`` at one point, by seed, from rows as those of ``load_rows``.

    A metric may be recorded with several sets of coordinates. Only rows without coordinates beyond those in ``at``
    count, unless all rows have them. Raises UserError if a seed has two values.
    """
    rows = rows.loc[rows["metric"] == metric].reindex(columns=list(dict.fromkeys([*rows.columns, *at])))
    others = rows.columns[rows.isna().any()].difference(list(at))
    chosen = rows.loc[rows[others].isna().all(axis="columns")]
    for column, level in at.items():
        chosen = chosen.loc[chosen[column] == level]
    values = pd.Series(chosen["value"].to_numpy(), index=chosen["seed"])
    if values.index.has_duplicates:
        where = format_point(at) or "no coordinates"
        raise UserError(
            f"{metric} has several values for one seed at {where}: name one of "
            f"{', '.join(rows.columns.difference([*at, 'assignment', 'notebook', *NOT_COORDINATES]))} in `at`, too"
        )
    return values


def find_runs(notebook: str, collection: str = "built") -> list[StoredRun]:
    """Return the runs of ``notebook`` in a collection, each with its ``path`` and ``point``.

    Raises UserError if ``resolve_collection`` does, and if a run is missing.
    """
    collection = resolve_collection(notebook, collection=collection)
    folder = find_project_root() / "results" / collection
    runs = (read_plan(folder) or {}).get(notebook, [])
    missing = [run.path for run in runs if not is_complete(folder / run.path, published=True)]
    if missing or not runs:
        counted = f"{len(missing)} of {len(runs)} runs of {notebook} are missing, {missing[0]} first" if missing else ""
        raise UserError(f"results/{collection}: {counted or f'no runs of {notebook}'}; {RUN_FIRST}")
    return runs


def resolve_collection(*notebooks: str, collection: str = "auto") -> str:
    """Return the one collection from which everything in ``notebooks`` is read, and print its name.

    "built" is the first that was built here and holds all of them, "auto" that or else the first that was published:
    it has no models, or is a results.csv only. The project's reference collection comes first, then full before quick,
    then the order of names. Any other ``collection`` is returned as it is. Raises UserError if there is none.
    """
    if collection not in ("auto", "built"):
        return collection
    collection, published = _first_collection(notebooks, published=collection == "auto")
    advice = " It was published with the project; `make reports` makes your own." if published else ""
    print(f"Read from results/{collection}.{advice}")
    return collection


def is_built(notebook: str, collection: str) -> bool:
    """Return True if all runs of ``notebook`` are finished in a collection that was built here."""
    return _holds(find_project_root() / "results" / collection, notebook, published=False)


def _first_collection(notebooks: Sequence[str], *, published: bool) -> tuple[str, bool]:
    """Return the name of the first collection that holds ``notebooks``, and True if it lacks what a build leaves."""
    root = find_project_root()
    reference = read_project(root).reference_collection
    folders = [folder for folder in (root / "results").glob("*") if folder.is_dir()]
    folders.sort(key=lambda folder: (folder.name != reference, "quick" in folder.name.split("-"), folder.name))
    for allowed in (False, True) if published else (False,):
        for folder in folders:
            if all(_holds(folder, notebook, published=allowed) for notebook in notebooks):
                return folder.name, allowed
    raise UserError(f"no results of {' and '.join(notebooks)} yet: {RUN_FIRST}")


def _holds(folder: Path, notebook: str, *, published: bool) -> bool:
    """Return True if the collection in ``folder`` has all runs of ``notebook``; if ``published``, or their numbers."""
    plan = read_plan(folder)
    if plan is None:
        return published and bool(_read_csv(folder / "results.csv", notebook))
    runs = plan.get(notebook)
    return bool(runs) and all(is_complete(folder / run.path, published=published) for run in runs)


def read_params(notebook: str) -> Row:
    """Return what the params file, which the build validates, says of a notebook ("mlp_noise/2_train").

    Raises UserError for a notebook that no params file describes.
    """
    assignment, _, key = notebook.partition("/")
    path = find_project_root() / "params" / f"{assignment}.yml"
    notebooks = yaml.safe_load(path.read_text(encoding="utf-8"))["notebooks"] if path.is_file() else {}
    if key not in notebooks:
        known = [f"{assignment}/{other}" for other in notebooks]
        raise UserError(f"results: params/ describes no notebook {notebook}{did_you_mean(notebook, known)}")
    return notebooks[key]


def collect_metrics(folder: Path, runs: Iterable[Any]) -> pd.DataFrame:
    """Return the metrics of those ``runs`` of a plan that have any in ``folder`` (results/<collection>).

    Each line of results.csv holds one number: assignment, notebook, all grid columns, all other coordinates, seed,
    metric, value. Whole numbers stay whole; what a line does not depend on is NaN.
    """
    runs = list(runs)
    columns = [key for run in runs for key in run.point] + [key for run in runs for key in run.coordinates]
    columns = dict.fromkeys(["assignment", "notebook", *columns, *NOT_COORDINATES])
    rows = [
        {"assignment": run.assignment, "notebook": run.notebook, **run.point, **row}
        for run in runs
        for row in read_metrics(folder / run.path)
    ]
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def dataset_name(collection: str) -> str:
    """Return the data set of a collection, on which its models were trained."""
    return collection.partition("-")[0]


def is_reference(collection: str) -> bool:
    """Return True if the numbers of ``collection`` may be compared with reported ones, as project.yml says."""
    return collection == read_project(find_project_root()).reference_collection


def save_model(model: "keras.Model", seed: int) -> None:
    """Save a trained model, without its optimizer, for ``load_model``; in a notebook opened by hand save nothing."""
    if folder := RunContext.from_environment().record_folder:
        bare = type(model).from_config(model.get_config())
        bare.set_weights(model.get_weights())
        bare.save(folder / f"{model.name}_{seed}.keras")


def load_model(notebook: str, seed: int, collection: str = "built", **point: Any) -> "keras.Model":
    """Load the model that ``notebook`` saved for ``seed`` at the grid ``point``, such as ``autoencoder="dense"``.

    Raises UserError as ``find_runs`` does, if ``point`` is not one run, for a seed that was not trained, and for a
    file that is damaged or holds code.
    """
    import keras

    collection = resolve_collection(notebook, collection=collection)
    runs = [run for run in find_runs(notebook, collection) if point.items() <= run.point.items()]
    if len(runs) != 1:
        raise UserError(f"results.load_model: {notebook} has {len(runs)} runs at {format_point(point) or 'any point'}")
    folder = find_project_root() / "results" / collection / runs[0].path
    file = next(folder.glob(f"*_{seed}.keras"), None)
    if file is None:
        raise UserError(
            f"{collection}/{runs[0].path}: there is no model of seed {seed}: {len(list(folder.glob('*.keras')))} are "
            f"here, from seed 0 on; ask for one of these, or run `make reports SEEDS={seed + 1}`"
        )
    try:
        model: Any = keras.models.load_model(file)
    except Exception as error:  # Keras raises a dozen kinds for damaged files
        raise UserError(f"{file} cannot be opened ({error}): delete it and run `make reports` again") from None
    return model


def format_caption(runs: pd.DataFrame) -> str:
    """Return a caption for the first lines of a table of ``load_metrics``: its length and its origin."""
    return f"The first of {len(runs)} rows from the collection {runs.attrs['collection']}"
