"""compare.html: its numbers, and what a reader does with it in a real browser with the network off."""

import base64
import hashlib
import json
import re
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noisy_digits._files import write_metrics, write_text
from noisy_digits.pipeline.plan import plan_runs
from noisy_digits.pipeline.store import Collection
from noisy_digits.reports.compare import SCRIPTS, embed_json, tabulate_results, write_compare
from noisy_digits.reports.index import write_index
from noisy_digits.reports.overview import Overview

from ..browser import browser
from ..conftest import REPOSITORY
from .samples import Elements
from .test_page import ANY_TEXT
from .toy import FULL, PARAMS, remove_run

RESULTS = REPOSITORY / "results/mnist/results.csv"
KEYS = ["assignment", "notebook", "seed", "metric", "value"]
EVIL = '</script><img src=x onerror="alert(1)">'


def read_levels(row, columns):
    """Return the levels of a row of results.csv that are not empty, numbers as numbers."""

    def parse(text):
        try:
            return float(text)
        except ValueError:
            return text

    return {column: parse(row[column]) for column in columns if row[column] != ""}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """compare.html of the published results.csv, with an empty page for every run, and its Overview."""
    root = tmp_path_factory.mktemp("published")
    overview = Overview(REPOSITORY, plan_runs(REPOSITORY, "full", dataset="mnist"), Collection("mnist"))
    overview.results, overview.reports = root / "results", root / "reports"
    overview.statuses = dict.fromkeys(overview.statuses, "ok")
    table = pd.read_csv(RESULTS, dtype=str, keep_default_na=False)
    columns = table.columns.drop(KEYS)
    rows = {}
    for row in table.to_dict("records"):
        rows.setdefault((row["assignment"], row["notebook"]), []).append((read_levels(row, columns), row))
    for run in overview.runs:
        point = {key: str(level) if isinstance(level, bool) else level for key, level in run.point.items()}
        own = [
            {column: level for column, level in levels.items() if column not in point}
            | {"seed": int(row["seed"]), "metric": row["metric"], "value": float(row["value"])}
            for levels, row in rows.get((run.assignment, run.notebook), [])
            if point.items() <= levels.items()
        ]
        if own:
            write_metrics(overview.results / run.path, own)
            write_text(overview.reports / f"{run.path}.html", "")
    for file in ("index.html", "results.zip"):
        write_text(overview.reports / file, "")
    write_compare(overview, "Noisy digits: MNIST", ["A notice."])
    return overview


def summarize_csv():
    """Return mean, standard deviation and n over the seeds of results.csv by assignment, notebook, levels, metric."""
    table = pd.read_csv(RESULTS, dtype=str, keep_default_na=False)
    columns = table.columns.drop(KEYS)
    table["place"] = [
        (row["assignment"], row["notebook"], row["metric"], frozenset(read_levels(row, columns).items()))
        for row in table.to_dict("records")
    ]
    return table.assign(value=table["value"].astype(float)).groupby("place")["value"].agg(["mean", "std", "count"])


def read_points(results):
    """Return the points that a page holds, in the form of summarize_csv."""
    points = results["points"]
    found = {}
    for place, measure, levels, mean, std, n in zip(
        *(points[field] for field in ("run", "measure", "levels", "mean", "std", "n")), strict=True
    ):
        own = results["runs"][place]["levels"]
        grid = {column: level for column, level in own.items() if column not in ("assignment", "notebook")}
        metric = results["measures"][measure]["name"].split("/")[0]
        names = own["assignment"], own["notebook"].split("/")[1]
        found[*names, metric, frozenset((grid | levels).items())] = mean, std, n
    return found


