"""The command ``noisy-digits``, which the Makefile and Snakemake call."""

import argparse
import errno
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import yaml

from noisy_digits._environment import PRECISIONS, request_fresh_trainings
from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.pipeline.datasets import load_datasets
from noisy_digits.pipeline.parameters import find_imports
from noisy_digits.pipeline.plan import PROFILES, Run, plan_runs
from noisy_digits.pipeline.published import settle_runs
from noisy_digits.pipeline.store import Collection, acquire_lock, write_plan
from noisy_digits.pipeline.warm import end_with_starter, start_server
from noisy_digits.project import find_project_root, read_project

SNAKEFILE = Path(__file__).parent / "pipeline" / "Snakefile"
SNAKEMAKE_OPTIONS = (
    "--keep-going",  # a failed run does not stop the others
    "--rerun-incomplete",  # what a killed build left half-made is made again
    "--nolock",  # a build holds a lock of its own, which ends with it
    "--workflow-profile=none",
    "--logger=noisy-digits",
)
REQUIRED_MB = 100
"""Disk space that a build needs to start: about what its results and pages take."""
REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOTDIR: "move that file out of the way",
    errno.EEXIST: "move it out of the way",
    errno.EISDIR: "move that folder out of the way",
}
"""What to do about the errors of an operating system, by number."""


def build(arguments: argparse.Namespace) -> None:
    """Make every run, page and index that is missing or out of date."""
    root = find_project_root()
    plan = plan_runs(root, arguments.profile, arguments.seeds)  # finds mistakes before data are searched
    notebooks = dict.fromkeys(f"{run.assignment}/{run.notebook}" for run in plan)
    if arguments.only and arguments.only not in notebooks:
        raise UserError(f"--only {arguments.only}: no such notebook{did_you_mean(arguments.only, notebooks)}")
    profile_dir = arguments.profile_dir and _check_profile_dir(arguments.profile_dir)
    free = shutil.disk_usage(root).free / 1e6
    if free < REQUIRED_MB:
        raise UserError(f"{root}: its disk has {free:.0f} MB free, and a build needs {REQUIRED_MB} MB. Free some space")
    dataset = load_datasets(read_project(root)).resolve_dataset(arguments.dataset)
    collection = Collection(dataset, arguments.profile, arguments.precision)
    plan = plan_runs(root, arguments.profile, arguments.seeds, dataset)
    folder = root / "results" / collection.name
    acquire_lock(folder, wait=False)
    write_plan(folder, plan)
    settle_runs(root, collection, plan, arguments.only)
    os.chdir(root)
    _place_caches(root)
    if arguments.fresh:
        request_fresh_trainings()
    if not profile_dir:  # a cluster's nodes start cold
        imports = {f"import {module}" for module in read_project(root).preload}
        start_server(imports.union(*(find_imports(root / f"notebooks/{path}.ipynb") for path in notebooks)))
    os.execv(sys.executable, [sys.executable, *_snakemake(collection, arguments, profile_dir)])


def run(arguments: argparse.Namespace) -> None:
    """Execute one notebook at one grid point; write its results and its page."""
    from noisy_digits.pipeline.execute import execute_run
    from noisy_digits.reports.pages import check_renderable, find_links, write_page

    if arguments.of_build:
        end_with_starter()
    root = find_project_root()
    plan, collection = _plan_collection(root, arguments, arguments.path)
    planned = next(run for run in plan if run.path == arguments.path)
    check_renderable(root, planned)
    if not arguments.of_build:
        write_plan(root / "results" / collection.name, plan)
    execute_run(planned, root, collection)
    page = write_page(root, planned, collection, find_links(plan)[planned.path])
    if not arguments.of_build:
        print(page.relative_to(root))


def index(arguments: argparse.Namespace) -> None:
    """Tabulate the results, update the pages, and write the index."""
    from noisy_digits.reports.index import write_index

    root = find_project_root()
    write_index(root, *_plan_collection(root, arguments))


