"""Pages of notebooks that were made to do harm: they run nothing, load nothing and hide nothing."""

import base64
import re
import struct
import zlib
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v4

from noisy_digits._files import write_text
from noisy_digits.reports.figures import read_image
from noisy_digits.reports.index import write_index
from noisy_digits.reports.page import render_page

from ..browser import browser
from .samples import ARGUMENTS, PNG, SVG, Elements, one_cell, sample_page
from .toy import FULL

EVIL = "https://evil.example"
HTML = [
    "<script>alert(1)</script>", f"<script src={EVIL}/x.js></script>", f"<img src={EVIL}/x.png onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>", "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    f"<iframe src={EVIL}>", f"<object data={EVIL}>", f"<embed src={EVIL}>", f"<base href={EVIL}>",
    f"<meta http-equiv=refresh content='0;url={EVIL}'>", f"<link rel=stylesheet href={EVIL}/x.css>",
    f"<style>@import url({EVIL}/x.css); * {{ display: none }}</style>", "<style>main { visibility: hidden }",
    f"<div style='display:none; background:url({EVIL}/x.png)'>", "<p hidden>", "<td onclick=alert(1) style='x'>",
    "<div style='position:fixed; inset:0; background:red; z-index:9'>", f"<form action={EVIL}><input autofocus>",
    "<a href='javascript:alert(1)'>link</a>", "</pre></div></main></body></html>", "</code></pre></details>",
    "<details open ontoggle=alert(1)>", "<!--", "-->", "<textarea>", "<title>", "<plaintext>", "<template>", "<xmp>",
    "<noscript>", "<noembed>", "<select>", "<frameset>", "<![CDATA[", "<?xml version='1.0'?>", "<table><tr><td>",
    "<table><caption>\"><img src=x onerror=alert(1)></caption>", "<h1 id=main>", "&lt;script&gt;", "&#60;script&#62;",
    "<math><mtext><table><mglyph><style><!--</style><img src=x onerror=alert(1)>", f"<video src={EVIL} autoplay>",
    "<dialog open>", "<button popovertarget=main>", "<slot>", "{{ 7 * 7 }}", "{% raw %}", "]]>", "\0", "\x0c",
]  # fmt: skip
MARKDOWN = [
    "[link](javascript:alert(1))", "[link](JaVaScRiPt:alert(1))", "[link](java\tscript:alert(1))",
    "[link](&#106;avascript:1)", "<javascript:alert(1)>", "[link](data:text/html,<script>alert(1)</script>)",
    "[link](file:///etc/passwd)", f"![image]({EVIL}/x.png)", "![image](data:image/svg+xml,<svg/onload=alert(1)>)",
    "![image](../x.png)", "![image](attachment:a.svg)", "![image](attachment:a.png)", "![image](attachment:missing)",
    "[x]: javascript:1\n\n[x]", "\n\n```mermaid\n<script>alert(1)</script>\n```\n\n", "\n\n```html\n<script>\n",
    "\n\n# <script>\n\n", "\n\n- [ ] <b>\n\n", "\n\n| a |\n|:-:|\n| <script> |\n\n", f"<{EVIL}>",
    "\n\n    <script>\n\n", "\n\n> > > <script>\n\n", "\n\nterm\n: <b>\n\n", f"[link]({EVIL} '\" onclick=alert(1)')",
    "`</code><script>`", "\n\n---\n\n", "\\", "[link](<x\"onclick=alert(1)>)",
]  # fmt: skip
FORMULAS = [
    "$\\href{javascript:alert(1)}{x}$", "$\\text{<script>}$", "$$\\begin{evil}x\\end{evil}$$", "$x^2$", "$\\wat$", "$$",
    "$\\style{background:url(x)}{y}$", "$\\class{evil}{x}$", "\\begin{align}<script>\\end{align}",
]  # fmt: skip


def drawing(content):
    return f"<svg xmlns='http://www.w3.org/2000/svg'>{content}</svg>"


