"""The toy project, finished."""

import pytest

from .toy import make_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder of a project in which every run finished, and its plan."""
    root = tmp_path / "toy project"
    runs = make_project(root)
    monkeypatch.chdir(root)
    return root, runs
