"""The published study: where it is, and which tests of it have to wait."""

import subprocess

import pytest

from .conftest import REPOSITORY

REPORTS, RESULTS = REPOSITORY / "reports/mnist", REPOSITORY / "results/mnist"
_changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", REPORTS, RESULTS], cwd=REPOSITORY, check=False)
as_committed = pytest.mark.skipif(
    _changed.returncode == 1, reason="reports/mnist or results/mnist is not as committed: it holds a build of your own"
)
IS_FIRST_EDITION = (REPORTS / "mlp_noise/2_training").is_dir()
"""True while the published pages have names that only the first edition has."""
second_edition = pytest.mark.skipif(
    IS_FIRST_EDITION, reason="the published study is that of the first edition; it has to be published again"
)
