"""Bring the figures and verdicts in README.md up to date with a collection's results."""

import re
from collections.abc import Sequence
from pathlib import Path

from noisy_digits._files import write_file, write_text
from noisy_digits.errors import UserError
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.store import Collection
from noisy_digits.reports.figures import IMAGE_SUFFIXES, first_figure, read_outputs
from noisy_digits.reports.overview import Overview

_VERDICTS = re.compile(r"(?<=<!-- verdicts -->\n).*?(?=<!-- end of verdicts -->)", re.DOTALL)


def update_readme(root: Path, runs: Sequence[Run], collection: Collection) -> None:
    """Renew the pictures and the table of verdicts in README.md from the collection whose plan is ``runs``.

    A picture is written as ``![…](reports/<collection>/<run path>.svg)``, or ``.png``; its file is renewed, its alt
    text stays. The verdicts stand between the comments ``<!-- verdicts -->`` and ``<!-- end of verdicts -->``; they
    are renewed from the reference collection only. Raises UserError if there is no README.md, or naming a picture whose
    run did not finish.
    """
    check_readme(root)
    overview = Overview(root, runs, collection)
    figure = re.compile(rf"(!\[[^\]]*\])\(reports/{re.escape(collection.name)}/([\w-]+/[^)]+)\.(?:png|svg)\)")
    text = (root / "README.md").read_text(encoding="utf-8")
    text = figure.sub(lambda match: f"{match[1]}({_save_figure(overview, match[2])})", text)
    if overview.is_reference:  # elsewhere nothing is decided
        text = _VERDICTS.sub(lambda _: _verdict_table(overview), text)
    write_text(root / "README.md", text)


def check_readme(root: Path) -> None:
    """Raise UserError unless the project at ``root`` has a README.md to update."""
    if not (root / "README.md").is_file():
        raise UserError(f"{root / 'README.md'} is not there; write it first: its figures and verdicts are updated")


def _save_figure(overview: Overview, path: str) -> str:
    """Save the first figure of the run ``path`` next to its page and return the file, relative to README.md."""
    figure = first_figure(read_outputs(overview.results / path))
    if figure is None:
        raise UserError(f"README.md: results/{overview.name} has no figure of {path}. Run `make reports` first")
    file = overview.reports / f"{path}.{IMAGE_SUFFIXES[figure.mime]}"
    content = figure.content
    write_file(file, lambda opened: opened.write(content))
    return str(file.relative_to(overview.root))


def _verdict_table(overview: Overview) -> str:
    rows = ["| write-up | claim (ours in italics) | verdict |", "| --- | --- | --- |"]
    for section in overview.sections():
        for claim, verdict in section["claims"]:
            cause = f": {verdict.cause}" if verdict.cause else ""
            statement = claim.statement if claim.stated_in else f"*{claim.statement}*"
            rows.append(f"| {section['config'].title} | {statement} | **{verdict.word}**{cause} |")
    return "\n".join(["", *rows, "", ""])
