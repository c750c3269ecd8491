"""Metrics and models: saved by notebooks, loaded from collections."""

import contextlib
import shutil

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from noisy_digits import _files, references, results
from noisy_digits._environment import RunContext
from noisy_digits.errors import UserError

from .results_project import RECORD, build, make_project, record


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project in whose folder the test works."""
    root = make_project(tmp_path / "project")
    monkeypatch.chdir(root / "notebooks" / "toy")
    return root


def test_save_metrics_returns_seed_coordinates_and_metrics_as_given():
    rows = [{"seed": 0, "accuracy": np.float32(0.5), "n": np.int64(3)}, {"ssim": 0.1, "seed": 0, "noise_level": 0.4}]
    table = results.save_metrics(rows, coordinates=["noise_level"])
    assert list(table) == ["seed", "noise_level", "accuracy", "n", "ssim"]
    assert table["accuracy"].tolist()[0] == 0.5
    assert table["ssim"].isna().tolist() == [True, False]


def test_save_metrics_writes_only_in_a_build(tmp_path, monkeypatch):
    results.save_metrics([{"seed": 0, "accuracy": 0.5}])
    assert not list(tmp_path.iterdir())
    record(monkeypatch, tmp_path, [{"seed": 0, "accuracy": np.float32(0.1), "n": 3, "significant": True}])
    assert _files.read_metrics(tmp_path) == [
        {"seed": 0, "metric": "accuracy", "value": 0.10000000149011612},
        {"seed": 0, "metric": "n", "value": 3},
        {"seed": 0, "metric": "significant", "value": 1},
    ]


def test_save_metrics_names_the_collection_that_is_built(monkeypatch):
    assert results.save_metrics([{"seed": 0, "accuracy": 0.5}]).attrs["collection"] == "none"
    for variable, value in RunContext(collection="digits-quick").to_environment().items():
        monkeypatch.setenv(variable, value)
    assert results.save_metrics([{"seed": 0, "accuracy": 0.5}]).attrs["collection"] == "digits-quick"


def test_save_metrics_leaves_out_what_a_diverged_training_lost():
    rows = [
        {"seed": 0, "loss": np.inf, "diverged": 1.0},
        {"seed": 0, "noise_level": 0.4, "ssim": np.nan, "psnr": 1.0},
        {"seed": 1, "loss": 0.5},
    ]
    table = results.save_metrics(rows, coordinates=["noise_level"])
    assert table["loss"].tolist()[2] == 0.5
    assert table["loss"].isna().tolist() == [True, True, False]
    assert "ssim" not in table


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"seed": 0, "loss": np.nan}, r"loss of seed 0 is nan: not a finite number$"),
        ({"seed": 0, "noise_level": 0.4, "loss": np.inf}, r"loss of seed 0, noise level 0\.4 is inf"),
        ({"seed": 0, "denoiser": "dense"}, r"denoiser of seed 0 is 'dense': .*; if it is a coordinate, name it in"),
        ({"seed": 0, "curve": [1.0, 2.0]}, r"curve of seed 0 is \[1\.0, 2\.0\]: not a finite number"),
        ({"loss": 1.0}, r"the seed is None: every row needs one"),
        ({"seed": 0, "noise_level": np.nan, "loss": 1.0}, r"the noise_level is nan: not a finite number, text"),
    ],
)
def test_save_metrics_refuses_what_is_not_finite(row, message):
    with pytest.raises(UserError, match=rf"results\.save_metrics: {message}"):
        results.save_metrics([row], coordinates=["noise_level"])


def test_save_metrics_refuses_a_metric_that_is_given_twice():
    rows = [{"seed": 0, "noise_level": 0.4, "ssim": value} for value in (0.1, 0.2)]
    with pytest.raises(UserError, match=r"ssim of seed 0, noise level 0\.4 is given twice"):
        results.save_metrics(rows, coordinates=["noise_level"])


def test_load_metrics_has_a_row_per_grid_point_and_seed(root, monkeypatch):
    build(root, monkeypatch)
    runs = results.load_metrics("toy/1_train")
    assert list(runs) == [
        "recipe",
        "use_l2",
        "n_layers",
        "scale",
        "seed",
        "accuracy",
        "loss",
        "n_parameters",
        "diverged",
    ]
    assert len(runs) == 2 * 2 * 2 * 3 * 2
    assert runs["loss"].iloc[0] == float(np.float32(0.1))
    assert runs["loss"].isna().sum() == runs["diverged"].notna().sum() == 24
    assert runs["use_l2"].dtype == bool
    assert runs["n_layers"].dtype == np.int64
    assert runs["scale"].dtype == np.float64
    assert runs.attrs["collection"] == "mnist"
    assert results.format_caption(runs) == "The first of 48 rows from the collection mnist"


def test_load_metrics_by_a_coordinate_has_the_metrics_that_depend_on_it(root, monkeypatch):
    build(root, monkeypatch)
    runs = results.load_metrics("toy/1_train", coordinate="noise_level")
    assert list(runs) == ["recipe", "use_l2", "n_layers", "scale", "seed", "noise_level", "ssim"]
    assert len(runs) == 24 * 2
    layers = results.load_metrics("toy/1_train", coordinate="layer")
    assert layers["layer"].tolist()[:2] == [1, 2]
    with pytest.raises(
        UserError, match=r"no metric of toy/1_train depends on exactly the coordinate denoiser \(there: "
    ):
        results.load_metrics("toy/1_train", coordinate="denoiser")


@pytest.mark.parametrize(
    ("notebook", "coordinate"),
    [("1_train", None), ("1_train", "noise_level"), ("1_train", "layer"), ("2_compare", None), ("2_compare", "scale")],
)
def test_load_metrics_reads_a_published_csv_as_it_reads_runs(root, monkeypatch, capsys, notebook, coordinate):
    folder, plan = build(root, monkeypatch)
    built = results.load_metrics(f"toy/{notebook}", coordinate=coordinate)
    csv = results.collect_metrics(folder, plan).to_csv(index=False)
    shutil.rmtree(folder)
    _files.write_text(folder / "results.csv", csv)
    capsys.readouterr()
    published = results.load_metrics(f"toy/{notebook}", coordinate=coordinate)
    assert_frame_equal(built, published, check_exact=True)
    assert published.attrs == built.attrs
    assert capsys.readouterr().out.startswith("Read from results/mnist. It was published")


def test_collect_metrics_has_the_columns_of_results_csv_and_whole_numbers(root, monkeypatch):
    folder, plan = build(root, monkeypatch)
    lines = results.collect_metrics(folder, plan).to_csv(index=False).splitlines()
    assert lines[0] == "assignment,notebook,recipe,use_l2,n_layers,scale,noise_level,layer,seed,metric,value"
    assert lines[1] == "toy,1_train,as_submitted,False,1,0.0,,,0,accuracy,0.1"
    assert lines[3] == "toy,1_train,as_submitted,False,1,0.0,,,0,n_parameters,1000"
    assert "toy,1_train,as_submitted,False,2,1e-06,0.4,,0,ssim,0.13333333333333333" in lines
    assert lines[-2] == "toy,2_compare,,,,0.5,,,0,macs,10"


def test_collect_metrics_leaves_out_runs_without_metrics(root, monkeypatch):
    folder, plan = build(root, monkeypatch)
    shutil.rmtree(folder / plan[0].path)
    assert len(results.collect_metrics(folder, plan[:2])) == len(results.collect_metrics(folder, plan[1:2]))
    assert results.collect_metrics(folder, []).empty


def test_resolve_collection_prefers_the_reference_then_full_then_names(root, monkeypatch, capsys):
    folder, _ = build(root, monkeypatch, "digits-quick")
    for better in ("fashion_mnist-quick", "fashion_mnist", "digits", "mnist"):
        if better != "fashion_mnist-quick":
            shutil.copytree(folder, folder.with_name(better))
            assert results.resolve_collection("toy/1_train", "toy/2_compare") == better
    assert capsys.readouterr().out.splitlines()[-1] == "Read from results/mnist."
    (folder.with_name("mnist") / "toy/2_compare/metrics.json").unlink()
    assert results.resolve_collection("toy/1_train") == "mnist"
    assert results.resolve_collection("toy/1_train", "toy/2_compare") == "digits"
    assert results.resolve_collection("toy/1_train", collection="digits-quick") == "digits-quick"


def test_a_collection_that_was_built_comes_before_a_published_csv(root, monkeypatch, capsys):
    folder, plan = build(root, monkeypatch, "digits-quick")
    csv = results.collect_metrics(folder, plan).to_csv(index=False)
    _files.write_text(root / "results/mnist/results.csv", csv)
    assert results.resolve_collection("toy/1_train") == "digits-quick"
    shutil.rmtree(folder)
    capsys.readouterr()
    assert results.resolve_collection("toy/1_train") == "mnist"
    assert "published with the project; `make reports` makes your own" in capsys.readouterr().out
    assert len(results.load_metrics("toy/1_train", collection="mnist")) == 48


def test_without_results_the_message_says_what_to_run(root, monkeypatch):
    message = r"no results of toy/1_train yet: run `make quick` \(minutes\) or `make reports`"
    for load in (results.load_metrics, results.find_runs, results.resolve_collection):
        with pytest.raises(UserError, match=message):
            load("toy/1_train")
    with pytest.raises(UserError, match=r"results/mnist: no results of toy/1_train; run"):
        results.load_metrics("toy/1_train", collection="mnist")
    folder, plan = build(root, monkeypatch, "digits")
    (folder / plan[1].path / "metrics.json").unlink()
    with pytest.raises(
        UserError, match=r"results/digits: 1 of 24 runs of toy/1_train are missing, .*scale~1e-06 first"
    ):
        results.load_metrics("toy/1_train", collection="digits")
    with pytest.raises(UserError, match=r"params/ describes no notebook toy/1_tran; did you mean toy/1_train\?"):
        references.load_reported("toy/1_tran")


def test_find_runs_returns_paths_and_points(root, monkeypatch):
    build(root, monkeypatch)
    first = results.find_runs("toy/1_train")[0]
    assert first.path == "toy/1_train/recipe~as_submitted/use_l2~False/n_layers~1/scale~0.0"
    assert first.point == {"recipe": "as_submitted", "use_l2": False, "n_layers": 1, "scale": 0.0}


ARRAYS = {"curve": np.array([[0.5, np.nan]], np.float32), "counts": np.arange(4).reshape(1, 2, 2)}


def save_arrays(monkeypatch, folder, **arrays):
    """Save arrays as a notebook does in a build, with the run's record."""
    with monkeypatch.context() as patched:
        for variable, value in RunContext(record_folder=folder).to_environment().items():
            patched.setenv(variable, value)
        results.save_arrays(**arrays)
    _files.write_json(folder / "run.json", RECORD | {"files": ["arrays.npz"]})