def test_tabulate_results_gives_mean_standard_deviation_and_n_of_every_number_of_results_csv(published):
    expected, found = summarize_csv(), read_points(tabulate_results(published))
    planned = {(run.assignment, run.notebook) for run in published.runs}
    assert found.keys() <= set(expected.index)
    assert {place[:2] for place in found} == planned & {place[:2] for place in expected.index}
    for place, (mean, std, n) in found.items():
        row = expected.loc[[place]].iloc[0]
        assert mean == pytest.approx(row["mean"], rel=1e-6)
        assert n == row["count"]
        assert std is None if n == 1 else std == pytest.approx(row["std"], rel=1e-3)


def test_tabulate_results_names_the_headline_as_it_names_the_measure(project):
    root, _ = project
    declared = PARAMS.replace("coordinates: [noise_level]", "coordinates: [noise_level, layer]")
    (root / "params/toy.yml").write_text(declared.replace("{noise_level: 0.4}\n", "{noise_level: 0.4, layer: 1}\n"))
    runs = plan_runs(root, "full")
    row = {"seed": 0, "noise_level": 0.4, "layer": 1, "metric": "accuracy", "value": 0.9}
    write_metrics(root / "results/full" / runs[0].path, [row])
    table = tabulate_results(Overview(root, runs, FULL))
    assert table["notebooks"]["toy/1_measure"]["headline"] == "accuracy/layer/noise_level"
    assert "accuracy/layer/noise_level" in [measure["name"] for measure in table["measures"]]


@given(ANY_TEXT, ANY_TEXT)
def test_embed_json_keeps_text_and_cannot_end_its_element(name, level):
    embedded = embed_json({name: [level, 0.1, None]})
    assert json.loads(embedded) == {name: [level, 0.1, None]}
    assert "<" not in embedded


def test_the_policy_allows_the_two_scripts_by_their_hash_and_nothing_else(published):
    html = (published.reports / "compare.html").read_bytes().decode()
    policy = next(a["content"] for a in Elements(html).all("meta") if "http-equiv" in a)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(hashes) == len(SCRIPTS) == 2
    sources = " ".join(f"'sha256-{each}'" for each in hashes)
    assert policy == f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:"
    assert len(re.findall("<script", html)) == 3  # and the numbers, which are not run


def test_the_libraries_carry_their_licenses(published):
    html = (published.reports / "compare.html").read_text()
    for owner in ("Observable, Inc.", "Mike Bostock", "Tanner Linsley"):
        assert owner in html
    assert "Permission to use, copy, modify, and/or distribute this software" in html
    assert "The above copyright notice and this permission notice shall be included in all" in html


def test_the_page_of_the_published_study_is_small(published):
    assert (published.reports / "compare.html").stat().st_size <= 600_000


def test_the_libraries_are_those_of_package_json_from_the_public_registry():
    folder = REPOSITORY / "src/noisy_digits/reports/vendor"
    wanted = json.loads((folder / "package.json").read_text())["devDependencies"]
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    header = (folder / "libraries.min.js").read_text().partition("*/")[0]
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
        assert name == "esbuild" or f"{name} {version}" in header
    addresses = [package.get("resolved", "https://registry.npmjs.org/") for package in locked.values()]
    assert all(address.startswith("https://registry.npmjs.org/") for address in addresses)


def test_write_compare_says_that_there_is_no_number_yet(project):
    root, runs = project
    for run in runs:
        remove_run(root, run)
    write_index(root, runs, FULL)
    html = (root / "reports/full/compare.html").read_text()
    assert "No run has recorded a number yet." in html
    assert "<script" not in html


