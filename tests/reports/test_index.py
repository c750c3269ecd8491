"""The index of a collection: its page from plain data, and what it gathers from a project."""

import re
import subprocess
import sys
from urllib.parse import unquote

import pandas as pd
import pytest
from hypothesis import given, settings

from noisy_digits._files import read_record, write_json, write_metrics
from noisy_digits.errors import UserError
from noisy_digits.pipeline.claims import Finding, Outcome, Verdict
from noisy_digits.pipeline.config import AssignmentConfig, Claim, NotebookConfig
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import Project
from noisy_digits.references import DIFFERENCE, INTERVAL, TOLERANCE, Effect, describe_effects
from noisy_digits.reports.figures import Figure
from noisy_digits.reports.index import write_index
from noisy_digits.reports.overview import Overview, build_matrix
from noisy_digits.reports.reproduction import lay_out_strips
from noisy_digits.stats import summarize

from .samples import DOT, SVG, Elements, display, run_row, sample_content, sample_index
from .test_page import ANY_TEXT
from .toy import FULL, PARAMS, PROJECT, fail_run, remove_run, write_notebook


def words(html):
    return " ".join(Elements(html).text.split())


def index_of(title, value, href):
    """Return an index in which every text is one of these."""
    rest = {"href": href, "headline": value + ".", "mean": 0.5, "time": value + "."}
    statuses = ("ok", "diverged", "failed", "stale", "missing")
    grid = NotebookConfig.model_construct(
        title=title, grid={"p": [value], "q": list(statuses)}, headline_metric="m" + value, headline_at={"q": value}
    )
    single = NotebookConfig.model_construct(title=title, depends_on=["n"], headline_metric="m" + value)
    words = ("notebook", "where", "metric", "ours", DIFFERENCE, INTERVAL, "inside", "cause", "corrected")
    runs = [{"point": {"p": value, "q": s}, "status": s, **rest} for s in statuses]
    judged = (
        Claim.model_construct(statement=title, notebook="n", metric=value, greater_than=0.0),
        Verdict(value, value + ".", {"r": Finding(Outcome.HOLDS, value)}),
    )
    section = {
        "name": "a",
        "config": AssignmentConfig.model_construct(title=title, question=value + ".", order=1, notebooks={"n": grid}),
        "questions": [
            {
                "number": "q" + value,
                "asked": value + ".",
                "answer": None,
                "figure": Figure("image/svg+xml", DOT, value),
                "verdicts": [judged],
                "title": title,
                "href": href,
            }
        ],
        "notebooks": [
            {"name": "n", "config": grid, "runs": runs, "matrix": build_matrix(runs)},
            {"name": "o", "config": single, "runs": [{"point": {}, "status": "ok", **rest}], "matrix": {}},
        ],
        "claims": [judged],
        "mistakes": {"n": describe_effects([Effect(value, value, value, summarize([0.5, 0.6]), value)])},
        "reported": [dict.fromkeys(words, value + ".") | {"reported": 0.5, "distance": 0.5, "href": href}],
    }
    project = Project(introduction=value, reference_collection=value + ".")
    facts = {value: value + "."}
    return sample_index(
        title=title,
        project=project,
        is_reference=False,
        notices=[value],
        facts=facts,
        unrecorded=[value],
        sections=[section],
        strips=lay_out_strips([section]),
    )


@settings(max_examples=40)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT.map(lambda text: "x" + text))
def test_index_makes_no_markup_of_text(title, value, href):
    elements = Elements(index_of(title, value, href))
    assert elements.shape() == Elements(index_of("a", "a", "xa")).shape()
    links = [a["href"] for a in elements.all("a") if not a["href"].startswith("#")]
    assert {unquote(link) for link in links} == {href, "results.zip", "compare.html"}
    assert not any(re.search(r"[\s\"'<>#?:]", link) for link in links)