def readme(arguments: argparse.Namespace) -> None:
    """Update the figures and the verdicts in README.md from the results."""
    from noisy_digits.reports.readme import update_readme

    root = find_project_root()
    update_readme(root, *_plan_collection(root, arguments))


def publish(arguments: argparse.Namespace) -> None:
    """Build a collection from a clean tree, check that it belongs together, and update README.md."""
    from noisy_digits.reports.publication import check_clean, check_publication
    from noisy_digits.reports.readme import check_readme, update_readme

    root = find_project_root()
    check_clean(root)
    check_readme(root)
    plan, collection = _plan_collection(root, arguments)
    named = {name: getattr(arguments, name) for name in ("dataset", "profile", "precision", "seeds")}
    options = [f"--{name}={value}" for name, value in named.items() if value]
    built = subprocess.run([sys.executable, "-m", "noisy_digits", "build", *options], check=False)
    if built.returncode:
        sys.exit(built.returncode)
    revision = check_publication(root, plan, collection)
    update_readme(root, plan, collection)
    print(f"{collection.name} belongs together, at revision {revision}: commit reports, results and README.md")


def readers(arguments: argparse.Namespace) -> None:
    """Add the files of the reading test on play.html to the project."""
    from noisy_digits.readers import merge_readers

    print(merge_readers(arguments.folder))


def show_data(arguments: argparse.Namespace) -> None:
    """Find or download a data set, and verify it."""
    datasets = load_datasets(read_project(find_project_root()))
    name = datasets.resolve_dataset(arguments.dataset)
    if name is None:
        raise UserError("this project has no data sets; project.yml may name a module: `datasets: noisy_digits.data`")
    print(f"{name}: {datasets.dataset_title(name)}, verified, SHA-256 {datasets.dataset_sha256(name)}")


def check(arguments: argparse.Namespace) -> None:
    """Check every params file against its notebooks and count the runs they plan."""
    plan = plan_runs(find_project_root(), arguments.profile, arguments.seeds)
    print(f"{len(plan)} runs planned from {len({run.assignment for run in plan})} params files, no errors")


def show_params_reference(arguments: argparse.Namespace) -> None:
    """Print the reference of all keys of params files, docs/params.md."""
    from noisy_digits.pipeline import reference

    print(reference.render(), end="")


def _plan_collection(
    root: Path, arguments: argparse.Namespace, path: str | None = None
) -> tuple[list[Run], Collection]:
    """Return the plan and the collection that the options name. Raises UserError if no run of the plan has ``path``.

    A data set is searched for only if the option is "auto", after every mistake in the params files was found.
    """
    datasets = load_datasets(read_project(root))
    dataset = arguments.dataset if arguments.dataset in datasets.DATASET_NAMES else None
    plan = plan_runs(root, arguments.profile, arguments.seeds, dataset)
    paths = [run.path for run in plan]
    if path not in (None, *paths):
        raise UserError(f"params/ plans no run {path}{did_you_mean(path, paths)}")
    if dataset is None:
        dataset = datasets.resolve_dataset(arguments.dataset)
        plan = plan_runs(root, arguments.profile, arguments.seeds, dataset)
    return plan, Collection(dataset, arguments.profile, arguments.precision)


