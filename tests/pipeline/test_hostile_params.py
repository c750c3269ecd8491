"""Params files that nobody would write on purpose: each is refused in one line, or planned."""

import os
import re
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noisy_digits._yaml import MAX_BYTES
from noisy_digits.errors import UserError
from noisy_digits.pipeline.config import load_assignment
from noisy_digits.pipeline.plan import plan_runs

from ..conftest import REPOSITORY, TOY_PARAMS

NAMES = sorted(path.stem for path in (REPOSITORY / "params").glob("*.yml"))
LONG = "1" + "0" * 400
VALUES = [
    *("", "~", "true", "-1", "0", "1.5", ".nan", ".inf", "-.inf", "1e400", LONG, "0x" + "f" * 5000, "0b1", "0o17"),
    *(
        "1:30",
        ":".join(["59"] * 3000),
        ":".join(["59"] * 3000) + ".5",
        "2024-01-01",
        "2024-13-45",
        "12:00:00",
        "=",
        "<<",
    ),
    *("[]", "{}", "[[]]", "[1, [2]]", "{a: 1}", "{a: {b: [c]}}", "[~]", "{~: ~}", "{[a]: 1}", "{{a: 1}: 1}", "? a"),
    *("*a", "&a b", "&a [*a]", "!!python/object/apply:os.abort []", "!!set {a}", "!!binary aGk=", "!x y", "! z"),
    *('"\\0"', '"\\ud800"', '"\\u202e"', '"../../etc"', "'a/b'", '"\\n"', "x" * 20_000, "recipe", "seed", "value"),
    *("[0.5, 0.5]", "[true, 1]", "[.nan]", str(list(range(20_000))), "@a", "`a`", "%a", "|", ">", "- a", "a: b: c"),
]
"""What takes the place of a value in a params file."""
LINES = ["    ", "\t", "  x: 1", "- 1", "...", "---", "%YAML 9.9", "# é", "  <<: {title: x}", "}", "]", '"', "\x07"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of this project whose params files a test may spoil."""
    root = tmp_path_factory.mktemp("hostile") / "project"
    (root / "params").mkdir(parents=True)
    shutil.copy(REPOSITORY / "project.yml", root)
    (root / "notebooks").symlink_to(REPOSITORY / "notebooks")
    return root


def change_line(line, kind, value):
    """Return a line of a params file with its value, an item of its list or its key replaced by ``value``."""
    pattern = {"value": r"(?<=:)(?: .*)?$", "item": r"(?<=[\[{, ])[\w.+-]+(?=[\]},])", "key": r"[\w.]+(?=:)"}[kind]
    return re.sub(pattern, lambda _: f" {value}", line, count=1)


@st.composite
def mutations(draw, text):
    """Return a params file with one to three lines changed."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(
            st.sampled_from(["value", "value", "item", "item", "key", "indent", "drop", "twice", "insert", "cut"])
        )
        if kind in ("value", "item", "key"):
            lines[at] = change_line(lines[at], kind, draw(st.sampled_from(VALUES) | st.text(max_size=8)))
        elif kind == "indent":
            lines[at] = " " * draw(st.integers(0, 9)) + lines[at].strip()
        elif kind == "drop":
            lines[at : at + 1] = []
        elif kind == "twice":
            lines.insert(at, lines[at])
        elif kind == "insert":
            lines.insert(at, draw(st.sampled_from(LINES)))
        else:
            lines[at:] = [lines[at][: draw(st.integers(0, 20))]]
        lines = lines or [""]
    return "\n".join(lines)


