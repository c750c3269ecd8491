"""The pages of a collection: when they are written, and what stands around a notebook."""

import base64
import csv
import os
import re
from io import BytesIO
from zipfile import ZipFile

import pytest

from noisy_digits._files import read_metrics, read_record, write_json, write_metrics
from noisy_digits.errors import UserError
from noisy_digits.pipeline.plan import Run, plan_runs
from noisy_digits.pipeline.status import run_statuses
from noisy_digits.pipeline.store import Collection
from noisy_digits.reports.index import write_index
from noisy_digits.reports.pages import (
    check_renderable,
    collect_notices,
    describe_origin,
    find_links,
    refresh_pages,
    write_page,
)

from .toy import FULL, PARAMS, fail_run, write_notebook


def refresh(root, runs):
    refresh_pages(root, runs, run_statuses(root / "results/full", runs), FULL)
    return {page.relative_to(root / "reports/full").as_posix() for page in root.glob("reports/full/**/*.html")}


def test_notices_name_the_profile_and_the_precision(project):
    root, _ = project
    assert collect_notices(root, FULL) == []
    quick, precision = collect_notices(root, Collection(None, "quick", "mixed_bfloat16"))
    assert quick.startswith("Quick profile")
    assert "bfloat16" in precision


def test_check_renderable_names_the_notebook_and_the_formula(project):
    root, runs = project
    check_renderable(root, runs[0])
    file = root / "notebooks/toy/1_measure.ipynb"
    file.write_text(file.read_text().replace("x^2", "\\\\wat"))
    with pytest.raises(UserError, match=r"notebooks/toy/1_measure.ipynb: .*\\wat"):
        check_renderable(root, runs[0])


def test_write_page_shows_the_grid_point_and_the_circumstances_of_the_run(project):
    root, runs = project
    page = write_page(root, runs[0], FULL, [])
    html = page.read_text()
    assert page == root / "reports/full/toy/1_measure/recipe~original/scale~0.5.html"
    assert "<dt>recipe</dt><dd>original</dd>" in html
    assert '<a href="../../../index.html">All reports</a>' in html
    for name, value in (("time", "41 s"), ("device", "CPU"), ("versions", "python 3.11.7, toy 1.0")):
        assert f'<th scope="row">{name}</th><td>{value}</td>' in html
    assert "SHA-256" not in html
    assert "precision" not in html  # an unusual one is a notice


def test_write_page_links_to_neighbors_other_recipes_and_summaries(project):
    root, runs = project
    linked = find_links(runs)
    html = write_page(root, runs[0], FULL, linked[runs[0].path]).read_text()
    links = dict(re.findall(r'<li><a href="\.\./\.\./\.\./([^"]*)\.html">([^<]*)</a></li>', html))
    assert links == {
        "index": "All reports",
        "toy/1_measure/recipe~original/scale~2.0": "next: scale 2",
        "toy/1_measure/recipe~corrected/scale~0.5": "here with recipe corrected",
        "toy/2_compare": "read by toy/2_compare",
    }
    assert linked[runs[1].path][0] == ("previous: scale 0.5", runs[0].path)
    assert linked[runs[-1].path] == []


def test_find_links_of_a_middle_point_of_another_assignment_and_of_a_grid_of_recipes_only():
    def planned(assignment, notebook, depends_on=(), **point):
        values = dict.fromkeys(Run.__dataclass_fields__, ()) | {"assignment": assignment, "notebook": notebook}
        return Run(**values | {"point": point, "depends_on": depends_on})

    row = [planned("a", "n", recipe="x", scale=scale) for scale in (0.0, 1.0, 2.0)]
    other = planned("a", "n", recipe="y", scale=1.0)
    recipes = [planned("b", "n", recipe=recipe) for recipe in ("x", "y")]
    reader = planned("b", "reads", (row[1].path,))
    links = find_links([*row, other, *recipes, reader])
    assert links[row[1].path] == [
        ("previous: scale 0", row[0].path),
        ("next: scale 2", row[2].path),
        ("here with recipe y", other.path),
        ("read by b/reads", reader.path),
    ]
    assert links[other.path] == [("here with recipe x", row[1].path)]
    assert [links[run.path] for run in recipes] == [
        [("next: recipe y", recipes[1].path)],
        [("previous: recipe x", recipes[0].path)],
    ]


def test_write_page_gives_the_numbers_and_the_command_that_makes_them(project):
    root, runs = project
    html = write_page(root, runs[0], FULL, []).read_text()
    (data,) = re.findall(r'<a download="metrics.zip" href="data:application/zip;base64,([^"]*)"', html)
    with ZipFile(BytesIO(base64.b64decode(data))) as archive:
        assert archive.namelist() == ["metrics.csv"]
        rows = list(csv.DictReader(archive.read("metrics.csv").decode().splitlines()))
    expected = read_metrics(root / "results/full" / runs[0].path)
    assert [(row["metric"], int(row["seed"]), float(row["value"])) for row in rows] == [
        (row["metric"], row["seed"], row["value"]) for row in expected
    ]
    assert "noisy-digits run toy/1_measure/recipe~original/scale~0.5 --seeds 3</td>" in html
    assert "notebooks/toy/1_measure.ipynb" in html


