"""What the runs measured: written by notebooks, read by summaries, tabulated for everyone else."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from noisy_digits import params, schema, statistics
from noisy_digits.errors import UserError
from noisy_digits.project import project_root
from noisy_digits.storage import COMPARABLE, RECORD, Collection, complete, read_metrics, write_json

if TYPE_CHECKING:
    import keras


def record(measured: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Hand over what a notebook measured: for each seed, its metrics by name (numbers, or lists of numbers).

    Returns the numbers as a tidy table (seed, metric, value). In a build they are also written to the run's
    metrics.json; in a notebook opened by hand nothing is written. Of a seed whose training ``diverged`` numbers that
    are not finite are left out; anywhere else they raise UserError.
    """
    plain = {seed: _finite(seed, metrics) for seed, metrics in measured.items()}
    if target := os.environ.get(RECORD):
        write_json(Path(target) / "metrics.json", plain)
    return pd.DataFrame(_rows(plain), columns=["seed", "metric", "value"])


def _finite(seed: int, metrics: Mapping[str, Any]) -> dict[str, float | list[float]]:
    arrays = {name: np.asarray(value, dtype=float) for name, value in metrics.items()}
    finite = {name: array.tolist() for name, array in arrays.items() if np.isfinite(array).all()}
    if "diverged" not in finite and (lost := arrays.keys() - finite.keys()):
        name = min(lost)
        raise UserError(f"results.record: {name} of seed {seed} is {metrics[name]}: record finite numbers alone")
    return finite


def _rows(measured: Mapping) -> Iterable[dict[str, Any]]:
    for seed, metrics in measured.items():
        for metric, value in metrics.items():
            if np.ndim(value) == 0:
                yield {"seed": int(seed), "metric": metric, "value": float(value)}


def tidy(folder: Path, runs: Iterable[params.Run], grid: Iterable[str] | None = None) -> pd.DataFrame:
    """The metrics of those ``runs`` that have any in ``folder`` (results/<collection>), one row a number.

    Columns: seed, metric, value after the grid's: those of ``grid``, where given, or assignment, notebook and the grid
    columns of all these runs.
    """
    runs = list(runs)
    columns = ["assignment", "notebook", *dict.fromkeys(key for run in runs for key in run.point)]
    rows = [
        {"assignment": run.assignment, "notebook": run.notebook, **run.point, **row}
        for run in runs
        for row in _rows(read_metrics(folder / run.path))
    ]
    return pd.DataFrame(rows, columns=[*(columns if grid is None else grid), "seed", "metric", "value"])


def keep(model: "keras.Model", seed: int) -> None:
    """Keep a trained model, without its optimizer, beside the run's metrics; in Jupyter nothing is written.

    ``model`` finds it, and Keras alone can open it.
    """
    if target := os.environ.get(RECORD):
        bare = type(model).from_config(model.get_config())
        bare.set_weights(model.get_weights())
        bare.save(Path(target) / f"{model.name}_{seed}.keras")


def read(assignment: str, notebook: str, collection: str = "auto") -> pd.DataFrame:
    """Every number that ``notebook`` recorded over its grid: grid columns, seed, metric, value.

    The table's ``attrs["collection"]`` says where they come from. Raises UserError as ``made`` does.
    """
    folder, runs = made(assignment, notebook, collection)
    table = tidy(folder, runs, runs[0].point)
    table.attrs["collection"] = folder.name
    return table


def model(assignment: str, notebook: str, seed: int, collection: str = "auto", **point: Any) -> "keras.Model":
    """The model that ``notebook`` kept at grid ``point`` for ``seed``.

    Raises UserError as ``made`` does, for a seed that was not trained, and for a file that is damaged or holds code.
    """
    from noisy_digits.backend import keras

    folder, runs = made(assignment, notebook, collection)
    (run,) = (run for run in runs if point.items() <= run.point.items())
    found = list((folder / run.path).glob(f"*_{seed}.keras"))
    if len(found) != 1:
        kept = len(list((folder / run.path).glob("*.keras")))
        raise UserError(
            f"{folder.name}/{run.path}: there is no model of seed {seed}: {kept} were trained, from seed 0 on; "
            f"ask for one of these, or build with SEEDS={seed + 1}"
        )
    try:
        return keras.models.load_model(found[0])
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{found[0]} cannot be opened ({reason}): delete it and run `make reports` again") from None


def made(assignment: str, notebook: str, collection: str = "auto") -> tuple[Path, list[params.Run]]:
    """The folder of a collection and the runs of ``notebook`` in it, all of which are there.

    ``collection`` "auto" is what ``resolve`` makes of it. Raises UserError where a named collection lacks runs.
    """
    root = project_root()
    if collection == "auto":
        collection = resolve(collection, f"{assignment}/{notebook}")
    folder, runs = root / "results" / collection, _runs(root, f"{assignment}/{notebook}")
    missing = [run.path for run in runs if not complete(folder / run.path)]
    if missing:
        raise UserError(
            f"results/{collection}: {len(missing)} of {len(runs)} runs of {assignment}/{notebook} are missing, "
            f"{missing[0]} first; run `make reports` or `make quick`"
        )
    return folder, runs