def refuse(call, *arguments):
    """Return the message with which a call refuses what it reads, "" if it does not; other errors fail the test."""
    try:
        call(*arguments)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_plan_runs_refuses_a_spoiled_params_file_in_one_line(project, name, data):
    for other in NAMES:
        shutil.copy(REPOSITORY / f"params/{other}.yml", project / "params")
    text = data.draw(mutations((REPOSITORY / f"params/{name}.yml").read_text()))
    (project / f"params/{name}.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    message = refuse(plan_runs, project, "full")
    assert len(message.splitlines()) <= 1
    assert ".yml" in message or not message


@settings(max_examples=200)
@given(content=st.binary(max_size=80), at=st.integers(0, len(TOY_PARAMS)))
def test_load_assignment_refuses_bytes_in_one_line(tmp_path_factory, content, at):
    path = tmp_path_factory.getbasetemp() / "bytes.yml"
    path.write_bytes(TOY_PARAMS[:at].encode() + content + TOY_PARAMS[at:].encode())
    message = refuse(load_assignment, path)
    assert len(message.splitlines()) <= 1
    assert message.startswith("bytes.yml: ") or not message


MISTAKE = """\
    n_seeds: 2
    coordinates: [a, b, c, d]
    mistakes:
      - {{mistake: m, metrics: [m], at: {at}, without: {{recipe: corrected}}}}"""
CLAIM = "claims:\n  c: {{statement: s, notebook: 1_measure, metric: m, at: {at}, greater_than: 0}}\n"
MANY = "{scale: 0.5, recipe: as_submitted, " + ", ".join(f"{name}: {list(range(20))}" for name in "abcd") + "}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("order: 1", "order: 0x" + "f" * 5000, "line 3: not valid YAML: a whole number above 9,223,372"),
        ("[0.5, 2.0]", f"[{LONG}, 2.0]", "line 13: not valid YAML: a whole number above"),
        ("order: 1", "order: " + ":".join(["59"] * 3000), "line 3: not valid YAML: a whole number above"),
        ("order: 1", "order: " + ":".join(["59"] * 3000) + ".5", "not valid YAML: int too large to convert to float"),
        ("order: 1", "order: !!timestamp x", r'line 3: not valid YAML: "tag:yaml.org,2002:timestamp" is a tag'),
        ("order: 1", "order: !!int 1", r"is a tag \(!\): leave it out"),
        ("    n_seeds: 2", MISTAKE.format(at=MANY), "at: 160,000 points; at least 1, at most 10,000"),
        ("notebooks:\n", CLAIM.format(at=MANY) + "notebooks:\n", "at: 160,000 points; at least 1, at most 10,000"),
        ("notebooks:\n", CLAIM.format(at="{scale: []}") + "notebooks:\n", "at: 0 points"),
        ("title: A toy", "title: &a A toy", '"a" is an anchor or alias'),
    ],
)  # fmt: skip
def test_load_assignment_refuses_what_would_end_in_a_traceback_or_never_end(tmp_path, old, new, message):
    assert old in TOY_PARAMS
    (tmp_path / "toy.yml").write_text(TOY_PARAMS.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        load_assignment(tmp_path / "toy.yml")
    assert str(caught.value).startswith("toy.yml: ")
    assert len(str(caught.value).splitlines()) == 1


def test_load_assignment_takes_many_columns(tmp_path):
    """A check of each column against all others would take minutes."""
    names = ", ".join(f"c{number}" for number in range(50_000))
    (tmp_path / "toy.yml").write_text(
        TOY_PARAMS.replace("    n_seeds: 2", f"    n_seeds: 2\n    coordinates: [{names}]")
    )
    assert len(load_assignment(tmp_path / "toy.yml").notebooks["1_measure"].coordinates) == 50_000


def test_load_assignment_refuses_what_is_too_large_or_no_file(tmp_path):
    large, pipe, folder, lost = (tmp_path / f"{name}.yml" for name in ("large", "pipe", "folder", "lost"))
    large.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(UserError, match=r"large\.yml: larger than 500 kB"):
        load_assignment(large)
    os.mkfifo(pipe)
    folder.mkdir()
    lost.symlink_to(tmp_path / "nowhere")
    for path in (pipe, folder, lost):
        with pytest.raises(UserError, match=rf"{path.name}: not a file: remove it"):
            load_assignment(path)


def test_every_params_file_of_this_project_is_far_smaller_than_allowed():
    assert max(path.stat().st_size for path in (REPOSITORY / "params").glob("*.yml")) < MAX_BYTES / 10
