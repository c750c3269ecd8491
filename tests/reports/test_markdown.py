"""Markdown and code as HTML."""

import re

import pytest

from noisy_digits.reports.markdown import Outline, highlight_python, render_markdown

from .samples import Elements


def render(source, outline=None):
    return str(render_markdown(source, outline or Outline(), {}))


def test_render_markdown_takes_the_first_heading_as_the_title():
    outline = Outline()
    assert "<h1" not in render("# A *title*\n\n## Noise", outline)
    assert outline.title == "A <em>title</em>"
    assert outline.sections == [(2, "Noise", "Noise")]


def test_render_markdown_makes_later_first_level_headings_sections_with_unique_ids():
    html = render("# A\n# Noise\n## Noise\n## Noise-2\n## Noise")
    assert [heading["id"] for heading in Elements(html).all("h2")] == ["Noise", "Noise-2", "Noise-2-2", "Noise-3"]


def test_render_markdown_keeps_a_formula_and_its_punctuation_on_one_line():
    html = render("$a$ and $b$, not $c$ or so.")
    assert re.findall(r'<span class="whole"><math display="inline">(.*?)</math>,</span>', html) == [
        "<mrow><mi>b</mi></mrow>"
    ]


def test_render_markdown_names_a_bad_formula():
    with pytest.raises(ValueError, match=r"\\wat"):
        render("$\\wat$")


def test_render_markdown_highlights_python_only():
    fenced = "```{}\nif x:  # why\n```"
    assert '<span class="k">if</span>' in render(fenced.format("python"))
    assert "<span" not in render(fenced.format("text"))


def test_render_markdown_marks_the_head_cells_of_tables():
    elements = Elements(render("| a | b |\n| --- | --- |\n| 1 | 2 |"))
    assert elements.all("th") == [{"scope": "col"}] * 2
    assert {"class": "scroll", "role": "region", "aria-label": "Table", "tabindex": "0"} in elements.all("div")


def test_render_markdown_shows_html_as_text():
    assert "&lt;b&gt;" in render("<b>bold</b>")


def test_highlight_python_marks_comments_keywords_strings_and_numbers():
    html = highlight_python("for x in (1, 'a'):  # b\n    pass\n")
    assert re.findall(r'<span class="(.)">(.*?)</span>', html) == [
        ("k", "for"),
        ("k", "in"),
        ("m", "1"),
        ("s", "&#39;a&#39;"),
        ("c", "# b"),
        ("k", "pass"),
    ]


def test_highlight_python_escapes_code():
    assert "<b>" not in highlight_python("x = '<b>' < 1")
