"""The projects that the benchmarks build."""

from benchmarks import building
from benchmarks.training import CASES
from noisy_digits.pipeline.plan import plan_runs


def test_copy_with_grid_plans_as_many_runs_as_asked_of_one_step_each(tmp_path):
    building.copy_with_grid(tmp_path, 3)
    runs = plan_runs(tmp_path, "quick", dataset="digits")
    assert [run.parameters["scale"] for run in runs] == [0.0, 1.0, 2.0]
    assert all(run.parameters["train_size"] <= run.parameters["batch_size"] for run in runs)
    assert {(run.parameters["epochs"], run.parameters["n_seeds"]) for run in runs} == {(1, 1)}


def test_copy_with_one_epoch_plans_two_seeds_of_one_epoch_on_as_many_images_as_in_full(tmp_path):
    building.copy_with_one_epoch(tmp_path)
    trained = [run for run in plan_runs(tmp_path, "quick", dataset="mnist") if "n_seeds" in run.parameters]
    assert {run.parameters["n_seeds"] for run in trained} == {2}
    assert {run.path: run.parameters["epochs"] for run in trained if run.parameters.get("epochs", 1) > 1} == {
        "beyond/7a_frozen_draws": 20
    }
    whole = {run.path: run.parameters.get("train_size") for run in plan_runs(building.ROOT, "full", dataset="mnist")}
    assert {run.path: run.parameters.get("train_size") for run in trained} == {
        run.path: whole[run.path] for run in trained
    }


def test_count_steps_counts_the_runs_of_a_folder_and_not_those_of_a_folder_whose_name_goes_on():
    steps = {
        run.path: CASES["W4 CNN, Adam"].count_steps(run) for run in plan_runs(building.ROOT, "full", dataset="mnist")
    }
    assert {path.split("/")[1] for path, count in steps.items() if count} == {"3_augmentation"}
    assert "depth/3_augmentation_compare" in steps


def test_the_memory_of_every_notebook_that_trains_is_measured(tmp_path):
    building.copy_with_one_epoch(tmp_path)
    measured = {"/".join(path.split("/")[:2]) for path in building.select_runs(plan_runs(tmp_path, "quick"))}
    notebooks = {path for path in (building.ROOT / "notebooks").glob("*/*.ipynb") if "training.fit" in path.read_text()}
    assert {f"{path.parent.name}/{path.stem}" for path in notebooks} <= measured
