"""Builds: what is made again and what is not, failures, kills."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time

import keras
import numpy as np
import psutil
import pytest

from noisy_digits import results
from noisy_digits._files import is_complete, read_record
from noisy_digits.errors import UserError
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.status import run_statuses
from noisy_digits.pipeline.store import Collection
from noisy_digits.reports.index import write_index
from tests.conftest import (
    MEASURE,
    MEASURE_PARAMETERS,
    PATIENCE_S,
    REPOSITORY,
    build,
    kernels_among,
    noisy_digits,
    start,
    write_notebook,
)

OVERVIEWS = {"index.html", "compare.html"}
SLOW = "import time\ntime.sleep(1)\n" + MEASURE


def write_measure(root, source):
    """Replace the cell of the toy project's first notebook that measures."""
    write_notebook(root / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, source)


def timestamps(root):
    """Return when each result and each page was made."""
    return {
        str(path.relative_to(root)): path.stat().st_mtime_ns
        for pattern in ("results/**/metrics.json", "reports/**/*.html")
        for path in root.glob(pattern)
    }


def made_since(root, before):
    """Return what was made since, as paths below the collection's folders."""
    changed = {path for path, when in timestamps(root).items() if before.get(path) != when}
    return {re.sub(".*digits-quick/", "", path) for path in changed}


def read_rows(root):
    with (root / "results/digits-quick/results.csv").open() as file:
        return list(csv.DictReader(file))


def wait_for_results(root, n):
    deadline = time.monotonic() + PATIENCE_S
    while len(list(root.glob("results/**/metrics.json"))) < n:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_build_makes_every_result_every_page_the_plan_and_the_index(built):
    assert len(timestamps(built)) == 2 * 5 + 2
    rows = read_rows(built)
    assert len(rows) == 4
    assert list(rows[0]) == ["assignment", "notebook", "recipe", "scale", "seed", "metric", "value"]
    assert float(rows[0]["value"]) == pytest.approx(0.5 / 1.5)
    plan = json.loads((built / "results/digits-quick/plan.json").read_text())["notebooks"]
    assert list(map(len, plan.values())) == [4, 1]


def test_an_override_for_the_data_set_of_a_build_makes_its_runs_again(built):
    before, params = timestamps(built), built / "params/toy.yml"
    override = "{where: {dataset: %s, scale: 0.5}, set: {noise_level: %s}}"
    added = "".join(f"      - {override % each}\n" for each in (("digits", 0.2), ("mnist", 0.3)))
    params.write_text(params.read_text().replace("    overrides:\n", f"    overrides:\n{added}"))
    assert build(built).returncode == 0
    points = [f"toy/1_measure/recipe~{recipe}/scale~0.5" for recipe in ("as_submitted", "corrected")]
    assert {path for path in made_since(built, before) if path.endswith(".json")} == {
        f"{path}/metrics.json" for path in (*points, "toy/2_summary")
    }
    for path in points:
        assert read_record(built / "results/digits-quick" / path)["parameters"]["noise_level"] == 0.2


def test_build_needs_only_notebooks_and_params(toy):
    assert {path.name for path in toy.iterdir()} == {"notebooks", "params", "project.yml"}
    assert build(toy).returncode == 0


def test_build_prints_what_finished_what_is_running_and_what_is_left(toy):
    printed = build(toy).stderr
    lines = re.findall(r"^\[(\d)/6\] (\S+) finished in \d+ s(.*)$", printed, flags=re.MULTILINE)
    assert [int(done) for done, _, _ in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1][1:] == ("index", "")
    assert "; running: toy/1_measure/recipe~" in printed
    assert re.search(r"; 5 left, about \d+ s", printed)
    assert printed.index("[0/6] toy/1_measure/recipe~") < printed.index("[1/6]")


def test_a_second_build_makes_nothing(built):
    before = timestamps(built)
    done = build(built)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stderr + done.stdout
    assert timestamps(built) == before


def test_a_new_grid_value_makes_its_points_the_summary_the_index_and_the_links_of_its_neighbors(built):
    before = timestamps(built)
    params = built / "params/toy.yml"
    params.write_text(params.read_text().replace("[0.5, 2.0]", "[0.5, 2.0, 4.0]"))
    assert build(built).returncode == 0
    points, neighbors = (
        [f"toy/1_measure/recipe~{recipe}/scale~{scale}" for recipe in ("as_submitted", "corrected")]
        for scale in ("4.0", "2.0")
    )
    assert made_since(built, before) == {
        *(f"{run}/metrics.json" for run in (*points, "toy/2_summary")),
        *(f"{run}.html" for run in (*points, *neighbors, "toy/2_summary", "index", "compare")),
    }
    assert len(read_rows(built)) == 6


