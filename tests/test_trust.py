"""docs/trust.md: every test that it names is there."""

import re

from .conftest import REPOSITORY

TRUST = (REPOSITORY / "docs/trust.md").read_text(encoding="utf-8")


def test_every_file_of_tests_and_every_test_that_is_named_is_there():
    files = set(re.findall(r"tests/[\w/]+\.py", TRUST))
    assert files
    assert [file for file in files if not (REPOSITORY / file).is_file()] == []
    sources = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py"))
    named = re.findall(r"::(test_\w+)(…?)", TRUST)
    assert [name for name, cut in named if f"def {name}{'' if cut else '('}" not in sources] == []


def test_every_line_says_what_was_tried_what_happened_and_how_to_see_it():
    lines = [line for line in TRUST.splitlines() if line.startswith("|")]
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 3, line
        assert all(cells), line
