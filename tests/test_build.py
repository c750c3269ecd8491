"""The build: what is made again and what is not, failures, kills, and what a page of results says."""

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

from noisy_digits import params, results, storage
from noisy_digits.errors import UserError
from noisy_digits.html import overview, reports

from .conftest import (
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

SLOW = "import time\ntime.sleep(1)\n" + MEASURE


def made(root):
    """When each result and page was made."""
    return {
        str(path.relative_to(root)): path.stat().st_mtime_ns
        for pattern in ("results/**/metrics.json", "reports/**/*.html")
        for path in root.glob(pattern)
    }


def made_since(root, before):
    """What was made since, as paths below the collection's folders."""
    changed = {path for path, when in made(root).items() if before.get(path) != when}
    return {re.sub(".*digits-quick/", "", path) for path in changed}


def rows(root):
    with (root / "results/digits-quick/results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_build_makes_every_result_every_page_and_the_index(built):
    assert len(made(built)) == 2 * 5 + 1
    assert len(rows(built)) == 4
    assert list(rows(built)[0]) == ["assignment", "notebook", "recipe", "scale", "seed", "metric", "value"]
    assert float(rows(built)[0]["value"]) == pytest.approx(0.5 / 1.5)


def test_a_build_says_what_ended_what_goes_on_and_how_much_is_left(toy):
    told = build(toy).stderr
    lines = re.findall(r"^\[(\d)/6\] (\S+) in \d+ s(.*)$", told, flags=re.MULTILINE)
    assert [int(done) for done, _, _ in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1][1:] == ("index", "")
    assert "; going: toy/1_measure/recipe~" in told
    assert re.search(r"; 5 left, \d+ s if they are like those done", told)
    assert told.index("[0/6] toy/1_measure/recipe~") < told.index("[1/6]")


def test_collections_are_named_by_what_is_unusual_in_them():
    assert storage.Collection("mnist").name == storage.COMPARABLE == "mnist"
    assert storage.Collection("digits", "quick", "mixed_bfloat16").name == "digits-quick-mixed_bfloat16"
    assert results.dataset_of("fashion_mnist-quick-mixed_bfloat16") == "fashion_mnist"
    with pytest.raises(UserError, match="did you mean mixed_bfloat16"):
        storage.Collection("mnist", "full", "bfloat16")


def test_a_second_build_makes_nothing(built):
    before = made(built)
    done = build(built)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stderr + done.stdout
    assert made(built) == before


def test_a_changed_grid_value_makes_that_point_its_summary_and_the_index(built):
    before = made(built)
    params = built / "params/toy.yml"
    params.write_text(params.read_text().replace("[0.5, 2.0]", "[0.5, 2.0, 4.0]"))
    assert build(built).returncode == 0
    changed = made_since(built, before)
    assert changed == {
        *(f"toy/1_measure/recipe~{r}/scale~4.0/metrics.json" for r in ("as_submitted", "corrected")),
        *(f"toy/1_measure/recipe~{r}/scale~4.0.html" for r in ("as_submitted", "corrected")),
        "toy/2_summary/metrics.json",
        "toy/2_summary.html",
        "index.html",
    }
    assert len(rows(built)) == 6


def test_a_changed_published_grid_value_makes_that_point_alone_and_says_not_run(built):
    """The write-up's number at a scale that is no longer run stays, and is compared with nothing."""
    before = made(built)
    params = built / "params/toy.yml"
    params.write_text(params.read_text().replace("[0.5, 2.0]", "[0.6, 2.0]"))
    assert build(built).returncode == 0
    changed = made_since(built, before)
    pages = {path for path in changed if path.endswith(".html")}
    points = {f"toy/1_measure/recipe~{recipe}/scale~0.6.html" for recipe in ("as_submitted", "corrected")}
    assert pages == points | {"toy/2_summary.html", "index.html"}


def test_deleted_results_are_made_again_with_the_replicates_asked_for(built):
    shutil.rmtree(built / "results")
    assert build(built, "--seeds", "3").returncode == 0
    assert len(rows(built)) == 12
    assert "(n = 3)" in (built / "reports/digits-quick/index.html").read_text()


def test_a_changed_notebook_makes_its_own_runs_alone(built):
    before = made(built)
    summary = built / "notebooks/toy/2_summary.ipynb"
    summary.write_text(summary.read_text().replace("A toy notebook", "A toy summary"))
    assert build(built).returncode == 0
    changed = made_since(built, before)
    assert {path.split("/")[-1] for path in changed} - {"metrics.json"} == {"2_summary.html", "index.html"}


def test_a_deleted_page_comes_back(built):
    page = built / "reports/digits-quick/toy/2_summary.html"
    page.unlink()
    assert build(built).returncode == 0
    assert page.is_file()


def test_a_failing_run_leaves_the_others_and_its_traceback(toy):
    raising = f"if scale == 0.5 and learning_rate == 1.0:\n    raise RuntimeError('the toy broke')\n{MEASURE}"
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, raising)
    done = build(toy)
    assert done.returncode != 0
    assert "recipe~corrected/scale~0.5: cell" in done.stderr
    assert "RuntimeError: the toy broke" in done.stderr
    assert len(rows(toy)) == 3
    index = (toy / "reports/digits-quick/index.html").read_text()
    assert "FAILED" in index
    assert "missing" in index
    page = (toy / "reports/digits-quick/toy/1_measure/recipe~corrected/scale~0.5.html").read_text()
    assert "the toy broke" in page
    assert "Traceback" in page
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, MEASURE)
    assert build(toy).returncode == 0
    assert len(rows(toy)) == 4


