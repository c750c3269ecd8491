"""Sample pages: an executed notebook with everything that ours hold, the same stopped by an error, and an index."""

from html.parser import HTMLParser

from nbformat import NotebookNode, v4

from noisy_digits.pipeline.claims import Finding, Outcome, Verdict
from noisy_digits.pipeline.config import AssignmentConfig, Claim, NotebookConfig
from noisy_digits.project import Project
from noisy_digits.references import Comparison, Effect, describe_effects
from noisy_digits.reports import index, overview
from noisy_digits.reports.figures import Figure
from noisy_digits.reports.markdown import render_markdown_text
from noisy_digits.reports.page import render_page
from noisy_digits.reports.reproduction import lay_out_strips
from noisy_digits.stats import Summary

SVG = """<?xml version="1.0" encoding="utf-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="460pt" height="120pt" viewBox="0 0 460 120">
<style>path { stroke: #1f77b4; fill: none; stroke-width: 2 }</style>
<path d="M 20 100
L 140 40 L 260 25 L 440 20"/><text x="20" y="20" font-size="12">accuracy &amp; 100 % "test"</text></svg>"""
PNG = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAE0lEQVR42mNkEEAFTAxoYGQJAAAI\nrwEQddb6NQAAAABJRU5ErkJggg==\n"
DOT = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
TABLE = """<table><caption>Test accuracy by epoch</caption><thead><tr><th scope="col">epoch</th>
<th scope="col">test accuracy</th><th scope="col">test loss</th></tr></thead><tbody>
<tr><th scope="row">1</th><td>0.9701</td><td>0.0961</td></tr>
<tr><th scope="row">2</th><td>0.9822</td><td>0.0615</td></tr></tbody></table>"""
SOURCE = "def build_model():\n    return None  # a model\n"
MESSAGES = "\x1b[33mUserWarning\x1b[0m: mind the gap\n"
ARGUMENTS = {
    "title": "A convolutional network under Gaussian noise",
    "point": {"recipe": "corrected", "scale": "0.5"},
    "notices": ["Data: 1,797 scans of scikit-learn, not MNIST."],
    "failed": False,
    "facts": {"seeds": "3", "time": "41 s", "data": "SHA-256 741c988805d008ac6e4c904b69001ba1"},
    "metrics": "[1, 2]",
    "links": [("next: scale 1", "cnn_noise/2_train/recipe~corrected/scale~1.0")],
    "top": "../../../",
}


def display(mime, content, alt=None, **metadata):
    described = {mime: {"alt": alt}} if alt else {}
    return v4.new_output("display_data", {mime: content}, metadata=described | metadata)


def code(source, *outputs, tags=()):
    return v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)}, execution_count=3)


def one_cell(*outputs):
    return v4.new_notebook(cells=[v4.new_markdown_cell("# Q"), code("x", *outputs)])


def text_cells(*sources):
    return v4.new_notebook(cells=[v4.new_markdown_cell(source) for source in sources])


