"""Find the project's folder and read its project.yml."""

import subprocess
from pathlib import Path

from pydantic import Field

from noisy_digits._yaml import StrictModel, read_model
from noisy_digits.errors import UserError

COMPUTES = ("notebooks", "params", "project.yml", "src", "requirements.lock")
"""What decides the results and pages of a project; tests, documents and what builds write do not."""


class Project(StrictModel):
    """A project: a folder with params/ and notebooks/, and what its project.yml says."""

    title: str = Field(default="", description="Title of the index; the name of the project's folder if left out.")
    introduction: str = Field(default="", description="Paragraph under the title of the index.")
    datasets: str | None = Field(
        default=None, description="Module that provides the data sets, such as `noisy_digits.data`."
    )
    extra_page: str | None = Field(
        default=None,
        description="Module that provides a page of its own for each collection, such as `noisy_digits.play`.",
    )
    packages: list[str] = Field(default=[], description="Packages whose versions are recorded with every run.")
    preload: list[str] = Field(
        default=[], description="Modules that a build imports once for all its runs, besides those of the notebooks."
    )
    reference_collection: str | None = Field(
        default=None, description="The collection whose numbers may be compared with reported ones; none if left out."
    )


def find_project_root(start: Path | None = None) -> Path:
    """Return the nearest folder that holds both params/ and notebooks/, at or above ``start`` (the working directory).

    Raises UserError outside a project.
    """
    start = Path(start or ".").resolve()
    for folder in (start, *start.parents):
        if (folder / "params").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise UserError(f"{start} is not inside a project, a folder with params/ and notebooks/; change into one first")


def read_project(root: Path) -> Project:
    """Read project.yml in the folder ``root``, or the defaults if there is none. Raises UserError naming the key."""
    path = root / "project.yml"
    project = read_model(path, Project) if path.is_file() else Project()
    return project if project.title else project.model_copy(update={"title": root.resolve().name})


def read_revision(root: Path | None = None) -> str | None:
    """Return the last git revision that changed what the project computes, with "+" if files differ from it.

    ``root`` is a folder of the project (the working directory). Only ``COMPUTES`` counts. Returns None outside of a
    project, and for one that is not under version control.
    """
    try:
        project = find_project_root(root)
        revision = _git(project, "log", "-1", "--abbrev=10", "--format=%h", "--", *COMPUTES)
        changed = _git(project, "status", "--porcelain", "--untracked-files=no", "--", *COMPUTES)
    except (UserError, OSError, subprocess.CalledProcessError):
        return None
    return f"{revision}+" if revision and changed else revision or None


def list_untracked(root: Path) -> list[str]:
    """Return the files of what the project in ``root`` computes that are not under version control."""
    return _git(root, "ls-files", "--others", "--exclude-standard", "--", *COMPUTES).splitlines()


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