def png(width, height, pixels):
    """Return a PNG, in base64, of these compressed pixels, with right checksums."""
    shape = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", shape), (b"IDAT", pixels), (b"IEND", b"")]
    packed = [struct.pack(">I", len(it)) + kind + it + struct.pack(">I", zlib.crc32(kind + it)) for kind, it in chunks]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(packed)).decode()


PRINTED = ["\x1b[8m", "\x1b[31;1m", "\x1b]0;title\x07", "\r", "\x08" * 9, "\u202e", "\u2066", "\u200b", "\n", "\t"]
DRAWINGS = [
    SVG, "<svg", "<p>no drawing</p>", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{EVIL}/x.png'/></svg>",
    f"<svg xmlns='http://www.w3.org/2000/svg' xmlns:l='http://www.w3.org/1999/xlink'><use l:href='{EVIL}#x'/></svg>",
    f"<svg xmlns='http://www.w3.org/2000/svg'><style>@import '{EVIL}/x.css';</style></svg>",
    f"<svg xmlns='http://www.w3.org/2000/svg'><rect style='fill: URL( \"{EVIL}/x\")'/></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg'><foreignObject><p>text</p></foreignObject></svg>",
    "<!DOCTYPE svg [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><svg xmlns='http://www.w3.org/2000/svg'>&b;</svg>",
    drawing("<text><![CDATA[<!--]]></text><script>alert(1)</script><text><![CDATA[-->]]></text>"),
    drawing("<a><animate attributeName='href' values='javascript:alert(1)'/><text y='20'>text</text></a>"),
    drawing(f"<image width='9' height='9'><set attributeName='href' to='{EVIL}/x.png'/></image>"),
    drawing(f"<style>@\\69mport '{EVIL}/x.css';</style>"),
    drawing(f"<style>rect {{ fill: u\\72l({EVIL}/x) }}</style>"),
    drawing(f"<style>svg {{ background: image-set('{EVIL}/x.png' 1x) }}</style>"),
    drawing(f"<style>a {{}}<g/>@import '{EVIL}/x.css';</style>"),
    drawing(f"<h:iframe xmlns:h='http://www.w3.org/1999/xhtml' src='{EVIL}'/>"),
    drawing(f"<h:img xmlns:h='http://www.w3.org/1999/xhtml' src='{EVIL}/x.png'/>"),
    drawing("<a href='javascript:alert(1)'><text>text</text></a>"),
    drawing(f"<g xml:base='{EVIL}/'><use href='#x'/></g>"),
    drawing(f"<image xmlns:l='http://www.w3.org/1999/xlink' href='{EVIL}/x.png' l:href='#a'/>"),
    drawing(f"<image href='{EVIL}/x.png' HREF='#a'/>"),
    drawing(f"<rect style='mask: url({EVIL}/x.svg#m)' STYLE=''/>"),
    drawing(f"<rect fill='u\\72l({EVIL}/x.svg#m)'/>"),
    drawing(f"<filter><feImage href='{EVIL}/x.png'/></filter>"),
]  # fmt: skip
DISARMED = [
    f"<?xml-stylesheet href='{EVIL}/x.css'?>" + drawing("<g class='a'/>"),
    f"<?xml-stylesheet type='text/xsl' href='{EVIL}/x.xsl'?>" + drawing("<g class='a'/>"),
    drawing("<metadata><script>alert(1)</script></metadata><g class='a'/>"),
    drawing("<!-- <script>alert(1)</script> --><g class='a'/>"),
]
IMAGES = [
    PNG, PNG[:-30], PNG.replace("mNkEE", "mNkEF"), "AAAA", "no base64", "<script>", "",
    png(800, 600, b"nonsense"), png(800, 600, zlib.compress(bytes(100))), png(8000, 8000, zlib.compress(b"")),
]  # fmt: skip
OTHERS = {
    "application/javascript": "alert(1)",
    "application/json": {"a": 1},
    "application/pdf": "JVBERi0=",
    "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
    "application/vnd.plotly.v1+json": {"data": []},
    'application/vnd.evil"><script>': "x",
    "image/gif": "R0lGODlh",
    "image/jpeg": "/9j/4AAQ",
    "video/mp4": "AAAA",
}
TAGS = """
html head meta title link style body a header nav ol ul li main h1 h2 h3 h4 h5 h6 dl div dt dd details summary pre code
span p figure img table caption thead tbody tfoot tr th td b i em strong br footer blockquote hr del input math
mtable mtr mtd mrow mi mo mn mtext msup msub msubsup munder mover munderover mfrac msqrt mroot mstyle mspace mpadded
"""
VOID = {"meta", "link", "img", "br", "hr", "input"}
LINKS = re.compile(r"#|(?:https?|mailto):|data:application/zip;base64,|data:,$|[^:]*(?:[/?#]|$)")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Checker(HTMLParser):
    """Fails for an element or attribute that a page of ours never has, and for one that is not closed in its place."""

    def __init__(self, html):
        super().__init__()
        self.open, self.pages_own = [], 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS.split(), tag
        attributes = dict(attrs)
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            assert name not in ("action", "background", "data", "formaction", "ping", "srcdoc", "srcset"), name
            assert name != "href" or LINKS.match(value), value
            assert name != "src" or value.startswith(("data:image/webp;base64,", "data:image/svg+xml,")), value
            assert name != "style" or re.fullmatch("text-align:(left|right|center)", value), value
            if name == "src":
                assert not re.search(r"<script|foreignobject|\son\w+\s*=|@import|evil", unquote(value), re.IGNORECASE)
        if tag == "meta":
            assert attributes.keys() in ({"charset"}, {"name", "content"}, {"http-equiv", "content"})
            assert attributes.get("content") in (None, POLICY, "width=device-width, initial-scale=1")
        assert tag != "input" or attributes["type"] == "checkbox"
        assert tag != "link" or attributes == {"rel": "icon", "href": "data:,"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_harmless(html):
    Checker(html)
    elements = Elements(html)
    assert [a["content"] for a in elements.all("meta") if "http-equiv" in a] == [POLICY]
    styles = re.findall(r"<style>.*?</style>", html, re.DOTALL)
    assert styles == re.findall(r"<style>.*?</style>", sample_page(), re.DOTALL)
    return elements


def texts(*fragments):
    """Return a strategy for text of fragments; a word that stands before it is in no part that they could swallow."""
    return st.lists(
        st.sampled_from([each for list_ in fragments for each in list_]) | st.text(max_size=9), max_size=4
    ).map(" ".join)


def make_output(kind, word, text, **forms):
    """Return an output of ``kind`` that says ``word`` before ``text``; ``forms`` are those of a display."""
    if kind == "error":
        return v4.new_output("error", ename=text, evalue=text, traceback=[f"{word} {text}"])
    if kind == "display":
        return nbformat.from_dict({"output_type": "display_data", **forms})
    return v4.new_output("stream", name=kind, text=f"{word} {text}\n")


@st.composite
def displays(draw, word):
    data = {}
    for mime, strategy in {
        "text/html": texts(HTML, PRINTED),
        "text/markdown": texts(HTML, MARKDOWN, FORMULAS),
        "text/latex": texts(FORMULAS, HTML),
        "text/plain": texts(PRINTED, HTML),
    }.items():
        if draw(st.booleans()):
            data[mime] = f"{word} {draw(strategy)}"
    for mime, contents in (("image/svg+xml", DRAWINGS), ("image/png", IMAGES)):
        if draw(st.sampled_from([False, False, True])):
            data[mime] = draw(st.sampled_from(contents))
    others = draw(st.lists(st.sampled_from(sorted(OTHERS)), max_size=1))
    alt = draw(st.sampled_from([{}, {"alt": f'{word} "><script>'}, {"image/png": {"alt": word}}, {"image/png": 3}]))
    answer = draw(st.sampled_from([{}, {}, {"answer": True}]))
    return {"data": data | {mime: OTHERS[mime] for mime in others}, "metadata": alt | answer}


@st.composite
def cells(draw, number):
    """Return a cell whose parts that are shown begin with the words "word<number>"."""
    word = f"word{number}"
    hiding = {"jupyter": {"source_hidden": True, "outputs_hidden": True}, "collapsed": True, "hide_input": True}
    tags = ["remove_cell", "remove-output", "hide-cell", "injected-parameters", "skip"]
    metadata = {
        "tags": draw(st.lists(st.sampled_from(tags), max_size=2, unique=True)),
        **draw(st.sampled_from([{}, hiding])),
    }
    kind = draw(st.sampled_from(["code", "code", "code", "markdown", "raw"]))
    if kind == "raw":
        return v4.new_raw_cell(f"{word} {draw(texts(HTML, PRINTED))}", metadata=metadata)
    if kind == "markdown":
        attached = {
            "a.svg": {"image/svg+xml": draw(st.sampled_from(DRAWINGS))},
            "a.png": {"image/png": draw(st.sampled_from(IMAGES))},
        }
        return v4.new_markdown_cell(f"{word} {draw(texts(HTML, MARKDOWN))}", metadata=metadata, attachments=attached)
    outputs = []
    for place in range(draw(st.integers(0, 3))):
        said = f"{word}out{place}"
        shape = draw(st.sampled_from(["display", "display", "stdout", "stderr", "error"]))
        forms = draw(displays(said)) if shape == "display" else {}
        outputs.append(make_output(shape, said, draw(texts(HTML, PRINTED)), **forms))
    cell = v4.new_code_cell(f'"{word}"  # {draw(texts(HTML, PRINTED))}', execution_count=1, metadata=metadata)
    cell.outputs = outputs
    return cell


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.integers(1, 4).flatmap(lambda n: st.tuples(*map(cells, range(n)))), st.booleans())
def test_render_page_of_any_notebook_runs_loads_and_hides_nothing(made, failed):
    notebook = v4.new_notebook(cells=[*made, v4.new_code_cell('"the last words"')])
    html = render_page(notebook, **ARGUMENTS | {"failed": failed})
    elements = assert_harmless(html)
    alts = " ".join(a["alt"] for a in elements.all("img"))
    assert '"the last words"' in elements.text
    for number, cell in enumerate(made):
        assert f"word{number}" in elements.text
        for place, output in enumerate(cell.get("outputs", ())):
            said = f"word{number}out{place}"
            if output.output_type != "display_data" or any(mime.startswith("text/") for mime in output.data):
                assert said in elements.text or said in alts
    unnamed = [o for cell in made for o in cell.get("outputs", ()) if o.get("data") and not is_shown(o)]
    assert elements.text.count("Not shown: ") >= len(unnamed)


