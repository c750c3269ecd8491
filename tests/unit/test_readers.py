"""Files of the reading test: what is accepted, what is refused, and what a class comes to."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisy_digits import _sources, data, readers
from noisy_digits.errors import UserError
from tests.conftest import noisy_digits

HEADER = ",".join(readers.COLUMNS)
LEVELS = [level for level in readers.LEVELS for _ in range(readers.DIGITS_PER_LEVEL)]


def make_test(reader="0000002a", n_right=40, dataset="mnist"):
    """Return the lines of a test in which the first ``n_right`` digits were read correctly."""
    return [
        f"{reader},{dataset},{i + 1},{100 + i},{level:g},{i % 10},{i % 10 if i < n_right else (i + 1) % 10}"
        for i, level in enumerate(LEVELS)
    ]


def write(path, *tests):
    path.write_text("\n".join([HEADER, *(line for test in tests for line in test)]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with the notebook that shows readers, in which the test works, and the folder of a class."""
    root = tmp_path / "project"
    (root / "params").mkdir(parents=True)
    notebook = root / readers.FILE.with_suffix(".ipynb")
    notebook.parent.mkdir(parents=True)
    notebook.touch()
    folder = tmp_path / "class"
    folder.mkdir()
    monkeypatch.chdir(root)
    return root, folder


def test_load_readers_gives_the_accuracy_of_each_reader_at_each_level(project):
    _, folder = project
    write(folder / "a.csv", make_test("00000001"))
    write(folder / "b.csv", make_test("00000002", n_right=7))
    write(folder / "c.csv", make_test("00000003", dataset="digits"))
    assert readers.merge_readers(folder) == f"3 readers in {readers.FILE}"
    loaded = readers.load_readers("mnist").pivot(index="reader", columns="noise_level", values="accuracy")
    assert list(loaded.columns) == list(readers.LEVELS)
    assert loaded.loc["00000001"].tolist() == [1] * 8
    assert loaded.loc["00000002"].tolist() == [1, 2 / 5, 0, 0, 0, 0, 0, 0]
    assert set(readers.load_readers("digits")["reader"]) == {"00000003"}


def test_load_readers_makes_nobody_up(project):
    assert readers.load_readers("mnist").empty


def test_merge_readers_counts_a_test_once_and_keeps_earlier_classes(project):
    root, folder = project
    write(folder / "a.csv", make_test("00000001"))
    write(folder / "a (1).csv", make_test("00000001"))
    readers.merge_readers(folder)
    once = (root / readers.FILE).read_bytes()
    readers.merge_readers(folder)
    assert (root / readers.FILE).read_bytes() == once
    (folder / "a.csv").unlink()
    (folder / "a (1).csv").unlink()
    write(folder / "b.csv", make_test("00000002"))
    assert readers.merge_readers(folder).startswith("2 readers")


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5, unique=True))
def test_what_merge_readers_writes_can_be_read_and_merged_again(tmp_path_factory, seeds):
    path = tmp_path_factory.mktemp("merged") / "merged.csv"
    tests = {f"{seed:08x}": make_test(f"{seed:08x}") for seed in seeds}
    write(path, *tests.values())
    read = readers.read_tests(path)
    assert {reader: [",".join(trial.values()) for trial in trials] for reader, trials in read.items()} == tests


def replace_cell(line, column, cell):
    cells = line.split(",")
    cells[list(readers.COLUMNS).index(column)] = cell
    return ",".join(cells)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("reader", "=cmd()"), ("reader", "0000002A"), ("reader", ""), ("dataset", "fashion_mnist"),
        ("dataset", '=HYPERLINK("x")'), ("trial", "01"), ("trial", "41"), ("image", "-1"), ("image", "10000"),
        ("image", "1e3"), ("level", "0.1"), ("level", "0.30"), ("level", "0.9"), ("level", "-0.2"), ("level", "1e400"),
        ("level", "nan"), ("label", "10"), ("label", "-1"), ("answer", ""), ("answer", " 3"), ("answer", "٣"),
        ("answer", "=1+1"), ("answer", "@SUM(1)"), ("answer", "9" * 10_000),
    ],
)  # fmt: skip
def test_read_tests_refuses_a_cell_that_the_page_never_writes(tmp_path, column, cell):
    test = make_test()
    test[2] = replace_cell(test[2], column, cell)
    with pytest.raises(UserError, match=r"hostile\.csv") as caught:
        readers.read_tests(write(tmp_path / "hostile.csv", test))
    assert len(str(caught.value)) < 200