def test_diverged_replicates_are_marked_and_the_others_go_on(toy):
    losing = f"{MEASURE}\nif scale == 0.5:\n    measured[0] = {{'test_accuracy': float('nan'), 'diverged': 1.0}}\n"
    diverging = losing + "results.record(measured)"
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, diverging)
    assert build(toy, "--seeds", "2").returncode == 0
    path = "toy/1_measure/recipe~corrected/scale~0.5"
    metrics = json.loads((toy / f"results/digits-quick/{path}/metrics.json").read_text())
    assert metrics == {"0": {"diverged": 1.0}, "1": {"test_accuracy": pytest.approx(1 / 1.5 + 0.01)}}
    assert "Diverged: 1 of 2 replicates (seed 0)" in (toy / f"reports/digits-quick/{path}.html").read_text()
    index = (toy / "reports/digits-quick/index.html").read_text()
    assert re.search(r"2 diverged", index)
    assert re.search(r"3 ok", index)
    assert "0.6767 (n = 1), 1 diverged" in index


CLAIMS = """\
claims:
  falls: {says: Accuracy falls with the scale, notebook: 1_measure, metric: test_accuracy, at: {scale: [0.5, 2.0]},
          along: scale, below: 0.0}
  submitted_is_low: {says: All is below one half, notebook: 1_measure, metric: test_accuracy, at: {scale: 0.5},
                     below: 0.5, mistake: half the learning rate}
"""


def test_the_index_of_mnist_decides_claims_and_compares_published_numbers(toy):
    params_file = toy / "params/toy.yml"
    params_file.write_text(params_file.read_text() + CLAIMS)
    assert build(toy, "--seeds", "3").returncode == 0
    index = (toy / "reports/digits-quick/index.html").read_text()
    assert index.count("not decided") == 2
    assert "not comparable" in index
    for folder in ("results", "reports"):
        (toy / folder / "digits-quick").rename(toy / folder / "mnist")
    overview.write_index(toy, params.plan(toy, "quick", 3), storage.Collection("mnist"))
    words = " ".join(re.sub(r"<[^>]+>", " ", (toy / "reports/mnist/index.html").read_text()).split())
    assert re.search(r"Accuracy falls with the scale every change of .* &lt; 0 supported", words)
    assert re.search(
        r"All is below one half test accuracy at scale 0.5 &lt; 0.5 artefact : half the learning rate", words
    )
    assert "scale 0.5 , test accuracy test accuracy 0.25 0.3433 ± 0.0100 (n = 3) +0.0933 no 0.6767 ± 0.0100" in words
    assert "0123" not in words
    assert "not comparable" not in words


def test_a_summary_of_what_is_no_longer_as_planned_is_stale(built):
    planned = params.plan(built, "quick")
    folder = built / "results/digits-quick"
    assert set(reports.statuses(folder, planned).values()) == {"ok"}
    (folder / planned[0].path / "metrics.json").unlink()
    found = reports.statuses(folder, planned)
    assert found.pop(planned[0].path) == "failed"
    assert found.pop("toy/2_summary") == "stale"
    assert set(found.values()) == {"ok"}