@pytest.mark.slow
def test_a_reported_number_whose_grid_value_is_no_longer_run_stays(built):
    before = timestamps(built)
    params = built / "params/toy.yml"
    params.write_text(params.read_text().replace("[0.5, 2.0]", "[0.6, 2.0]"))
    assert build(built).returncode == 0
    pages = {path for path in made_since(built, before) if path.endswith(".html")}
    changed = {
        f"toy/1_measure/recipe~{recipe}/scale~{scale}.html"
        for recipe in ("as_submitted", "corrected")
        for scale in (0.6, 2.0)  # a new point, and one whose link to the previous point changes
    }
    assert pages == changed | {"toy/2_summary.html", *OVERVIEWS}
    index = (built / "reports/digits-quick/index.html").read_text()
    assert "not run" in re.search(r"<caption>Every reported number.*?</table>", index, re.DOTALL)[0]


def test_deleted_results_are_made_again_with_the_seeds_asked_for(built):
    shutil.rmtree(built / "results")
    assert build(built, "--seeds", "3").returncode == 0
    assert len(read_rows(built)) == 12
    assert "(n = 3)" in (built / "reports/digits-quick/index.html").read_text()


def test_a_changed_notebook_makes_only_its_own_runs(built):
    before = timestamps(built)
    summary = built / "notebooks/toy/2_summary.ipynb"
    summary.write_text(summary.read_text().replace("A toy notebook", "A toy summary"))
    assert build(built).returncode == 0
    changed = made_since(built, before)
    assert {path.split("/")[-1] for path in changed} - {"metrics.json"} == {"2_summary.html", *OVERVIEWS}


def test_a_csv_file_of_a_notebooks_name_is_an_input_of_its_runs(built):
    before = timestamps(built)
    (built / "notebooks/toy/2_summary.csv").write_text("a\n")
    assert build(built).returncode == 0
    made = {"toy/2_summary/metrics.json", "toy/2_summary.html", "index.html", "compare.html"}
    assert made_since(built, before) == made


def test_a_deleted_page_is_made_again(built):
    page = built / "reports/digits-quick/toy/2_summary.html"
    page.unlink()
    assert build(built).returncode == 0
    assert page.is_file()


def test_a_failing_run_leaves_the_others_and_its_traceback(toy):
    write_measure(toy, f"if scale == 0.5 and learning_rate == 1.0:\n    raise RuntimeError('the toy broke')\n{MEASURE}")
    done = build(toy)
    assert done.returncode != 0
    assert "recipe~corrected/scale~0.5: cell" in done.stderr
    assert "RuntimeError: the toy broke" in done.stderr
    assert len(read_rows(toy)) == 3
    index = (toy / "reports/digits-quick/index.html").read_text()
    assert "FAILED" in index
    assert "missing" in index
    page = (toy / "reports/digits-quick/toy/1_measure/recipe~corrected/scale~0.5.html").read_text()
    assert "the toy broke" in page
    assert "Traceback" in page
    write_measure(toy, MEASURE)
    assert build(toy).returncode == 0
    assert len(read_rows(toy)) == 4


def test_diverged_seeds_are_marked_and_the_others_go_on(toy):
    losing = "rows = [{'seed': 0, 'test_accuracy': float('nan'), 'diverged': 1.0}, *rows[1:]] if scale == 0.5 else rows"
    write_measure(toy, f"{MEASURE}\n{losing}\nresults.save_metrics(rows)")
    assert build(toy, "--seeds", "2").returncode == 0
    path = "toy/1_measure/recipe~corrected/scale~0.5"
    metrics = json.loads((toy / f"results/digits-quick/{path}/metrics.json").read_text())
    assert metrics == [
        {"seed": 0, "metric": "diverged", "value": 1.0},
        {"seed": 1, "metric": "test_accuracy", "value": pytest.approx(1 / 1.5 + 0.01)},
    ]
    assert "Diverged: 1 of 2 seeds (0)" in (toy / f"reports/digits-quick/{path}.html").read_text()
    index = (toy / "reports/digits-quick/index.html").read_text()
    assert re.search(r"2 diverged", index)
    assert re.search(r"3 ok", index)
    assert "0.6767 (n = 1), 1 diverged" in index