def _check_profile_dir(folder: Path) -> Path:
    """Return the absolute path of a Snakemake profile after checking that it names an executor that is here."""
    try:
        settings = yaml.safe_load((folder / "profile.yaml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"--profile-dir {folder}: there is no profile.yaml; see workflow/README.md") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--profile-dir {folder}: profile.yaml is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(settings, dict) or "executor" not in settings:
        raise UserError(f"--profile-dir {folder}: profile.yaml names no executor; see workflow/README.md")
    if settings["executor"] == "slurm" and not shutil.which("sbatch"):
        raise UserError(
            f"--profile-dir {folder}: the profile is for SLURM, and its command sbatch is not installed here. "
            "Run this on a login node of the cluster"
        )
    return folder.resolve()


def _place_caches(root: Path) -> None:
    """Let the libraries keep their caches in the project where they cannot write to the user's folder."""
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        caches.mkdir(parents=True, exist_ok=True)
        usable = os.access(caches, os.W_OK)
    except (OSError, RuntimeError):  # of a user without a home
        usable = False
    if not usable:
        os.environ["XDG_CACHE_HOME"] = str(root / ".snakemake/cache")


def _snakemake(collection: Collection, arguments: argparse.Namespace, profile_dir: Path | None) -> list[str]:
    """Return the arguments with which Python runs Snakemake."""
    config = {
        "collection": collection.name,
        "dataset": collection.dataset,
        "profile": arguments.profile,
        "precision": arguments.precision,
        "seeds": arguments.seeds,
        "only": arguments.only,
    }
    cores = arguments.cores or (None if profile_dir else os.cpu_count())
    options = ["-m", "snakemake", f"--snakefile={SNAKEFILE}", *SNAKEMAKE_OPTIONS]
    if profile_dir:
        options.append(f"--profile={profile_dir}")
    if arguments.fresh:
        options.append("--forceall")
    if cores:
        options.append(f"--cores={cores}")
    return [*options, "--config", *(f"{key}={json.dumps(value)}" for key, value in config.items() if value)]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="noisy-digits", description="Run the notebooks over their grids and render the reports.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    dataset, plan, precision = (_Parser(add_help=False) for _ in range(3))
    dataset.add_argument("--dataset", default="auto", help='a data set of the project, or "auto"')
    plan.add_argument("--profile", default=PROFILES[0], help=" or ".join(PROFILES))
    plan.add_argument("--seeds", type=_positive, help="replicates, instead of each notebook's own number")
    precision.add_argument("--precision", default=PRECISIONS[0], help=" or ".join(PRECISIONS))
    added = {}
    for name, function, parents in (
        ("build", build, [dataset, plan, precision]),
        ("run", run, [dataset, plan, precision]),
        ("index", index, [dataset, plan, precision]),
        ("readme", readme, [dataset, plan, precision]),
        ("publish", publish, [dataset, plan, precision]),
        ("readers", readers, []),
        ("data", show_data, [dataset]),
        ("check", check, [plan]),
        ("params-reference", show_params_reference, []),
    ):
        added[name] = commands.add_parser(name, help=function.__doc__, description=function.__doc__, parents=parents)
        added[name].set_defaults(function=function)
    added["build"].add_argument("--cores", type=_positive, help="processors to use (default: all of this machine)")
    added["build"].add_argument("--profile-dir", type=Path, help="a Snakemake profile, to run on other machines")
    added["build"].add_argument("--fresh", action="store_true", help="make every run and every training again")
    added["build"].add_argument("--only", default="", help="build only this assignment/notebook, without the index")
    added["run"].add_argument("--of-build", action="store_true", help="end as soon as the build that started it ends")
    added["readers"].add_argument("folder", type=Path, help="folder with the CSV files of a class")
    added["run"].add_argument("path", help="a grid point: cnn_noise/2_train/recipe~corrected/scale~0.5")
    return parser


def main() -> None:
    """Run the command line.

    A mistake of the user or a refusal of the operating system is one line on standard error and exit status 2; an
    interruption is one line and exit status 130.
    """
    try:
        arguments = _make_parser().parse_args()
        arguments.function(arguments)
    except UserError as error:
        print(f"noisy-digits: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        logging.disable()  # interrupted libraries have nothing to add
        print("noisy-digits: interrupted; run the same command to resume", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        print(f"noisy-digits: {error}: {REMEDIES[error.errno]}, then run the same command again", file=sys.stderr)
        sys.exit(2)