def is_shown(output):
    """Return whether an output has a form that a page may show, so that it need not be named."""
    return any(mime.startswith(("text/", "image/svg", "image/png")) for mime in output.data)


@pytest.mark.parametrize(
    ("data", "shown", "named"),
    [
        ({"application/javascript": "alert(1)"}, "", "application/javascript"),
        ({"application/vnd.jupyter.widget-view+json": {}, "text/plain": "HBox()"}, "HBox()", "widget-view+json"),
        ({"image/jpeg": "/9j/", "text/plain": "<Image>"}, "<Image>", "image/jpeg"),
        ({"application/json": {"a": 1}}, "", "application/json"),
        ({"text/latex": "$\\alpha$"}, "$\\alpha$", None),
        ({"text/html": "<b>bold</b><svg><text>x</text></svg>"}, "bold", "<svg>"),
        ({"text/html": f"<img src={EVIL}>", "text/plain": "<Figure>"}, "<Figure>", "<img>"),
        ({"text/html": "<p hidden style='display:none'>secret</p>"}, "secret", None),
        ({"text/markdown": "secret $\\wat$"}, "secret $\\wat$", "formula can't be converted"),
        ({"image/png": PNG}, "", "has no alt text. Put it in the output's metadata"),
    ],
)
def test_render_page_names_what_of_an_output_it_cannot_show(data, shown, named):
    text = Elements(sample_page(one_cell(v4.new_output("display_data", data)))).text
    assert shown in text
    assert ("Not shown: " in text) == (named is not None)
    assert named is None or named in text.partition("Not shown: ")[2].splitlines()[0]