def executed_notebook() -> NotebookNode:
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell(
                "# Training under noise\n\nHow much accuracy does a network lose when every image carries "
                "noise of standard deviation $\\sigma < 1$?"
            ),
            code(
                "scale: NonNegative = 0.0  # standard deviation of the noise, in pixel units (0–1)",
                tags=["parameters"],
            ),
            code("scale = 0.5\nrecipe = 'corrected'", tags=["injected-parameters"]),
            code("from noisy_digits import data, noise, plots"),
            v4.new_markdown_cell(
                "## Noise\n\nEvery image gets its own draw: $$x' = x + \\epsilon,\\qquad "
                "\\epsilon \\sim \\mathcal{N}(0, \\sigma^2 I).$$\n\nThe figure shows the *same* ten digits "
                "at each stage; look for the first one that you can no longer read."
            ),
            code(
                "# the same ten digits, clean and noisy\ndataset = data.load('mnist')\n"
                "plots.image_rows({'clean': dataset.x_test, 'noisy': noise.gaussian(dataset.x_test, 1, rng)})",
                display("image/png", PNG, alt="Ten digits, clean and noisy"),
            ),
            v4.new_markdown_cell(
                "## Model\n\nThe network ends in a softmax and minimizes the cross-entropy\n\n"
                "\\begin{align}\np_k &= \\frac{e^{z_k}}{\\sum_{j=1}^{10} e^{z_j}},\\\\\n"
                "L &= -\\frac{1}{n}\\sum_{i=1}^n \\log p_{y_i}(x_i) + "
                "\\lambda \\lVert \\mathbf{w} \\rVert_2^2.\n\\end{align}\n\nThe terms are\n\n"
                "- the logits $z = W^\\top h + b$,\n- the labels $y_i$, and\n"
                "- the factor of the weight decay, $\\lambda$."
            ),
            code(
                "model = models.cnn()\nmodel.summary()",
                v4.new_output("stream", name="stderr", text=MESSAGES),
                v4.new_output("stream", name="stdout", text="Total params: 1,199,882 (4.58 MB)\n"),
            ),
            code(
                "plots.show_source(build_model)",
                v4.new_output("display_data", {"text/markdown": f"```python\n{SOURCE}```", "text/plain": SOURCE}),
            ),
            v4.new_markdown_cell("## Evaluation\n\nTest accuracy after every epoch."),
            code(
                "plots.learning_curves(history)",
                display("image/svg+xml", SVG, alt="Training and test accuracy against epoch"),
                display("text/html", TABLE),
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


def failed_notebook() -> NotebookNode:
    """Return the same notebook, stopped by an exception and marked by papermill."""
    notebook = executed_notebook()
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
        if cell.cell_type == "code":
            cell.outputs = []
    notebook.cells.insert(5, v4.new_markdown_cell(message, metadata=marker))
    notebook.cells.insert(0, v4.new_markdown_cell(message, metadata=marker))
    return notebook


def sample_page(notebook=None, **changes) -> str:
    return render_page(notebook or executed_notebook(), **ARGUMENTS | changes)


def run_row(recipe, scale, status="ok", headline="0.9913 ± 0.0004 (n = 3)"):
    measured = status in ("ok", "stale")
    return {
        "point": {"recipe": recipe, "scale": scale},
        "href": None if status == "missing" else f"cnn_noise/2_train/recipe~{recipe}/scale~{scale}.html",
        "status": status,
        "headline": headline if measured else None,
        "mean": float(headline.split()[0]) if measured else None,
        "time": "41 s" if measured else None,
    }


def single_run(href, headline=None):
    return {"point": {}, "href": href, "status": "ok", "headline": headline, "mean": None, "time": "3 s"}


def cnn_section() -> dict:
    data = NotebookConfig(title="The digits and their noise")
    train = NotebookConfig(
        title="Training with and without noise",
        grid={"recipe": ["as_submitted", "corrected"], "scale": [0.1, 0.5, 4.0]},
        coordinates=["layer"],
        headline_metric="test_accuracy",
        headline_at={"layer": 1},
    )
    claim = Claim(statement="A little noise helps.", notebook="2_train", metric="gain", greater_than=0.0)
    findings = {
        "as_submitted": Finding(Outcome.HOLDS, "0.04 (n = 3)"),
        "corrected": Finding(Outcome.FAILS, "−0.01 (n = 3)"),
    }
    verdict = Verdict("artefact", "unequal images", findings)
    effect = Effect("images not centered", "test_accuracy", "scale 0.1", Summary(-0.2, 0.01, 3, -0.22, -0.18), "lower")
    train_runs = [
        run_row("as_submitted", "0.1", headline="0.8823 ± 0.0021 (n = 3)"),
        run_row("as_submitted", "0.5", "failed"),
        run_row("as_submitted", "4.0", "missing"),
        run_row("corrected", "0.1"),
        run_row("corrected", "0.5", "stale"),
        run_row("corrected", "4.0", headline="0.7130 ± 0.0042 (n = 3)"),
    ]
    return {
        "name": "cnn_noise",
        "config": AssignmentConfig(
            title="A convolutional network under Gaussian noise",
            question="How does accuracy fall with the standard deviation of the noise?",
            order=1,
            recipes={"as_submitted": {}, "corrected": {}},
            notebooks={"1_data": data, "2_train": train},
        ),
        "questions": [
            {
                "number": "W2.3",
                "asked": "How does accuracy fall?",
                "answer": "By **0.2** from scale 0.1 to 4.",
                "figure": Figure("image/svg+xml", DOT, "A dot: accuracy against scale."),
                "verdicts": [(claim, verdict)],
                "title": data.title,
                "href": "cnn_noise/1_data.html",
            }
        ],
        "notebooks": [
            {"name": "1_data", "config": data, "runs": [single_run("cnn_noise/1_data.html")], "matrix": {}},
            {"name": "2_train", "config": train, "runs": train_runs, "matrix": overview.build_matrix(train_runs)},
        ],
        "claims": [(claim, verdict)],
        "mistakes": {"2_train": describe_effects([effect])},
        "reported": [compare(0.8823), compare(0.8823), compare(0.8702), compare(0.99), compare(0.1), compare(0.5, n=1)],
    }


def compare(reported, n=3):
    """Return a line for a reported accuracy next to 0.8702 ± 0.0021."""
    ours = Summary(0.8702, 0.0021, n, 0.865, 0.875)
    interval = (0.8594, 0.8803) if n > 1 else None
    found = Comparison("test_accuracy", reported, ours, 0, comparable=True, interval=interval)
    return found.describe() | {
        "notebook": "Training with and without noise",
        "where": "scale 0.1",
        "distance": found.distance,
        "cause": "cause unknown",
        "corrected": "0.9913 ± 0.0004 (n = 3)",
        "href": "cnn_noise/2_train/recipe~as_submitted/scale~0.1.html",
    }


def sample_content() -> dict:
    compare = NotebookConfig(title="What the runs say", depends_on=["1_data"], headline_metric="claims_supported")
    depth = {
        "name": "depth",
        "config": AssignmentConfig(
            title="Depth, weight decay and the speed of learning",
            question="",
            order=2,
            notebooks={"9_compare": compare},
        ),
        "questions": [],
        "notebooks": [
            {
                "name": "9_compare",
                "config": compare,
                "runs": [single_run("depth/9_compare.html", "4 of 7")],
                "matrix": {},
            }
        ],
        "claims": [],
        "mistakes": {},
        "reported": [],
    }
    sections = [cnn_section(), depth]
    return {
        "title": "Noisy digits: MNIST",
        "project": Project(introduction="Four assignments on noisy digits, answered as submitted and corrected."),
        "is_reference": True,
        "notices": ["Data: 1,797 scans of scikit-learn, not MNIST."],
        "facts": {"revision": "0123abc", "started": "2025-01-01"},
        "render_markdown_text": render_markdown_text,
        "sections": sections,
        "strips": lay_out_strips(sections),
    }


def sample_index(**changes) -> str:
    return index.TEMPLATES.get_template("index.html.j2").render(sample_content() | changes)


PAGES = {
    "page": sample_page,
    "failed page": lambda: sample_page(failed_notebook(), failed=True),
    "index": sample_index,
}


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
