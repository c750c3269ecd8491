from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.registry import Registry


@pytest.fixture
def filters():
    registry = Registry("filter")
    registry["median"] = sorted
    registry["mean"] = sum
    return registry


def test_register_adds_the_function_and_returns_it_unchanged(filters):
    @filters.register("largest")
    def largest(values):
        return max(values)

    assert filters["largest"] is largest
    assert list(filters) == ["median", "mean", "largest"]


CELL = """
@filters.register("largest")
def largest(values):
    return {result}
"""


def test_register_replaces_a_function_whose_cell_is_run_again(filters):
    for result in (1, 2):
        exec(CELL.format(result=result), {"__name__": "__main__", "filters": filters})
    assert filters["largest"]([]) == 2


def test_register_refuses_the_name_of_another_function(filters):
    with pytest.raises(UserError, match=r'^the filter "mean" is taken by builtins\.sum: choose another name$'):
        filters.register("mean")(max)
    assert filters["mean"] is sum
    filters["third"] = partial(sorted, reverse=True)
    with pytest.raises(UserError, match=r"taken by functools\.partial\(<built-in function sorted>, reverse=True\):"):
        filters["third"] = partial(sorted, reverse=False)


def test_registry_names_the_closest_entry_of_an_unknown_name(filters):
    with pytest.raises(UserError, match=r'^unknown filter "medain"; did you mean median\? \(allowed: median, mean\)$'):
        filters["medain"]
    assert "medain" not in filters


def test_check_returns_a_registered_name_and_rejects_another(filters):
    assert filters.check("mean") == "mean"
    with pytest.raises(UserError, match="unknown filter"):
        filters.check("mode")


def test_an_empty_registry_has_no_suggestions():
    with pytest.raises(UserError, match=r'unknown noise "x" \(allowed: none\)'):
        Registry("noise")["x"]


@given(st.text(), st.lists(st.text("abcdefgh", min_size=1), unique=True, max_size=20))
def test_did_you_mean_lists_at_most_ten_names(word, allowed):
    message = did_you_mean(word, allowed)
    names, _, more = message.rpartition("(allowed: ")[2].removesuffix(")").partition(" and ")
    assert len(names.split(", ")) == (min(len(allowed), 10) or 1)
    assert more == (f"{len(allowed) - 10} more" if len(allowed) > 10 else "")
    if not allowed:
        assert message == " (allowed: none)"
    if word.lower() in allowed:
        assert message.startswith(f"; did you mean {word.lower()}?")


@given(st.text())
def test_user_error_is_a_value_error_of_one_line(message):
    error = UserError(message)
    assert isinstance(error, ValueError)
    assert len(str(error).splitlines()) <= 1


def test_user_error_is_one_line_in_jupyter():
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    shown = []
    shell._showtraceback = lambda kind, value, lines: shown.extend(lines)
    shell.run_cell("from noisy_digits.errors import UserError\nraise UserError('give at least 1')")
    assert shown == ["UserError: give at least 1"]
