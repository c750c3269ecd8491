"""Find the figures and the answer of an executed notebook."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

IMAGE_SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}
"""File suffixes of the images that a page shows, by MIME type; of two forms of one figure the first here is shown."""


@dataclass(frozen=True)
class Figure:
    """An image with its MIME type (a key of ``IMAGE_SUFFIXES``) and its alt text."""

    mime: str
    content: bytes
    alt: str

    @property
    def url(self) -> str:
        """Return the image as a data: URL. SVG is percent-encoded, which is smaller than base64."""
        if self.mime == "image/svg+xml":
            svg = " ".join(self.content.decode().split())
            return f"data:{self.mime},{quote(svg, safe=' !$()*,/:;=?@')}"
        return f"data:{self.mime};base64,{b64encode(self.content).decode()}"


def read_notebook(path: Path) -> NotebookNode | None:
    """Return an executed notebook; None if it is missing, or cut off because its run was killed while writing."""
    try:
        return nbformat.read(path, as_version=4)
    except (FileNotFoundError, ValueError):
        return None


def read_figure(output: NotebookNode, cell: NotebookNode) -> Figure | None:
    """Return the image in an output of ``cell``, None if there is none. Raises ValueError if it has no alt text."""
    mime = next((mime for mime in IMAGE_SUFFIXES if mime in output.get("data", {})), None)
    if mime is None:
        return None
    alt = output.metadata.get(mime, {}).get("alt") or output.metadata.get("alt")
    if not alt:
        first_line = cell.source.strip().partition("\n")[0]
        raise ValueError(
            f"cell [{cell.execution_count}] ({first_line}): {mime} output has no alt text. "
            f"Put it in the output's metadata under {mime!r}, 'alt'"
        )
    data = output.data[mime]
    return Figure(mime, b64decode(data) if mime == "image/png" else data.encode(), alt)


def first_figure(folder: Path) -> Figure | None:
    """Return the first figure of a finished run, None if there is none. Raises ValueError if it has no alt text."""
    return next(filter(None, (read_figure(output, cell) for output, cell in _read_outputs(folder))), None)


def find_answer(folder: Path) -> str | None:
    """Return the answer of a finished run as Markdown, None if there is none."""
    return next((output.data["text/markdown"] for output, _ in _read_outputs(folder) if is_answer(output)), None)


def is_answer(output: NotebookNode) -> bool:
    """Return whether an output is the answer to the notebook's question."""
    return bool(output.get("metadata", {}).get("answer"))


def _read_outputs(folder: Path) -> Iterator[tuple[NotebookNode, NotebookNode]]:
    """Yield the outputs of a finished run, each with its cell."""
    notebook = read_notebook(folder / "notebook.ipynb")
    if notebook is not None and (folder / "metrics.json").is_file():
        for cell in notebook.cells:
            for output in cell.get("outputs", ()):
                yield output, cell
