"""Pages in a real browser, opened from a file with the network off."""

import shutil
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NARROW = {"width": 400, "height": 800}
MEASURE = """() => ({
    images: Array.from(document.images, image => image.naturalWidth),
    formulas: Array.from(document.querySelectorAll("math"), formula => {
        const box = formula.getBoundingClientRect();
        return [box.width, box.height];
    }),
    headings: document.querySelectorAll("h1").length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    anchors: Array.from(  // a link inside of SVG has no href as text
        document.querySelectorAll("a[href]"), link => new URL(link.getAttribute("href"), document.baseURI).href
    ),
    identifiers: Array.from(document.querySelectorAll("[id]"), element => element.id),
})"""


def open_page(path: Path) -> dict:
    """What a browser makes of one page: see open_pages."""
    return open_pages([path])[0]


def open_pages(paths: Iterable[Path], **settings) -> list[dict]:
    """What a browser, 400 px wide and offline, makes of each page; the test is skipped where there is none.

    ``settings`` are those of Playwright's context, such as color_scheme="dark".

    requests: addresses asked for besides the page and data: URLs; console: errors and warnings logged;
    errors: uncaught exceptions; images: natural widths, px; formulas: (width, height) of every <math>, px;
    headings: number of h1; overflow: px by which the page is wider than the window; broken: links and anchors that
    lead nowhere; violations: what axe-core finds that is serious or critical, as (rule, first element).
    """
    with browser() as chromium:
        context = chromium.new_context(**{"viewport": NARROW} | settings)
        context.set_offline(True)
        return [_open(context, Path(path).resolve().as_uri()) for path in paths]


@contextmanager
def browser():
    """A real browser, Playwright's Browser; the test is skipped where there is none."""
    if PROGRAM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        yield chromium
        chromium.close()


def _open(context, address: str) -> dict:
    requests, console, errors = [], [], []
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: message.type in ("error", "warning") and console.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    measured = page.evaluate(MEASURE)
    violations = [
        (violation["id"], violation["nodes"][0]["html"])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    page.close()
    return {
        "broken": [
            link for link in measured["anchors"] if not _leads_somewhere(link, address, measured["identifiers"])
        ],
        "violations": violations,
        "requests": [url for url in requests if url != address and not url.startswith("data:")],
        "console": console,
        "errors": errors,
        **measured,
    }


def _leads_somewhere(link: str, address: str, identifiers: list[str]) -> bool:
    target, _, anchor = link.partition("#")
    if target == address:
        return unquote(anchor) in ("", *identifiers)
    return not link.startswith("file:") or Path(unquote(urlsplit(target).path)).is_file()