@pytest.mark.parametrize(
    ("mime", "content"),
    [
        pytest.param(mime, content, id=f"{mime} {number}")
        for mime, contents in (("image/svg+xml", DRAWINGS), ("image/png", IMAGES))
        for number, content in enumerate(contents[1:])
    ],
)
def test_render_page_names_an_image_that_is_damaged_or_would_run_or_load(mime, content):
    html = sample_page(one_cell(v4.new_output("display_data", {mime: content}, metadata={"alt": "An image"})))
    elements = assert_harmless(html)
    assert elements.all("img") == []
    assert f"Not shown: cell [3] (x): {mime} output " in elements.text


@pytest.mark.parametrize("content", DISARMED)
def test_read_image_leaves_out_what_is_no_part_of_a_drawing(content):
    figure = read_image("image/svg+xml", content, "A drawing")
    assert not re.search(rb"evil|script|stylesheet|<[!?]", figure.content)
    assert b"<g" in figure.content


@pytest.mark.parametrize(
    "content",
    [
        "<g id='precision@5' data-label='a@b' aria-label='C:\\x'><title>mail@example.org</title></g>",
        "<filter id='f'><feGaussianBlur stdDeviation='2'/></filter><rect filter='url(#f)'/>",
        "<a xmlns:l='http://www.w3.org/1999/xlink' l:title='a node'><text>node</text></a>",
        "<clipPath id='clip.1'><rect/></clipPath><g clip-path='url(#clip.1)'/>",
        "<image href='data:image/jpeg;base64,/9j/'/>",
    ],
)
def test_read_image_keeps_what_drawings_of_other_programs_have(content):
    figure = read_image("image/svg+xml", f"\n<?xml version='1.0'?>{drawing(content)}", "A drawing")
    shown = ElementTree.fromstring(unquote(figure.url.partition(",")[2]))
    assert len(list(shown.iter())) == len(re.findall(r"<\w", drawing(content)))