def resolve(collection: str, *notebooks: str) -> str:
    """The one collection that everything in ``notebooks`` ("assignment/notebook") is read from.

    "auto" is the first that has all their runs, of MNIST full, MNIST quick, Fashion-MNIST and digits; where there is
    none the quick runs are made now, which takes a minute or two, and says so. Another name stands for itself.
    """
    if collection != "auto":
        return collection
    root = project_root()
    if not (found := _first_complete(root, notebooks)):
        for name in notebooks:
            _make_quick(root, name)
        found = _first_complete(root, notebooks)
    print(f"Read from results/{found}.")
    return found


def dataset_of(collection: str) -> str:
    """The data set of a collection: what its models were trained on."""
    return collection.partition("-")[0]


def _runs(root: Path, name: str) -> list[params.Run]:
    runs = [run for run in params.plan(root, "quick") if f"{run.assignment}/{run.notebook}" == name]
    if not runs:
        raise UserError(f"results: params/ plans no notebook {name}")
    return runs


def _first_complete(root: Path, notebooks: Iterable[str]) -> str | None:
    paths = [run.path for name in notebooks for run in _runs(root, name)]
    datasets = ("mnist", "fashion_mnist", "digits")
    for collection in (Collection(dataset, profile).name for dataset in datasets for profile in params.PROFILES):
        if all(complete(root / "results" / collection / path) for path in paths):
            return collection
    return None


def _make_quick(root: Path, name: str) -> None:
    print(f"No results of {name} yet: making them now in the quick profile, {len(_runs(root, name))} short runs.")
    command = [sys.executable, "-m", "noisy_digits", "build", "--profile", "quick", "--only", name]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the quick runs of {name} failed; `make quick` shows why: {done.stderr.strip()[-300:]}")


def published(assignment: str, notebook: str) -> pd.DataFrame:
    """The write-up's own numbers for ``notebook`` from the params file: grid columns, metric, value."""
    return submitted(schema.load(project_root() / "params" / f"{assignment}.yml").notebooks[notebook])


def submitted(notebook: schema.Notebook) -> pd.DataFrame:
    """The numbers that the write-up submitted for a notebook, one a row: grid columns, metric, value."""
    return pd.DataFrame(
        [
            {**{key: row[key] for key in notebook.grid}, "metric": metric, "value": value}
            for row in notebook.submitted
            for metric, value in row.items()
            if metric not in notebook.grid
        ],
        columns=[*notebook.grid, "metric", "value"],
    )


def literature(assignment: str, notebook: str) -> pd.DataFrame:
    """The results from the literature to hold beside a notebook's: its grid columns and the fields of a Reference."""
    references = schema.load(project_root() / "params" / f"{assignment}.yml").notebooks[notebook].literature
    return pd.DataFrame([reference.at | reference.model_dump(exclude={"at"}) for reference in references])


def reference_lines(assignment: str, notebook: str, collection: str) -> dict[str, float]:
    """The literature's values by source, to be drawn where ``collection`` is MNIST in full; none elsewhere."""
    references = literature(assignment, notebook)
    return dict(zip(references["source"], references["value"], strict=True)) if collection == COMPARABLE else {}


def caption(table: pd.DataFrame) -> str:
    """Says of a table that ``read`` made where it comes from and how long it is."""
    return f"The first of {len(table)} rows from the collection {table.attrs['collection']}"


def comparable(published: pd.DataFrame, collection: str) -> pd.DataFrame:
    """The published numbers where ``collection`` is MNIST in full; none of them elsewhere."""
    return published if collection == COMPARABLE else published.iloc[:0]


def beside_published(summary: pd.DataFrame, published: pd.DataFrame, collection: str) -> pd.DataFrame:
    """The published numbers with ours beside them: the grid columns, metric, published, ours, difference, seed noise.

    ``summary`` is what ``statistics.over_seeds`` makes. The difference, and whether it is within what another replicate
    could give, are told where ``collection`` is MNIST in full; anywhere else they read "not comparable".
    """
    ours = statistics.lookup(summary)
    keys = [column for column in published.columns if column != "value"]
    rows = []
    for *key, value in published.itertuples(index=False, name=None):
        mine, lost = (ours.get(k if len(k) > 1 else k[0]) for k in ((*key,), (*key[:-1], "diverged")))
        told = ["not comparable", "not comparable"] if mine else ["–", "–"]
        if mine and collection == COMPARABLE:
            allowed = {True: "yes", False: "no", None: "needs replicates"}[statistics.allows(mine, value)]
            told = [statistics.number(mine.mean - value, sign="+"), allowed]
        diverged = f", {lost.n} diverged" if lost else ""
        rows.append([*map(statistics.shown, key), value, f"{mine or 'not recorded'}{diverged}", *told])
    return pd.DataFrame(rows, columns=[*keys, "published", "ours", "difference", "seed noise allows it"])
