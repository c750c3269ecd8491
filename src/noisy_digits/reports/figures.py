"""Find the figures and the answer of an executed notebook."""

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import nbformat
from nbformat import NotebookNode
from PIL import Image

IMAGE_SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}
"""File suffixes of the images that a page shows, by MIME type; of two forms of one figure the first here is shown."""
_STYLE = re.compile(r'\sstyle="([^"]*)"')
_GROUP = re.compile(r"(<g>|<g [^>]*[^/]>|</g>)")
_TAG = re.compile(r"<[^>]*>")
_HASH = "[a-z][0-9a-f]{10}"
"""The names that Matplotlib gives to markers and clip paths."""
_LENGTH = re.compile(r'(\s(?:d|x|y)=")([^"]*)')
_UNQUOTED = " !$'()*,/:;=?@"
"""What needs no percent in a data: URL that stands between double quotation marks."""
_SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
_DRAWN = re.compile(
    "svg|g|a|defs|use|symbol|marker|clipPath|mask|pattern|linearGradient|radialGradient|stop|image|style|title|desc|"
    "path|rect|circle|ellipse|line|polyline|polygon|text|tspan|textPath|filter|fe(?!Image)[A-Z][A-Za-z]+"
)
"""The elements of a drawing."""
_DESCRIBES = re.compile("(?:data-|aria-|id$|class$|title$|href$)")
"""The attributes that are no style."""
_LOADS = re.compile(r"@|\\|image-set|image\(|src\(|url\((?!\s*[\"']?#)", re.IGNORECASE)
MAX_PIXELS = 50_000_000
MAX_WEBP_SIDE = 16_383
SMALL_WIDTH = 640
"""Pixels across a small figure, at most."""

Outputs = Iterable[tuple[NotebookNode, NotebookNode]]
"""Outputs of an executed notebook, each with its cell."""


@dataclass(frozen=True)
class Figure:
    """An image with its MIME type (a key of ``IMAGE_SUFFIXES``) and its alt text."""

    mime: str
    content: bytes
    alt: str

    @property
    def url(self) -> str:
        """Return the image as a data: URL, with no character that ends a text between double quotation marks.

        SVG is compacted and percent-encoded, which is smaller than base64. PNG becomes WebP, a quarter smaller.
        """
        if self.mime == "image/svg+xml":
            svg = " ".join(compact_svg(self.content.decode()).split())
            return f"data:{self.mime},{quote(svg, safe=_UNQUOTED)}"
        mime, content = _encode_webp(self.content) or (self.mime, self.content)
        return f"data:{mime};base64,{b64encode(content).decode()}"


def read_notebook(path: Path) -> NotebookNode | None:
    """Return an executed notebook; None if it is missing, or cut off because its run was killed while writing."""
    try:
        return nbformat.read(path, as_version=4)
    except (FileNotFoundError, ValueError):
        return None


def read_figure(output: NotebookNode, cell: NotebookNode) -> Figure | None:
    """Return the image in an output of ``cell``, None if there is none.

    Raises ValueError if it has no alt text, and as ``read_image`` does.
    """
    mime = next((mime for mime in IMAGE_SUFFIXES if mime in output.get("data", {})), None)
    if mime is None:
        return None
    described = output.get("metadata", {})
    texts = (each.get("alt") for each in (described.get(mime), described) if isinstance(each, dict))
    alt = next(filter(None, texts), None)
    first_line = cell.source.strip().partition("\n")[0]
    where = f"cell [{cell.get('execution_count')}] ({first_line}): {mime} output"
    if not alt:
        raise ValueError(f"{where} has no alt text. Put it in the output's metadata under {mime!r}, 'alt'")
    try:
        return read_image(mime, output.data[mime], str(alt))
    except ValueError as error:
        raise ValueError(f"{where} {error}") from None


def read_image(mime: str, data: object, alt: str) -> Figure:
    """Return the image that a notebook holds as ``data``: SVG as text, PNG in base64.

    Raises ValueError if it is damaged, and for SVG that would run or load something if it were opened by itself.
    """
    if not isinstance(data, str):
        raise ValueError("is not text")
    if mime == "image/svg+xml":
        return Figure(mime, _clean_drawing(data).encode(), alt)
    try:
        content = b64decode(data)
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            image.verify()  # reads all but the pixels
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            size = image.size
            if math.prod(size) <= MAX_PIXELS:
                image.load()
    except Exception:  # Pillow raises many kinds
        raise ValueError("is no PNG image, or a damaged one") from None
    if math.prod(size) > MAX_PIXELS:
        raise ValueError(f"has {size[0]} × {size[1]} pixels; a page shows at most {MAX_PIXELS / 1e6:g} million")
    return Figure(mime, content, alt)


def _clean_drawing(svg: str) -> str:
    """Return an SVG drawing with no more than has been checked: without comments, metadata and instructions.

    Raises ValueError if it is damaged or holds more than a drawing.
    """
    if "<!ENTITY" in svg:
        raise ValueError("declares entities")
    try:
        drawing = ElementTree.fromstring(svg.strip())
    except ElementTree.ParseError as error:
        raise ValueError(f"is damaged ({error})") from None
    if drawing.tag != f"{{{_SVG}}}svg":
        raise ValueError("is no SVG drawing")
    for parent in list(drawing.iter()):
        for metadata in parent.findall(f"{{{_SVG}}}metadata"):
            parent.remove(metadata)
    for element in drawing.iter():
        space, _, tag = element.tag.rpartition("}")
        if space != f"{{{_SVG}" or not _DRAWN.fullmatch(tag):
            raise ValueError(f"holds <{tag}>, which is no part of a drawing and could run or load something")
        for name, value in element.attrib.items():
            _check_attribute(name.rpartition("}")[2].lower(), value)
        if tag == "style":
            _check_style("".join(element.itertext()))
    return ElementTree.tostring(drawing, "unicode").replace(" />", "/>")


