"""Convert LaTeX formulas to native MathML."""

import re
import unicodedata
from html import unescape
from xml.etree.ElementTree import Element, tostring

from latex2mathml import commands
from latex2mathml.converter import Converter


def latex_to_mathml(formula: str, display: str = "inline") -> str:
    """Return a `<math>` element for a LaTeX formula without its dollar signs.

    ``display`` is "inline" or "block". The environments `equation`, `align`, `aligned` and those of latex2mathml are
    supported; equations are not numbered. Raises ValueError naming the formula if any part of it cannot be converted
    (latex2mathml alone would show that part as text). Nothing in a formula becomes markup.
    """
    try:
        return _convert(formula, display)
    except Exception as error:  # latex2mathml raises many kinds
        reason = str(error) or type(error).__name__
        raise ValueError(f"formula can't be converted to MathML: {formula.strip()} ({reason})") from error


def _convert(formula: str, display: str) -> str:
    latex = re.sub(r"\\(begin|end)\{equation\*?\}", "", formula).strip()
    latex = re.sub(r"\\(begin|end)\{align(ed)?\}", r"\\\1{align*}", latex)
    for environment in re.findall(r"\\begin\{(.*?)\}", latex):
        if f"\\{environment}" not in commands.MATRICES:
            raise ValueError(f"unknown environment {environment}")
    math = Converter(display=display).convert_to_element(latex)
    for element in math.iter():
        if fault := _find_fault(element):
            raise ValueError(fault)
        _normalize(element)
    del math.attrib["xmlns"]
    return tostring(math, encoding="unicode")


def _find_fault(element: Element) -> str | None:
    """Return the reason if latex2mathml passed through something that it did not understand, a link or a style."""
    text = element.text or ""
    leftover = r"\\[A-Za-z]+" if element.tag == "mtext" else r"[\\{}$^_]|&(?!#)"
    if re.search(leftover, text):
        return f"{text} is not understood"
    if forbidden := next(filter(element.get, ("href", "class", "style")), None):
        return rf"\{forbidden} is not allowed"
    if element.get("linebreak"):
        return r"\\ outside an environment with rows"
    if element.tag == "mfrac" and len(element) != 2:
        return "a fraction needs two parts"
    if element.tag == "mo" and not text and not element.attrib:
        return "an operator's name has to be letters only"
    return None


def _normalize(element: Element) -> None:
    """Replace entities by characters, and space operators, functions and bars as TeX does."""
    element.text = text = unescape(element.text or "").replace("~", "∼")
    if element.tag == "mi" and len(text) == 1 and unicodedata.category(text) == "Sm":
        element.tag = "mo"
    elif element.tag == "mi" and len(text) > 1 and text.isalpha():
        element.tag = "mo"
        element.attrib |= {"lspace": "0", "rspace": "0.167em"}
    elif text in ("|", "‖"):
        element.attrib.setdefault("stretchy", "false")
