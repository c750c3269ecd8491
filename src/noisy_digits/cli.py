"""The command ``noisy-digits``: what the Makefile and the workflow call."""

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from noisy_digits import data, params, results
from noisy_digits.errors import UserError, near
from noisy_digits.project import project_root

app = typer.Typer(
    help="Noisy Digits: run the notebooks over their grids, render the reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Dataset = Annotated[str, typer.Option(help=f"auto, {', '.join(data.NAMES)}")]
Profile = Annotated[str, typer.Option(help=" or ".join(params.PROFILES))]
Seeds = Annotated[int | None, typer.Option(help="number of replicates; each notebook's own unless given")]
RunPath = Annotated[str, typer.Argument(help="a grid point, such as cnn_noise/2_training/recipe~corrected/scale~0.5")]


@app.command()
def build(
    dataset: Dataset = "auto",
    profile: Profile = "full",
    cores: Annotated[int, typer.Option(help="how many processors to use", min=1)] = os.cpu_count() or 1,
    seeds: Seeds = None,
    only: Annotated[str, typer.Option(help="only this assignment/notebook, without an index")] = "",
) -> None:
    """Make every run, page and index that is missing or out of date."""
    root = project_root()
    params.plan(root, profile, seeds)
    dataset = data.resolve(dataset)
    collection = results.collection_name(dataset, profile)
    folder = root / "results" / collection
    folder.mkdir(parents=True, exist_ok=True)
    _lock(folder)
    settings = {"collection": collection, "dataset": dataset, "profile": profile, "seeds": seeds, "only": only}
    os.chdir(root)
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"),
            *("--workflow-profile", "workflow/profiles/default", "--cores", str(cores)),
            *("--config", *(f"{key}={json.dumps(value)}" for key, value in settings.items() if value)),
        ],
    )


def _lock(folder: Path) -> None:
    """Hold the collection for as long as this process, and the Snakemake it becomes, lives."""
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(handle, True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"results/{folder.name} is being built by another process; wait for it to end") from None


@app.command()
def run(
    path: RunPath,
    dataset: Dataset = "auto",
    profile: Profile = "full",
    seeds: Seeds = None,
    threads: Annotated[int, typer.Option(help="threads for this run", min=1)] = 1,
) -> None:
    """Execute one notebook at one grid point; write its results and its page."""
    from noisy_digits import execution
    from noisy_digits.html import reports

    root = project_root()
    runs = {run.path: run for run in params.plan(root, profile, seeds)}
    if path not in runs:
        raise UserError(f"no run {path} is planned in params/{near(path, runs)}")
    dataset = _named(dataset)
    reports.check(root, runs[path])
    execution.execute(runs[path], root, dataset, results.collection_name(dataset, profile), threads)
    reports.write_page(root, runs[path], dataset, profile)


@app.command()
def index(dataset: Dataset = "auto", profile: Profile = "full", seeds: Seeds = None) -> None:
    """Tabulate the results, bring pages up to date with the templates, and write the index."""
    from noisy_digits.html import reports

    root = project_root()
    reports.write_index(root, params.plan(root, profile, seeds), _named(dataset), profile)


@app.command(name="data")
def data_command(dataset: Annotated[str, typer.Argument(help=f"auto, {', '.join(data.NAMES)}")] = "auto") -> None:
    """Find or download a data set, verify it, and say what it holds."""
    digits = data.load(dataset)
    print(f"{digits.name}: {len(digits.x_train)} training and {len(digits.x_test)} test images, content {digits.sha256}")


@app.command()
def check(profile: Profile = "full", seeds: Seeds = None) -> None:
    """Check every params file against its notebooks and say how many runs they plan."""
    planned = params.plan(project_root(), profile, seeds)
    print(f"{len(planned)} runs planned from {len({run.assignment for run in planned})} params files: all good")


def _named(dataset: str) -> str:
    """The data set's own name; it is looked for only where that is needed to tell."""
    return dataset if dataset in data.NAMES else data.resolve(dataset)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit status 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        message = str(error)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        message = error.format_message()
    except click.exceptions.Abort:
        message = "stopped"
    print(f"noisy-digits: {message}", file=sys.stderr)
    sys.exit(2)