def _check_attribute(name: str, value: str) -> None:
    if name == "base" or name.startswith("on"):
        raise ValueError(f"has an attribute {name}, which could run or load something")
    if name == "href" and not value.startswith(("#", "data:image/png", "data:image/jpeg")):
        raise ValueError("names another file or address, which would be loaded")
    if not _DESCRIBES.match(name):
        _check_style(value)


def _check_style(text: str) -> None:
    if _LOADS.search(text):
        raise ValueError("has a style that loads something, or hides that it does")


def read_outputs(folder: Path) -> list[tuple[NotebookNode, NotebookNode]]:
    """Return the outputs of a finished run, each with its cell; none if the run did not finish."""
    notebook = read_notebook(folder / "notebook.ipynb") if (folder / "metrics.json").is_file() else None
    return [(output, cell) for cell in notebook.cells for output in cell.get("outputs", ())] if notebook else []


def first_figure(outputs: Outputs) -> Figure | None:
    """Return the first chart among outputs, or else the first image; None if there is none that can be shown."""
    figures = []
    for output, cell in outputs:
        with suppress(ValueError):  # which the page of the run tells
            figures.append(read_figure(output, cell))
    figures = list(filter(None, figures))
    return next((figure for figure in figures if figure.mime == "image/svg+xml"), figures[0] if figures else None)


def find_answer(outputs: Outputs, number: str) -> str | None:
    """Return the first answer to question ``number`` or to no question by name: its first paragraph, as Markdown.

    Return None if there is no such answer.
    """
    answers = [output for output, _ in outputs if is_answer(output)]
    named = (each for each in answers if each.metadata.get("question", number) == number)
    return next((each.data["text/markdown"].strip().split("\n\n")[0] for each in named), None)


def is_answer(output: NotebookNode) -> bool:
    """Return True if an output is the answer to the notebook's question."""
    return bool(output.get("metadata", {}).get("answer")) and isinstance(output.data.get("text/markdown"), str)


def _encode_webp(png: bytes) -> tuple[str, bytes] | None:
    """Return the MIME type and the bytes of a PNG image as WebP with the same pixels; None if WebP cannot hold it."""
    with Image.open(BytesIO(png)) as image:
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA") or max(image.size) > MAX_WEBP_SIDE:
            return None
        image.save(file := BytesIO(), "webp", lossless=True, exact=True)
    return "image/webp", file.getvalue()


def shrink_figure(figure: Figure) -> Figure:
    """Return a figure for the index, in fewer bytes: a PNG has at most ``SMALL_WIDTH`` pixels across.

    The colors of a narrowed PNG are reduced to 256, which makes it four times as small.
    """
    if figure.mime != "image/png":
        return figure
    image, file = Image.open(BytesIO(figure.content)), BytesIO()
    if image.width <= SMALL_WIDTH:
        return figure
    height = max(1, round(image.height * SMALL_WIDTH / image.width))
    small = image.resize((SMALL_WIDTH, height), Image.Resampling.LANCZOS)
    if image.mode == "RGB":
        small = small.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(file, "png")
    return replace(figure, content=file.getvalue())


def compact_svg(svg: str) -> str:
    """Return an SVG drawing, as Matplotlib writes it, with the same picture in a third of the characters.

    Each style is written once, as a class, lengths have one decimal, names are short, and what is not drawn is left
    out. A drawing that has classes already is returned as it is.
    """
    if " class=" in svg:
        return svg
    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.:-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)
    names = {name: f"i{place}" for place, name in enumerate(re.findall(rf' id="({_HASH})"', svg))}
    svg = re.sub(_HASH, lambda match: names.get(match[0], match[0]), svg)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*"', "", svg)
    svg = _LENGTH.sub(lambda match: match[1] + _shorten_lengths(match[2]), svg)
    classes = {style: f"s{place}" for place, style in enumerate(dict.fromkeys(_STYLE.findall(svg)))}
    svg = _STYLE.sub(lambda match: f' class="{classes[match[1]]}"', svg)
    if rules := "".join(f".{name}{{{style}}}" for style, name in classes.items()):
        svg = re.sub(r"<svg[^>]*>", lambda match: f"{match[0]}<style>{rules}</style>", svg, count=1)
    svg = re.sub(r">\s+<", "><", svg).strip()
    svg = _unwrap_groups(svg)
    return _TAG.sub(lambda tag: re.sub(r'="([^"\']*)"', r"='\1'", tag[0]), svg)  # needs no percent in a data: URL


def _shorten_lengths(text: str) -> str:
    """Return the lengths of an SVG attribute with one decimal at most, and without the spaces around letters."""
    short = re.sub(r"(?<=\d)\.0(?![\d.])", "", re.sub(r"(\.\d)\d+", r"\1", text))
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", short)


def _unwrap_groups(svg: str) -> str:
    """Return an SVG drawing without the groups that have no attributes."""
    kept, opened = [], []
    for place, part in enumerate(_GROUP.split(svg)):
        is_tag = place % 2
        if is_tag and part != "</g>":
            opened.append(part)
        if not is_tag or (opened.pop() if part == "</g>" else part) != "<g>":
            kept.append(part)
    return "".join(kept)
