"""The page of one run."""

import base64
import io
import re
from urllib.parse import quote, unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4
from PIL import Image

from noisy_digits import plots
from noisy_digits.reports.figures import (
    SMALL_WIDTH,
    Figure,
    compact_svg,
    find_answer,
    first_figure,
    read_notebook,
    read_outputs,
    shrink_figure,
)

from ..browser import browser
from ..unit.test_plots import DRAWN
from .samples import (
    ARGUMENTS,
    PAGES,
    PNG,
    SOURCE,
    SVG,
    Elements,
    code,
    display,
    executed_notebook,
    failed_notebook,
    one_cell,
    sample_page,
    text_cells,
)

TEXT = "{http://www.w3.org/2000/svg}text"
ANY_TEXT = st.text(max_size=60) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</title><b>",
        "{{ 7 * 7 }}",
        "&lt;b&gt;",
        "]]>",
    ]
)


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_pages_load_nothing_and_run_nothing(make):
    elements = Elements(make())
    assert {"script", "iframe", "object", "embed", "base", "form"}.isdisjoint(tag for tag, _ in elements.tags)
    assert not any(name.startswith("on") for _, attributes in elements.tags for name in attributes)
    loaded = [a.get("src") or a["href"] for tag, a in elements.tags if tag in ("img", "link", "source")]
    assert all(url.startswith("data:") for url in loaded)
    policy = next(a["content"] for a in elements.all("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_pages_are_well_formed(make):
    html = make()
    elements = Elements(html)
    assert html.startswith("<!DOCTYPE html>")
    assert elements.all("html") == [{"lang": "en"}]
    assert [len(elements.all(tag)) for tag in ("h1", "main", "footer")] == [1, 1, 1]
    assert html.partition("</head>")[0].count("<title>") == 1  # marks in a figure have titles, too
    ids = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    fragments = {unquote(a["href"][1:]) for a in elements.all("a") if a["href"].startswith("#")}
    assert fragments <= set(ids)
    assert elements.all("a")[0] == {"class": "skip", "href": "#main"}
    assert len(elements.all("table")) == len(elements.all("caption"))
    assert all(a.get("scope") in ("row", "col") for a in elements.all("th"))


def test_render_page_shows_title_point_notices_figures_and_tables():
    html = sample_page()
    elements = Elements(html)
    assert f"<title>Training under noise · recipe corrected, scale 0.5 · {ARGUMENTS['title']}</title>" in html
    assert re.search(r"</h1>\s*<dl class=\"point\">", html)
    assert {"href": "../../../index.html"} in elements.all("a")
    assert html.index("not MNIST") < html.index("<nav")
    assert "FAILED" not in html
    assert [a["alt"] for a in elements.all("img")] == [
        "Ten digits, clean and noisy",
        "Training and test accuracy against epoch",
    ]
    assert [a["aria-label"] for a in elements.all("div") if a.get("role") == "region"] == ["Test accuracy by epoch"]
    assert "HBox(children=)" in elements.text
    assert "Not shown: application/vnd.jupyter.widget-view+json." in elements.text


def test_render_page_without_heading_takes_the_assignments_title():
    html = sample_page(text_cells("## Noise"))
    assert "<h1>A convolutional network under Gaussian noise</h1>" in html


@pytest.mark.parametrize(("n_sections", "n_lists"), [(2, 0), (3, 1)])
def test_render_page_lists_its_contents_from_three_sections_on(n_sections, n_lists):
    html = sample_page(text_cells("# Q", *(f"## Part {n}" for n in range(n_sections))))
    assert html.count('aria-label="Contents"') == n_lists


def test_render_page_folds_code_parameters_and_messages():
    html = sample_page()
    labels = re.findall(r"<summary>(.*?)</summary>", html)
    assert labels == ["Parameters", "Code", "Code", "Code", "Messages", "Code", "Code", "How to read the numbers"]
    assert "<details open" not in html
    parameters = html[html.index("Parameters</summary>") : html.index("Code</summary>")]
    assert parameters.index("scale: ") < parameters.index("recipe")
    assert "\x1b" not in html
    assert "mind the gap" in html


def test_render_page_shows_source_as_highlighted_code():
    html = sample_page()
    block = next(
        block
        for block in re.findall(r'<pre tabindex="0"><code>(.*?)</code></pre>', html, re.DOTALL)
        if "build_model():" in block
    )
    assert '<span class="k">def</span>' in block
    assert '<span class="c"># a model</span>' in block
    assert SOURCE.splitlines()[0] in Elements(block).text
    assert "```" not in html


def test_render_page_keeps_the_svg_of_a_figure():
    source = Elements(sample_page()).all("img")[1]["src"]
    head, _, body = source.partition(",")
    assert head == "data:image/svg+xml"
    assert unquote(body) == " ".join(compact_svg(SVG).split())


def test_render_page_keeps_the_png_of_a_figure():
    source = Elements(sample_page()).all("img")[0]["src"]
    shown = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/webp;base64,"), validate=True)))
    assert shown.convert("RGB").tobytes() == Image.open(io.BytesIO(base64.b64decode(PNG))).convert("RGB").tobytes()


def test_render_page_takes_the_alt_text_of_the_whole_output():
    output = v4.new_output("display_data", {"image/svg+xml": SVG}, metadata={"alt": "A <curve>"})
    assert Elements(sample_page(one_cell(output))).all("img")[0]["alt"] == "A <curve>"


@pytest.mark.parametrize(("mime", "content"), [("image/svg+xml", SVG), ("image/png", PNG)])
def test_render_page_names_the_cell_of_an_image_without_alt_text(mime, content):
    elements = Elements(sample_page(one_cell(display(mime, content))))
    assert f"Not shown: cell [3] (x): {mime} output has no alt text." in elements.text
    assert elements.all("img") == []


def test_render_page_shows_all_three_kinds_of_formulas():
    html = sample_page()
    elements = Elements(html)
    assert [a["display"] for a in elements.all("math")] == ["inline", "block", "block", "inline", "inline", "inline"]
    assert "$" not in elements.text
    assert "\\" not in elements.text
    assert "<mo>&lt;</mo>" in html


def test_render_page_of_a_failed_run_names_the_exception_and_opens_its_cell():
    html = sample_page(failed_notebook(), failed=True)
    elements = Elements(html)
    assert "<title>FAILED: Training under noise" in html
    assert "An Exception was encountered" not in html
    assert "ValueError: noise has shape (28,), images have (<60000>, 28, 28)" in elements.text
    assert {"href": "#traceback"} in elements.all("a")
    assert next(a for a in elements.all("pre") if a.get("id") == "traceback")["tabindex"] == "0"
    assert "ValueError   Traceback (most recent call last)" in elements.text
    assert "\x1b" not in html
    assert html.count("<details open") == 1


def test_render_page_of_a_run_stopped_from_outside_says_so():
    html = sample_page(failed=True)
    assert "No cell raised an exception" in html
    assert "#traceback" not in html


def test_render_page_adds_little_to_a_notebook():
    assert len(sample_page(v4.new_notebook()).encode()) < 12_000


@settings(max_examples=40)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_render_page_makes_no_markup_of_text(title, value, notice, printed, message):
    def render(title, value, notice, printed, message):
        notebook = one_cell(
            v4.new_output("stream", name="stdout", text=printed + "."),
            v4.new_output("stream", name="stderr", text=printed + "."),
            v4.new_output("display_data", {"text/plain": printed + "."}),
            display("image/svg+xml", SVG, alt=message + "."),
            v4.new_output("error", ename=value, evalue=message, traceback=[printed]),
        )
        around = {"metrics": printed + ".", "links": [(message + ".", value)]}
        texts = around | {"title": title, "point": {value: value}, "notices": [notice]}
        return Elements(sample_page(notebook, failed=True, facts={value: value + "."}, **texts))

    assert render(title, value, notice, printed, message).shape() == render(*["a"] * 5).shape()


@pytest.mark.parametrize("mime", ["text/markdown", "text/html"])
@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>",
        '<meta http-equiv="refresh" content="0;url=https://evil.example">',
        '<form action="https://evil.example"><input></form>',
        '<img src="x" onerror="alert(1)">',
        '<p onclick="alert(1)" style="background:url(x)">x</p>',
        '<a href="javascript:alert(1)">x</a>',
        "[x](javascript:alert(1))",
        '<iframe src="https://evil.example"></iframe>',
        "<style>p { display: none }</style>",
        "</div></main><table><tr onclick='x()'><td style='x'><svg onload=alert(1)><td>",
    ],
)
def test_render_page_removes_scripts_and_links_from_the_outputs_of_cells(mime, evil):
    plain, page = (
        Elements(sample_page(one_cell(v4.new_output("display_data", {mime: f"Note: {text}"})))).shape()
        for text in ("x", evil)
    )
    new = [element for element in page if page.count(element) > plain.count(element)]
    assert not [
        element
        for element in new
        if re.search("script|meta|form|input|img|iframe|svg|on|style|javascript", str(element))
    ], new


