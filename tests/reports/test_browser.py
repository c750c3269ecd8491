"""The sample pages in a real browser, 400 px wide and offline."""

from itertools import combinations

import pytest

from ..browser import browser, open_page, open_pages
from .samples import PAGES


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    paths = [folder / f"{name}.html" for name in PAGES]
    for path, make in zip(paths, PAGES.values(), strict=True):
        path.write_text(make(), encoding="utf-8")
    return dict(zip(PAGES, open_pages(paths), strict=True))


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_everything_and_ask_for_nothing(opened, name):
    found = opened[name]
    assert found["requests"] == found["console"] == found["errors"] == []
    assert found["headings"] == 1
    assert found["overflow"] == 0
    assert all(width > 0 for width in found["images"])
    assert all(width > 0 and height > 0 for width, height in found["formulas"])


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_accessible(opened, name):
    assert opened[name]["violations"] == []


def test_index_is_accessible_in_dark_colors(tmp_path):
    path = tmp_path / "index.html"
    path.write_text(PAGES["index"](), encoding="utf-8")
    (found,) = open_pages([path], color_scheme="dark")
    assert found["violations"] == []


@pytest.mark.parametrize("width", [400, 1280])
def test_marks_of_reported_numbers_lie_in_their_strip_and_do_not_overlap(tmp_path, width):
    path = tmp_path / "index.html"
    path.write_text(PAGES["index"](), encoding="utf-8")
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": width, "height": 800})
        page.goto(path.as_uri())
        strip = page.locator(".strip").first.bounding_box()
        marks = [mark.bounding_box() for mark in page.locator(".strip a use").all()]
    assert len(marks) == 5
    for mark in marks:
        assert strip["x"] <= mark["x"]
        assert mark["x"] + mark["width"] <= strip["x"] + strip["width"]
        assert strip["y"] <= mark["y"]
        assert mark["y"] + mark["height"] <= strip["y"] + strip["height"]
    centers = [(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2) for mark in marks]
    for (x, y), (other_x, other_y) in combinations(centers, 2):
        assert max(abs(x - other_x), abs(y - other_y)) >= 12  # the size of a mark


def test_page_shows_its_formulas(opened):
    assert len(opened["page"]["formulas"]) == 6


def test_open_page_reports_the_faults_of_a_bad_page(tmp_path):
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
