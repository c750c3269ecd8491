"""What the runs measured: written by notebooks, read by summaries, tabulated for everyone else."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from noisy_digits import params, statistics
from noisy_digits.errors import UserError
from noisy_digits.project import project_root

if TYPE_CHECKING:
    import keras

RECORD = "NOISY_DIGITS_RECORD"
"""Environment variable with the folder for what a run records; set by the build, absent in Jupyter."""

COMPARABLE = "mnist"
"""The one collection whose numbers may be held against the published ones: real MNIST, full profile."""


SUPPLIED = ("dataset", "collection")
"""Parameters that the build fills in where a notebook declares them; they say which collection is being made."""


def collection_name(dataset: str, profile: str) -> str:
    """The folder below results/ and reports/: the data set, with the profile where it is not full."""
    return dataset if profile == "full" else f"{dataset}-{profile}"


def lock(folder: Path, *, wait: bool) -> None:
    """Hold ``folder``, made if need be, for as long as this process lives, also through an ``exec``.

    Where another process holds it: waits for that to end, or raises UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(handle, True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise UserError(f"{folder} is being built by another process; wait for it to end") from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_json(path: Path, content: object) -> None:
    """Write ``content`` to ``path`` whole or not at all; floats keep every digit, keys are sorted."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def record(measured: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Hand over what a notebook measured: for each seed, its metrics by name (numbers, or lists of numbers).

    Returns the numbers as a tidy table (seed, metric, value). In a build they are also written to the run's
    metrics.json; in a notebook opened by hand nothing is written.
    """
    if target := os.environ.get(RECORD):
        plain = {seed: {k: _plain(v) for k, v in metrics.items()} for seed, metrics in measured.items()}
        write_json(Path(target) / "metrics.json", plain)
    return pd.DataFrame(_rows(measured), columns=["seed", "metric", "value"])


def _plain(value: Any) -> float | list[float]:
    array = np.asarray(value, dtype=float)
    return array.tolist()


def _rows(measured: Mapping) -> Iterable[dict[str, Any]]:
    for seed, metrics in measured.items():
        for metric, value in metrics.items():
            if np.ndim(value) == 0:
                yield {"seed": int(seed), "metric": metric, "value": float(value)}


def tidy(folder: Path, runs: Iterable[params.Run]) -> pd.DataFrame:
    """The metrics of those ``runs`` that have any in ``folder`` (results/<collection>), one row a number.

    Columns: assignment, notebook, the grid columns of these runs, seed, metric, value.
    """
    runs = list(runs)
    grid = list(dict.fromkeys(key for run in runs for key in run.point))
    rows = [
        {"assignment": run.assignment, "notebook": run.notebook, **run.point, **row}
        for run in runs
        if (file := folder / run.path / "metrics.json").is_file()
        for row in _rows(json.loads(file.read_text(encoding="utf-8")))
    ]
    return pd.DataFrame(rows, columns=["assignment", "notebook", *grid, "seed", "metric", "value"])


def keep(model: "keras.Model", seed: int) -> None:
    """Keep a trained model beside the run's metrics, for ``model`` to find; in Jupyter nothing is written."""
    if target := os.environ.get(RECORD):
        model.save(Path(target) / f"{model.name}_{seed}.keras")


def read(assignment: str, notebook: str, collection: str = "auto") -> pd.DataFrame:
    """Every number that ``notebook`` recorded over its grid: grid columns, seed, metric, value.

    The table's ``attrs["collection"]`` says where they come from. Raises UserError as ``made`` does.
    """
    folder, runs = made(assignment, notebook, collection)
    table = tidy(folder, runs).drop(columns=["assignment", "notebook"])
    table.attrs["collection"] = folder.name
    return table


def model(assignment: str, notebook: str, seed: int, collection: str = "auto", **point: Any) -> "keras.Model":
    """The model that ``notebook`` kept at grid ``point`` for ``seed``. Raises UserError as ``made`` does."""
    import keras

    folder, runs = made(assignment, notebook, collection)
    (run,) = (run for run in runs if point.items() <= run.point.items())
    found = list((folder / run.path).glob(f"*_{seed}.keras"))
    if len(found) != 1:
        raise UserError(
            f"{folder / run.path}: no model of seed {seed} is kept there; delete its metrics.json and rebuild"
        )
    return keras.models.load_model(found[0])


def made(assignment: str, notebook: str, collection: str = "auto") -> tuple[Path, list[params.Run]]:
    """The folder of a collection and the runs of ``notebook`` in it, all of which are there.

    ``collection`` "auto" takes the first complete one of MNIST full, MNIST quick, Fashion-MNIST and digits; where
    there is none it makes the quick one now, which takes a minute or two, and says so. Raises UserError where a
    named collection lacks runs.
    """
    root = project_root()
    runs = [run for run in params.plan(root, "quick") if (run.assignment, run.notebook) == (assignment, notebook)]
    if not runs:
        raise UserError(f"results: params/ plans no notebook {assignment}/{notebook}")
    if collection == "auto":
        collection = _complete(root, runs) or _make_quick(root, runs)
    folder = root / "results" / collection
    missing = [run.path for run in runs if not (folder / run.path / "metrics.json").is_file()]
    if missing:
        raise UserError(
            f"results/{collection}: {len(missing)} of {len(runs)} runs of {assignment}/{notebook} are missing, "
            f"{missing[0]} first; run `make reports` or `make quick`"
        )
    return folder, runs


def _complete(root: Path, runs: list[params.Run]) -> str | None:
    datasets = ("mnist", "fashion_mnist", "digits")
    for collection in (collection_name(name, profile) for name in datasets for profile in params.PROFILES):
        if all((root / "results" / collection / run.path / "metrics.json").is_file() for run in runs):
            return collection
    return None


def _make_quick(root: Path, runs: list[params.Run]) -> str:
    name = f"{runs[0].assignment}/{runs[0].notebook}"
    print(f"No results of {name} yet: making them now in the quick profile, {len(runs)} short runs.")
    command = [sys.executable, "-m", "noisy_digits", "build", "--profile", "quick", "--only", name]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    collection = _complete(root, runs)
    if done.returncode or collection is None:
        raise UserError(f"the quick runs of {name} failed; `make quick` shows why: {done.stderr.strip()[-300:]}")
    return collection


def published(assignment: str, notebook: str) -> pd.DataFrame:
    """The write-up's own numbers for ``notebook`` from the params file: grid columns, metric, value."""
    spec = params.load(project_root() / "params" / f"{assignment}.yml").notebooks[notebook]
    return pd.DataFrame(
        [
            {**{key: row[key] for key in spec.grid}, "metric": metric, "value": value}
            for row in spec.submitted
            for metric, value in row.items()
            if metric not in spec.grid
        ],
        columns=[*spec.grid, "metric", "value"],
    )


def caption(table: pd.DataFrame) -> str:
    """Says of a table that ``read`` made where it comes from and how long it is."""
    return f"The first of {len(table)} rows from the collection {table.attrs['collection']}"


def comparable(published: pd.DataFrame, collection: str) -> pd.DataFrame:
    """The published numbers where ``collection`` is MNIST in full; none of them elsewhere."""
    return published if collection == COMPARABLE else published.iloc[:0]


def beside_published(summary: pd.DataFrame, published: pd.DataFrame, collection: str) -> pd.DataFrame:
    """The published numbers with ours beside them: the grid columns, metric, published, ours, difference.

    ``summary`` is what ``statistics.over_seeds`` makes. The difference is given where ``collection`` is MNIST in full;
    anywhere else it reads "not comparable".
    """
    known = collection == COMPARABLE
    ours = statistics.lookup(summary)
    keys = [column for column in published.columns if column != "value"]
    rows = []
    for *key, value in published.itertuples(index=False, name=None):
        mine = ours.get(tuple(key) if len(key) > 1 else key[0])
        difference = f"{mine.mean - value:+.4f}" if known and mine else "not comparable"
        rows.append([*map(statistics.shown, key), value, str(mine or "not run"), difference])
    return pd.DataFrame(rows, columns=[*keys, "published", "ours", "difference"])