def test_first_figure_is_the_first_chart_of_a_finished_run_or_else_its_first_image(tmp_path):
    path = tmp_path / "notebook.ipynb"
    path.write_text(v4.writes(executed_notebook()))
    assert read_outputs(tmp_path) == []
    (tmp_path / "metrics.json").touch()
    figure = first_figure(read_outputs(tmp_path))
    assert (figure.mime, figure.alt) == ("image/svg+xml", "Training and test accuracy against epoch")
    images = [each for each in read_outputs(tmp_path) if "image/svg+xml" not in each[0].get("data", {})]
    assert (first_figure(images).mime, first_figure(images).alt) == ("image/png", "Ten digits, clean and noisy")
    assert first_figure(images).content == base64.b64decode(PNG)
    path.write_text(v4.writes(text_cells("# Q")))
    assert first_figure(read_outputs(tmp_path)) is None


def test_find_answer_is_the_output_marked_as_answer():
    answer = display("text/markdown", "**0.5**", answer=True)
    outputs = [(output, None) for output in (display("text/markdown", "no answer"), answer)]
    assert find_answer(outputs, "T.1") == "**0.5**"
    assert find_answer(outputs[:1], "T.1") is None


def test_find_answer_is_the_one_that_names_the_question():
    answers = [display("text/markdown", f"of {number}", answer=True, question=number) for number in ("T.1", "T.2")]
    outputs = [(answer, None) for answer in answers]
    assert [find_answer(outputs, number) for number in ("T.1", "T.2", "T.3")] == ["of T.1", "of T.2", None]