CLAIMS = """\
claims:
  falls: {statement: Accuracy falls with the scale, notebook: 1_measure, metric: test_accuracy,
          at: {scale: [0.5, 2.0]}, along: scale, less_than: 0.0}
  original_is_low: {statement: All is below one half, notebook: 1_measure, metric: test_accuracy, at: {scale: 0.5},
                    less_than: 0.5, cause: {mistake: half the learning rate}}
"""


def test_the_index_decides_claims_and_compares_reported_numbers_in_the_reference_collection(toy):
    params = toy / "params/toy.yml"
    params.write_text(params.read_text() + CLAIMS)
    assert build(toy, "--seeds", "3").returncode == 0
    index = (toy / "reports/digits-quick/index.html").read_text()
    assert "not decided" in index
    assert "artefact:" not in index
    assert "not comparable" in index
    for folder in ("results", "reports"):
        (toy / folder / "digits-quick").rename(toy / folder / "mnist")
    with contextlib.chdir(toy):
        write_index(toy, plan_runs(toy, "quick", 3, "mnist"), Collection("mnist"))
    words = " ".join(re.sub(r"<[^>]+>", " ", (toy / "reports/mnist/index.html").read_text()).split())
    assert re.search(r"Accuracy falls with the scale here: a claim of ours every change of .* &lt; 0 supported", words)
    assert re.search(r"test accuracy at scale 0.5 &lt; 0.5 artefact", words)
    assert "half the learning rate" in words
    assert re.search(
        r"0\.25 0\.3433 ± 0\.0100 \(n = 3\) -0\.0933 \S+ to \S+ no: cause unknown 0\.6767 ± 0\.0100", words
    )
    assert "not comparable" not in words


def test_run_statuses_make_a_summary_stale_whose_runs_are_not_as_planned(built):
    plan = plan_runs(built, "quick", dataset="digits")
    folder = built / "results/digits-quick"
    assert set(run_statuses(folder, plan).values()) == {"ok"}
    (folder / plan[0].path / "metrics.json").unlink()
    found = run_statuses(folder, plan)
    assert found.pop(plan[0].path) == "failed"
    assert found.pop("toy/2_summary") == "stale"
    assert set(found.values()) == {"ok"}


