"""Tell what became of the runs of a plan."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noisy_digits._files import read_metrics, read_record
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.store import INJECTED_PARAMETERS

FINISHED = ("ok", "diverged")
"""Statuses of runs whose numbers are those of the plan."""


def run_status(folder: Path, run: Run) -> str:
    """Return what became of ``run``, judged by its folder alone.

    The status is ok, diverged (a training diverged), stale (made with other parameters), failed (started, not
    finished) or missing. Raises UserError naming a damaged file.
    """
    if (folder / "metrics.json").is_file() and (record := read_record(folder)):
        if _planned(record["parameters"]) != _planned(run.parameters):
            return "stale"
        return "diverged" if diverged_seeds(folder) else "ok"
    return "failed" if (folder / "notebook.ipynb").is_file() else "missing"


def run_statuses(folder: Path, plan: Sequence[Run]) -> dict[str, str]:
    """Return the status of every run of a plan by path; ``folder`` is results/<collection>.

    A run is stale, too, if a run that it depends on has not finished as planned.
    """
    statuses: dict[str, str] = {}
    for run in plan:
        status = run_status(folder / run.path, run)
        outdated = status in FINISHED and any(statuses[path] not in FINISHED for path in run.depends_on)
        statuses[run.path] = "stale" if outdated else status
    return statuses


def diverged_seeds(folder: Path) -> list[int]:
    """Return the seeds whose training diverged in the run of ``folder``."""
    return list(dict.fromkeys(row["seed"] for row in read_metrics(folder) if row["metric"] == "diverged"))


def _planned(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that the params files and notebooks determine."""
    return {name: value for name, value in parameters.items() if name not in INJECTED_PARAMETERS}
