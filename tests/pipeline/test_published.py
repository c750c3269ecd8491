"""A fresh clone of a published study: what is kept and what is made again."""

import subprocess

import pytest

from noisy_digits._files import read_record
from noisy_digits.errors import UserError
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.published import settle_runs
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import read_revision
from noisy_digits.reports.publication import check_clean, check_publication

from ..conftest import build, make_toy, noisy_digits

COLLECTION = Collection("digits", "quick")
PARAMS = "params/toy.yml"


def git(root, *arguments):
    identity = ("-c", "user.name=A reader", "-c", "user.email=reader@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root, subject):
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", subject)


def publish(root, questions=""):
    """Build a toy project at a clean revision, and commit its results and pages."""
    ignored = ("notebook.ipynb", ".snakemake", ".lock", "trainings", "__pycache__")
    (root / ".gitignore").write_text("\n".join(ignored))
    (root / PARAMS).write_text((root / PARAMS).read_text() + questions)
    git(root, "init", "--quiet")
    commit(root, "Begin")
    build(root)
    commit(root, "Publish")
    return root


def clone(origin, target):
    git(target.parent, "clone", "--quiet", str(origin), str(target))
    return target


@pytest.fixture(scope="session")
def origin(tmp_path_factory):
    return publish(make_toy(tmp_path_factory.mktemp("origin") / "toy project"))


@pytest.fixture
def published(origin, tmp_path):
    """A clone of a toy project that was built and committed."""
    return clone(origin, tmp_path / "clone")


def made(root):
    """Return the notebook of every run that was executed in ``root``, not cloned into it."""
    return sorted(path.parent.name for path in (root / "results").rglob("notebook.ipynb"))


def test_read_revision_is_that_of_what_computes(published):
    revision = read_revision(published)
    (published / "results/digits-quick/results.csv").write_text("")
    (published / "reports/digits-quick/index.html").write_text("")
    (published / "README.md").write_text("# Toy\n")
    assert read_revision(published) == revision
    commit(published, "Change what a build writes")
    assert read_revision(published) == revision
    (published / PARAMS).write_text((published / PARAMS).read_text() + "\n")
    assert read_revision(published) == f"{revision}+"
    commit(published, "Change the params file")
    assert read_revision(published) not in (revision, f"{revision}+")


def test_read_revision_does_not_depend_on_the_readers_settings(published):
    revision = read_revision(published)
    git(published, "config", "core.abbrev", "20")
    assert read_revision(published) == revision


def test_a_clone_keeps_what_was_published_at_its_revision(published):
    records = {path: path.read_bytes() for path in (published / "results").rglob("run.json")}
    assert len(records) == 5
    build(published)
    assert made(published) == []
    assert {path: path.read_bytes() for path in records} == records
    (published / "results/digits-quick/toy/2_summary/metrics.json").unlink()
    build(published)
    assert made(published) == ["2_summary"]


def test_a_clone_makes_everything_again_at_another_revision(published):
    (published / PARAMS).write_text((published / PARAMS).read_text() + "\n")
    commit(published, "Change the params file")
    build(published)
    assert len(made(published)) == 5
    assert {read_record(path.parent)["revision"] for path in (published / "results").rglob("run.json")} == {
        read_revision(published)
    }


def settle(root):
    """Settle the runs; return the folder of the first one and whether its metrics are still there."""
    plan = plan_runs(root, "quick", dataset="digits")
    settle_runs(root, COLLECTION, plan)
    folder = root / "results/digits-quick" / plan[0].path
    return folder, (folder / "metrics.json").is_file()


def test_a_published_run_without_its_models_is_kept_while_nothing_needs_them(published):
    folder, _ = settle(published)
    record = folder / "run.json"
    record.write_text(record.read_text().replace('"files": []', '"files": ["mlp_0.keras"]'))
    assert settle(published) == (folder, True)
    (published / "results/digits-quick/toy/2_summary/metrics.json").unlink()
    assert settle(published) == (folder, False)


def test_a_published_run_is_made_again_if_the_index_takes_an_answer_from_it(toy, tmp_path):
    question = "questions:\n  T.1: {asked: How large?, notebook: 1_measure, figure: false}\n"
    asked = clone(publish(toy, question), tmp_path / "clone")
    assert not settle(asked)[1]
    assert (asked / "results/digits-quick/toy/2_summary/metrics.json").is_file()


def test_a_published_run_without_a_page_is_made_again(published):
    folder, _ = settle(published)
    page = published / "reports" / folder.relative_to(published / "results")
    page.with_name(f"{page.name}.html").unlink()
    assert settle(published) == (folder, False)


def test_a_build_of_one_notebook_leaves_the_others_alone(published):
    (published / PARAMS).write_text((published / PARAMS).read_text() + "\n")
    plan = plan_runs(published, "quick", dataset="digits")
    settle_runs(published, COLLECTION, plan, "toy/1_measure")
    assert [path.parent.name for path in (published / "results").rglob("metrics.json")] == ["2_summary"]


def publish_again(root):
    return noisy_digits(root, "publish", "--dataset", "digits", "--profile", "quick")


def test_publish_builds_what_is_missing_updates_the_readme_and_then_has_nothing_to_do(published):
    (published / "README.md").write_text("# Toy\n\n<!-- verdicts -->\nold\n<!-- end of verdicts -->\n")
    commit(published, "Describe the toy")
    (published / "results/digits-quick/toy/2_summary/metrics.json").unlink()
    first = publish_again(published)
    assert first.returncode == 0, first.stderr
    revision = read_revision(published)
    assert f"digits-quick belongs together, at revision {revision}: commit reports, results" in first.stdout
    assert made(published) == ["2_summary"]
    assert "\nold\n" in (published / "README.md").read_text()  # verdicts are those of the reference collection
    commit(published, "Publish the toy")
    second = publish_again(published)
    assert (second.returncode, read_revision(published)) == (0, revision)
    status = subprocess.run(["git", "status", "--porcelain"], cwd=published, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_publish_refuses_a_project_without_a_readme_before_it_builds(published):
    (published / "README.md").unlink(missing_ok=True)
    refused = publish_again(published)
    assert refused.returncode == 2
    assert "README.md is not there" in refused.stderr
    assert made(published) == []


def test_publish_asks_for_a_commit_in_a_project_that_has_none(toy):
    git(toy, "init", "--quiet")
    with pytest.raises(UserError, match="has no revision, and a study is published at one: run `git init`, and commit"):
        check_clean(toy)


def test_publish_refuses_files_that_differ_before_it_builds(published):
    (published / "results/digits-quick/toy/2_summary/metrics.json").unlink()
    (published / PARAMS).write_text((published / PARAMS).read_text() + "\n")
    refused = publish_again(published)
    assert refused.returncode == 2
    assert f"files differ from revision {read_revision(published)[:-1]}: commit or stash" in refused.stderr
    assert made(published) == []


def test_publish_refuses_what_would_compute_without_being_in_the_revision(published):
    (published / "params/other.yml").write_text((published / PARAMS).read_text())
    refused = publish_again(published)
    assert refused.returncode == 2
    assert "params/other.yml is in no revision (1 such): commit or remove it" in refused.stderr


def test_check_publication_names_runs_that_failed_or_are_of_another_revision(published):
    plan = plan_runs(published, "quick", dataset="digits")
    revision = check_publication(published, plan, COLLECTION)
    first, second = (published / "results/digits-quick" / run.path for run in plan[:2])
    (first / "run.json").write_text((first / "run.json").read_text().replace(revision, "8c71560"))
    (second / "metrics.json").unlink()
    other = f"{plan[0].path} was made at revision 8c71560, not {revision}: `make clean`, then publish"
    message = rf"{plan[1].path} is missing \(2 such\); {other}"
    with pytest.raises(UserError, match=message):
        check_publication(published, plan, COLLECTION)
