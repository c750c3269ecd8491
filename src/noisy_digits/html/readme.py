"""The figures and verdicts that the README shows, taken from a collection's results."""

import base64
import re
from pathlib import Path

from noisy_digits import params, storage
from noisy_digits.errors import UserError
from noisy_digits.html import overview

_FIGURE = re.compile(r"!\[[^\]]*\]\(reports/(?P<collection>[\w-]+)/(?P<path>[\w-]+/[^)]+)\.png\)")
_VERDICTS = re.compile(r"(?<=<!-- verdicts -->\n).*?(?=<!-- end of verdicts -->)", re.DOTALL)


def renew(root: Path, plan: list[params.Run], made: storage.Collection) -> None:
    """Write the first figure of every run that README.md shows beside the run's page, its text, and the verdicts.

    A figure is shown by its path, ``![…](reports/<collection>/<run>.png)``; the verdicts stand between the comments
    ``<!-- verdicts -->`` and ``<!-- end of verdicts -->``. Raises UserError naming a figure whose run was not made.
    """
    collection = overview.collected(root, plan, made)
    readme = root / "README.md"

    def figure(shown: re.Match) -> str:
        if shown["collection"] != made.name:
            return shown[0]
        found = overview.figure(collection, shown["path"])
        if not found:
            raise UserError(f"README.md shows the figure of {shown['path']}, which {made.name} has not: make it first")
        picture = root / "reports" / made.name / f"{shown['path']}.png"
        picture.write_bytes(base64.b64decode(found["url"].partition("base64,")[2]))
        return f"![{found['alt']}]({picture.relative_to(root)})"

    rows = ["| write-up | claim | verdict |", "| --- | --- | --- |"]
    for assignment in overview.assignments(collection, plan):
        for claim in assignment["claims"]:
            mistake = f": {claim['mistake']}" if claim["mistake"] else ""
            rows.append(f"| {assignment['title']} | {claim['says']} | **{claim['verdict']}**{mistake} |")
    text = _FIGURE.sub(figure, readme.read_text(encoding="utf-8"))
    storage.write_text(readme, _VERDICTS.sub("\n".join(["", *rows, "", ""]), text))
