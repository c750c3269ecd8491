import base64
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4

from noisy_digits.html import index, mathml, page

from .browser import open_page, open_pages

SVG = """<?xml version="1.0" encoding="utf-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="460pt" height="120pt" viewBox="0 0 460 120">
<style>path { stroke: #1f77b4; fill: none; stroke-width: 2 }</style>
<path d="M 20 100
L 140 40 L 260 25 L 440 20"/><text x="20" y="20" font-size="12">accuracy &amp; 100 % "test"</text></svg>"""
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAHklEQVR4nGNgYGD4TwHGKjhq\n"
    "wKgBowaMGjBqwKgBQ8QAAIhz/wGEUKtTAAAAAElFTkSuQmCC\n"
)
TABLE = """<table><caption>Test accuracy by epoch</caption><thead><tr><th scope="col">epoch</th>
<th scope="col">test accuracy</th><th scope="col">test loss</th></tr></thead><tbody>
<tr><th scope="row">1</th><td>0.9701</td><td>0.0961</td></tr>
<tr><th scope="row">2</th><td>0.9822</td><td>0.0615</td></tr></tbody></table>"""
ARGUMENTS = {
    "title": "A convolutional network under Gaussian noise",
    "identity": {"recipe": "corrected", "scale": "0.5"},
    "banners": ["Data: 1,797 scans of scikit-learn, not MNIST."],
    "status": "ok",
    "facts": {"Seeds": "3", "Time": "41 s", "Data": "SHA-256 741c988805d008ac6e4c904b69001ba1"},
    "home": "../../../index.html",
}


CHATTER = "I0000 0 port.cc] oneDNN custom operations are on\n\x1b[33mUserWarning\x1b[0m: mind the gap\n"


def shown(mime, content, alt=None):
    return v4.new_output("display_data", {mime: content}, metadata={mime: {"alt": alt}} if alt else {})


def code(source, *outputs, tags=()):
    return v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)}, execution_count=3)


def sample():
    """An executed notebook with everything that ours hold."""
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell(
                "# Training under noise\n\nHow much accuracy does a network lose when every image carries "
                "noise of standard deviation $\\sigma < 1$?"
            ),
            code(
                "scale: float = 0.0  # standard deviation of the noise, in pixel units (0–1)",
                tags=["parameters"],
            ),
            code("scale = 0.5\nrecipe = 'corrected'", tags=["injected-parameters"]),
            code("from noisy_digits import data, noise, plots"),
            v4.new_markdown_cell(
                "## Noise\n\nEvery image gets its own draw: $$x' = x + \\epsilon,\\qquad "
                "\\epsilon \\sim \\mathcal{N}(0, \\sigma^2 I).$$\n\nThe picture shows the *same* ten digits "
                "at each stage; look for the first one that you can no longer read."
            ),
            code(
                "# the same ten digits, clean and noisy\ndigits = data.load('mnist')\n"
                "plots.digit_rows({'clean': digits.x_test, 'noisy': noise.gaussian(digits.x_test, 1, rng)})",
                shown("image/png", PNG, alt="Ten digits, clean and noisy"),
            ),
            v4.new_markdown_cell(
                "## Model\n\nThe network ends in a softmax and minimises the cross-entropy\n\n"
                "\\begin{align}\np_k &= \\frac{e^{z_k}}{\\sum_{j=1}^{10} e^{z_j}},\\\\\n"
                "L &= -\\frac{1}{n}\\sum_{i=1}^n \\log p_{y_i}(x_i) + "
                "\\lambda \\lVert \\mathbf{w} \\rVert_2^2.\n\\end{align}\n\nThe terms are\n\n"
                "- the logits $z = W^\\top h + b$,\n- the labels $y_i$, and\n"
                "- the factor of the weight decay, $\\lambda$."
            ),
            code(
                "model = models.cnn()\nmodel.summary()",
                v4.new_output("stream", name="stderr", text=CHATTER),
                v4.new_output("stream", name="stdout", text="Total params: 1,199,882 (4.58 MB)\n"),
            ),
            v4.new_markdown_cell("## Evaluation\n\nTest accuracy after every epoch."),
            code(
                "plots.curves(history)",
                shown("image/svg+xml", SVG, alt="Training and test accuracy against epoch"),
                shown("text/html", TABLE),
                v4.new_output("execute_result", {"text/plain": "0.9822"}, execution_count=3),
                v4.new_output(
                    "display_data",
                    {
                        "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
                        "text/plain": "HBox(children=)",
                    },
                ),
            ),
        ]
    )