def test_index_lists_every_run_with_status_and_number():
    html = sample_index()
    text = words(html)
    assert "✓ 5 ok ✗ 1 FAILED ↻ 1 stale ○ 1 missing" in text
    assert "recipe as_submitted, scale 0.5 (A convolutional network under Gaussian noise)" in text
    assert text.index("Failed runs") < text.index("The digits and their noise")
    links = [a["href"] for a in Elements(html).all("a")]
    for section in sample_content()["sections"]:
        for notebook in section["notebooks"]:
            assert notebook["config"].title in text
            for run in notebook["runs"]:
                assert run["href"] in (*links, None)
                assert (run["headline"] or "") in text
    assert "test accuracy at layer 1 by recipe and scale" in text
    assert "summary ✓ ok claims supported 4 of 7" in text
    assert links.count("cnn_noise/1_data.html") == 2


def test_index_shows_claims_and_reported_numbers():
    text = words(sample_index())
    assert "verdictfindings" in text
    assert "A little noise helps. here: a claim of ours0 < gainartefact: unequal images" in text
    assert "as submitted: 0.04 (n = 3)corrected: −0.01 (n = 3)" in text
    ours = "0.8702 ± 0.0021 (n = 3)+0.01210.8594 to 0.8803no: cause unknown0.9913"
    assert f"scale 0.1, test accuracy test accuracy0.8823{ours}" in text


def test_index_draws_every_compared_number_as_a_mark_that_links_and_says_what_it_is():
    html = sample_index()
    assert "1 of 5 reported numbers lie within" in words(html)
    assert "(not compared, for lack of replicates: 1)" in words(html)
    (figure,) = re.findall(r'<svg class="strip" role="group".*?</svg>', html, re.DOTALL)
    assert 'aria-label="A convolutional network under Gaussian noise: 1 of 5 reported numbers inside' in figure
    marks = re.findall(r'<a href="([^"]*)"><title>([^<]*)</title><use href="#mark-(\w+)" class="\3" x="(\S+)%"', figure)
    assert [shape for _, _, shape, _ in marks] == ["outside", "outside", "inside", "above", "below"]
    assert {link for link, *_ in marks} == {"cnn_noise/2_train/recipe~as_submitted/scale~0.1.html"}
    assert marks[0][1] == (
        "Training with and without noise, scale 0.1, test accuracy: reported 0.8823, ours 0.8702 ± 0.0021 (n = 3), "
        "0.8594 to 0.8803, outside"
    )
    places = [float(x) for *_, x in marks]
    assert places[0] == places[1] > places[2] == 50
    assert places[4] < 10 < 90 < places[3]


def test_index_without_compared_numbers_says_where_they_are_compared():
    elsewhere = {"strips": [], "project": Project(reference_collection="mnist")}
    assert "Reported numbers are compared only in the collection mnist." in words(sample_index(**elsewhere))
    assert "are compared only" not in words(sample_index(strips=[]))


def test_index_shows_what_each_mistake_did():
    text = words(sample_index())
    row = "images not centered, scale 0.1, test accuracyscale 0.1test accuracy-0.2000 ± 0.0100 (n = 3)"
    assert f"{row}-0.2200 to -0.1800lower" in text
    assert "The mistakes and what each did" in text
    assert "The mistakes and what each did" not in words(sample_index(sections=sample_content()["sections"][1:]))


def test_index_says_why_claims_are_not_decided():
    assert "not decided" not in words(sample_index())
    assert "names no reference_collection" in words(sample_index(is_reference=False))
    elsewhere = Project(reference_collection="mnist")
    assert "decided only in the collection mnist." in words(sample_index(is_reference=False, project=elsewhere))


def test_index_without_failures_has_no_failed_section():
    assert "Failed runs" not in sample_index(sections=sample_content()["sections"][1:])


def test_index_adds_little_to_its_content():
    assert len(sample_index().encode()) < 24_500