class Visit:
    """compare.html in a browser page, with what it asked for and complained about."""

    def __init__(self, context, file, address=""):
        self.page, self.requests, self.complaints = context.new_page(), [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{file.as_uri()}#{address}")

    def choose(self, **choices):
        for name, value in choices.items():
            self.page.select_option(f"#{name}", value)

    def view(self):
        """Return what the address holds."""
        fragment = parse_qs(urlsplit(self.page.url).fragment, keep_blank_values=True)
        return {key: values if key.startswith("hide.") else values[0] for key, values in fragment.items()}

    def chosen(self):
        names = ("assignment", "notebook", "metric", "x", "color", "fx", "fy")
        return {name: self.page.input_value(f"#{name}") for name in names}

    def rows(self):
        """Return the lines of the table: its levels, mean, standard deviation and n, and the page of its run."""
        return self.page.evaluate(
            """() => Array.from(document.querySelectorAll("#table tbody tr"), (row) => ({
                levels: Array.from(row.querySelectorAll("th, td:not(.number, :last-child)"), (cell) => cell.innerText),
                numbers: Array.from(row.querySelectorAll("data"), (data) => data.value),
                page: row.querySelector("a")?.getAttribute("href"),
            }))"""
        )

    def sorted_by(self):
        script = """() => Array.from(document.querySelectorAll("thead th[aria-sort]:not([aria-sort=none])"),
            (heading) => [heading.innerText.replace(/ .$/, ""), heading.getAttribute("aria-sort")])"""
        return self.page.evaluate(script)

    def shown(self):
        return self.page.inner_text("#shown")

    def count(self, marks):
        return self.page.locator(f"#chart {marks}").count()


@pytest.fixture(scope="module")
def chromium():
    with browser() as program:
        yield program


@pytest.fixture
def visit(chromium, published):
    """Return a function that opens compare.html of the published results at an address, offline."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_offline(True)
    visits = []

    def open_at(address="", file=published.reports / "compare.html"):
        visits.append(Visit(context, file, address))
        return visits[-1]

    yield open_at
    for each in visits:
        assert each.complaints == []
        assert [url for url in each.requests if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in each.requests if url.startswith("file:")]) >= 1
    context.close()


TRAINED = "assignment=mlp_noise&notebook=mlp_noise/2_train&metric=test_accuracy"


def expected_means(assignment, notebook, metric):
    table = summarize_csv()
    return [row["mean"] for place, row in table.iterrows() if place[:3] == (assignment, notebook, metric)]


def test_it_shows_the_headline_metric_first_with_the_numbers_of_results_csv(visit):
    opened = visit()
    assert opened.chosen() == {
        **{"assignment": "mlp_noise", "notebook": "mlp_noise/2_train", "metric": "test_accuracy"},
        **{"x": "scale", "color": "recipe", "fx": "", "fy": ""},
    }
    means = [float(row["numbers"][0]) for row in opened.rows()]
    assert sorted(means) == pytest.approx(sorted(expected_means("mlp_noise", "2_train", "test_accuracy")), rel=1e-6)
    assert f"{len(means)} of {len(means)} points" in opened.shown()
    assert opened.count("[aria-label=dot] path, [aria-label=dot] circle") == len(means)


def test_every_line_links_to_the_page_of_its_run(visit, published):
    opened = visit()
    pages = [unquote(row["page"]) for row in opened.rows()]
    assert len(pages) == len(set(pages)) > 0
    links = opened.page.evaluate("Array.from(document.querySelectorAll('a'), (link) => link.getAttribute('href'))")
    assert {unquote(link) for link in links} == {*pages, "index.html", "results.zip", "#main", "#"}
    assert all((published.reports / page).is_file() for page in pages)


def test_a_chosen_metric_is_shown_kept_in_the_address_and_restored_from_it(visit):
    opened = visit()
    opened.choose(assignment="denoising", notebook="denoising/4c_evaluate_denoiser", metric="psnr/noise_level")
    opened.choose(x="denoiser", color="noise_level")
    opened.page.click("#table thead button:has-text('mean')")
    opened.page.click("#table thead button:has-text('mean')")
    opened.page.click("#filters summary")
    opened.page.uncheck("label:has-text('median 3') input")
    before = opened.chosen(), opened.rows(), opened.shown(), opened.sorted_by()
    assert before[0]["metric"] == "psnr/noise_level"
    assert before[0]["x"] == "denoiser"
    assert opened.view()["hide.denoiser"] == ["median_3"]
    opened.page.reload()
    assert (opened.chosen(), opened.rows(), opened.shown(), opened.sorted_by()) == before
    again = visit(urlsplit(opened.page.url).fragment)
    assert (again.chosen(), again.rows(), again.shown(), again.sorted_by()) == before


def test_a_filter_hides_points_in_chart_and_table(visit):
    opened = visit(TRAINED)
    everything = opened.rows()
    opened.page.click("#filters summary")
    opened.page.uncheck("label:has-text('as submitted') input")
    left = [row for row in everything if "as submitted" not in row["levels"]]
    assert opened.rows() == left
    assert 0 < len(left) < len(everything)
    assert opened.count("[aria-label=dot] path, [aria-label=dot] circle") == len(left)
    assert f"{len(left)} of {len(everything)} points" in opened.shown()
    opened.page.click("#filters button:has-text('Show all')")
    assert opened.rows() == everything
    opened.page.click("#filters fieldset:has-text('recipe') button")
    assert opened.rows() == []
    assert "0 of" in opened.shown()


@pytest.mark.parametrize(("heading", "place"), [("mean", 0), ("standard deviation", 1), ("n", 2)])
def test_a_heading_sorts_the_table_by_its_numbers_and_back(visit, heading, place):
    opened = visit(TRAINED)
    button = opened.page.get_by_role("button", name=heading, exact=False).last
    button = opened.page.locator("#table thead").get_by_role("button", name=re.compile(f"^{heading}"))
    for order, backwards in (("ascending", False), ("descending", True)):
        button.click()
        numbers = [float(row["numbers"][place]) for row in opened.rows()]
        assert numbers == sorted(numbers, reverse=backwards)
        assert opened.sorted_by() == [[heading, order]]
        assert f"sorted by {heading}, {order}" in opened.shown()


def test_levels_are_sorted_as_numbers_not_as_text(visit):
    opened = visit(
        "assignment=denoising&notebook=denoising/2d_l2_train&metric=val_accuracy&sort=by.l2&order=descending"
    )
    levels = [float(row["levels"][0]) for row in opened.rows()]
    assert levels == sorted(levels, reverse=True)
    assert len(levels) > 3


def test_facets_divide_the_chart(visit):
    opened = visit(
        "assignment=depth&notebook=depth/2_train&metric=test_error&x=n_hidden_layers&color=&fx=recipe&fy=use_l2"
    )
    assert opened.count("g[aria-label='fx-axis tick label'] text") == 2
    assert opened.count("g[aria-label='fy-axis tick label'] text") == 2
    opened.choose(fx="", fy="")
    assert opened.count("g[aria-label='fx-axis tick label'] text") == 0
    assert "Not told apart in the chart: recipe, use l2." in opened.shown()
    assert opened.view()["fx"] == ""


def test_every_series_has_its_color_and_symbol_in_chart_and_legend(visit):
    """Also a level called none, which is a color of its own kind."""
    opened = visit("assignment=denoising&notebook=denoising/4c_evaluate_denoiser&metric=accuracy/noise_level")
    levels = list(dict.fromkeys(row["levels"][0] for row in opened.rows()))
    assert "none" in levels
    fills = "(marks) => marks.map((mark) => mark.getAttribute('fill'))"
    drawn = opened.page.locator("#chart [aria-label=dot] path, #chart [aria-label=dot] circle").evaluate_all(fills)
    legend = opened.page.locator("#legend svg").evaluate_all(fills)
    assert list(dict.fromkeys(drawn)) == legend
    assert len(set(legend)) == len(levels) == opened.page.locator("#legend svg").count()
    assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in legend)
    outlines = "(marks) => marks.map((mark) => mark.getAttribute('d'))"
    assert len(set(opened.page.locator("#legend svg path").evaluate_all(outlines))) == len(levels)


def test_two_axes_change_places(visit):
    opened = visit(TRAINED)
    opened.choose(x="recipe")
    assert (opened.chosen()["x"], opened.chosen()["color"]) == ("recipe", "scale")


def test_all_assignments_can_be_compared_in_one_metric(visit):
    opened = visit()
    opened.choose(assignment="")
    opened.choose(metric="test_accuracy")
    table = summarize_csv()
    assert len(opened.rows()) == sum(place[2] == "test_accuracy" for place in table.index)


@pytest.mark.parametrize(
    "address",
    [
        "metric=constructor&x=__proto__&color=toString",
        "metric=" + quote(EVIL),
        quote(EVIL) + "=1&hide." + quote(EVIL) + "=2",
        "assignment=nowhere",
        "notebook=cnn_noise/2_train&sort=by.nothing&order=sideways",
        "hide.scale=17",
    ],
)
def test_an_address_that_asks_for_what_is_not_here_shows_the_defaults_and_says_so(visit, address):
    expected = visit()
    opened = visit(address)
    assert opened.chosen() == expected.chosen()
    assert opened.rows() == expected.rows()
    assert "Not here, so the defaults are shown: " in opened.page.inner_text("#ignored")
    assert expected.page.inner_text("#ignored") == ""
    assert opened.page.locator("img").count() == 0
    opened.choose(metric="test_loss")
    assert opened.page.inner_text("#ignored") == ""


@pytest.mark.parametrize("address", ["%", "%E0%A4%A", "&&==&#x", "\x00", "a" * 100_000])
def test_a_broken_address_shows_the_defaults(visit, address):
    assert len(visit(address).rows()) == len(visit().rows())


HOSTILE = [
    *("", "__proto__", "constructor", "toString", "hasOwnProperty", "undefined", "null", "NaN", "[object Object]"),
    *(
        EVIL,
        "<svg onload=alert(1)>",
        "javascript:alert(1)",
        '{"a":1',
        "%",
        "%E0%A4%A",
        "%00",
        "\0",
        "é",
        "a" * 5000,
        "0.1",
    ),
]
"""What an address may hold where a name or a level belongs."""
SHOWN = ["mlp_noise", "denoising/4c_evaluate_denoiser", "test_accuracy", "psnr/noise_level", "recipe", "scale", "mean"]
READ_STATE = """(address) => new Promise((done) => {
    const tell = () => done({
        given: [...new URLSearchParams(location.hash.slice(1))],
        chosen: Object.fromEntries(Array.from(document.querySelectorAll("select"), (each) => [each.id, each.value])),
        options: Array.from(document.querySelectorAll("select"), (each) => each.options.length),
        ignored: document.getElementById("ignored").textContent,
        summary: document.getElementById("shown").textContent,
        rows: document.querySelectorAll("#table tbody tr").length,
        strange: document.querySelectorAll("img, iframe, #app script, [onload], [onerror]").length,
        polluted: Object.keys(Object.prototype).length + Object.keys(Array.prototype).length,
    });
    const before = location.hash;
    location.hash = address;
    if (location.hash === before) tell();
    else addEventListener("hashchange", tell, { once: true });
})"""


@st.composite
def addresses(draw):
    """Return an address of keys and values that may be there, that are not, and that are no text at all."""
    keys = ["assignment", "notebook", "metric", "x", "color", "fx", "fy", "sort", "order", "hide.scale", "hide.recipe"]
    pairs = []
    for _ in range(draw(st.integers(0, 8))):
        key = draw(
            st.sampled_from(keys) | st.sampled_from(keys) | st.sampled_from(["hide.", "hide.__proto__", *HOSTILE])
        )
        value = draw(st.sampled_from(SHOWN) | st.sampled_from(HOSTILE) | st.text(max_size=9))
        pairs.append("=".join(map(quote, (key, value)) if draw(st.booleans()) else (key, value)))
    return "&".join(pairs)


def test_any_address_shows_a_whole_view_and_says_what_it_left_out(visit):
    opened = visit()
    expected = opened.page.evaluate(READ_STATE, "")

    @settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
    @given(addresses())
    def check(address):
        found = opened.page.evaluate(READ_STATE, address)
        assert opened.complaints == []
        assert found["strange"] == found["polluted"] == 0
        assert all(found["options"])
        assert found["rows"] or "0 of" in found["summary"]
        first = dict(reversed(found["given"]))
        wrong = [key for key, value in first.items() if found["chosen"].get(key, value) != value]
        assert found["ignored"].startswith("Not here, so the defaults are shown: ") or not wrong

    check()
    assert opened.page.evaluate(READ_STATE, "") == expected


def test_what_an_address_repeats_counts_once_and_a_second_choice_is_named(visit):
    opened = visit()
    found = opened.page.evaluate(READ_STATE, "hide.scale=0.5&" * 9 + "assignment=&assignment=zzz")
    assert found["ignored"].startswith("Not here, so the defaults are shown: assignment zzz")
    assert "1 hidden" in opened.page.inner_text("#filters")


def test_names_from_metrics_are_text_never_markup(visit, project):
    root, runs = project
    rows = [
        {"seed": seed, EVIL: level, "__proto__": i, "metric": metric, "value": seed + i / 3}
        for seed in range(2)
        for i, level in enumerate((EVIL, "constructor", "]]><svg onload=alert(1)>"))
        for metric in (EVIL, "toString")
    ]
    for run in runs[:4]:
        write_metrics(root / "results/full" / run.path, rows)
    write_compare(Overview(root, runs, FULL), EVIL, [EVIL])
    opened = visit(file=root / "reports/full/compare.html")
    names = [f"{metric}/{EVIL}/__proto__" for metric in (EVIL, "toString")]
    for name in names:
        opened.choose(metric=name)
        opened.choose(x=EVIL, color="__proto__", fx="recipe")
        assert len(opened.rows()) == 12
        assert opened.view()["x"] == EVIL
        assert EVIL in opened.page.inner_text("#table thead")
    assert opened.page.locator("img, #table svg, [onload]").count() == 0


def test_it_is_used_with_the_keyboard_alone(visit):
    opened = visit()
    press = opened.page.keyboard.press

    def tab_to(name):
        for _ in range(60):
            press("Tab")
            if opened.page.evaluate("document.activeElement.id") == name:
                visible = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
                assert opened.page.evaluate(f"document.activeElement.matches('summary') || {visible}")
                return
        raise AssertionError(f"no way to {name}")

    focused = "document.activeElement.id || document.activeElement.tagName"
    tab_to("metric")
    press("ArrowDown")
    assert opened.chosen()["metric"] != "test_accuracy"
    assert opened.page.evaluate(focused) == "metric"
    press("Tab")
    while opened.page.evaluate(focused) != "SUMMARY":
        press("Tab")
    press("Enter")
    tab_to("level-0-0")
    press("Space")
    assert opened.page.evaluate(focused) == "level-0-0"
    assert not opened.page.is_checked("#level-0-0")
    tab_to("sort-2")
    press("Enter")
    press("Enter")
    assert opened.page.evaluate(focused) == "sort-2"
    assert opened.sorted_by()[0][1] == "descending"


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (768, "dark"), (1280, "light")])
def test_it_is_accessible_and_fits(chromium, published, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    facets = "assignment=depth&notebook=depth/2_train&metric=bias_gradient_norm/layer"
    for address in ("", facets, "assignment=&metric=test_accuracy", "metric=none"):
        page = Visit(context, published.reports / "compare.html", address).page
        page.click("#filters summary")
        found = Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        assert page.get_attribute("#chart[role=img]", "aria-label") == page.text_content("#shown")
    context.close()


def test_without_scripts_it_points_to_the_numbers_and_the_index(chromium, published):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((published.reports / "compare.html").as_uri())
    assert page.locator("noscript a").count() == 2
    assert "results.csv" in page.inner_text("noscript")
    assert not page.is_visible("#app")
    context.close()