def broken():
    """The same, stopped by an exception and marked by papermill."""
    notebook = sample()
    marker = {"tags": ["papermill-error-cell-tag"]}
    message = "<span style='color:red'>An Exception was encountered at 'In [4]'.</span>"
    error = v4.new_output(
        "error",
        ename="ValueError",
        evalue="noise has shape (28,), images have (<60000>, 28, 28)",
        traceback=["\x1b[31m-----\x1b[0m", "\x1b[0;31mValueError\x1b[0m   Traceback (most recent call last)"],
    )
    notebook.cells[5].outputs = [error]
    for cell in notebook.cells[6:]:
        cell.pop("outputs", None) is not None and cell.update(outputs=[])
    notebook.cells.insert(5, v4.new_markdown_cell(message, metadata=marker))
    notebook.cells.insert(0, v4.new_markdown_cell(message, metadata=marker))
    return notebook


DOT = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/%3E"


def run(recipe, scale, status="ok", headline="0.9913 ± 0.0004 (n = 3)"):
    return {
        "point": {"recipe": recipe, "scale": scale},
        "href": None if status == "missing" else f"cnn_noise/2_training/recipe~{recipe}/scale~{scale}.html",
        "status": status,
        "headline": headline if status in ("ok", "stale") else None,
        "headline_name": "test accuracy",
        "time": "41 s" if status in ("ok", "stale") else None,
    }


def collection():
    single = {"point": {}, "status": "ok", "headline_name": "claims supported", "time": "3 s"}
    return {
        "title": "Noisy digits: MNIST",
        "introduction": "Four assignments on noisy digits, answered as submitted and corrected.",
        "banners": ["Data: 1,797 scans of scikit-learn, not MNIST."],
        "facts": {"Revision": "0123abc", "Made": "2025-01-01"},
        "comparable": True,
        "assignments": [
            {
                "name": "cnn_noise",
                "title": "A convolutional network under Gaussian noise",
                "question": "How does accuracy fall with the standard deviation of the noise?",
                "figure": {"url": DOT, "alt": "A dot: accuracy against scale.", "href": "cnn_noise/9_summary.html"},
                "claims": [
                    {
                        "says": "A little noise helps.",
                        "condition": "0 < gain",
                        "verdict": "artefact",
                        "mistake": "unequal images",
                        "notebook": "2_training",
                        "findings": {"as submitted": "0.04 (n = 3)", "corrected": "−0.01 (n = 3)"},
                    }
                ],
                "published": [
                    {
                        "notebook": "Training with and without noise",
                        "where": "scale 0.1",
                        "metric": "test accuracy",
                        "published": "0.8823",
                        "ours": "0.8702 ± 0.0021 (n = 3)",
                        "difference": "-0.0121",
                        "allowed": "no",
                        "corrected": "0.9913 ± 0.0004 (n = 3)",
                        "href": "cnn_noise/2_training/recipe~as_submitted/scale~0.1.html",
                    }
                ],
                "notebooks": [
                    {
                        "name": "1_data",
                        "title": "The digits and their noise",
                        "summary": False,
                        "columns": [],
                        "runs": [{**single, "href": "cnn_noise/1_data.html", "headline": None}],
                    },
                    {
                        "name": "2_training",
                        "title": "Training with and without noise",
                        "summary": False,
                        "columns": ["recipe", "scale"],
                        "runs": [
                            run("as_submitted", "0.1", headline="0.8823 ± 0.0021 (n = 3)"),
                            run("as_submitted", "0.5", "failed"),
                            run("as_submitted", "4.0", "missing"),
                            run("corrected", "0.1"),
                            run("corrected", "0.5", "stale"),
                            run("corrected", "4.0", headline="0.7130 ± 0.0042 (n = 3)"),
                        ],
                    },
                ],
            },
            {
                "name": "depth",
                "title": "Depth, weight decay and the speed of learning",
                "notebooks": [
                    {
                        "name": "9_summary",
                        "title": "What the runs say",
                        "summary": True,
                        "columns": [],
                        "runs": [{**single, "href": "depth/9_summary.html", "headline": "4 of 7"}],
                    }
                ],
            },
        ],
    }