@settings(max_examples=300)
@given(
    content=st.binary(max_size=20) | st.text(max_size=20).map(str.encode),
    at=st.integers(0, 2000),
    cut=st.integers(0, 60),
)
def test_read_tests_returns_only_what_the_page_can_have_written(tmp_path_factory, content, at, cut):
    path = write(tmp_path_factory.getbasetemp() / "spoiled.csv", make_test("00000001"), make_test("00000002"))
    original = path.read_bytes()
    path.write_bytes(original[:at] + content + original[at + cut :])
    try:
        tests, message = readers.read_tests(path), "spoiled.csv"
    except UserError as error:
        tests, message = {}, str(error)
    assert message.startswith("spoiled.csv")
    assert len(message.splitlines()) == 1
    for reader, trials in tests.items():
        assert len(trials) == readers.N_TRIALS
        assert {trial["reader"] for trial in trials} == {reader}
        for trial in trials:
            for column, cell in trial.items():
                assert re.fullmatch(readers.COLUMNS[column], cell, re.ASCII)
                assert not cell.startswith(("=", "+", "-", "@"))  # which a spreadsheet would compute


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a file of the reading test"),
        (HEADER.encode() + b"\n", "holds no answers"),
        (HEADER.replace(",", ";").encode(), "is not a file of the reading test: its first line must be reader,dataset"),
        (b"\xef\xbb\xbf" + HEADER.encode(), "is not a file of the reading test: its first line must be"),
        (b"\xff\xfe" + HEADER.encode("utf-16-le"), "is not a CSV file in UTF-8"),
        (b"PK\x03\x04\x00\x00", "is not a"),
        (HEADER.encode() + b'\n"', "is not a CSV file"),
        (HEADER.encode() + b"\n0000002a,mnist\n", "line 2 has 2 cells instead of 7"),
        (HEADER.encode() + b"\n" + b"x" * 200_000, "is not a CSV file in UTF-8 .field larger"),
        (b"x" * (readers.MAX_BYTES + 1), "is larger than 5 MB"),
    ],
)
def test_read_tests_refuses_a_damaged_file_by_its_name(tmp_path, content, message):
    path = tmp_path / "damaged.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"damaged\.csv {message}|damaged\.csv: {message}"):
        readers.read_tests(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda test: test[:-1], "does not hold the trials 1 to 40"),
        (lambda test: test + test[-1:], "does not hold the trials 1 to 40"),
        (lambda test: test[1:] + test[:1], "does not hold the trials 1 to 40"),
        (lambda test: [*test[:-1], replace_cell(test[-1], "dataset", "digits")], "two data sets"),
        (lambda test: [*test[:-1], replace_cell(test[-1], "image", "100")], "shows one image twice"),
        (lambda test: [*test[:-1], replace_cell(test[-1], "level", "0")], "5 digits at each level"),
        (
            lambda test: [
                replace_cell(make_test(dataset="digits")[0], "image", "360"),
                *make_test(dataset="digits")[1:],
            ],
            "an image that its data set does not have",
        ),
        (lambda test: [*test[:20], *make_test("0000002b"), *test[20:]], "does not hold the trials"),
        (lambda test: [*test, *make_test("0000002b"), *test], "are not together"),
    ],
)
def test_read_tests_refuses_a_test_that_the_page_cannot_have_made(tmp_path, damage, message):
    with pytest.raises(UserError, match=rf"^test\.csv: .*{message}"):
        readers.read_tests(write(tmp_path / "test.csv", damage(make_test())))


def test_merge_readers_refuses_two_tests_of_one_reader_and_two_labels_of_one_image(project):
    _, folder = project
    write(folder / "a.csv", make_test("00000001"))
    write(folder / "b.csv", make_test("00000001", n_right=3))
    with pytest.raises(UserError, match=r"b\.csv: reader 00000001 has another test"):
        readers.merge_readers(folder)
    other = make_test("00000002")
    write(folder / "b.csv", [replace_cell(other[0], "label", "7"), *other[1:]])
    with pytest.raises(UserError, match=r"b\.csv: image 100 has another label"):
        readers.merge_readers(folder)


@pytest.mark.parametrize(
    ("dataset", "n_images"),
    [("mnist", _sources.SHAPES["x_test"][0]), ("digits", len(data.load("digits").x_test))],
)
def test_read_tests_accepts_the_last_image_of_a_data_set(tmp_path, dataset, n_images):
    first, *rest = make_test(dataset=dataset)
    path = write(tmp_path / "test.csv", [replace_cell(first, "image", str(n_images - 1)), *rest])
    assert readers.read_tests(path)["0000002a"][0]["image"] == str(n_images - 1)


def test_merge_readers_makes_no_file_that_is_too_large_to_be_read(project, monkeypatch):
    root, folder = project
    write(folder / "a.csv", make_test("00000001"))
    readers.merge_readers(folder)
    write(folder / "b.csv", make_test("00000002"))
    monkeypatch.setattr(readers, "MAX_BYTES", (folder / "b.csv").stat().st_size)
    before = (root / readers.FILE).read_bytes()
    with pytest.raises(UserError, match=r"2 readers are more than .* can hold, .* MB; give fewer files"):
        readers.merge_readers(folder)
    assert (root / readers.FILE).read_bytes() == before


def test_readers_command_adds_a_class_or_nothing(project):
    root, folder = project
    write(folder / "good.csv", make_test("00000001"))
    done = noisy_digits(root, "readers", str(folder))
    assert (done.returncode, done.stdout) == (0, f"1 readers in {readers.FILE}\n")
    before = (root / readers.FILE).read_bytes()
    (folder / "bad.csv").write_text("<script>alert(1)</script>")
    os.mkfifo(folder / "pipe.csv")
    done = noisy_digits(root, "readers", str(folder))
    assert done.returncode == 2
    assert done.stderr.startswith("noisy-digits: bad.csv is not a file of the reading test")
    (folder / "bad.csv").unlink()
    assert noisy_digits(root, "readers", str(folder)).stderr.startswith("noisy-digits: pipe.csv is not a file")
    assert (root / readers.FILE).read_bytes() == before


@pytest.mark.parametrize(("make", "message"), [(False, "no notebook"), (True, "there are no CSV files")])
def test_readers_command_says_what_is_missing(project, make, message):
    root, folder = project
    if not make:
        (root / readers.FILE.with_suffix(".ipynb")).unlink()
    done = noisy_digits(root, "readers", str(folder))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