def test_importing_the_index_imports_neither_nbconvert_nor_tensorflow():
    check = (
        "import sys, noisy_digits.reports.index; sys.exit(sorted({'nbconvert', 'tensorflow'} & {*sys.modules}) or 0)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def contrast(first, second):
    """Return the WCAG 2 contrast ratio of two #rrggbb colors."""

    def luminance(color):
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted(map(luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def test_colors_have_enough_contrast_in_light_and_dark():
    values = re.findall(r"--([a-z-]+): (#[0-9a-f]+);", sample_index())
    half = len(values) // 2
    for palette in (dict(values[:half]), dict(values[half:])):
        full = {name: "#" + 2 * value[1:] if len(value) == 4 else value for name, value in palette.items()}
        pairs = [("note-ink", "note"), ("bad", "bad-paper"), ("ink", "bad-paper"), ("link", "bad-paper")]
        pairs += [(ink, "paper") for ink in ("ink", "soft", "link", "bad", "good", "note-ink")]
        pairs += [(ink, "panel") for ink in ("ink", "soft", "keyword", "string", "number")]
        assert min(contrast(full[ink], full[paper]) for ink, paper in pairs) >= 4.5


def describe(root, runs):
    (section,) = Overview(root, runs, FULL).sections()
    return section


def column(rows, key):
    return [row[key] for row in rows]


def test_sections_give_status_headline_and_page_of_each_run(project):
    root, runs = project
    fail_run(root, runs[1])
    remove_run(root, runs[2])
    write_index(root, runs, FULL)
    measure, compare = column(describe(root, runs)["notebooks"], "runs")
    assert column(measure, "status") == ["ok", "failed", "missing", "ok"]
    assert column(measure, "headline") == ["0.8100 ± 0.0100 (n = 3)", None, None, "0.4100 ± 0.0100 (n = 3)"]
    assert column(measure, "time") == ["41 s", None, None, "41 s"]
    assert column(measure, "href")[1:3] == ["toy/1_measure/recipe~original/scale~2.0.html", None]
    assert column(compare, "status") == ["stale"]
    assert "accuracy at noise level 0.4 by recipe and scale" in words((root / "reports/full/index.html").read_text())


def test_sections_decide_claims_in_the_reference_collection(project):
    ((claim, verdict),) = describe(*project)["claims"]
    assert claim.statement == "The toy is accurate."
    assert (verdict.word, verdict.cause) == ("artefact", "the factor is twice too large")
    assert "0.8100 ± 0.0100 (n = 3)" in verdict.findings["original"].explanation
    assert "0.4100 ± 0.0100 (n = 3)" in verdict.findings["corrected"].explanation


def test_sections_decide_no_claims_elsewhere(project):
    root, runs = project
    (root / "project.yml").write_text(PROJECT.replace("full", "other"))
    section = describe(root, runs)
    assert [verdict.word for _, verdict in section["claims"]] == ["not decided"]
    assert set(column(section["reported"][:2], DIFFERENCE)) == {"not comparable"}


def test_sections_compare_reported_numbers_at_their_point(project):
    accuracy, loss, unplanned = describe(*project)["reported"]
    assert accuracy == {
        "notebook": "Measuring",
        "where": "scale 0.5, noise level 0.4",
        "metric": "accuracy",
        "reported": 0.8,
        "ours": "0.8100 ± 0.0100 (n = 3)",
        DIFFERENCE: "-0.0100",
        INTERVAL: "0.7553 to 0.8548",
        "inside": "yes",
        "distance": pytest.approx(-0.01 / (0.81 - 0.7553 + TOLERANCE), rel=1e-3),
        "cause": "cause unknown",
        "corrected": "0.4100 ± 0.0100 (n = 3)",
        "href": None,
    }
    assert (loss["where"], loss["ours"]) == ("scale 0.5", "0.2100 ± 0.0100 (n = 3)")
    assert loss["corrected"] == "0.2100 ± 0.0100 (n = 3)"
    assert (unplanned["where"], unplanned["ours"], unplanned["href"]) == ("scale 9", "not run", None)


def test_sections_tell_what_each_mistake_did(project):
    root, runs = project
    assert describe(root, runs)["mistakes"] == {}
    mistake = (
        "{mistake: a slip, metrics: [accuracy], at: {recipe: original, scale: 0.5, noise_level: 0.4}, "
        "without: {recipe: corrected}}"
    )
    (root / "params/toy.yml").write_text(PARAMS.replace("    reported:", f"    mistakes: [{mistake}]\n    reported:"))
    (root / "project.yml").write_text(PROJECT.replace("full", "other"))  # they need no reported numbers
    (table,) = describe(root, runs)["mistakes"].values()
    assert table.to_numpy().tolist() == [
        ["a slip", "scale 0.5, noise level 0.4", "accuracy", "0.4000 ± 0.0000 (n = 3)", "0.4000 to 0.4000", "higher"]
    ]


def test_sections_say_what_is_known_of_a_number_outside(project):
    root, runs = project
    known = "    deviations: [{metric: accuracy, at: {scale: [0.5, 2.0]}, cause: a slip}]\n  2_compare:"
    (root / "params/toy.yml").write_text(PARAMS.replace("  2_compare:", known, 1))
    accuracy, loss, _ = describe(root, runs)["reported"]
    assert (accuracy["cause"], loss["cause"]) == ("a slip", "cause unknown")


def test_sections_give_the_status_instead_of_a_number(project):
    root, runs = project
    for run in runs:
        fail_run(root, run)
    section = describe(root, runs)
    assert column(section["reported"], "ours") == ["failed", "failed", "not run"]
    assert [verdict.word for _, verdict in section["claims"]] == ["not decided"]
    assert section["questions"][0]["answer"] is None
    assert section["questions"][0]["figure"] is None


def test_sections_answer_questions_with_the_answer_and_the_figure_of_a_notebook(project):
    root, runs = project
    answer = display("text/markdown", "It is **0.5**.", answer=True)
    figure = display("image/svg+xml", SVG, alt="A")
    write_notebook(root / "results/full/toy/2_compare/notebook.ipynb", "", answer, figure)
    (question,) = describe(root, runs)["questions"]
    assert (question["number"], question["answer"], question["figure"].alt) == ("T.1", "It is **0.5**.", "A")
    assert [verdict.word for _, verdict in question["verdicts"]] == ["artefact"]


def test_write_index_names_a_question_that_no_answer_names_and_fails(project):
    root, runs = project
    answer = display("text/markdown", "It is **0.5**.", answer=True, question="T.2")
    write_notebook(root / "results/full/toy/2_compare/notebook.ipynb", "", answer)
    with pytest.raises(UserError, match=r"toy.yml: questions.T.1: no answer of 2_compare names this question"):
        write_index(root, runs, FULL)


def test_build_matrix_puts_runs_in_rows_and_columns_with_shares():
    runs = [run_row("as_submitted", "0.1", headline="0.2 (n = 1)"), run_row("corrected", "0.5", headline="0.7 (n = 1)")]
    matrix = build_matrix([*runs, run_row("corrected", "0.1", "failed")])
    assert {row: {column: run["share"] for column, run in runs.items()} for row, runs in matrix.items()} == {
        "as submitted": {"scale 0.1": 0},
        "corrected": {"scale 0.5": 1, "scale 0.1": 0},
    }


def test_write_index_writes_the_table_the_pages_and_the_index(project):
    root, runs = project
    write_index(root, runs, FULL)
    table = pd.read_csv(root / "results/full/results.csv")
    assert list(table.columns) == [
        *("assignment", "notebook", "recipe", "scale", "noise_level", "seed", "metric", "value")
    ]
    assert len(table) == 4 * 9
    html = (root / "reports/full/index.html").read_text()
    pages = {unquote(a["href"]) for a in Elements(html).all("a") if a["href"].endswith(".html")}
    assert pages == {*(f"{run.path}.html" for run in runs), "compare.html"}
    assert all((root / "reports/full" / page).is_file() for page in pages)
    assert "A toy study" in words(html)
    assert "2025-01-01" in words(html)
    assert "a toy computer" in words(html)


def test_write_index_counts_a_training_that_two_runs_share_once(project):
    root, runs = project
    shared = {"key": "k", "restored": False, "made": "2025-01-01", "revision": None, "device": "CPU", "seconds": 100.0}
    for run, own in zip(runs[:2], ("a", "b"), strict=True):
        folder = root / "results/full" / run.path
        write_json(folder / "run.json", read_record(folder) | {"trainings": [shared, shared | {"key": own}]})
    write_index(root, runs, FULL)
    assert "trainings3, made in 5 min" in words((root / "reports/full/index.html").read_text())


LITERATURE = (
    "literature: [{network: n, source: s, differs: d, metric: %s, value: 1, at: {recipe: original, scale: 0.5}}]"
)
MISSPELT = {
    "notebooks.1_measure.headline_metric": ("headline_metric: accuracy", "headline_metric: acuracy", "accuracy"),
    "notebooks.1_measure.reported": ("scale: 9.0, test_loss", "scale: 9.0, tst_loss", "test_loss"),
    "notebooks.1_measure.literature": ("n_seeds: 3", f"n_seeds: 3\n    {LITERATURE % 'test_los'}", "test_loss"),
    "notebooks.1_measure.mistakes": (
        "n_seeds: 3",
        "n_seeds: 3\n    mistakes: [{mistake: m, metrics: [test_los], at: {recipe: original, scale: 0.5}, "
        "without: {recipe: corrected}}]",
        "test_loss",
    ),
    "claims.accurate": ("    metric: accuracy", "    metric: acuracy", "accuracy"),
    "claims.accurate.minus": ("    greater_than: 0.7", "    minus: {metric: loss}\n    greater_than: 0.7", "test_loss"),
}


def misspell(root, place):
    """Name a metric in ``place`` that no run recorded; return the message about it without its end."""
    old, new, meant = MISSPELT[place]
    assert PARAMS.count(old) == 1
    (root / "params/toy.yml").write_text(PARAMS.replace(old, new))
    return rf"toy.yml: {place}: no run of 1_measure recorded \w+; did you mean {meant}\? \(allowed: {meant}, "


@pytest.mark.parametrize("place", MISSPELT)
def test_write_index_names_a_metric_that_no_run_recorded_and_fails(project, place):
    root, runs = project
    message = misspell(root, place)
    with pytest.raises(UserError, match=f"^{message}"):
        write_index(root, runs, FULL)
    assert re.search(f"Mistakes in params files {message}", words((root / "reports/full/index.html").read_text()))
    assert not (root / "results/full/results.csv").exists()  # so that Snakemake makes the index again


def mention(root, runs):
    notebook = root / "notebooks/toy/1_measure.ipynb"
    notebook.write_text(notebook.read_text().replace("draw()", "acuracy"))


def diverge(root, runs):
    for run in runs[:4]:
        write_metrics(root / "results/full" / run.path, [{"seed": 0, "metric": "diverged", "value": 1.0}])


@pytest.mark.parametrize("change", [mention, diverge, lambda root, runs: fail_run(root, runs[1])])
def test_write_index_accepts_a_metric_that_a_notebook_may_record(project, change):
    root, runs = project
    misspell(root, "claims.accurate")
    change(root, runs)
    write_index(root, runs, FULL)
    assert (root / "results/full/results.csv").exists()


def test_write_index_names_the_profile_and_says_that_it_is_no_result(project):
    root, runs = project
    write_index(root, runs, Collection(None, "quick"))
    text = words((root / "reports/quick/index.html").read_text())
    assert "A toy study, quick profile" in text
    assert "they are not results" in text
    assert "The claims are decided only in the collection full." in text
    assert "○ 5 missing" in text


EXTRA_PAGE = """\
TITLE = "More & more"
def render_page(collection, notices):
    return f"{PAGE} of {collection}" if PAGE else None
"""


def test_write_index_writes_and_links_the_projects_own_page_if_there_is_one(project, monkeypatch):
    root, runs = project
    (root / "project.yml").write_text(PROJECT + "extra_page: toy_pages.extra\n")
    monkeypatch.syspath_prepend(root)
    (root / "toy_pages").mkdir()
    page, linked = root / "reports/full/extra.html", '<a href="extra.html">More &amp; more</a>'
    for content in ("One", "", "Two"):
        (root / "toy_pages/extra.py").write_text(f"PAGE = {content!r}\n{EXTRA_PAGE}")
        monkeypatch.delitem(sys.modules, "toy_pages.extra", raising=False)
        write_index(root, runs, FULL)
        assert (page.read_text() if page.exists() else "") == (f"{content} of full" if content else "")
        assert (linked in (root / "reports/full/index.html").read_text()) is bool(content)


@pytest.mark.parametrize("module", ["no.such.module", "json", ".play"])
def test_write_index_refuses_a_module_that_makes_no_page(project, module):
    root, runs = project
    (root / "project.yml").write_text(f"{PROJECT}extra_page: {module}\n")
    with pytest.raises(UserError, match=rf"project\.yml: extra_page: {module} cannot be used: "):
        write_index(root, runs, FULL)