def test_the_readmes_new_assignment_is_a_folder_and_a_params_file(built):
    before = made(built)
    described = re.search(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)[1]
    (built / "params/mine.yml").write_text(described)
    parameters = "scale: float = 0.5  # noise\nseeds: int = 1  # replicates"
    measure = "results.record({seed: {'test_accuracy': 1 - scale} for seed in range(seeds)})"
    write_notebook(built / "notebooks/mine/1_first.ipynb", parameters, measure)
    assert build(built).returncode == 0
    points = {f"mine/1_first/scale~{scale}" for scale in ("0.0", "0.5")}
    results = {f"{point}/metrics.json" for point in points}
    assert made_since(built, before) == results | {f"{point}.html" for point in points} | {"index.html"}
    index = (built / "reports/digits-quick/index.html").read_text()
    assert all(text in index for text in ("My assignment", "Noise costs accuracy.", "0.91"))
    assert 'href="mine/1_first/scale~0.5.html"' in index.replace("%7E", "~")


@pytest.fixture
def kept(toy):
    """The toy project whose first notebook was run, with the one model that it kept."""
    keeping = f"{MEASURE}\nif scale == 0.5 and learning_rate == 1.0:\n    import keras\n" + (
        "    results.keep(keras.Sequential([keras.Input((1,))], name='kept'), 0)"
    )
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, keeping)
    assert build(toy, "--only", "toy/1_measure").returncode == 0
    (model,) = toy.glob("results/**/kept_0.keras")
    return toy, model


def test_a_model_that_is_gone_is_trained_again(kept):
    toy, model = kept
    model.unlink()
    before = made(toy)
    assert build(toy, "--only", "toy/1_measure").returncode == 0
    assert model.is_file()
    changed = {path for path in made_since(toy, before) if path.endswith("metrics.json")}
    assert changed == {"toy/1_measure/recipe~corrected/scale~0.5/metrics.json"}


def test_a_kept_model_that_is_cut_off_or_holds_code_is_refused(kept, monkeypatch):
    toy, model = kept
    monkeypatch.chdir(toy)

    def opened():
        return results.model("toy", "1_measure", 0, "digits-quick", recipe="corrected", scale=0.5)

    assert opened().name == "kept"
    whole, places = model.read_bytes(), np.random.default_rng(0)
    for place in places.integers(0, len(whole), 30):
        model.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(UserError):  # anything else would end the test
            opened()
    model.write_bytes(whole[:-100])
    with pytest.raises(UserError, match=r"kept_0\.keras cannot be opened .*: delete it and run `make reports` again$"):
        opened()
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x)]).save(model)
    with pytest.raises(UserError, match=r"kept_0\.keras cannot be opened .*Lambda"):
        opened()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", '{"0": {"te'),
        ("metrics.json", "[]"),
        ("metrics.json", '{"0": 3}'),
        ("metrics.json", '{"0": {"test_accuracy": "x"}}'),
        ("metrics.json", '{"0": {"test_accuracy": NaN}}'),
        ("metrics.json", '{"a": {"test_accuracy": 1.0}}'),
        ("run.json", "[1]"),
        ("run.json", '"x"'),
        ("run.json", '{"parameters": 3}'),
    ],
)
def test_damaged_results_are_named_and_made_again(built, monkeypatch, name, content):
    (file,) = built.glob(f"results/**/recipe~corrected/scale~0.5/{name}")
    file.write_text(content)
    with pytest.raises(UserError, match=rf"scale~0\.5/{name} is damaged .*: delete it and run `make reports` again$"):
        overview.write_index(built, params.plan(built, "quick"), storage.Collection("digits", "quick"))
    assert storage.complete(file.parent) == (name == "metrics.json")


def test_a_notebook_cut_off_in_writing_is_a_failed_run_and_no_more(built):
    (metrics,) = built.glob("results/**/recipe~corrected/scale~0.5/metrics.json")
    metrics.unlink()
    notebook = metrics.with_name("notebook.ipynb")
    notebook.write_text(notebook.read_text()[:1000])
    assert noisy_digits(built, "index", "--dataset", "digits", "--profile", "quick").returncode == 0
    assert "FAILED" in (built / "reports/digits-quick/index.html").read_text()


def test_a_killed_kernel_fails_its_run_in_one_line(toy):
    dying = f"import os, signal\nif scale == 2.0:\n    os.kill(os.getpid(), signal.SIGKILL)\n{MEASURE}"
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, dying)
    done = run_one(toy)
    assert done.returncode == 2
    assert "its kernel died" in done.stderr
    assert not list(toy.glob("results/**/metrics.json"))


