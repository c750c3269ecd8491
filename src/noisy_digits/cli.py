"""The command ``noisy-digits``: what the Makefile and the workflow call."""

import argparse
import errno
import json
import logging
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import yaml

from noisy_digits import data, params, storage
from noisy_digits.errors import UserError, near
from noisy_digits.project import project_root

MENDING = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOTDIR: "move that file out of the way",
    errno.EEXIST: "move it out of the way",
    errno.EISDIR: "move that folder out of the way",
}
"""What to do about what an operating system may refuse."""
SPACE_MB = 100
"""About what results and pages of a build take; with less to begin with, it would fail in the middle."""


def build(arguments: argparse.Namespace) -> None:
    """Make every run, page and index that is missing or out of date."""
    root = project_root()
    planned = params.plan(root, arguments.profile, arguments.seeds)
    notebooks = dict.fromkeys(f"{run.assignment}/{run.notebook}" for run in planned)
    if arguments.only and arguments.only not in notebooks:
        raise UserError(f"--only {arguments.only}: no such notebook{near(arguments.only, notebooks)}")
    elsewhere = arguments.profile_dir and _profile(arguments.profile_dir)
    cores = arguments.cores or (None if elsewhere else os.cpu_count())
    free = shutil.disk_usage(root).free / 1e6
    if free < SPACE_MB:
        raise UserError(f"{root}: {free:.0f} MB are free on its disk, and a build takes up to {SPACE_MB}: free some")
    asked = storage.Collection(arguments.dataset, arguments.profile, arguments.precision)
    collection = replace(asked, dataset=data.resolve(arguments.dataset))
    storage.lock(root / "results" / collection.name, wait=False)
    for folder in (root / "results" / collection.name / run.path for run in planned):
        if not storage.complete(folder):
            (folder / "metrics.json").unlink(missing_ok=True)
    settings = {
        "collection": collection.name,
        "dataset": collection.dataset,
        "profile": arguments.profile,
        "precision": arguments.precision,
        "seeds": arguments.seeds,
        "only": arguments.only,
    }
    os.chdir(root)
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"),
            *("--workflow-profile", "workflow/profiles/default", "--logger", "noisy-digits"),
            *(("--profile", str(elsewhere)) if elsewhere else ()),
            *(("--cores", str(cores)) if cores else ()),
            *("--config", *(f"{key}={json.dumps(value)}" for key, value in settings.items() if value)),
        ],
    )


def _profile(folder: Path) -> Path:
    """The absolute path of a Snakemake profile that says with what runs are executed, and can be used here."""
    try:
        held = yaml.safe_load((folder / "profile.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"--profile-dir {folder}: there is no profile.yaml; see workflow/README.md") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--profile-dir {folder}: profile.yaml is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(held, dict) or "executor" not in held:
        raise UserError(f"--profile-dir {folder}: profile.yaml names no executor; see workflow/README.md")
    if held["executor"] == "slurm" and not shutil.which("sbatch"):
        raise UserError(f"--profile-dir {folder} is for SLURM, whose command sbatch is not here: use a login node")
    return folder.resolve()


def run(arguments: argparse.Namespace) -> None:
    """Execute one notebook at one grid point; write its results and its page."""
    from noisy_digits import execution
    from noisy_digits.html import reports

    if arguments.of_build:
        execution.end_with_parent()
    root = project_root()
    runs = {run.path: run for run in params.plan(root, arguments.profile, arguments.seeds)}
    if arguments.path not in runs:
        raise UserError(f"no run {arguments.path} is planned in params/{near(arguments.path, runs)}")
    planned, collection = runs[arguments.path], _collection(arguments)
    reports.check(root, planned)
    execution.execute(planned, root, collection)
    reports.write_page(root, planned, collection)


def index(arguments: argparse.Namespace) -> None:
    """Tabulate the results, bring pages up to date with the templates, and write the index."""
    from noisy_digits.html import overview

    root = project_root()
    plan = params.plan(root, arguments.profile, arguments.seeds)
    overview.write_index(root, plan, _collection(arguments))


def readme(arguments: argparse.Namespace) -> None:
    """Bring the figures and the verdicts that README.md shows up to date with the results."""
    from noisy_digits.html import readme

    root = project_root()
    plan = params.plan(root, arguments.profile, arguments.seeds)
    readme.renew(root, plan, _collection(arguments))


def show_data(arguments: argparse.Namespace) -> None:
    """Find or download a data set, verify it, and say what it holds."""
    digits = data.load(arguments.dataset)
    images = f"{len(digits.x_train):,} training and {len(digits.x_test):,} test images"
    print(f"{digits.name}: {images}, content {digits.sha256}")


def check(arguments: argparse.Namespace) -> None:
    """Check every params file against its notebooks and say how many runs they plan."""
    planned = params.plan(project_root(), arguments.profile, arguments.seeds)
    print(f"{len(planned)} runs planned from {len({run.assignment for run in planned})} params files: all good")


def _collection(arguments: argparse.Namespace) -> storage.Collection:
    """The collection asked for; the data set is looked for only where that is needed to tell its name."""
    dataset = arguments.dataset if arguments.dataset in data.NAMES else data.resolve(arguments.dataset)
    return storage.Collection(dataset, arguments.profile, arguments.precision)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="noisy-digits", description="Run the notebooks over their grids and render the reports.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    dataset, plan, precision = (_Parser(add_help=False) for _ in range(3))
    dataset.add_argument("--dataset", default="auto", help=f"auto, {', '.join(data.NAMES)}")
    plan.add_argument("--profile", default="full", help=" or ".join(params.PROFILES))
    plan.add_argument("--seeds", type=_count, help="number of replicates, instead of each notebook's own")
    precision.add_argument("--precision", default=storage.PRECISIONS[0], help=" or ".join(storage.PRECISIONS))
    added = {}
    for name, function, shared in (
        ("build", build, [dataset, plan, precision]),
        ("run", run, [dataset, plan, precision]),
        ("index", index, [dataset, plan, precision]),
        ("readme", readme, [dataset, plan, precision]),
        ("data", show_data, [dataset]),
        ("check", check, [plan]),
    ):
        added[name] = commands.add_parser(name, help=function.__doc__, description=function.__doc__, parents=shared)
        added[name].set_defaults(function=function)
    added["build"].add_argument(
        "--cores", type=_count, help="how many processors to use; all of this machine's, unless given"
    )
    added["build"].add_argument("--profile-dir", type=Path, help="a Snakemake profile, for runs on other machines")
    added["build"].add_argument("--only", default="", help="only this assignment/notebook, without an index")
    added["run"].add_argument("--of-build", action="store_true", help="end as soon as the build that started it ends")
    added["run"].add_argument("path", help="a grid point: cnn_noise/2_training/recipe~corrected/scale~0.5")
    return parser


def main() -> None:
    """Run the command line; a user's mistake, or a disk's, is one line on standard error and exit status 2.

    Interrupted, it says so and ends with status 130.
    """
    try:
        arguments = _parser().parse_args()
        arguments.function(arguments)
    except UserError as error:
        print(f"noisy-digits: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        logging.disable()  # what was interrupted has nothing to add
        print("noisy-digits: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in MENDING:
            raise
        print(f"noisy-digits: {error}: {MENDING[error.errno]}, then run the same command again", file=sys.stderr)
        sys.exit(2)
