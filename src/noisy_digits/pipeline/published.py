"""Keep what is published: a fresh clone holds the numbers and the pages of runs, which need not be made again."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from noisy_digits._files import is_complete, read_record
from noisy_digits.pipeline.config import load_assignments
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.progress import PROGRESS_FILE
from noisy_digits.pipeline.status import FINISHED, run_status
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import read_revision


def settle_runs(root: Path, collection: Collection, plan: Sequence[Run], only: str = "") -> None:
    """Let Snakemake leave alone what was published at this revision, and make again what is incomplete.

    A published run came with the clone: it has no executed notebook. It is kept if it was made with the parameters of
    the plan, has its page, and lacks nothing that is still needed: its models, if a run that reads it has to be made,
    or its notebook, if the index takes an answer from it. With ``only``, an assignment/notebook, only its runs and
    what they read are looked at.
    """
    revision, now = read_revision(root) or "+", time.time()
    answers = {
        (name, question.notebook)
        for name, assignment in load_assignments(root).items()
        for question in assignment.questions.values()
    }
    needed: set[str] = set()
    wanted = {run.path for run in plan if only in ("", f"{run.assignment}/{run.notebook}")}
    for run in reversed(plan):
        if run.path not in wanted:
            continue
        wanted.update(run.depends_on)
        folder, page = (root / kind / collection.name / run.path for kind in ("results", "reports"))
        outputs = [folder / "metrics.json", folder / "run.json", page.with_name(f"{page.name}.html")]
        complete = is_complete(folder)
        if complete and (folder / "notebook.ipynb").is_file():
            continue
        kept = (
            is_complete(folder, published=True)
            and (complete or run.path not in needed)
            and (run.assignment, run.notebook) not in answers
            and outputs[-1].is_file()
            and run_status(folder, run) in FINISHED
            and not revision.endswith("+")
            and (read_record(folder) or {}).get("revision") == revision
        )
        if kept:
            for file in outputs:
                os.utime(file, (now, now))
        else:
            needed.update(run.depends_on)
            for name in ("metrics.json", PROGRESS_FILE):
                (folder / name).unlink(missing_ok=True)
