"""The README's figures and verdicts."""

import pytest

from noisy_digits.errors import UserError
from noisy_digits.reports.figures import read_image
from noisy_digits.reports.pages import refresh_pages
from noisy_digits.reports.readme import update_readme

from .samples import SVG
from .toy import FULL, fail_run

README = """\
# Toy

![old](reports/full/toy/2_compare.png) and ![other](reports/other/toy/2_compare.svg)

<!-- verdicts -->
old
<!-- end of verdicts -->

The end.
"""
UPDATED = """\
# Toy

![old](reports/full/toy/2_compare.svg) and ![other](reports/other/toy/2_compare.svg)

<!-- verdicts -->

| write-up | claim (ours in italics) | verdict |
| --- | --- | --- |
| A toy assignment | The toy is accurate. | **artefact**: the factor is twice too large |

<!-- end of verdicts -->

The end.
"""


def update(root, runs):
    (root / "README.md").write_text(README)
    refresh_pages(root, runs, {run.path: "ok" for run in runs}, FULL)
    update_readme(root, runs, FULL)
    return (root / "README.md").read_text()


def test_update_readme_writes_pictures_and_verdicts_and_keeps_alt_texts(project):
    root, runs = project
    assert update(root, runs) == UPDATED
    assert (root / "reports/full/toy/2_compare.svg").read_bytes() == read_image("image/svg+xml", SVG, "").content


def test_update_readme_keeps_the_verdicts_if_the_collection_is_not_the_reference(project):
    root, runs = project
    update(root, runs)
    (root / "project.yml").write_text("reference_collection: other\n")
    update_readme(root, runs, FULL)
    assert (root / "README.md").read_text() == UPDATED


def test_update_readme_needs_one(project):
    root, runs = project
    (root / "README.md").unlink()
    with pytest.raises(UserError, match=r"README\.md is not there"):
        update_readme(root, runs, FULL)


def test_update_readme_changes_nothing_the_second_time(project):
    root, runs = project
    update(root, runs)
    update_readme(root, runs, FULL)
    assert (root / "README.md").read_text() == UPDATED


def test_update_readme_names_a_figure_whose_run_did_not_finish(project):
    root, runs = project
    fail_run(root, runs[-1])
    with pytest.raises(UserError, match=r"results/full has no figure of toy/2_compare"):
        update(root, runs)