def test_find_answer_is_its_first_paragraph():
    text = "\nThe *finding*,\nin a line.\n\nWhat else is known."
    assert find_answer([(display("text/markdown", text, answer=True), None)], "T.1") == "The *finding*,\nin a line."


def test_render_page_shows_all_answers_of_a_notebook_under_its_question():
    answers = [display("text/markdown", f"It is {word}.", answer=True, question=word) for word in ("first", "second")]
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# Q"), *(code("x", answer) for answer in answers)])
    (box,) = re.findall(r'<div class="answer".*?</div>', sample_page(notebook), re.DOTALL)
    assert re.findall(r"It is (\w+)", box) == re.findall(r"It is (\w+)", sample_page(notebook)) == ["first", "second"]


@pytest.mark.parametrize(("mode", "small_mode"), [("L", "L"), ("RGB", "P")])
def test_shrink_figure_narrows_a_picture_and_keeps_its_tones(mode, small_mode):
    wide, narrow = (draw_png(mode, width) for width in (SMALL_WIDTH * 2, SMALL_WIDTH))
    small = shrink_figure(wide)
    image, expected = (Image.open(io.BytesIO(figure.content)) for figure in (small, narrow))
    assert (image.size, image.mode, small.alt) == ((SMALL_WIDTH, 50), small_mode, wide.alt)
    assert np.abs(np.asarray(image.convert(mode)) - np.asarray(expected, int)[:50]).max() < 16
    assert shrink_figure(narrow) is narrow