def test_a_new_assignment_is_a_folder_and_a_params_file_as_contributing_says(built):
    before = timestamps(built)
    described = re.search(r"```yaml\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]
    (built / "params/mine.yml").write_text(described)
    parameters = "scale: NonNegative = 0.5  # noise\nn_seeds: Count = 1  # replicates"
    measure = "results.save_metrics([{'seed': seed, 'test_accuracy': 1 - scale} for seed in range(n_seeds)])"
    write_notebook(built / "notebooks/mine/1_first.ipynb", parameters, measure)
    assert build(built).returncode == 0
    points = {f"mine/1_first/scale~{scale}" for scale in ("0.0", "0.5")}
    metrics = {f"{point}/metrics.json" for point in points}
    assert made_since(built, before) == metrics | {f"{point}.html" for point in points} | OVERVIEWS
    index = (built / "reports/digits-quick/index.html").read_text()
    assert all(text in index for text in ("My assignment", "Noise costs accuracy.", "0.91"))
    assert 'href="mine/1_first/scale~0.5.html"' in index.replace("%7E", "~")


@pytest.fixture
def saved(toy):
    """The toy project after a run of its first notebook, and the one model that it saved."""
    saving = f"{MEASURE}\nif scale == 0.5 and learning_rate == 1.0:\n    import keras\n" + (
        "    results.save_model(keras.Sequential([keras.Input((1,))], name='saved'), 0)"
    )
    write_measure(toy, saving)
    assert build(toy, "--only", "toy/1_measure").returncode == 0
    (model,) = toy.glob("results/**/saved_0.keras")
    return toy, model


def test_a_run_whose_model_is_gone_is_made_again(saved):
    toy, model = saved
    model.unlink()
    before = timestamps(toy)
    assert build(toy, "--only", "toy/1_measure").returncode == 0
    assert model.is_file()
    changed = {path for path in made_since(toy, before) if path.endswith("metrics.json")}
    assert changed == {"toy/1_measure/recipe~corrected/scale~0.5/metrics.json"}


def test_load_model_refuses_a_file_that_is_cut_off_or_holds_code(saved, monkeypatch):
    toy, model = saved
    monkeypatch.chdir(toy)

    def load():
        return results.load_model("toy/1_measure", 0, "digits-quick", recipe="corrected", scale=0.5)

    assert load().name == "saved"
    whole, places = model.read_bytes(), np.random.default_rng(0)
    for place in places.integers(0, len(whole), 30):
        model.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(UserError):  # any other error would end the test
            load()
    model.write_bytes(whole[:-100])
    with pytest.raises(UserError, match=r"saved_0\.keras cannot be opened .*: delete it and run `make reports` again$"):
        load()
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x)]).save(model)
    with pytest.raises(UserError, match=r"saved_0\.keras cannot be opened .*Lambda"):
        load()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", '[{"seed": 0, "me'),
        ("metrics.json", '{"0": 3}'),
        ("metrics.json", '[{"seed": 0, "metric": "test_accuracy"}]'),
        ("metrics.json", '[{"seed": 0, "metric": "test_accuracy", "value": "x"}]'),
        ("metrics.json", '[{"seed": 0, "metric": "test_accuracy", "value": NaN}]'),
        ("metrics.json", '[{"seed": "a", "metric": "test_accuracy", "value": 1.0}]'),
        ("run.json", "[1]"),
        ("run.json", '{"parameters": 3}'),
    ],
)
def test_damaged_results_are_named_and_made_again(built, monkeypatch, name, content):
    (file,) = built.glob(f"results/**/recipe~corrected/scale~0.5/{name}")
    file.write_text(content)
    monkeypatch.chdir(built)
    with pytest.raises(UserError, match=rf"scale~0\.5/{name} is damaged .*: delete it and run `make reports` again$"):
        write_index(built, plan_runs(built, "quick", dataset="digits"), Collection("digits", "quick"))
    assert not is_complete(file.parent)  # so that a build makes it again


def test_a_notebook_that_was_cut_off_is_a_failed_run(built):
    (metrics,) = built.glob("results/**/recipe~corrected/scale~0.5/metrics.json")
    metrics.unlink()
    notebook = metrics.with_name("notebook.ipynb")
    notebook.write_text(notebook.read_text()[:1000])
    assert noisy_digits(built, "index", "--dataset", "digits", "--profile", "quick").returncode == 0
    assert "FAILED" in (built / "reports/digits-quick/index.html").read_text()


@pytest.mark.slow
def test_two_builds_of_one_collection_at_once_are_refused(toy):
    write_measure(toy, SLOW)
    first = start(toy)
    wait_for_results(toy, 1)
    second = build(toy)
    assert second.returncode == 2
    assert "being built by another process" in second.stderr
    assert first.wait(PATIENCE_S) == 0
    assert len(read_rows(toy)) == 4


@pytest.mark.faults
@pytest.mark.parametrize("stop", ["a kill", "Ctrl-C"])
def test_no_kernel_outlives_a_stopped_build_and_ctrl_c_gives_no_traceback(toy, stop):
    write_measure(toy, f"import time\ntime.sleep({2 * PATIENCE_S})\n{MEASURE}")
    first = start(toy, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_S
    while not (kernels := kernels_among(descendants(first))):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    if stop == "Ctrl-C":  # goes to the whole foreground group of a terminal
        os.killpg(first.pid, signal.SIGINT)
        assert "Traceback" not in first.communicate(timeout=PATIENCE_S)[1]
    else:
        first.kill()
    assert first.wait(PATIENCE_S) != 0
    _, alive = psutil.wait_procs(kernels, timeout=PATIENCE_S)
    assert not alive


@pytest.mark.faults
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_build_is_finished_by_the_next(toy, built_once, sent):
    write_measure(toy, SLOW)
    first = start(toy)
    wait_for_results(toy, 1)
    processes = descendants(first)
    assert processes
    first.send_signal(sent)
    assert first.wait(PATIENCE_S) != 0
    assert len(list(toy.glob("results/**/metrics.json"))) < 5
    assert build(toy).returncode == 0
    uninterrupted = built_once / "results/digits-quick/results.csv"
    assert (toy / "results/digits-quick/results.csv").read_bytes() == uninterrupted.read_bytes()
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    assert not alive