def render(notebook=None, **changes):
    return page.render(notebook or sample(), **ARGUMENTS | changes)


class Elements(HTMLParser):
    """The tags of a page in order, with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def shape(self):
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]


def one_cell(*outputs):
    return v4.new_notebook(cells=[v4.new_markdown_cell("# Q"), code("x", *outputs)])


PAGES = {
    "page": render,
    "failed page": lambda: render(broken(), status="failed"),
    "index": lambda: index.render(collection()),
}


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_a_page_loads_nothing_and_runs_nothing(make):
    elements = Elements(make())
    assert {"script", "iframe", "object", "embed", "base", "form"}.isdisjoint(tag for tag, _ in elements.tags)
    assert not any(name.startswith("on") for _, attributes in elements.tags for name in attributes)
    loaded = [a.get("src") or a["href"] for tag, a in elements.tags if tag in ("img", "link", "source")]
    assert all(url.startswith("data:") for url in loaded)
    policy = next(a["content"] for a in elements.all("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_a_page_is_well_built(make):
    html = make()
    elements = Elements(html)
    assert html.startswith("<!DOCTYPE html>")
    assert elements.all("html") == [{"lang": "en"}]
    assert [len(elements.all(tag)) for tag in ("h1", "main", "title", "footer")] == [1, 1, 1, 1]
    ids = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    fragments = {unquote(a["href"][1:]) for a in elements.all("a") if a["href"].startswith("#")}
    assert fragments <= set(ids)
    assert elements.all("a")[0] == {"class": "skip", "href": "#main"}
    assert len(elements.all("table")) == len(elements.all("caption"))
    assert all(a.get("scope") in ("row", "col") for a in elements.all("th"))


def test_the_page_says_what_it_shows():
    html = render()
    elements = Elements(html)
    assert f"<title>Training under noise · recipe corrected, scale 0.5 · {ARGUMENTS['title']}</title>" in html
    assert re.search(r"</h1>\s*<dl class=\"identity\">", html)
    assert {"href": "../../../index.html"} in elements.all("a")
    assert html.index("not MNIST") < html.index("<nav")
    assert "FAILED" not in html
    assert [a["alt"] for a in elements.all("img")] == [
        "Ten digits, clean and noisy",
        "Training and test accuracy against epoch",
    ]
    assert [a["aria-label"] for a in elements.all("div") if a.get("role") == "region"] == ["Test accuracy by epoch"]
    assert "HBox" not in html


def test_a_notebook_without_heading_gets_the_title_as_h1():
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("## Noise")])
    assert "<h1>A convolutional network under Gaussian noise</h1>" in render(notebook)


def test_later_first_level_headings_become_sections_with_their_own_ids():
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# A\n# Noise\n## Noise\n## Noise-2\n## Noise")])
    ids = [a["id"] for a in Elements(render(notebook)).all("h2")]
    assert ids == ["Noise", "Noise-2", "Noise-2-2", "Noise-3"]


@pytest.mark.parametrize(("sections", "lists"), [(2, 0), (3, 1)])
def test_contents_are_listed_from_three_sections_on(sections, lists):
    text = "# Q\n\n" + "\n\n".join(f"## Part {n}" for n in range(sections))
    html = render(v4.new_notebook(cells=[v4.new_markdown_cell(text)]))
    assert html.count('aria-label="Contents"') == lists


def test_code_parameters_and_messages_are_folded():
    html = render()
    labels = re.findall(r"<summary>(.*?)</summary>", html)
    assert labels == ["Parameters", "Code", "Code", "Code", "Messages", "Code"]
    assert "<details open" not in html
    parameters = html[html.index("Parameters</summary>") : html.index("Code</summary>")]
    assert parameters.index("scale: ") < parameters.index("recipe")
    assert "\x1b" not in html
    assert "mind the gap" in html
    assert "oneDNN" not in html


def test_svg_survives_the_data_url():
    source = Elements(render()).all("img")[1]["src"]
    head, _, body = source.partition(",")
    assert head == "data:image/svg+xml"
    assert unquote(body) == " ".join(SVG.split())


def test_png_is_unwrapped():
    source = Elements(render()).all("img")[0]["src"]
    assert base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True).startswith(b"\x89PNG")


def test_alt_text_may_stand_for_the_whole_output():
    output = v4.new_output("display_data", {"image/svg+xml": SVG}, metadata={"alt": "A <curve>"})
    assert Elements(render(one_cell(output))).all("img")[0]["alt"] == "A <curve>"


@pytest.mark.parametrize(("mime", "content"), [("image/svg+xml", SVG), ("image/png", PNG)])
def test_an_image_without_alt_text_is_an_error_naming_the_cell(mime, content):
    with pytest.raises(ValueError, match=r"cell \[3\] \(x\).*no alt text"):
        render(one_cell(shown(mime, content)))


def test_all_three_kinds_of_formulas_become_mathml():
    html = render()
    elements = Elements(html)
    assert [a["display"] for a in elements.all("math")] == [
        "inline",
        "block",
        "block",
        "inline",
        "inline",
        "inline",
    ]
    assert "$" not in elements.text
    assert "\\" not in elements.text
    assert "<mo>&lt;</mo>" in html


@pytest.mark.parametrize(
    "formula",
    [
        r"\foo x",
        r"x_{",
        r"x^2^3",
        r"\frac{1}",
        r"\left( a",
        r"a } b",
        r"a & b",
        r"a \\ b",
        r"\begin{gather}a\\b\end{gather}",
        r"\text{\foo}",
        r"\label{x}",
        "",
    ],
)
def test_a_formula_that_cannot_be_converted_is_an_error_naming_it(formula):
    with pytest.raises(ValueError, match="MathML: " + re.escape(formula)):
        mathml.convert(formula)


def test_the_bad_formula_of_a_page_is_named():
    with pytest.raises(ValueError, match=r"\\wat"):
        render(v4.new_notebook(cells=[v4.new_markdown_cell("# Q\n\n$\\wat$")]))


def test_formulas_are_spaced_as_in_tex():
    assert "<mo>∼</mo>" in mathml.convert(r"\epsilon \sim N")
    assert '<mo lspace="0" rspace="0.167em">log</mo>' in mathml.convert(r"\log p")
    assert '<mo stretchy="false">‖</mo>' in mathml.convert(r"\lVert w \rVert")
    assert "(1)" not in mathml.convert(r"\begin{align}a&=b\\c&=d\end{align}", "block")


def test_no_line_breaks_between_a_formula_and_its_punctuation():
    html = render(v4.new_notebook(cells=[v4.new_markdown_cell("# Q\n\n$a$ and $b$, not $c$ or so.")]))
    assert re.findall(r'<span class="whole"><math display="inline">(.*?)</math>,</span>', html) == [
        "<mrow><mi>b</mi></mrow>"
    ]


def test_text_in_formulas_is_escaped():
    assert "<mtext>&lt;script&gt;" in mathml.convert(r"\text{<script>}")


def test_a_failed_page_names_the_exception_and_opens_its_traceback():
    html = render(broken(), status="failed")
    elements = Elements(html)
    assert "<title>FAILED: Training under noise" in html
    assert "An Exception was encountered" not in html
    assert "ValueError: noise has shape (28,), images have (<60000>, 28, 28)" in elements.text
    assert {"href": "#traceback"} in elements.all("a")
    assert next(a for a in elements.all("pre") if a.get("id") == "traceback")["tabindex"] == "0"
    assert "ValueError   Traceback (most recent call last)" in elements.text
    assert "\x1b" not in html
    assert html.count("<details open") == 1


def test_a_run_ended_from_outside_says_so():
    html = render(status="failed")
    assert "No cell raised an exception" in html
    assert "#traceback" not in html


def test_the_page_around_a_notebook_is_small():
    assert len(render(v4.new_notebook()).encode()) < 12_000
    assert len(index.render(collection()).encode()) < 20_000


any_text = st.text(max_size=60) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</title><b>",
        "{{ 7 * 7 }}",
        "&lt;b&gt;",
        "]]>",
    ]
)


@settings(max_examples=40)
@given(any_text, any_text, any_text, any_text, any_text)
def test_no_text_becomes_markup_on_a_page(title, value, banner, printed, message):
    def make(title, value, banner, printed, message):
        notebook = one_cell(
            v4.new_output("stream", name="stdout", text=printed + "."),
            v4.new_output("stream", name="stderr", text=printed + "."),
            v4.new_output("display_data", {"text/plain": printed}),
            shown("image/svg+xml", SVG, alt=message + "."),
            v4.new_output("error", ename=value, evalue=message, traceback=[printed]),
        )
        given = {"title": title, "identity": {value: value}, "banners": [banner], "facts": {value: value}}
        return Elements(render(notebook, status="failed", home=title, **given))

    assert make(title, value, banner, printed, message).shape() == make(*["a"] * 5).shape()


@pytest.mark.parametrize("kind", ["text/markdown", "text/html"])
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
    ],
)
def test_html_from_a_cell_runs_nothing_and_leads_nowhere(kind, evil):
    plain, page = (
        Elements(render(one_cell(v4.new_output("display_data", {kind: f"Note: {text}"})), status="ok")).shape()
        for text in ("x", evil)
    )
    new = [element for element in page if page.count(element) > plain.count(element)]
    assert not [
        element for element in new if re.search("script|meta|form|input|img|iframe|on|style|javascript", str(element))
    ], new


def test_a_formula_holds_no_link():
    with pytest.raises(ValueError, match="href is not allowed"):
        mathml.convert(r"\href{javascript:alert(1)}{x}")


@settings(max_examples=40)
@given(any_text, any_text, any_text.map(lambda text: "x" + text))
def test_no_text_becomes_markup_on_the_index(title, value, href):
    def make(title, value, href):
        runs = [
            {
                "point": {"p": value},
                "href": href,
                "status": status,
                "headline": value + ".",
                "headline_name": value + ".",
                "time": value + ".",
            }
            for status in index.STATUSES
        ]
        notebook = {"name": "n", "title": title, "summary": False, "columns": ["p"], "runs": runs}
        single = {**notebook, "columns": [], "runs": [{**runs[0], "point": {}}]}
        claim = {
            "says": title,
            "condition": value,
            "verdict": value,
            "mistake": value + ".",
            "notebook": "n",
            "findings": {"r": value},
        }
        published = dict.fromkeys(("metric", "published", "ours", "difference", "allowed", "corrected"), value)
        assignment = {
            "name": "a",
            "title": title,
            "question": value + ".",
            "notebooks": [notebook, single],
            "figure": {"url": "data:,", "alt": value, "href": href},
            "claims": [claim],
            "published": [{**published, "notebook": title, "where": value + ".", "href": href}],
        }
        return Elements(
            index.render(
                {
                    "title": title,
                    "introduction": value,
                    "banners": [value],
                    "facts": {value: value},
                    "assignments": [assignment],
                }
            )
        )

    elements = make(title, value, href)
    assert elements.shape() == make("a", "a", "xa").shape()
    links = [a["href"] for a in elements.all("a") if not a["href"].startswith("#")]
    assert all(unquote(link) == href and not re.search(r"[\s\"'<>#?:]", link) for link in links)


def test_the_index_lists_every_run_with_status_and_number():
    elements = Elements(index.render(collection()))
    words = " ".join(elements.text.split())
    assert "✓ 5 ok ✗ 1 FAILED ↻ 1 stale ○ 1 missing" in words
    assert "recipe as_submitted, scale 0.5 (A convolutional network under Gaussian noise)" in words
    assert words.index("Failed runs") < words.index("The digits and their noise")
    links = [a["href"] for a in elements.all("a")]
    for assignment in collection()["assignments"]:
        for notebook in assignment["notebooks"]:
            assert notebook["title"] in words
            for entry in notebook["runs"]:
                assert entry["href"] in (*links, None)
                assert (entry["headline"] or "") in words
    assert "test accuracy by recipe and scale" in words
    assert "claims supported 4 of 7" in words
    assert "A little noise helps. 0 < gainartefact: unequal images 0.04 (n = 3) −0.01 (n = 3)" in words
    assert "scale 0.1, test accuracy test accuracy0.88230.8702 ± 0.0021 (n = 3)-0.0121no0.9913" in words
    assert "its full collection alone decides" not in words


def test_the_index_without_failures_has_no_failed_section():
    given = collection()
    given["assignments"] = given["assignments"][1:]
    assert "Failed runs" not in index.render(given)


def test_importing_the_index_imports_neither_nbconvert_nor_tensorflow():
    check = (
        "import sys, noisy_digits.html.index; "
        "sys.exit(sorted({'nbconvert', 'nbformat', 'tensorflow'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def contrast(first, second):
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted(map(luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_enough_contrast_in_light_and_dark():
    html = index.render(collection())
    values = re.findall(r"--([a-z-]+): (#[0-9a-f]+);", html)
    half = len(values) // 2
    for palette in (dict(values[:half]), dict(values[half:])):
        full = {name: "#" + 2 * value[1:] if len(value) == 4 else value for name, value in palette.items()}
        pairs = [("note-ink", "note"), ("bad", "bad-paper"), ("ink", "bad-paper"), ("link", "bad-paper")]
        pairs += [(ink, "paper") for ink in ("ink", "soft", "link", "bad", "good", "note-ink")]
        pairs += [(ink, "panel") for ink in ("ink", "soft", "keyword", "string", "number")]
        assert min(contrast(full[ink], full[paper]) for ink, paper in pairs) >= 4.5


def test_pages_in_a_browser(tmp_path):
    paths = [tmp_path / f"{name}.html" for name in PAGES]
    for path, make in zip(paths, PAGES.values(), strict=True):
        path.write_text(make(), encoding="utf-8")
    for found in open_pages(paths):
        assert found["requests"] == found["console"] == found["errors"] == []
        assert found["headings"] == 1
        assert found["overflow"] == 0
        assert all(width > 0 for width in found["images"])
        assert all(width > 0 and height > 0 for width, height in found["formulas"])
    assert len(open_page(paths[0])["formulas"]) == 6


def test_the_browser_check_sees_what_a_bad_page_does(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        '<img src="http://localhost:9/x.png"><script>console.warn("w"); throw Error("e")</script>'
        '<div style="width:900px">wide</div>',
        encoding="utf-8",
    )
    found = open_page(path)
    assert found["requests"] == ["http://localhost:9/x.png"]
    assert "w" in found["console"]
    assert found["errors"] == ["e"]
    assert found["images"] == [0]
    assert found["overflow"] > 0
