"""LaTeX formulas as native MathML."""

import re
import unicodedata
from html import unescape
from xml.etree.ElementTree import Element, tostring

from latex2mathml import commands
from latex2mathml.converter import Converter

_EQUATION = re.compile(r"\\(?:begin|end)\{equation\*?\}")
_ALIGN = re.compile(r"(?<=\\begin\{)align(?:ed)?(?=\})|(?<=\\end\{)align(?:ed)?(?=\})")
_ENVIRONMENT = re.compile(r"\\begin\{(.*?)\}")
_LEFTOVER = re.compile(r"[\\{}$^_]|&(?!#)")
_LEFTOVER_IN_TEXT = re.compile(r"\\[A-Za-z]+")


def convert(formula: str, display: str = "inline") -> str:
    """A `<math>` element for a LaTeX formula without its dollar signs.

    display is "inline" or "block". Numbered and unnumbered `equation` and `align`, `aligned` and the
    environments of latex2mathml are understood; equation numbers are not given.
    Raises ValueError naming the formula when any part of it can't be converted; latex2mathml alone would
    show it as text. Nothing in a formula becomes markup.
    """
    latex = _ALIGN.sub("align*", _EQUATION.sub("", formula)).strip()
    unknown = [name for name in _ENVIRONMENT.findall(latex) if f"\\{name}" not in commands.MATRICES]
    if unknown:
        raise _error(formula, f"unknown environment {unknown[0]}")
    try:
        math = Converter(display=display).convert_to_element(latex)
    except Exception as error:
        raise _error(formula, str(error) or type(error).__name__) from error
    for element in math.iter():
        _check(element, formula)
        _mend(element)
    del math.attrib["xmlns"]
    return tostring(math, encoding="unicode")


def _check(element: Element, formula: str) -> None:
    """Refuse what latex2mathml passed through because it did not understand it."""
    text = element.text or ""
    if (_LEFTOVER_IN_TEXT if element.tag == "mtext" else _LEFTOVER).search(text):
        raise _error(formula, f"{text} is not understood")
    if element.get("href"):
        raise _error(formula, r"\href is not allowed")
    if element.get("linebreak"):
        raise _error(formula, r"\\ outside an environment with rows")
    if element.tag == "mfrac" and len(element) != 2:
        raise _error(formula, "a fraction needs two parts")
    if element.tag == "mo" and not text and not element.attrib:
        raise _error(formula, "an operator's name has to be letters only")


def _mend(element: Element) -> None:
    """Undo entities (ElementTree writes them), space operators and functions, and size bars, as TeX does."""
    element.text = text = unescape(element.text or "").replace("~", "∼")
    if element.tag == "mi" and len(text) == 1 and unicodedata.category(text) == "Sm":
        element.tag = "mo"
    elif element.tag == "mi" and len(text) > 1 and text.isalpha():
        element.tag = "mo"
        element.attrib |= {"lspace": "0", "rspace": "0.167em"}
    elif text in ("|", "‖"):
        element.attrib.setdefault("stretchy", "false")


def _error(formula: str, reason: str) -> ValueError:
    return ValueError(f"formula can't be converted to MathML: {formula.strip()} ({reason})")
