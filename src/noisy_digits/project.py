"""Where the project is: the folder that holds params/ and notebooks/."""

from pathlib import Path

from noisy_digits.errors import UserError

PRECISION = "NOISY_DIGITS_PRECISION"
"""Environment variable with the dtype policy that networks are made with; set by the build."""


def project_root(start: Path | None = None) -> Path:
    """The nearest folder that holds both params/ and notebooks/, at or above ``start``.

    ``start`` is the working directory unless given. Raises UserError outside a project.
    """
    start = Path(start or ".").resolve()
    for folder in (start, *start.parents):
        if (folder / "params").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise UserError(
        f"{start} is not inside a project: no folder from there upwards holds both params/ and notebooks/; "
        "change into the project's folder first"
    )
