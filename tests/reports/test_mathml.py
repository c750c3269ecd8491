"""Formulas: what is converted, what is refused, and how the result is spaced."""

import re

import pytest

from noisy_digits.reports.mathml import latex_to_mathml


@pytest.mark.parametrize(
    "formula",
    [
        r"\foo x",
        r"x_{",
        r"x^2^3",
        r"\frac{1}",
        r"\left( a",
        r"a } b",
        r"a & b",
        r"a \\ b",
        r"\begin{gather}a\\b\end{gather}",
        r"\text{\foo}",
        r"\label{x}",
        "",
    ],
)
def test_latex_to_mathml_names_a_formula_that_it_cannot_convert(formula):
    with pytest.raises(ValueError, match="MathML: " + re.escape(formula)):
        latex_to_mathml(formula)


def test_latex_to_mathml_spaces_formulas_as_tex_does():
    assert "<mo>∼</mo>" in latex_to_mathml(r"\epsilon \sim N")
    assert '<mo lspace="0" rspace="0.167em">log</mo>' in latex_to_mathml(r"\log p")
    assert '<mo stretchy="false">‖</mo>' in latex_to_mathml(r"\lVert w \rVert")


def test_latex_to_mathml_numbers_no_equations():
    assert "(1)" not in latex_to_mathml(r"\begin{align}a&=b\\c&=d\end{align}", "block")


def test_latex_to_mathml_escapes_text():
    assert "<mtext>&lt;script&gt;" in latex_to_mathml(r"\text{<script>}")


@pytest.mark.parametrize(
    ("formula", "command"),
    [
        (r"\href{javascript:alert(1)}{x}", "href"),
        (r"\style{position: fixed; inset: 0; background: url(x)}{y}", "style"),
        (r"\class{box}{x}", "class"),
    ],
)
def test_latex_to_mathml_refuses_links_and_styles(formula, command):
    with pytest.raises(ValueError, match=f"{command} is not allowed"):
        latex_to_mathml(formula)
