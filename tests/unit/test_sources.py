"""Published data sets: found, verified and downloaded."""

import hashlib
import http.server
import os
import socket
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noisy_digits import _sources, data
from noisy_digits.errors import UserError

from .published_files import FASHION, MNIST, OTHER, SHAPES, gz, write_idx, write_npz


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """Replace the published data sets by small ones; start in an empty home outside any project, without a server."""
    for variable in ("NOISY_DIGITS_DATA", "KERAS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.chdir(home)
    monkeypatch.setattr(_sources, "SHAPES", SHAPES)
    published = {
        "mnist": {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in MNIST.items()},
        "fashion_mnist": {key: hashlib.sha256(gz(array)).hexdigest() for key, array in FASHION.items()},
    }
    monkeypatch.setattr(_sources, "SHA256", _sources.SHA256 | published)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(_sources, "URL", f"http://127.0.0.1:{closed.getsockname()[1]}/")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make an empty folder that $NOISY_DIGITS_DATA names."""
    named = tmp_path / "named"
    named.mkdir()
    monkeypatch.setenv("NOISY_DIGITS_DATA", str(named))
    return named


@pytest.fixture
def serve(monkeypatch):
    """Let downloads come from a loopback server that sends the given files, each cut after ``cut`` bytes."""
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
        monkeypatch.setattr(_sources, "URL", f"http://127.0.0.1:{server.server_port}/")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(call, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def assert_equal_content(dataset, arrays):
    for key, array in arrays.items():
        expected = array / np.float32(255) if key.startswith("x") else array
        np.testing.assert_array_equal(getattr(dataset, key), expected)


# Containers


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(write_npz, id="npz"),
        pytest.param(lambda at: write_npz(at, {k: np.asfortranarray(v) for k, v in MNIST.items()}), id="npz-fortran"),
        pytest.param(lambda at: write_idx(at, MNIST), id="idx"),
        pytest.param(lambda at: write_idx(at, MNIST, ".gz"), id="idx-gz"),
        pytest.param(lambda at: write_idx(at, MNIST, ".gz", dotted=True), id="idx-dotted-gz"),
        pytest.param(lambda at: write_idx(at / "mnist", MNIST), id="idx-subfolder"),
    ],
)
def test_load_accepts_every_container_of_mnist(folder, write):
    path = write(folder)
    dataset = data.load("mnist")
    assert_equal_content(dataset, MNIST)
    assert data.locate_dataset("mnist") == path
    assert dataset.name == data.resolve_dataset("auto") == "mnist"
    assert dataset.class_names == tuple("0123456789")
    assert dataset.sha256 == data.load("auto", train_size=1).sha256
    assert len(dataset.sha256) == 64


def test_load_returns_float32_images_in_unit_range_and_int64_labels(folder):
    write_npz(folder)
    dataset = data.load("mnist")
    for images in (dataset.x_train, dataset.x_test):
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1
    assert dataset.y_train.dtype == dataset.y_test.dtype == np.int64


@pytest.mark.parametrize("subfolder", ["", "fashion-mnist", "fashion_mnist"])
def test_load_reads_fashion_mnist_from_its_four_gz_files(folder, subfolder):
    place = write_idx(folder / subfolder, FASHION, ".gz")
    dataset = data.load("fashion_mnist")
    assert_equal_content(dataset, FASHION)
    assert dataset.class_names[9] == "Ankle boot"
    assert data.locate_dataset("fashion_mnist") == place


def test_locate_dataset_accepts_fashion_mnist_only_as_gz_files(folder):
    write_idx(folder / "fashion_mnist", FASHION)
    assert data.locate_dataset("fashion_mnist") is None


def test_locate_dataset_distinguishes_two_data_sets_with_the_same_file_names(folder):
    write_idx(folder, FASHION, ".gz")
    write_idx(folder / "mnist", MNIST, ".gz")
    assert data.locate_dataset("mnist") == folder / "mnist"
    assert data.locate_dataset("fashion_mnist") == folder
    write_idx(folder, MNIST, ".gz")
    write_idx(folder / "fashion_mnist", FASHION, ".gz")
    assert data.locate_dataset("mnist") == folder
    assert data.locate_dataset("fashion_mnist") == folder / "fashion_mnist"


def test_locate_dataset_searches_the_folders_in_order(tmp_path, monkeypatch, folder):
    project = tmp_path / "project"
    for part in ("params", "notebooks/deep"):
        (project / part).mkdir(parents=True)
    monkeypatch.chdir(project / "notebooks" / "deep")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    places = [folder, project / "data", tmp_path / "keras/datasets", tmp_path / "home/.keras/datasets"]
    for place in reversed(places):
        path = write_npz(place)
        assert data.locate_dataset("mnist") == path


# Found, but not what it should be


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_load_names_a_truncated_archive(folder, name):
    path = write_npz(folder)
    path.write_bytes(path.read_bytes()[:-2000])
    message = refusal(data.load, name)
    assert str(path) in message
    assert "delete it or replace it" in message


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_load_rejects_pickled_arrays(folder, name):
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
def test_resolve_dataset_names_a_file_with_other_content(folder, arrays, name):
    path = write_npz(folder, arrays)
    message = refusal(data.resolve_dataset, name)
    assert str(path) in message
    assert "delete it or replace it" in message


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04", b"\x80\x04N."])
def test_locate_dataset_names_a_file_that_is_no_archive(folder, content):
    (folder / "mnist.npz").write_bytes(content)
    assert str(folder / "mnist.npz") in refusal(data.locate_dataset, "mnist")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
@pytest.mark.parametrize("container", ["npz", "idx", "idx.gz"])
def test_read_folder_names_a_damaged_file_or_returns_undamaged_arrays(
    tmp_path_factory, container, position, value, cut
):
    place = tmp_path_factory.mktemp("damaged")
    if container == "npz":
        path = write_npz(place)
    else:
        suffix = ".gz" if container == "idx.gz" else ""
        path = write_idx(place, MNIST, suffix) / (_sources.IDX_FILES["x_train"] + suffix)
    content = bytearray(path.read_bytes())
    at = int(position * len(content))
    content[at:] = b"" if cut else bytes([value]) + content[at + 1 :]
    path.write_bytes(content)
    try:
        _, arrays = _sources.read_folder(place, "mnist")
        message = None
    except UserError as error:
        arrays, message = MNIST, str(error)
    assert message is None or (str(path) in message and "\n" not in message)
    for key, array in MNIST.items():
        np.testing.assert_array_equal(arrays[key], array)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_locate_dataset_names_unknown_idx_files(folder, name):
    write_idx(folder, OTHER, ".gz")
    message = refusal(data.locate_dataset, name)
    assert str(folder / "train-images-idx3-ubyte.gz") in message
    assert "move all four to a subfolder" in message


def test_resolve_dataset_names_the_missing_idx_file(folder):
    write_idx(folder, MNIST, ".gz")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    message = refusal(data.resolve_dataset, "auto")
    assert str(folder) in message
    assert "add t10k-labels-idx1-ubyte" in message


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "auto"])
def test_load_rejects_a_mistyped_data_folder(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("NOISY_DIGITS_DATA", str(tmp_path / "nmaed"))
    message = refusal(data.load, name)
    assert "NOISY_DIGITS_DATA" in message
    assert "nmaed" in message
    assert capsys.readouterr().err == ""


# Missing, downloaded


def test_resolve_dataset_falls_back_to_digits_with_one_line(capsys, tmp_path):
    assert data.resolve_dataset("auto") == "digits"
    out, err = capsys.readouterr()
    assert err == ""  # a red box in a notebook
    assert out.count("\n") == 1
    for part in (
        "neither found nor downloadable",
        "1,797",
        "mnist.npz",
        str(tmp_path / "home/.keras/datasets"),
    ):
        assert part in out
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize(("name", "wanted"), [("mnist", "mnist.npz"), ("fashion_mnist", "t10k-labels-idx1-ubyte.gz")])
def test_load_says_which_files_to_put_where_if_offline(folder, name, wanted):
    message = refusal(data.load, name)
    assert wanted in message
    assert str(folder) in message


@pytest.mark.parametrize("variable", ["NOISY_DIGITS_DATA", "KERAS_HOME", "HOME"])
def test_load_downloads_mnist_once(tmp_path, monkeypatch, capsys, serve, variable):
    target = tmp_path / {"HOME": "home/.keras/datasets", "KERAS_HOME": "at/datasets"}.get(variable, "at")
    if variable != "HOME":
        (tmp_path / "at").mkdir()
        monkeypatch.setenv(variable, str(tmp_path / "at"))
    serve({"mnist.npz": write_npz(tmp_path / "server").read_bytes()})
    assert_equal_content(data.load("auto"), MNIST)
    assert capsys.readouterr().out.count("Downloading") == 1
    assert [path.name for path in target.iterdir()] == ["mnist.npz"]
    data.load("mnist")
    assert capsys.readouterr() == ("", "")


def test_load_downloads_fashion_mnist_into_its_subfolder(folder, serve):
    serve({f"{_sources.IDX_FILES[key]}.gz": gz(array) for key, array in FASHION.items()})
    assert_equal_content(data.load("fashion_mnist"), FASHION)
    assert sorted(path.name for path in (folder / "fashion_mnist").iterdir()) == sorted(_sources.GZIPPED_FILES)
    assert data.locate_dataset("fashion_mnist") == folder / "fashion_mnist"


@pytest.mark.parametrize("announce_length", [True, False])
def test_load_leaves_nothing_behind_if_a_download_breaks_off(tmp_path, folder, serve, capsys, announce_length):
    content = write_npz(tmp_path / "server").read_bytes()
    serve({"mnist.npz": content}, cut=len(content) // 2, announce_length=announce_length)
    assert "MNIST was neither found nor downloadable" in refusal(data.load, "mnist")
    assert not list(folder.iterdir())
    assert data.resolve_dataset("auto") == "digits"


def test_load_leaves_nothing_behind_if_the_third_download_fails(folder, serve):
    serve({f"{_sources.IDX_FILES[key]}.gz": gz(FASHION[key]) for key in ("x_train", "y_train")})
    assert "404" in refusal(data.load, "fashion_mnist")
    assert not list(folder.rglob("*.gz"))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_load_does_not_keep_a_download_with_other_content(tmp_path, folder, serve, name):
    wrong = {f"{_sources.IDX_FILES[key]}.gz": gz(array) for key, array in MNIST.items()}
    serve(wrong | {"mnist.npz": write_npz(tmp_path / "server", OTHER).read_bytes()})
    assert "are not the published data set" in refusal(data.load, name)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_load_names_a_target_that_cannot_be_written(tmp_path, monkeypatch, serve):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    serve({"mnist.npz": write_npz(tmp_path / "server").read_bytes()})
    assert str(tmp_path / "file" / "datasets") in refusal(data.load, "mnist")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write and read everywhere")
def test_load_names_missing_permissions(folder, tmp_path, serve):
    serve({"mnist.npz": write_npz(tmp_path / "server").read_bytes()})
    folder.chmod(0o500)
    assert "Permission denied" in refusal(data.load, "mnist")
    folder.chmod(0)
    assert "cannot be searched" in refusal(data.load, "mnist")
    folder.chmod(0o700)
