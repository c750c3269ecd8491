"""The landing page of a collection: every assignment, question and grid point, with status and number."""

from collections import Counter
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

STATUSES = {
    "ok": ("✓", "ok"),
    "diverged": ("△", "diverged"),
    "failed": ("✗", "FAILED"),
    "stale": ("↻", "stale"),
    "missing": ("○", "missing"),
}

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def render(collection: dict) -> str:
    """The collection's index page, without scripts; it loads nothing.

    collection has title, introduction, banners, comparable (whether claims are decided), facts and assignments;
    an assignment has name, title, notebooks and optionally question, figure (url, alt, href), claims and published;
    a notebook has name, title, summary (it reads other runs), columns (the grid's, possibly none) and runs,
    in the order to show;
    a run has point, href (relative to the page, not percent-encoded, or None), status (a key of STATUSES)
    and, once it ran, headline, headline_name and time;
    a claim has says, condition, verdict, mistake, notebook (its name) and findings (text by recipe);
    a published row has notebook (its title), where, metric, published, ours, difference, allowed, corrected and href.
    """
    runs = [
        (assignment, notebook, run)
        for assignment in collection["assignments"]
        for notebook in assignment["notebooks"]
        for run in notebook["runs"]
    ]
    return _ENVIRONMENT.get_template("index.html.j2").render(
        collection,
        statuses=STATUSES,
        counts=Counter(run["status"] for _, _, run in runs),
        failed=[entry for entry in runs if entry[2]["status"] == "failed"],
    )
