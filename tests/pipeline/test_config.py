import re

import pytest

from noisy_digits.errors import UserError
from noisy_digits.pipeline import reference
from noisy_digits.pipeline.config import load_assignment, load_assignments

from ..conftest import REPOSITORY, TOY_PARAMS

BAD = {
    "a misspelt key": ("    title: M", "    titel: M", r'1_measure: unknown key "titel"; did you mean title\?'),
    "no title": ("title: A toy assignment\n", "", r'^toy\.yml: the key "title" is missing; add `title: …`: T'),
    "no title inside": ("    title: M", "    #", r'notebooks\.1_measure: the key "title" is missing; add'),
    "no colon": ("fixed: {", "fixed {", r'unknown key "fixed {epochs"; did you mean fixed\?'),
    "no colon at all": ("order: 1", "order 1", r"line 4: not valid YAML: .*; check here and above"),
    "wrong indentation": ("    n_seeds: 2", "   n_seeds: 2", r"line 16: not valid YAML: .* are indented equally"),
    "an empty notebook": ("    title: Summing up\n    depends_on: [1_measure]\n", "", r"2_summary: must hold keys"),
    "a list for a word": ("A toy assignment", "[A, toy]", r"title: \['A', 'toy'\]: must be text$"),
    "a word for a list": ("[1_measure]", "1_measure", r"depends_on: '1_measure': must be a list, as in \[a, b\]$"),
    "a word for keys": ("{epochs: 3}", "epochs", r"fixed: 'epochs': must be keys and values, as in {key: value}$"),
    "a word for a number": ("order: 1", "order: one", r"order: 'one': must be a whole number$"),
    "a key twice": ("    n_seeds: 2", "    n_seeds: 2\n    n_seeds: 3", r'line 11: .*the key "n_seeds" appears twice'),
    "broken YAML": ("notebooks:", "notebooks: [", r"line \d+: not valid YAML"),
    "a Python object": ("order: 1", "order: !!python/object/apply:os.getpid []", r"line 3: not valid YAML"),
    "an alias": ("order: 1", "order: *one", r'line 3: not valid YAML: "one" is an anchor or alias'),
    "nested too deeply": (None, "[" * 100_000, r"nested more than 50 levels"),
    "a list for a file": (None, "- 1\n- 2\n", r"must hold keys and values \(allowed: title"),
    "a date that is none": ("A toy assignment", "2024-13-45", r"month must be in 1\.\.12: write text in quotes"),
    "an empty grid": ("[0.5, 2.0]", "[]", r"grid\.scale: .*at least 1 item"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_load_assignment_names_file_key_and_mistake_in_one_line(tmp_path, case):
    old, new, message = BAD[case]
    file = tmp_path / "toy.yml"
    assert old is None or old in TOY_PARAMS
    file.write_text(new if old is None else TOY_PARAMS.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_assignment(file)
    text = str(caught.value)
    assert re.search(message, text), text
    assert text.startswith("toy.yml")
    assert "\n" not in text


UNDECIDABLE = {
    "no change": ("at: {scale: [0.5, 0.5]}, along: scale, less_than: 0", r"must list 2 different numbers or more"),
    "no other change": (
        "at: {scale: [0.5, 2.0]}, along: scale, largest_change_at: 2.0, less_than: 0",
        r"must list 3 different numbers or more",
    ),
    "several p-values": ("at: {scale: [0.5, 2.0]}, pvalue_less_than: 0.05", r"`at` must give one point"),
    "a p-value minus another": ("minus: {metric: n}, pvalue_less_than: 0.05", r"`at` must give one point, and minus"),
}


@pytest.mark.parametrize("case", UNDECIDABLE)
def test_load_assignment_refuses_a_claim_that_no_number_could_decide(tmp_path, case):
    region, message = UNDECIDABLE[case]
    file = tmp_path / "toy.yml"
    file.write_text(f"{TOY_PARAMS}claims:\n  c: {{statement: s, notebook: 1_measure, metric: m, {region}}}\n")
    with pytest.raises(UserError, match=message):
        load_assignment(file)


def test_load_assignment_reads_every_key(tmp_path):
    file = tmp_path / "toy.yml"
    file.write_text(TOY_PARAMS)
    assignment = load_assignment(file)
    assert assignment.recipes["as_submitted"] == {"learning_rate": 0.5}
    assert (assignment.original_recipe, assignment.corrected_recipe) == ("as_submitted", "corrected")
    assert assignment.notebooks["1_measure"].headline_metric == "test_accuracy"
    assert assignment.notebooks["2_summary"].depends_on == ["1_measure"]


def test_load_assignment_names_a_file_that_is_not_text(tmp_path):
    (tmp_path / "toy.yml").write_bytes(b"\xff\xfe\x00title")
    with pytest.raises(UserError, match=r"toy\.yml: cannot be read"):
        load_assignment(tmp_path / "toy.yml")


def test_load_assignments_sorts_by_order(toy):
    (toy / "params/a_later_one.yml").write_text(TOY_PARAMS.replace("order: 1", "order: 2"))
    assert list(load_assignments(toy)) == ["toy", "a_later_one"]


def test_load_assignments_does_not_overlook_a_file_for_its_ending(toy):
    (toy / "params/mine.yaml").write_text(TOY_PARAMS)
    with pytest.raises(UserError, match=r"mine\.yaml: the names of params files end in \.yml; rename it"):
        load_assignments(toy)


def test_the_reference_of_params_files_is_up_to_date():
    assert (REPOSITORY / "docs/params.md").read_text(encoding="utf-8") == reference.render(), (
        "docs/params.md is out of date; run `noisy-digits params-reference > docs/params.md`"
    )