def test_a_run_without_its_headline_fails(toy):
    file = toy / "params/toy.yml"
    file.write_text(file.read_text().replace("headline: test_accuracy", "headline: test_acuracy"))
    done = run_one(toy)
    assert done.returncode == 2
    assert "recorded no test_acuracy" in done.stderr
    assert not list(toy.glob("results/**/metrics.json"))


def test_a_formula_that_cannot_be_shown_is_found_before_the_kernel_starts(toy):
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, MEASURE)
    notebook = toy / "notebooks/toy/1_measure.ipynb"
    notebook.write_text(notebook.read_text().replace("# A toy notebook", r"# A toy notebook\n\n$\\nonsense{x}$"))
    done = run_one(toy)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert not list(toy.glob("results/**/notebook.ipynb"))


def test_two_builds_at_once_in_one_collection_are_refused(toy):
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, SLOW)
    first = start(toy)
    wait_for(toy, 1)
    second = build(toy)
    assert second.returncode == 2
    assert "being built by another process" in second.stderr
    assert first.wait(PATIENCE_S) == 0
    assert len(rows(toy)) == 4


@pytest.mark.parametrize("stop", ["a kill", "Ctrl-C"])
def test_no_kernel_outlives_a_build_that_was_stopped_and_ctrl_c_gives_no_traceback(toy, stop):
    write_notebook(
        toy / "notebooks/toy/1_measure.ipynb",
        MEASURE_PARAMETERS,
        f"import time\ntime.sleep({2 * PATIENCE_S})\n{MEASURE}",
    )
    first = start(toy, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_S
    while not (kernels := kernels_among(descendants(first))):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    if stop == "Ctrl-C":  # goes to all that a terminal shows
        os.killpg(first.pid, signal.SIGINT)
        assert "Traceback" not in first.communicate(timeout=PATIENCE_S)[1]
    else:
        first.kill()
    assert first.wait(PATIENCE_S) != 0
    _, alive = psutil.wait_procs(kernels, timeout=PATIENCE_S)
    assert not alive


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_build_stopped_in_the_middle_is_finished_by_the_next(toy, built_once, sent):
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, SLOW)
    first = start(toy)
    wait_for(toy, 1)
    kernels = descendants(first)
    assert kernels
    first.send_signal(sent)
    assert first.wait(PATIENCE_S) != 0
    assert len(list(toy.glob("results/**/metrics.json"))) < 5
    assert build(toy).returncode == 0
    uninterrupted = built_once / "results/digits-quick/results.csv"
    assert (toy / "results/digits-quick/results.csv").read_bytes() == uninterrupted.read_bytes()
    _, alive = psutil.wait_procs(kernels, timeout=PATIENCE_S)
    assert not alive


def run_one(root):
    """Run one point of the toy project by itself."""
    path = "toy/1_measure/recipe~corrected/scale~2.0"
    return noisy_digits(root, "run", path, "--dataset", "digits", "--profile", "quick")


def wait_for(root, results):
    deadline = time.monotonic() + PATIENCE_S
    while len(list(root.glob("results/**/metrics.json"))) < results:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_params_of_the_environment_do_not_leak_into_results(toy):
    """Thread variables are the run's own, whatever the shell has set."""
    cell = "import os\nresults.record({0: {'test_accuracy': float(os.environ['OMP_NUM_THREADS'])}})"
    write_notebook(toy / "notebooks/toy/1_measure.ipynb", MEASURE_PARAMETERS, cell)
    os.environ["OMP_NUM_THREADS"] = "7"
    try:
        done = run_one(toy)
    finally:
        del os.environ["OMP_NUM_THREADS"]
    assert done.returncode == 0, done.stderr
    (metrics,) = toy.glob("results/**/metrics.json")
    assert '"test_accuracy": 1.0' in metrics.read_text()


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (None, "there is no profile.yaml; see workflow/README.md"),
        ("", "profile.yaml names no executor; see workflow/README.md"),
        ("jobs: 200", "profile.yaml names no executor; see workflow/README.md"),
        ("executor: [", "profile.yaml is not YAML: "),
        ("executor: slurm", "is for SLURM, whose command sbatch is not here: use a login node"),
    ],
)
def test_a_profile_that_cannot_be_used_is_named_before_anything_begins(toy, tmp_path, monkeypatch, held, message):
    monkeypatch.setenv("PATH", "/nowhere")
    if held is not None:
        (tmp_path / "profile.yaml").write_text(held)
    done = build(toy, "--profile-dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"noisy-digits: --profile-dir {tmp_path}")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (toy / "results").exists()
