"""Check that a collection may be published: whole, decided, and made from one clean revision."""

from collections.abc import Sequence
from pathlib import Path

from noisy_digits._files import read_record
from noisy_digits.errors import UserError
from noisy_digits.pipeline.claims import UNDECIDED
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.status import FINISHED
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import list_untracked, read_revision
from noisy_digits.reports.overview import Overview


def check_clean(root: Path) -> str:
    """Return the revision of the project at ``root``. Raises UserError if there is none, or files differ from it."""
    revision = read_revision(root)
    if revision is None:
        raise UserError(f"{root} has no revision, and a study is published at one: run `git init`, and commit")
    if revision.endswith("+"):
        raise UserError(f"files differ from revision {revision[:-1]}: commit or stash the changes, then publish")
    if untracked := list_untracked(root):
        raise UserError(f"{untracked[0]} is in no revision ({len(untracked)} such): commit or remove it, then publish")
    return revision


def check_publication(root: Path, runs: Sequence[Run], collection: Collection) -> str:
    """Check the collection whose plan is ``runs``; return its revision.

    Raises UserError naming the first run that has not finished or is of another revision, and the first claim that is
    not decided.
    """
    revision = check_clean(root)
    overview = Overview(root, runs, collection)
    unfinished = [f"{path} is {status}" for path, status in overview.statuses.items() if status not in FINISHED]
    records = {run.path: read_record(overview.results / run.path) for run in runs}
    others = [
        f"{path} was made at revision {record['revision']}, not {revision}: `make clean`, then publish"
        for path, record in records.items()
        if record and record["revision"] != revision
    ]
    undecided = [
        f"the claim “{claim.statement}” is not decided"
        for section in overview.sections()
        for claim, verdict in section["claims"]
        if overview.is_reference and verdict.word == UNDECIDED.word
    ]
    problems = [f"{found[0]} ({len(found)} such)" for found in (unfinished, others, undecided) if found]
    if problems:
        raise UserError(f"reports/{collection.name} cannot be published: {'; '.join(problems)}")
    return revision