def test_load_arrays_returns_what_save_arrays_saved_at_every_point(root, monkeypatch):
    folder, plan = build(root, monkeypatch)
    for index, run in enumerate(plan[:24]):
        save_arrays(monkeypatch, folder / run.path, **ARRAYS, place=index)
    loaded = results.load_arrays("toy/1_train")
    assert [point for point, _ in loaded] == [run.point for run in plan[:24]]
    for index, (_, arrays) in enumerate(loaded):
        assert set(arrays) == {"curve", "counts", "place"}
        assert arrays["place"] == index
        assert all(np.array_equal(arrays[name], ARRAYS[name], equal_nan=True) for name in ("curve",))
        assert arrays["curve"].dtype == np.float32
        assert np.array_equal(arrays["counts"], ARRAYS["counts"])


def test_equal_arrays_make_equal_files_and_by_hand_none(tmp_path, monkeypatch):
    results.save_arrays(**ARRAYS)
    for name in ("a", "b"):
        save_arrays(monkeypatch, tmp_path / name, **ARRAYS)
    assert (tmp_path / "a/arrays.npz").read_bytes() == (tmp_path / "b/arrays.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


class Explosive:
    """An object that leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_arrays_hold_no_objects_and_damaged_ones_are_named(root, monkeypatch):
    folder, plan = build(root, monkeypatch)
    with pytest.raises(UserError, match="a run of toy/1_train saved no arrays; run `make quick`"):
        results.load_arrays("toy/1_train")
    with pytest.raises(ValueError, match="Object arrays"):
        save_arrays(monkeypatch, folder / plan[0].path, code=np.array([print]))
    for run in plan[:24]:
        save_arrays(monkeypatch, folder / run.path, **ARRAYS)
    file = folder / plan[3].path / "arrays.npz"
    whole = file.read_bytes()
    np.savez(file, code=np.array([Explosive(folder / "exploded")]))
    with pytest.raises(UserError, match=r"arrays\.npz is damaged .*pickle"):
        results.load_arrays("toy/1_train")
    assert not (folder / "exploded").exists()
    spoiled = [whole[:place] + b"\xff\xff" + whole[place + 2 :] for place in range(0, len(whole), len(whole) // 50)]
    for content in spoiled:
        file.write_bytes(content)
        with contextlib.suppress(UserError):
            results.load_arrays("toy/1_train")
    for content in (b"", whole[: len(whole) // 2], b"x" * len(whole)):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"arrays\.npz is damaged .*: delete it and run `make reports` again"):
            results.load_arrays("toy/1_train")
    file.unlink()
    with pytest.raises(UserError, match="1 of 24 runs of toy/1_train are missing"):
        results.load_arrays("toy/1_train", collection="mnist")


def test_a_published_collection_has_numbers_and_arrays_without_models(saved, root, capsys):
    saved[1].unlink()
    assert results.resolve_collection("toy/1_train") == "mnist"
    assert len(results.load_metrics("toy/1_train")) == 48
    with pytest.raises(UserError, match="no results of toy/1_train yet"):
        results.resolve_collection("toy/1_train", collection="built")
    with pytest.raises(UserError, match=r"no model of seed 0: 0 are here, .* run `make reports SEEDS=1`"):
        results.load_model("toy/1_train", 0, "mnist", recipe="as_submitted", use_l2=False, n_layers=1, scale=0)


def test_dataset_name_and_is_reference(root):
    assert results.dataset_name("fashion_mnist-quick-mixed_bfloat16") == "fashion_mnist"
    assert results.is_reference("mnist")
    assert not results.is_reference("mnist-quick")


@pytest.fixture
def saved(root, monkeypatch):
    """The project after a build in which one run saved a model, and the file of that model."""
    import keras

    folder, plan = build(root, monkeypatch)
    run = folder / plan[0].path
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)], name="cnn")
    with monkeypatch.context() as patched:
        for variable, value in RunContext(record_folder=run).to_environment().items():
            patched.setenv(variable, value)
        results.save_model(model, 0)
    _files.write_json(run / "run.json", RECORD | {"files": ["cnn_0.keras"]})
    return model, run / "cnn_0.keras"


def load_saved(**point):
    return results.load_model(
        "toy/1_train", 0, **{"recipe": "as_submitted", "use_l2": False, "n_layers": 1, "scale": 0} | point
    )


def test_load_model_returns_the_saved_weights(saved):
    model, _ = saved
    loaded = load_saved()
    assert loaded.name == "cnn"
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True))


def test_load_model_says_which_models_there_are(saved):
    with pytest.raises(UserError, match=r"no model of seed 7: 1 are here, from seed 0 on; .*`make reports SEEDS=8`"):
        results.load_model("toy/1_train", 7, recipe="as_submitted", use_l2=False, n_layers=1, scale=0.0)
    with pytest.raises(UserError, match=r"toy/1_train has 24 runs at any point"):
        results.load_model("toy/1_train", 0)
    with pytest.raises(UserError, match=r"toy/1_train has 0 runs at recipe as submitted, .*, scale 3"):
        load_saved(scale=3.0)
    saved[1].unlink()
    with pytest.raises(UserError, match="no results of toy/1_train yet"):
        load_saved()


def test_load_model_refuses_a_file_that_is_damaged_or_holds_code(saved):
    import keras

    _, file = saved
    whole, places = file.read_bytes(), np.random.default_rng(0)
    for place in places.integers(0, len(whole), 30):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(UserError):  # anything else would end the test
            load_saved()
    file.write_bytes(whole[:-100])
    with pytest.raises(UserError, match=r"cnn_0\.keras cannot be opened .*: delete it and run `make reports` again$"):
        load_saved()
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x)]).save(file)
    with pytest.raises(UserError, match=r"cnn_0\.keras cannot be opened .*Lambda"):
        load_saved()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"seed": 0, "test_accuracy": 0.9}, "give a list of rows"),
        ([{"seed": 0, "value": 0.9}], 'a metric cannot be called "value"'),
        ([{"seed": 0, "metric": 0.9}], 'a metric cannot be called "metric"'),
    ],
)
def test_save_metrics_rejects_what_is_no_list_of_rows(rows, message):
    with pytest.raises(UserError, match=message):
        results.save_metrics(rows)


def test_load_rows_keeps_every_number_with_what_it_depends_on(root, monkeypatch):
    build(root, monkeypatch)
    rows = results.load_rows("toy/1_train")
    columns = ["recipe", "use_l2", "n_layers", "scale", "seed", "metric", "value", "noise_level", "layer"]
    assert sorted(rows) == sorted(columns)
    assert rows.groupby("metric")["noise_level"].nunique().to_dict() == {
        **dict.fromkeys(["accuracy", "diverged", "loss", "n_parameters", "norm"], 0),
        "ssim": 2,
    }
    wide = results.load_metrics("toy/1_train")
    assert rows.query("metric == 'accuracy'")["value"].tolist() == wide["accuracy"].tolist()


def test_list_points_combines_levels():
    assert results.list_points({"a": [1, 2], "b": "x"}) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    assert results.list_points({}) == [{}]


def test_select_values_pools_no_points(root, monkeypatch):
    build(root, monkeypatch)
    rows = results.load_rows("toy/1_train")
    point = {"recipe": "corrected", "use_l2": True, "n_layers": 1, "scale": 0.5}
    assert results.select_values(rows, "ssim", point | {"noise_level": 0.4}).to_dict() == {0: 0.4 / 3}
    assert results.select_values(rows, "accuracy", point | {"noise_level": 0.4}).empty
    assert results.select_values(rows, "accuracy", point | {"unknown": 1}).empty
    assert results.select_values(rows, "accuracy", point).index.tolist() == [0, 1]
    for metric, at in (("ssim", point), ("accuracy", {"recipe": "corrected"})):
        with pytest.raises(UserError, match=f"{metric} has several values for one seed at recipe corrected"):
            results.select_values(rows, metric, at)
