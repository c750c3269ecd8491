"""Render Markdown and Python code as HTML: nbconvert's renderer with MathML, unique headings and scoped tables."""

import re
from dataclasses import dataclass, field
from itertools import chain, count, groupby
from urllib.parse import quote, unquote

from markupsafe import Markup, escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Number, Operator, String

from noisy_digits.reports.figures import IMAGE_SUFFIXES, read_image
from noisy_digits.reports.mathml import latex_to_mathml

_PUNCTUATED = re.compile(r'<math display="inline">(?:(?!</math>).)*</math>[.,;:?!)]+')
"""An inline formula and the punctuation after it; browsers would break the line between them."""
_LINKED = re.compile(r"(?:https?|mailto):|[^:]*(?:[/?#]|$)", re.IGNORECASE)
"""Addresses that a page links: of the web, of mail, and those without a scheme, which lead to other pages."""
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that make a browser show text in another order than Python reads it."""
_CSS_CLASSES = {Comment: "c", Keyword: "k", Operator.Word: "k", String: "s", Number: "m"}


@dataclass
class Outline:
    """The headings of a page as HTML: its title, and its sections as (level, id, text)."""

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
    def __init__(self, outline: Outline, attachments: dict[str, dict[str, str]]) -> None:
        super().__init__(escape=True, attachments=attachments)
        self.outline = outline

    def heading(self, text: str, level: int, **attrs: object) -> str:
        """Take the first `#` as the page's title; later ones are sections, because a page has one h1."""
        if level == 1 and self.outline.title is None:
            self.outline.title = text
            return ""
        level = max(level, 2)
        name = self.outline.add(level, text)
        return f'<h{level} id="{escape(name)}"><a class="anchor" href="#{quote(name)}">{text}</a></h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Link to pages; of any other address, such as one that is a script, show the text."""
        return super().link(text, url, title) if _LINKED.match(url) else f"{text} ({escape(url)})"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Show an image that is attached to the cell; one that would have to be loaded becomes a link."""
        kind, _, name = url.partition(":")
        if kind != "attachment":
            return self.link(text or escape(url), url, title)
        attached = self.attachments.get(unquote(name), {})
        mime = next((mime for mime in IMAGE_SUFFIXES if mime in attached), "")
        try:
            figure = read_image(mime, attached.get(mime), Markup(text).striptags())
        except ValueError:
            return f"{text} (not shown: {escape(url)} is no SVG or PNG image)"
        return Markup('<img src="{}" alt="{}">').format(figure.url, figure.alt)

    def inline_math(self, body: str) -> str:
        return latex_to_mathml(body)

    def block_math(self, body: str) -> str:
        formula = latex_to_mathml(body, display="block")
        return f'<span class="scroll" role="group" aria-label="Formula" tabindex="0">{formula}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def block_code(self, code: str, info: str | None = None) -> str:
        return f'<pre tabindex="0"><code>{highlight_python(code) if info == "python" else escape(code)}</code></pre>\n'

    def table(self, text: str) -> str:
        return f'<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>{text}</table></div>\n'

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        tag, scope = ("th", ' scope="col"') if head else ("td", "")
        style = f' style="text-align:{align}"' if align else ""
        return f"<{tag}{scope}{style}>{text}</{tag}>"


def render_markdown(source: str, outline: Outline, attachments: dict[str, dict[str, str]]) -> Markup:
    """Return Markdown as HTML and add its headings to ``outline``. HTML in it is shown as text.

    ``attachments`` are those of the cell. Raises ValueError for a formula that cannot be converted.
    """
    html = MarkdownWithMath(renderer=_Renderer(outline, attachments)).render(source)
    return Markup(_PUNCTUATED.sub(r'<span class="whole">\g<0></span>', html))


def render_markdown_text(source: str) -> Markup:
    """Return a few sentences of Markdown as HTML, and as text if a formula in them cannot be converted."""
    try:
        return render_markdown(source, Outline(), {})
    except ValueError:
        return escape(source)


def reveal_order(text: str) -> str:
    """Return text with the codes of characters that would change the order in which it is read."""
    return _REORDERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def highlight_python(source: str) -> Markup:
    """Return Python code as HTML with one span per comment (c), keyword (k), string (s) and number (m)."""
    html = Markup()
    for css_class, tokens in groupby(PythonLexer().get_tokens(reveal_order(source)), key=_css_class):
        text = escape("".join(text for _, text in tokens))
        html += Markup('<span class="{}">{}</span>').format(css_class, text) if css_class else text
    return html


def _css_class(token: tuple) -> str:
    return next((name for kind, name in _CSS_CLASSES.items() if token[0] in kind), "")
