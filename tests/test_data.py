"""The data sets: found, verified, downloaded, bundled, standardised."""

import gzip
import hashlib
import http.server
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from noisy_digits import data
from noisy_digits.data import DatasetError
from noisy_digits.errors import UserError
from noisy_digits.project import project_root

SHAPES = {"x_train": (12, 28, 28), "y_train": (12,), "x_test": (5, 28, 28), "y_test": (5,)}


def made_up(seed):
    rng = np.random.default_rng(seed)
    return {key: rng.integers(0, 256 if key.startswith("x") else 10, shape, np.uint8) for key, shape in SHAPES.items()}


MNIST, FASHION, OTHER = made_up(1), made_up(2), made_up(3)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def gz(array):
    return gzip.compress(idx(array), mtime=0)


def write_npz(folder, arrays=MNIST, name="mnist.npz"):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / name, **arrays)
    return folder / name


def write_idx(folder, arrays, suffix="", dotted=False):
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        stem = data._FILES[key].replace("-idx", ".idx") if dotted else data._FILES[key]
        (folder / (stem + suffix)).write_bytes(gz(array) if suffix else idx(array))
    return folder


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """Made-up published data sets, an empty home outside any project, and no server."""
    for variable in ("NOISY_DIGITS_DATA", "KERAS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.chdir(home)
    monkeypatch.setattr(data, "_SHAPES", SHAPES)
    published = {
        "mnist": {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in MNIST.items()},
        "fashion_mnist": {key: hashlib.sha256(gz(array)).hexdigest() for key, array in FASHION.items()},
    }
    monkeypatch.setattr(data, "_SHA256", data._SHA256 | published)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(data, "_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that $NOISY_DIGITS_DATA names."""
    named = tmp_path / "named"
    named.mkdir()
    monkeypatch.setenv("NOISY_DIGITS_DATA", str(named))
    return named


@pytest.fixture
def serve(monkeypatch):
    """Downloads come from a loopback server that sends the given files, each cut after ``cut`` bytes."""
    servers = []

    def start(files, cut=None, announce_length=True):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                content = files.get(self.path.lstrip("/"))
                self.send_response(404 if content is None else 200)
                if announce_length:
                    self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write((content or b"")[:cut])

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(data, "_URL", f"http://127.0.0.1:{server.server_port}/")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(call, *args, **kwargs):
    with pytest.raises(DatasetError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def assert_holds(digits, arrays):
    for key, array in arrays.items():
        expected = array / np.float32(255) if key.startswith("x") else array
        np.testing.assert_array_equal(getattr(digits, key), expected)


# Containers


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(write_npz, id="npz"),
        pytest.param(lambda at: write_npz(at, {k: np.asfortranarray(v) for k, v in MNIST.items()}), id="npz-fortran"),
        pytest.param(lambda at: write_idx(at, MNIST), id="idx"),
        pytest.param(lambda at: write_idx(at, MNIST, ".gz"), id="idx-gz"),
        pytest.param(lambda at: write_idx(at, MNIST, dotted=True), id="idx-dotted"),
        pytest.param(lambda at: write_idx(at, MNIST, ".gz", dotted=True), id="idx-dotted-gz"),
        pytest.param(lambda at: write_idx(at / "mnist", MNIST), id="idx-subfolder"),
    ],
)
def test_every_container_of_the_same_images_is_mnist(folder, write):
    path = write(folder)
    digits = data.load("mnist")
    assert_holds(digits, MNIST)
    assert data.find("mnist") == path
    assert digits.name == data.resolve("auto") == "mnist"
    assert digits.class_names == tuple("0123456789")
    assert digits.sha256 == data.load("auto", train_size=1).sha256
    assert len(digits.sha256) == 64


def test_images_are_float32_in_unit_range_and_labels_int64(folder):
    write_npz(folder)
    digits = data.load("mnist")
    for images in (digits.x_train, digits.x_test):
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1
    assert digits.y_train.dtype == digits.y_test.dtype == np.int64


@pytest.mark.parametrize("subfolder", ["", "fashion-mnist", "fashion_mnist"])
def test_fashion_mnist_is_its_four_gz_files(folder, subfolder):
    place = write_idx(folder / subfolder, FASHION, ".gz")
    digits = data.load("fashion_mnist")
    assert_holds(digits, FASHION)
    assert digits.class_names[9] == "Ankle boot"
    assert data.find("fashion_mnist") == place


def test_fashion_mnist_is_not_taken_from_other_containers(folder):
    write_idx(folder / "fashion_mnist", FASHION)
    assert data.find("fashion_mnist") is None


def test_the_two_data_sets_of_one_file_name_are_told_apart(folder):
    write_idx(folder, FASHION, ".gz")
    write_idx(folder / "mnist", MNIST, ".gz")
    assert data.find("mnist") == folder / "mnist"
    assert data.find("fashion_mnist") == folder
    write_idx(folder, MNIST, ".gz")
    write_idx(folder / "fashion_mnist", FASHION, ".gz")
    assert data.find("mnist") == folder
    assert data.find("fashion_mnist") == folder / "fashion_mnist"


def test_folders_are_searched_in_order(tmp_path, monkeypatch, folder):
    project = tmp_path / "project"
    for part in ("params", "notebooks/deep"):
        (project / part).mkdir(parents=True)
    monkeypatch.chdir(project / "notebooks" / "deep")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    places = [folder, project / "data", tmp_path / "keras/datasets", tmp_path / "home/.keras/datasets"]
    for place in reversed(places):
        path = write_npz(place)
        assert data.find("mnist") == path


def test_project_root_is_the_nearest_folder_with_params_and_notebooks(tmp_path):
    for part in ("params", "notebooks/inner/params"):
        (tmp_path / part).mkdir(parents=True)
    assert project_root(tmp_path / "notebooks" / "inner") == tmp_path
    (tmp_path / "notebooks" / "inner" / "notebooks").mkdir()
    assert project_root(tmp_path / "notebooks" / "inner") == tmp_path / "notebooks" / "inner"


def test_outside_a_project_is_said_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^.*not inside a project.*$"):
        project_root(tmp_path)


# Found, but not what it should be


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_truncated_archive_is_named(folder, name):
    path = write_npz(folder)
    path.write_bytes(path.read_bytes()[:-2000])
    message = refusal(data.load, name)
    assert str(path) in message
    assert "delete it or replace it" in message


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_pickled_arrays_are_refused(folder, name):
    path = write_npz(folder, MNIST | {"y_test": MNIST["y_test"].astype(object)})
    message = refusal(data.load, name)
    assert str(path) in message
    assert "pickled objects" in message


@pytest.mark.parametrize(
    "arrays",
    [
        pytest.param(OTHER, id="other images"),
        pytest.param(MNIST | {"y_train": MNIST["y_train"][::-1]}, id="other labels"),
        pytest.param(MNIST | {"x_train": MNIST["x_train"].reshape(12, 784)}, id="flat"),
        pytest.param(MNIST | {"y_train": MNIST["y_train"].astype(np.int64)}, id="int64"),
        pytest.param(MNIST | {"y_train": MNIST["y_train"].view(np.int8)}, id="same bytes, int8"),
        pytest.param({"x_train": MNIST["x_train"]}, id="arrays missing"),
    ],
)
@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_wrong_content_is_named(folder, arrays, name):
    path = write_npz(folder, arrays)
    message = refusal(data.resolve, name)
    assert str(path) in message
    assert "delete it or replace it" in message


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x93NUMPY", b"PK\x03\x04", b"\x80\x04N."])
def test_a_file_that_is_no_archive_is_named(folder, content):
    (folder / "mnist.npz").write_bytes(content)
    assert str(folder / "mnist.npz") in refusal(data.find, "mnist")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
@pytest.mark.parametrize("container", ["npz", "idx", "idx.gz"])
def test_damage_anywhere_is_harmless_or_named(tmp_path_factory, container, position, value, cut):
    place = tmp_path_factory.mktemp("damaged")
    if container == "npz":
        path = write_npz(place)
    else:
        suffix = ".gz" if container == "idx.gz" else ""
        path = write_idx(place, MNIST, suffix) / (data._FILES["x_train"] + suffix)
    content = bytearray(path.read_bytes())
    at = int(position * len(content))
    content[at:] = b"" if cut else bytes([value]) + content[at + 1 :]
    path.write_bytes(content)
    try:
        _, arrays = data._look_in(place, "mnist")
        message = None
    except DatasetError as error:
        arrays, message = MNIST, str(error)
    assert message is None or (str(path) in message and "\n" not in message)
    for key, array in MNIST.items():
        np.testing.assert_array_equal(arrays[key], array)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_unknown_idx_files_are_named(folder, name):
    write_idx(folder, OTHER, ".gz")
    message = refusal(data.find, name)
    assert str(folder / "train-images-idx3-ubyte.gz") in message
    assert "move all four to a subfolder" in message


def test_an_incomplete_set_of_idx_files_names_the_missing_one(folder):
    write_idx(folder, MNIST, ".gz")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    message = refusal(data.resolve, "auto")
    assert str(folder) in message
    assert "add t10k-labels-idx1-ubyte" in message


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "auto"])
def test_a_mistyped_folder_does_not_fall_back(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("NOISY_DIGITS_DATA", str(tmp_path / "nmaed"))
    message = refusal(data.load, name)
    assert "NOISY_DIGITS_DATA" in message
    assert "nmaed" in message
    assert capsys.readouterr().err == ""


# Missing, downloaded


def test_auto_falls_back_with_one_line(capsys, tmp_path):
    assert data.resolve("auto") == "digits"
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for part in (
        "neither found nor downloadable",
        "1,797",
        "mnist.npz",
        str(tmp_path / "home/.keras/datasets"),
    ):
        assert part in err
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize(("name", "wanted"), [("mnist", "mnist.npz"), ("fashion_mnist", "t10k-labels-idx1-ubyte.gz")])
def test_missing_and_offline_says_what_to_put_where(folder, name, wanted):
    message = refusal(data.load, name)
    assert wanted in message
    assert str(folder) in message


@pytest.mark.parametrize("variable", ["NOISY_DIGITS_DATA", "KERAS_HOME", "HOME"])
def test_mnist_is_downloaded_once(tmp_path, monkeypatch, capsys, serve, variable):
    target = tmp_path / {"HOME": "home/.keras/datasets", "KERAS_HOME": "at/datasets"}.get(variable, "at")
    if variable != "HOME":
        (tmp_path / "at").mkdir()
        monkeypatch.setenv(variable, str(tmp_path / "at"))
    serve({"mnist.npz": write_npz(tmp_path / "server").read_bytes()})
    assert_holds(data.load("auto"), MNIST)
    assert capsys.readouterr().err.count("Downloading") == 1
    assert [path.name for path in target.iterdir()] == ["mnist.npz"]
    data.load("mnist")
    assert capsys.readouterr().err == ""


def test_fashion_mnist_is_downloaded_into_its_subfolder(folder, serve):
    serve({f"{data._FILES[key]}.gz": gz(array) for key, array in FASHION.items()})
    assert_holds(data.load("fashion_mnist"), FASHION)
    assert sorted(path.name for path in (folder / "fashion_mnist").iterdir()) == sorted(data._GZIPPED)
    assert data.find("fashion_mnist") == folder / "fashion_mnist"


@pytest.mark.parametrize("announce_length", [True, False])
def test_a_download_cut_in_the_middle_leaves_nothing_behind(tmp_path, folder, serve, capsys, announce_length):
    content = write_npz(tmp_path / "server").read_bytes()
    serve({"mnist.npz": content}, cut=len(content) // 2, announce_length=announce_length)
    assert "MNIST was neither found nor downloadable" in refusal(data.load, "mnist")
    assert not list(folder.iterdir())
    assert data.resolve("auto") == "digits"


def test_a_download_cut_at_the_third_file_leaves_nothing_behind(folder, serve):
    serve({f"{data._FILES[key]}.gz": gz(FASHION[key]) for key in ("x_train", "y_train")})
    assert "404" in refusal(data.load, "fashion_mnist")
    assert not list(folder.rglob("*.gz"))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_download_of_something_else_is_not_put_in_place(tmp_path, folder, serve, name):
    wrong = {f"{data._FILES[key]}.gz": gz(array) for key, array in MNIST.items()}
    serve(wrong | {"mnist.npz": write_npz(tmp_path / "server", OTHER).read_bytes()})
    assert "not the published data set" in refusal(data.load, name)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_target_that_cannot_be_written_is_named(tmp_path, monkeypatch, serve):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    serve({"mnist.npz": write_npz(tmp_path / "server").read_bytes()})
    assert str(tmp_path / "file" / "datasets") in refusal(data.load, "mnist")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write and read everywhere")
def test_permissions_are_named(folder, tmp_path, serve):
    serve({"mnist.npz": write_npz(tmp_path / "server").read_bytes()})
    folder.chmod(0o500)
    assert "Permission denied" in refusal(data.load, "mnist")
    folder.chmod(0)
    assert "cannot be searched" in refusal(data.load, "mnist")
    folder.chmod(0o700)


# The bundled digits


def test_digits_facts():
    digits = data.load("digits")
    assert digits.name == "digits"
    assert digits.x_train.shape == (1437, 28, 28)
    assert digits.x_test.shape == (360, 28, 28)
    for images, labels in ((digits.x_train, digits.y_train), (digits.x_test, digits.y_test)):
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        assert (images.min(), images.max()) == (0, 1)
        assert not images[:, :4].any()
        assert not images[:, -4:].any()
        assert not images[:, :, :4].any()
        assert not images[:, :, -4:].any()
        assert len(set(labels[:20])) > 5
    counts = np.array([np.bincount(digits.y_train), np.bincount(digits.y_test)])
    assert counts.shape == (2, 10)
    np.testing.assert_allclose(counts[1] / counts.sum(axis=0), 0.2, atol=0.005)


def test_digits_are_the_same_every_time_and_no_scan_is_in_both_sets():
    first, again = data.load("digits"), data.load("digits")
    assert first.sha256 == again.sha256
    np.testing.assert_array_equal(first.x_train, again.x_train)
    rows = {image.tobytes() for image in first.x_train}
    assert len(rows) == 1437
    assert not rows & {image.tobytes() for image in first.x_test}


def test_digits_need_no_folder_and_no_download(capsys):
    assert data.resolve("digits") == "digits"
    assert data.find("digits") is None
    assert capsys.readouterr().err == ""


def test_import_is_light():
    heavy = "{'tensorflow', 'keras', 'sklearn', 'scipy'}"
    code = f"import sys, noisy_digits.data; sys.exit(bool({heavy} & set(sys.modules)))"
    source = str(Path(data.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": source})


# Sizes and names


@given(train=st.integers(1, 30), test=st.integers(1, 30))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sizes_take_the_first_images(folder, train, test):
    write_npz(folder)
    digits = data.load("mnist", train_size=train, test_size=test)
    assert_holds(digits, {key: array[: train if "train" in key else test] for key, array in MNIST.items()})


@pytest.mark.parametrize("option", ["train_size", "test_size"])
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_below_one_are_refused(option, size):
    assert f"{option} is {size}" in refusal(data.load, "digits", **{option: size})


@pytest.mark.parametrize(
    ("name", "meant"),
    [("mnits", "mnist"), ("MNIST", "mnist"), ("fashion-mnist", "fashion_mnist"), ("digit", "digits")],
)
@pytest.mark.parametrize("call", [data.load, data.resolve, data.find])
def test_an_unknown_name_gets_a_suggestion(call, name, meant):
    message = refusal(call, name)
    assert f"did you mean {meant}?" in message
    assert all(allowed in message for allowed in data.NAMES)


def test_a_name_like_no_other_gets_the_list_alone():
    message = refusal(data.load, "xyz")
    assert "did you mean" not in message
    assert "fashion_mnist" in message


@given(n=st.integers(1, 300))
@settings(max_examples=20)
def test_the_first_of_each_class_in_their_order(n):
    digits = data.load("digits")
    first = data.first_of_each_class(digits, n)
    for images, labels, x, y in (
        (first.x_train, first.y_train, digits.x_train, digits.y_train),
        (first.x_test, first.y_test, digits.x_test, digits.y_test),
    ):
        counts = dict.fromkeys(range(10), 0)
        kept = []
        for place, label in enumerate(y):
            counts[label] += 1
            if counts[label] <= n:
                kept.append(place)
        assert np.array_equal(labels, y[kept])
        assert np.array_equal(images, x[kept])


def test_none_of_each_class_is_refused():
    assert "n is 0" in refusal(data.first_of_each_class, data.load("digits"), 0)


# Standardisation

pixels = hnp.arrays(np.float32, st.tuples(st.integers(2, 6), st.just(4), st.just(4)), elements=st.integers(0, 255)).map(
    lambda images: images / np.float32(255)
)
varied = pixels.filter(lambda images: np.ptp(images) > 0)


def standardised(train, test, how):
    labels = (np.zeros(len(images), np.int64) for images in (train, test))
    digits = data.Digits("made up", train, next(labels), test, next(labels), tuple("0123456789"), "")
    standard = data.standardise(digits, how)
    return standard.x_train, standard.x_test


@given(train=varied, test=varied)
def test_standardisations(train, test):
    standard = {how: standardised(train, test, how) for how in data.STANDARDISATIONS}
    for how, (a, b) in standard.items():
        assert a.dtype == b.dtype == np.float32, how
        assert (a.shape, b.shape) == (train.shape, test.shape), how

    def close(found, expected):
        np.testing.assert_allclose(found, expected, atol=2e-3)

    assert standard["none"][0] is train
    assert standard["none"][1] is test
    for images in (standard["training_set"][0], *standard["each_set"], standard["uncentred_training"][1]):
        close(images.mean(), 0)
        close(images.std(), 1)
    close(standard["training_set"][1] * train.std() + train.mean(), test)
    uncentred = standard["uncentred_training"][0]
    close(uncentred.std(), 1)
    np.testing.assert_array_equal(uncentred == 0, train == 0)
    for images in (standard["pixel_training_set"][0], *standard["pixel_each_set"]):
        close(images.mean(axis=0), 0)
        assert all(
            np.isclose(deviation, 0) or np.isclose(deviation, 1, atol=2e-3) for deviation in images.std(axis=0).flat
        )
    deviation = np.where(np.ptp(train, axis=0), train.std(axis=0), 1)
    close(standard["pixel_training_set"][1] * deviation + train.mean(axis=0), test)


@pytest.mark.parametrize("how", ["training_set", "each_set", "uncentred_training"])
@pytest.mark.parametrize("grey", [0, 0.1])
def test_images_of_one_grey_are_refused(how, grey):
    plain = np.full((3, 28, 28), grey, np.float32)
    assert "standard deviation" in refusal(standardised, plain, plain, how)


def test_an_unknown_standardisation_lists_the_allowed():
    message = refusal(data.standardise, data.load("digits"), "trainingset")
    assert "did you mean training_set?" in message
    assert all(how in message for how in ("none", "training_set", "each_set", "uncentred_training"))


# The real thing


REAL = os.environ.get("NOISY_DIGITS_DATA")


@pytest.mark.skipif(not REAL, reason="needs real MNIST: set NOISY_DIGITS_DATA to the folder that holds it")
def test_real_mnist(monkeypatch):
    monkeypatch.undo()
    digits = data.load("mnist")
    assert digits.x_train.shape == (60_000, 28, 28)
    assert digits.x_test.shape == (10_000, 28, 28)
    assert digits.x_train.mean() == pytest.approx(0.1307, abs=5e-5)
    assert digits.x_train.std() == pytest.approx(0.3081, abs=5e-5)
    assert np.mean(digits.y_test == 1) == pytest.approx(0.1135)
    assert np.bincount(digits.y_train).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]  # fmt: skip
