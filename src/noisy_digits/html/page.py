"""An executed notebook as one self-contained page."""

import copy
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

import bleach
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.ansi import strip_ansi
from nbformat import NotebookNode

from noisy_digits.html import markdown

_IMAGES = ("image/svg+xml", "image/png")
_KINDS = (
    *_IMAGES,
    "application/vnd.jupyter.widget-view+json",
    "application/javascript",
    "text/html",
    "text/markdown",
    "text/plain",
)
_PARAMETERS = {"parameters", "injected-parameters"}
_TENSORFLOW_LOG = re.compile(
    r"^(?:[IWE]\d{4} .*|WARNING:(?: All log messages before absl|tensorflow:).*)\n?", re.MULTILINE
)
_TABLE_TAGS = ("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "b", "i", "em", "strong", "br")
_PAPERMILL_ERROR = "papermill-error-cell-tag"


def render(
    notebook: NotebookNode,
    *,
    title: str,
    identity: Mapping[str, str],
    banners: Sequence[str],
    status: str,
    facts: Mapping[str, str],
    home: str,
) -> str:
    """An executed notebook as a page without scripts that loads nothing.

    title is the assignment's; the notebook's first `#` heading is the page's only h1 (title if it has none).
    identity is the grid point, facts the table at the foot, banners are sentences shown above everything.
    status is "ok" or "failed"; a failed page names the exception and opens its traceback.
    home is the relative path of the index, not percent-encoded.
    Raises ValueError for a formula that can't be converted and for an image without alt text.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        cell.outputs = [output for output in map(_quiet, cell.get("outputs", ())) if output]
    notebook.cells = _merge_parameters([c for c in notebook.cells if _PAPERMILL_ERROR not in _tags(c)])
    page = {
        "title": title,
        "identity": identity,
        "banners": banners,
        "failed": status == "failed",
        "failure": _last_error(notebook.cells),
        "facts": facts,
        "home": home,
        "kinds": _KINDS,
        "outline": markdown.Outline(),
    }
    html, _ = _exporter().from_notebook_node(notebook, {"page": page})
    return html


def first_figure(notebook: NotebookNode) -> dict[str, str] | None:
    """The first figure among an executed notebook's outputs, its ``url`` (data:) and ``alt``; None without any.

    Raises ValueError for an image without alt text.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for kind in _IMAGES:
                if kind in output.get("data", {}):
                    return {"url": _data_url(output, kind), "alt": _alt(output, kind, cell)}
    return None


@cache
def _exporter() -> HTMLExporter:
    exporter = HTMLExporter(
        template_paths=[str(Path(__file__).parent)],
        template_file="page.html.j2",
        filters={
            "markdown": markdown.to_html,
            "highlight_code": markdown.highlight,
            "label": _label,
            "data_url": _data_url,
            "alt": _alt,
            "caption": _caption,
            "tables_alone": _tables_alone,
        },
    )
    environment = exporter.environment
    environment.autoescape = environment.trim_blocks = environment.lstrip_blocks = True
    return exporter


def _quiet(output: NotebookNode) -> NotebookNode | None:
    """An output without TensorFlow's log lines, None if nothing is left; the executed notebook keeps them."""
    if output.get("name") == "stderr":
        output.text = _TENSORFLOW_LOG.sub("", output.text)
    return output if output.get("text", True) else None


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def _merge_parameters(cells: list[NotebookNode]) -> list[NotebookNode]:
    """One cell for the notebook's defaults and the values papermill injected after them."""
    parameters = [cell for cell in cells if _tags(cell) & _PARAMETERS]
    if parameters:
        parameters[0].source = "\n\n".join(cell.source for cell in parameters)
    return [cell for cell in cells if cell not in parameters[1:]]


def _label(cell: NotebookNode) -> str:
    return "Parameters" if _tags(cell) & _PARAMETERS else "Code"


def _last_error(cells: list[NotebookNode]) -> dict | None:
    """Position, exception name and message of the last error: the one that ended the run."""
    errors = [
        {"cell": position, "name": output.ename, "message": strip_ansi(output.evalue)}
        for position, cell in enumerate(cells)
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]
    return errors[-1] if errors else None


def _data_url(output: NotebookNode, kind: str) -> str:
    """The image as a data: URL; SVG is percent-encoded, which is smaller than base64."""
    data = output.data[kind]
    if kind == "image/png":
        return f"data:{kind};base64,{''.join(data.split())}"
    return f"data:{kind},{quote(' '.join(data.split()), safe=' !$()*,/:;=?@')}"


def _alt(output: NotebookNode, kind: str, cell: NotebookNode) -> str:
    alt = output.metadata.get(kind, {}).get("alt") or output.metadata.get("alt")
    if not alt:
        first_line = cell.source.strip().partition("\n")[0]
        raise ValueError(
            f"cell [{cell.execution_count}] ({first_line}): {kind} output has no alt text; "
            f"put it in the output's metadata under {kind!r}, 'alt'"
        )
    return alt


def _caption(table: str) -> str:
    """The words of a table's caption, to name the box around it."""
    caption = re.search(r"<caption[^>]*>(.*?)</caption>", table, re.DOTALL)
    return Markup(caption[1]).striptags() if caption else "Table"


def _tables_alone(html: str) -> Markup:
    """What a cell gave as HTML: its tables and words; everything else in it, scripts and links, is shown as text."""
    return Markup(bleach.clean(html, tags=_TABLE_TAGS, attributes=["scope", "colspan", "rowspan"]))