def test_render_page_shows_code_in_the_order_in_which_it_runs():
    """Characters that reorder text could make a line of code look like a comment."""
    cell = v4.new_code_cell("x = 1 \u202e# \u2066", outputs=[v4.new_output("stream", text="a\u202eb")])
    text = Elements(sample_page(v4.new_notebook(cells=[cell]))).text
    assert "x = 1 \\u202e# \\u2066" in text
    assert "a\\u202eb" in text


def test_render_page_keeps_an_answer_that_has_no_place_at_the_top():
    output = v4.new_output("display_data", {"text/markdown": "It is **17**."}, metadata={"answer": True})
    cell = v4.new_code_cell("x", outputs=[output])
    assert "It is 17." in Elements(sample_page(v4.new_notebook(cells=[cell]))).text
    after_text = v4.new_notebook(cells=[v4.new_markdown_cell("# Q"), cell])
    assert Elements(sample_page(after_text)).text.count("It is 17.") == 1


def every_output():
    """Yield an output for every fragment in every form, each with a word of its own."""
    fragments = [*HTML, *MARKDOWN, *FORMULAS, *PRINTED]
    for mime in ("text/html", "text/markdown", "text/latex", "text/plain"):
        for fragment in fragments:
            yield lambda word, mime=mime, text=fragment: {mime: f"{word} {text}"}
    for mime, contents in {"image/svg+xml": DRAWINGS, "image/png": IMAGES}.items():
        for content in contents:
            yield lambda word, mime=mime, content=content: {mime: content, "text/plain": word}
    for mime, content in OTHERS.items():
        yield lambda word, mime=mime, content=content: {mime: content, "text/plain": word}