def test_refresh_pages_renders_again_a_page_whose_neighbors_changed(project):
    root, runs = project
    refresh(root, runs)
    params = root / "params/toy.yml"
    params.write_text(params.read_text().replace("scale: [0.5, 2.0]", "scale: [0.5, 1.0, 2.0]"))
    refresh(root, plan_runs(root, "full"))
    assert "next: scale 1<" in (root / f"reports/full/{runs[0].path}.html").read_text()


def test_refresh_pages_renders_again_a_page_whose_assignment_has_another_title(project):
    root, runs = project
    refresh(root, runs)
    params = root / "params/toy.yml"
    params.write_text(params.read_text().replace("title: A toy assignment", "title: Toys & games"))
    refresh(root, runs)
    assert "<li>Toys &amp; games</li>" in (root / f"reports/full/{runs[0].path}.html").read_text()


def test_describe_origin_names_every_version():
    records = [
        {"machine": "m", "revision": "r", "data_sha256": None, "versions": versions}
        for versions in ({"numpy": "1.0", "keras": "3.0"}, {"numpy": "2.0"})
    ]
    assert describe_origin(records)["versions"] == "numpy 1.0, 2.0, keras 3.0"


def test_write_page_says_which_trainings_were_restored_and_where_they_were_made(project):
    root, runs = project
    folder = root / "results/full" / runs[0].path
    made = {"key": "1", "restored": False, "made": "2026-01-02T03:04:05Z", "revision": "aaa", "device": "CPU"}
    restored = made | {"restored": True, "revision": "bbb"}
    trainings = [made | {"seconds": 1.0}, restored | {"seconds": 40.0}, restored | {"seconds": 80.0}]
    for kept, sentence in (
        (trainings[:1], "1 made in this run"),
        (trainings, "1 made in this run, 2 restored, which were made in 2 min on 2026-01-02 at revision bbb"),
    ):
        write_json(folder / "run.json", read_record(folder) | {"trainings": kept})
        html = write_page(root, runs[0], FULL, []).read_text()
        assert f'<th scope="row">trainings</th><td>{sentence}</td>' in html


def test_write_page_says_which_seeds_diverged(project):
    root, runs = project
    folder = root / "results/full" / runs[0].path
    write_metrics(folder, [*read_metrics(folder), {"seed": 2, "metric": "diverged", "value": 1.0}])
    assert "Diverged: 1 of 3 seeds (2)" in write_page(root, runs[0], FULL, []).read_text()


def test_write_page_marks_a_failed_run(project):
    root, runs = project
    fail_run(root, runs[0])
    assert "FAILED" in write_page(root, runs[0], FULL, []).read_text()


def test_refresh_pages_writes_missing_pages_and_leaves_out_notebooks_that_were_cut_off(project):
    root, runs = project
    notebook = root / "results/full" / runs[0].path / "notebook.ipynb"
    notebook.write_text(notebook.read_text()[:100])
    assert refresh(root, runs) == {f"{run.path}.html" for run in runs[1:]}


def test_refresh_pages_writes_pages_that_are_older_than_the_renderer_and_no_others(project):
    root, runs = project
    refresh(root, runs)
    old, new = (root / f"reports/full/{run.path}.html" for run in runs[:2])
    for page in (old, new):
        page.write_text(f"{page.read_text()}<!-- as it was -->")
    os.utime(old, (0, 0))
    refresh(root, runs)
    assert "as it was" not in old.read_text()
    assert "as it was" in new.read_text()


def test_a_note_is_on_the_pages_of_its_override_and_nowhere_else(project):
    root, _ = project
    override = '{where: {scale: 2.0}, set: {factor: 3.0}, note: "Three > two."}'
    (root / "params/toy.yml").write_text(PARAMS.replace("    coord", f"    overrides: [{override}]\n    coord"))
    write_index(root, plan_runs(root, "full"), FULL)
    pages = (root / "reports/full").glob("**/*.html")
    assert {
        str(page.relative_to(root / "reports/full")) for page in pages if "Three &gt; two." in page.read_text()
    } == {f"toy/1_measure/recipe~{recipe}/scale~2.0.html" for recipe in ("original", "corrected")}


def test_write_page_takes_the_executed_notebook(project):
    root, runs = project
    write_notebook(root / "results/full" / runs[0].path / "notebook.ipynb", "executed = True")
    assert "executed" in write_page(root, runs[0], FULL, []).read_text()
