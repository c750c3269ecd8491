"""The figures and verdicts that the README shows, taken from a collection's results."""

import re
from pathlib import Path
from urllib.request import urlopen

from noisy_digits import params, storage
from noisy_digits.errors import UserError
from noisy_digits.html import overview

_FIGURE = re.compile(r"!\[[^\]]*\]\(reports/(?P<collection>[\w-]+)/(?P<path>[\w-]+/[^)]+)\.(?:png|svg)\)")
_VERDICTS = re.compile(r"(?<=<!-- verdicts -->\n).*?(?=<!-- end of verdicts -->)", re.DOTALL)
_PLAIN = str.maketrans("[]", "()")


def renew(root: Path, plan: list[params.Run], made: storage.Collection) -> None:
    """Write the first figure of every run that README.md shows beside the run's page, its text, and the verdicts.

    A figure is shown by its path, ``![…](reports/<collection>/<run>.svg)``, or ``.png`` where it is one; the verdicts
    stand between the comments ``<!-- verdicts -->`` and ``<!-- end of verdicts -->``. Raises UserError naming a figure
    whose run was not made.
    """
    collection = overview.collected(root, plan, made)
    readme = root / "README.md"

    def figure(shown: re.Match) -> str:
        if shown["collection"] != made.name:
            return shown[0]
        found = overview.figure(collection, shown["path"])
        if not found:
            raise UserError(f"README.md shows the figure of {shown['path']}, which {made.name} has not: make it first")
        with urlopen(found["url"]) as image:  # a data: URL
            end = {"image/png": "png", "image/svg+xml": "svg"}[image.headers.get_content_type()]
            picture = root / "reports" / made.name / f"{shown['path']}.{end}"
            picture.write_bytes(image.read())
        return f"![{found['alt'].translate(_PLAIN)}]({picture.relative_to(root)})"

    rows = ["| write-up | claim | verdict |", "| --- | --- | --- |"]
    for assignment in overview.assignments(collection, plan):
        for claim in assignment["claims"]:
            mistake = f": {claim['mistake']}" if claim["mistake"] else ""
            rows.append(f"| {assignment['title']} | {claim['says']} | **{claim['verdict']}**{mistake} |")
    text = _FIGURE.sub(figure, readme.read_text(encoding="utf-8"))
    storage.write_text(readme, _VERDICTS.sub(lambda _: "\n".join(["", *rows, "", ""]), text))
