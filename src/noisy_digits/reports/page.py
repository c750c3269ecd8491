"""Render an executed notebook as one self-contained page."""

import copy
import re
from collections.abc import Callable
from typing import Any

import nh3
from markupsafe import Markup
from nbconvert.filters.ansi import strip_ansi
from nbformat import NotebookNode

from noisy_digits.pipeline.parameters import PAPERMILL_ERROR
from noisy_digits.reports._templates import TEMPLATES
from noisy_digits.reports.figures import IMAGE_SUFFIXES, is_answer, read_figure
from noisy_digits.reports.markdown import Outline, highlight_python, render_markdown, reveal_order

_HTML_TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "b", "i", "em", "strong", "br"}
_HTML_ATTRIBUTES = {"*": {"scope", "colspan", "rowspan"}}
_REMOVED = re.compile(r"<(audio|canvas|embed|iframe|img|input|math|object|script|svg|template|video)\b", re.IGNORECASE)
"""Elements of HTML whose content is lost when it is reduced to tables and text."""


def render_page(notebook: NotebookNode, **about: Any) -> str:
    """Return an executed notebook as an HTML page that has no scripts and loads nothing.

    ``about`` is what stands around the notebook: ``title`` of the assignment (the notebook's first `#` heading is the
    page's only h1; the title if it has none), ``point`` of the grid, ``notices`` (sentences shown first), ``failed``
    (True for a page that names the exception and shows its traceback), ``facts`` (the table at the foot), ``metrics``
    (the numbers of the run, a zip file in Base64, empty if there are none), ``links`` to other pages (pairs of words
    and a run's path) and ``top`` (the relative path of the collection's folder). An output that cannot be shown, such
    as an image without alt text, is named instead. Raises ValueError for a formula in a text cell that cannot be
    converted.
    """
    cells = [cell for cell in copy.deepcopy(notebook.cells) if PAPERMILL_ERROR not in _tags(cell)]
    for cell in cells:
        cell.setdefault("outputs", [])
    cells = _merge_parameters(cells)
    errors = [(cell, output) for cell in cells for output in cell.outputs if output.output_type == "error"]
    failed_cell, error = errors[-1] if errors else (None, None)
    begins_with_text = bool(cells) and cells[0].cell_type == "markdown"  # below which the answers stand
    outputs = [output for cell in cells for output in cell.outputs if begins_with_text]
    answers = list(filter(is_answer, outputs))
    return TEMPLATES.get_template("page.html.j2").render(
        cells=cells, answers=answers, failed_cell=failed_cell, error=error, outline=Outline(), **about
    )


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def _merge_parameters(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Join the notebook's defaults and the values that papermill injected after them in one cell."""
    parameters = [cell for cell in cells if _holds_parameters(cell)]
    if parameters:
        parameters[0].source = "\n\n".join(cell.source for cell in parameters)
        parameters[0].outputs = [output for cell in parameters for output in cell.outputs]
    return [cell for cell in cells if cell not in parameters[1:]]


def _holds_parameters(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and not _tags(cell).isdisjoint({"parameters", "injected-parameters"})


def _read_display(output: NotebookNode, cell: NotebookNode, outline: Outline) -> tuple[str, Any, list[str]]:
    """Return the best form of an output that a page can show: its kind, its content, and what of it is not shown.

    The kind is "figure", "table" (HTML), "markdown", "text" or, where there is nothing to show, "".
    """
    data = output.get("data", {})
    html = data.get("text/html", "")
    not_shown = [mime for mime in data if not mime.startswith(("text/", *IMAGE_SUFFIXES))]
    readers: dict[str, Callable[[], Any]] = {
        "figure": lambda: read_figure(output, cell),
        "table": lambda: _clean_html(html).strip(),
        "markdown": lambda: _render_output(data.get("text/markdown", ""), outline),
        "text": lambda: next((str(data[mime]) for mime in ("text/plain", *data) if _is_plain(mime, data)), ""),
    }
    for kind, read in readers.items():
        try:
            content = read()
        except Exception as error:  # an output may hold anything
            not_shown.append(str(error))
            continue
        if kind == "table":
            not_shown += [f"<{tag}>" for tag in dict.fromkeys(map(str.lower, _REMOVED.findall(html)))]
        if content:
            return kind, content, [] if kind == "figure" else not_shown
    return "", None, not_shown


def _is_plain(mime: str, data: NotebookNode) -> bool:
    return mime in data and mime.startswith("text/") and mime != "text/html"


def _render_output(source: str, outline: Outline) -> Markup:
    render_markdown(source, Outline(), {})  # raises before the outline has a part of it
    return render_markdown(source, outline, {})


def _caption(table: str) -> str:
    """Return the text of a table's caption, which names the box around it."""
    caption = re.search(r"<caption[^>]*>(.*?)</caption>", table, re.DOTALL)
    return Markup(caption[1]).striptags() if caption else "Table"


def _clean_html(html: str) -> Markup:
    """Return the tables and the text of an HTML output; every other element and attribute is removed."""
    return Markup(nh3.clean(html, tags=_HTML_TAGS, attributes=_HTML_ATTRIBUTES))


def _clean_text(text: object) -> str:
    """Return what a cell printed, without the codes of colors."""
    return reveal_order(strip_ansi(str(text)))


TEMPLATES.tests["parameters"] = _holds_parameters
TEMPLATES.filters |= {
    "render_markdown": render_markdown,
    "highlight_python": highlight_python,
    "read_display": _read_display,
    "clean_text": _clean_text,
    "caption": _caption,
}