def hostile_notebook():
    """Return a notebook with every output, and every fragment in a text cell, in code and in a traceback."""
    made, words = [v4.new_markdown_cell("# A hostile notebook")], []
    for number, make in enumerate(every_output()):
        words.append(f"word{number}.")
        cell = v4.new_code_cell("x", execution_count=1)
        metadata = {"alt": words[-1]}
        cell.outputs = [
            nbformat.from_dict({"output_type": "display_data", "data": make(words[-1]), "metadata": metadata})
        ]
        made.append(cell)
    for number, text in enumerate([*HTML, *MARKDOWN, *PRINTED]):
        words += [f"{kind}{number}." for kind in ("markdown", "raw", "code", "error", "stdout", "stderr")]
        outputs = [make_output(kind, f"{kind}{number}.", text) for kind in ("error", "stdout", "stderr")]
        made.append(v4.new_markdown_cell(f"markdown{number}. {text}"))
        made.append(v4.new_raw_cell(f"raw{number}. {text}"))
        made.append(v4.new_code_cell(f'"code{number}."  # {text}', outputs=outputs))
    made.append(v4.new_code_cell("x", outputs=[v4.new_output("stream", text="the last words\n")]))
    return v4.new_notebook(cells=made), words


@pytest.mark.parametrize("policy", [True, False], ids=["with its policy", "without its policy"])
def test_a_hostile_page_in_a_browser_asks_for_nothing_and_shows_every_word(tmp_path, policy):
    """Also without the content-security policy: what could run or load is not in the page in the first place."""
    notebook, words = hostile_notebook()
    html = render_page(notebook, **ARGUMENTS)
    assert_harmless(html)
    path = tmp_path / "hostile.html"
    path.write_text(html if policy else re.sub(r"<meta http-equiv=[^>]*>", "", html), encoding="utf-8")
    asked, complaints = [], []
    with browser() as chromium:
        page = chromium.new_page()
        page.route("**/*", lambda route: route.continue_() if route.request.url == path.as_uri() else route.abort())
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
        text = page.inner_text("body")
        last = page.get_by_text("the last words")
        last.scroll_into_view_if_needed()
        uncovered = last.evaluate(
            """(element) => {
                const box = element.getBoundingClientRect();
                return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === element;
            }"""
        )
        protocols = page.evaluate("[...new Set(Array.from(document.links, (link) => link.protocol))]")
        images = page.evaluate("Array.from(document.images, (image) => [image.naturalWidth, image.alt])")
        widths = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert [url for url in asked if url != path.as_uri() and not url.startswith("data:")] == []
    assert complaints == []
    assert uncovered
    assert set(protocols) <= {"file:", "https:", "data:"}
    assert all(width > 0 for width, _ in images)
    shown = text + " ".join(alt for _, alt in images)
    assert [word for word in words if word not in shown] == []
    assert widths <= 0


def test_one_hostile_notebook_does_not_cost_the_index(project):
    root, runs = project
    notebook, _ = hostile_notebook()
    answer = v4.new_output("display_data", {"text/markdown": "The answer is $\\wat$."}, metadata={"answer": True})
    notebook.cells[1].outputs.append(answer)
    images = [png(2000, 1, zlib.compress(bytes(6001))), *IMAGES]
    described = [v4.new_output("display_data", {"image/png": image}, metadata={"alt": "An image"}) for image in images]
    notebook.cells[1].outputs[:0] = described
    for run in (runs[0], runs[-1]):
        write_text(root / "results/full" / run.path / "notebook.ipynb", v4.writes(notebook))
    write_index(root, runs, FULL)
    index = (root / "reports/full/index.html").read_text()
    assert "The answer is $\\wat$." in index
    for run in runs:
        assert (root / f"reports/full/{run.path}.html").is_file()
    assert "the last words" in (root / f"reports/full/{runs[0].path}.html").read_text()
