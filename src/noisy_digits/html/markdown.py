"""Markdown cells and code as HTML: nbconvert's renderer with MathML, unique headings and scoped tables."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count, groupby
from urllib.parse import quote

from markupsafe import Markup, escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Number, Operator, String

from noisy_digits.html import mathml

# An inline formula and the punctuation after it, between which browsers would otherwise break the line.
_PUNCTUATED = re.compile(r'<math display="inline">(?:(?!</math>).)*</math>[.,;:?!)]+')
_TOKENS = {Comment: "c", Keyword: "k", Operator.Word: "k", String: "s", Number: "m"}


@dataclass
class Outline:
    """What the headings of a page say, as HTML: its title, and its sections as (level, id, text)."""

    title: str | None = None
    sections: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, level: int, text: str) -> str:
        """Register a heading and return its id: its words joined by hyphens, as in Jupyter, made unique."""
        taken = {"main", "traceback", *(identifier for _, identifier, _ in self.sections)}
        slug = re.sub(r"\s+", "-", Markup(text).striptags()) or "section"
        identifier = next(name for name in chain([slug], (f"{slug}-{n}" for n in count(2))) if name not in taken)
        self.sections.append((level, identifier, text))
        return identifier


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown renderer with our formulas, headings, code and tables."""

    def __init__(self, outline: Outline, attachments: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(escape=True, attachments=attachments)
        self.outline = outline

    def heading(self, text: str, level: int, **attrs: object) -> str:
        """Take the first `#` as the page's title; later ones are sections, as a page has one h1."""
        if level == 1 and self.outline.title is None:
            self.outline.title = text
            return ""
        level = max(level, 2)
        name = self.outline.add(level, text)
        return f'<h{level} id="{escape(name)}"><a class="anchor" href="#{quote(name)}">{text}</a></h{level}>\n'

    def inline_math(self, body: str) -> str:
        """`$…$`."""
        return mathml.convert(body)

    def block_math(self, body: str) -> str:
        """`$$…$$`, in a box of its own that scrolls when the formula is wider than the page."""
        formula = mathml.convert(body, display="block")
        return f'<span class="scroll" role="group" aria-label="Formula" tabindex="0">{formula}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        r"""`\begin{name}…\end{name}`."""
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def block_code(self, code: str, info: str | None = None) -> str:
        """A fenced block; Python is highlighted."""
        return f'<pre tabindex="0"><code>{highlight(code) if info == "python" else escape(code)}</code></pre>\n'

    def table(self, text: str) -> str:
        """A table that scrolls by itself when it is wider than the page."""
        return f'<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>{text}</table></div>\n'

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        """A cell; head cells say that they head a column."""
        tag, scope = ("th", ' scope="col"') if head else ("td", "")
        style = f' style="text-align:{align}"' if align else ""
        return f"<{tag}{scope}{style}>{text}</{tag}>"


def to_html(source: str, outline: Outline, attachments: Mapping[str, Mapping[str, str]]) -> Markup:
    """Markdown as HTML; its headings go into the outline, and HTML in it is text. ValueError for a bad formula."""
    html = MarkdownWithMath(renderer=_Renderer(outline, attachments)).render(source)
    return Markup(_PUNCTUATED.sub(r'<span class="whole">\g<0></span>', html))


def highlight(source: str) -> Markup:
    """Python code as HTML with one span per comment (c), keyword (k), string (s) and number (m)."""

    def css_class(token: tuple) -> str:
        return next((name for kind, name in _TOKENS.items() if token[0] in kind), "")

    def spans() -> Iterator[Markup]:
        for name, tokens in groupby(PythonLexer().get_tokens(source), key=css_class):
            text = escape("".join(text for _, text in tokens))
            yield Markup('<span class="{}">{}</span>').format(name, text) if name else text

    return Markup("").join(spans())
