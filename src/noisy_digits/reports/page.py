"""Render an executed notebook as one self-contained page."""

import copy
import re
from typing import Any

import nh3
from markupsafe import Markup
from nbconvert.filters.ansi import strip_ansi
from nbformat import NotebookNode

from noisy_digits.reports._templates import TEMPLATES
from noisy_digits.reports.figures import is_answer, read_figure
from noisy_digits.reports.markdown import Outline, highlight_python, render_markdown

_TENSORFLOW_LOG = re.compile(r"(?m)^(?:[IWE]\d{4} .*|WARNING:(?: All log messages before absl|tensorflow:).*)\n?")
_HTML_TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "b", "i", "em", "strong", "br"}
_HTML_ATTRIBUTES = {"*": {"scope", "colspan", "rowspan"}}


def render_page(notebook: NotebookNode, **about: Any) -> str:
    """Return an executed notebook as an HTML page that has no scripts and loads nothing.

    ``about`` is what stands around the notebook: ``title`` of the assignment (the notebook's first `#` heading is the
    page's only h1; the title if it has none), ``point`` of the grid, ``notices`` (sentences shown first), ``failed``
    (True for a page that names the exception and shows its traceback), ``facts`` (the table at the foot), ``metrics``
    (metrics.json as text, None if there is none), ``links`` to other pages (pairs of words and a run's path) and
    ``top`` (the relative path of the collection's folder). Raises ValueError for a formula that cannot be converted and
    for an image without alt text.
    """
    cells = [cell for cell in copy.deepcopy(notebook.cells) if "papermill-error-cell-tag" not in _tags(cell)]
    for cell in cells:
        cell.outputs = [output for output in map(_remove_log, cell.get("outputs", ())) if output]
    cells = _merge_parameters(cells)
    errors = [(cell, output) for cell in cells for output in cell.outputs if output.output_type == "error"]
    failed_cell, error = errors[-1] if errors else (None, None)
    outputs = [output for cell in cells for output in cell.outputs]
    answer = next(filter(is_answer, outputs), None)
    return TEMPLATES.get_template("page.html.j2").render(
        cells=cells, answer=answer, failed_cell=failed_cell, error=error, outline=Outline(), **about
    )


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def _remove_log(output: NotebookNode) -> NotebookNode | None:
    """Return an output without TensorFlow's log lines, None if nothing is left."""
    if output.get("name") == "stderr":
        output.text = _TENSORFLOW_LOG.sub("", output.text)
    return output if output.get("text", True) else None


def _merge_parameters(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Join the notebook's defaults and the values that papermill injected after them in one cell."""
    parameters = [cell for cell in cells if _holds_parameters(cell)]
    if parameters:
        parameters[0].source = "\n\n".join(cell.source for cell in parameters)
    return [cell for cell in cells if cell not in parameters[1:]]


def _holds_parameters(cell: NotebookNode) -> bool:
    return not _tags(cell).isdisjoint({"parameters", "injected-parameters"})


def _caption(table: str) -> str:
    """Return the text of a table's caption, which names the box around it."""
    caption = re.search(r"<caption[^>]*>(.*?)</caption>", table, re.DOTALL)
    return Markup(caption[1]).striptags() if caption else "Table"


def _clean_html(html: str) -> Markup:
    """Return the tables and the text of an HTML output; every other element and attribute is removed."""
    return Markup(nh3.clean(html, tags=_HTML_TAGS, attributes=_HTML_ATTRIBUTES))


TEMPLATES.tests["parameters"] = _holds_parameters
TEMPLATES.filters |= {
    "render_markdown": render_markdown,
    "highlight_python": highlight_python,
    "read_figure": read_figure,
    "strip_ansi": strip_ansi,
    "caption": _caption,
    "clean_html": _clean_html,
}