def draw_png(mode, width):
    """Return a figure, 100 px high, of every tone from black on the left to white, or to yellow, on the right."""
    tones = np.tile(np.linspace(0, 255, width).astype(np.uint8), (100, 1))
    image = Image.fromarray(tones if mode == "L" else np.stack([tones, tones, 0 * tones], axis=-1))
    image.save(file := io.BytesIO(), "png")
    return Figure("image/png", file.getvalue(), "tones")


def test_compact_svg_keeps_what_is_drawn():
    svg = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt">
 <metadata>\n made today </metadata>
 <defs><path id="m0123456789" d="M 0.123456 3.04 L 4 -1 z " style="stroke: #0072b2"/></defs>
 <g id="line_1"><g clip-path="url(#m0123456789)">
  <use xlink:href="#m0123456789" x="40.904224" style="fill: none; stroke: #0072b2"/>
 </g></g>
 <text x="1.25" style="stroke: #0072b2" transform="scale(0.0156)">0.98765 "it's"</text>
</svg>
"""
    assert compact_svg(svg) == (
        "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='9pt'>"
        "<style>.s0{stroke: #0072b2}.s1{fill: none; stroke: #0072b2}</style>"
        "<defs><path id='i0' d='M0.1 3L4 -1z' class='s0'/></defs>"
        "<g clip-path='url(#i0)'><use xlink:href='#i0' x='40.9' class='s1'/></g>"
        "<text x='1.2' class='s0' transform='scale(0.0156)'>0.98765 \"it's\"</text></svg>"
    )
    assert compact_svg(compact_svg(svg)) == compact_svg(svg)
    assert compact_svg('<svg><g><g clip="a"/><g></g></g></svg>') == "<svg><g clip='a'/></svg>"
    assert compact_svg('<svg><text transform="rotate(-0 1.2 9)">a</text></svg>') == "<svg><text>a</text></svg>"


@pytest.mark.parametrize("name", DRAWN)
def test_compact_svg_of_every_figure_is_well_formed_and_has_its_words(name):
    drawn = DRAWN[name]()
    if isinstance(drawn, plots.AltFigure) and drawn.mime == "image/svg+xml":
        svg = drawn._repr_mimebundle_()[0]["image/svg+xml"]
        words = [
            ["".join("".join(text.itertext()).split()) for text in ElementTree.fromstring(each).iter(TEXT)]
            for each in (svg, compact_svg(svg))
        ]
        assert words[0] == words[1]


def test_a_chart_in_a_page_is_drawn_the_same_with_fewer_characters():
    x = np.arange(5)
    points = pd.DataFrame({"x": x, "metric": "accuracy", "mean": x / 7, "std": 0.01, "n": 3, "ci_low": 0, "ci_high": 1})
    svg = plots.sweep(points, "x", "accuracy", xlabel="x")._repr_mimebundle_()[0]["image/svg+xml"]
    whole = f"data:image/svg+xml,{quote(' '.join(svg.split()))}"
    compact = Figure("image/svg+xml", svg.encode(), "a chart").url
    assert len(compact) < 0.7 * len(whole)
    with browser() as chromium:
        page = chromium.new_page()
        pictures = []
        for url in (whole, compact):
            page.set_content(f'<img src="{url}" style="width: 600px">')
            pictures.append(np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"), int))
    assert pictures[0].min() < 50
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.2


def test_read_notebook_gives_none_for_a_file_that_was_cut_off(tmp_path):
    path = tmp_path / "notebook.ipynb"
    assert read_notebook(path) is None
    notebook = executed_notebook()
    content = v4.writes(notebook)
    path.write_text(content)
    assert read_notebook(path) == notebook
    path.write_text(content[: len(content) // 2])
    assert read_notebook(path) is None
