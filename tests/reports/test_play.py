"""The page play.html in a real browser, offline: its networks, its controls and its reading test."""

import base64
import csv
import hashlib
import re
import shutil

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from noisy_digits import data, denoisers, noise, play, readers, training
from noisy_digits.play._networks import quantize

from ..browser import NARROW, browser
from ..conftest import noisy_digits
from . import play_project

WIDE = {"width": 1280, "height": 900}
MAX_BYTES = 1_500_000
STROKES_OF_A_3 = [
    [(95, 70), (140, 45), (185, 70), (180, 115), (135, 135)],
    [(135, 135), (190, 165), (185, 215), (135, 238), (85, 215)],
]
N_DIGITS = 200
COMPUTE = "([name, images]) => images.map((image) => [...compute(NETWORKS[name], Float32Array.from(image))])"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page of a project whose networks were trained on scikit-learn's digits, and these networks."""
    return make_page(tmp_path_factory, "digits")


@pytest.fixture(scope="module")
def made_of_mnist(tmp_path_factory):
    if data.locate_dataset("mnist") is None:
        pytest.skip("MNIST is not here: put mnist.npz into a folder and set NOISY_DIGITS_DATA to it")
    return make_page(tmp_path_factory, "mnist", train_size=20_000, epochs=3)


def make_page(tmp_path_factory, name, **settings):
    root = tmp_path_factory.mktemp("play") / "project"
    networks = play_project.make_project(root, name, **settings)
    path = root / f"reports/{name}/play.html"
    path.parent.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(root)
        html = play.render_page(name, ["A notice."])
    assert html is not None
    path.write_text(html, encoding="utf-8")
    return path, networks


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture
def open_play(chromium):
    """A function that opens the page and waits until it is ready; errors and requests fail the test at its end."""
    contexts, problems = [], []

    def opened(path, viewport=WIDE, **settings):
        contexts.append(context := chromium.new_context(viewport=viewport, **settings))
        context.set_offline(True)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        allowed = (path.as_uri(), "data:")
        page.on("request", lambda request: request.url.startswith(allowed) or problems.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("body.ready")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def read_digit(page):
    """Return what both networks read."""
    return [page.inner_text("#mlp-reads"), page.inner_text("#cnn-reads")]


def draw(page, strokes):
    """Draw strokes, given in the 280 × 280 pixels of the pad, with the mouse."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=5)
        page.mouse.up()


def find_violations(page):
    found = Axe().run(page).response["violations"]
    return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]


def compare_outputs(open_play, made):
    """Return how far the page's outputs are from Keras's at most, over noisy digits, by network."""
    path, networks = made
    images = play_project.noisy_images(data.load(path.parent.name, train_size=1), N_DIGITS, np.random.default_rng(0))
    page = open_play(path)
    differences = {}
    for name, model in networks.items():
        ours = np.array(page.evaluate(COMPUTE, [name, images.reshape(N_DIGITS, -1).tolist()]))
        differences[name] = np.abs(ours - training.predict(model, images).reshape(N_DIGITS, -1)).max()
    return differences


@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["narrow", "wide"])
def test_page_is_accessible_and_small(open_play, made, viewport):
    path, _ = made
    page = open_play(path, viewport)
    page.click("summary")
    assert find_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.locator("h1").count() == 1
    assert page.inner_text(".notices") == "A notice."
    assert path.stat().st_size <= MAX_BYTES


def test_networks_of_the_page_give_keras_outputs(open_play, made):
    differences = compare_outputs(open_play, made)
    assert set(differences) == set(play.NETWORKS)
    assert max(differences.values()) < 1e-3, differences


def test_median_of_the_page_is_that_of_denoisers(open_play, made):
    rng = np.random.default_rng(0)
    images = rng.random((20, 28, 28), dtype=np.float32)
    script = "(images) => images.map((image) => [...DENOISERS.median_3(Float32Array.from(image))])"
    ours = np.array(open_play(made[0]).evaluate(script, images.reshape(20, -1).tolist()), np.float32)
    assert np.array_equal(ours.reshape(20, 28, 28), denoisers.DENOISERS["median_3"](images))


@pytest.mark.parametrize("amount", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", ["gaussian", "salt_and_pepper"])
def test_noise_of_the_page_is_distributed_as_that_of_the_package(open_play, made, kind, amount):
    n = 100_000
    script = f"(n) => [...NOISES.{kind}(new Float32Array(n).fill(0.25), {amount}, makeGenerator(7))]"
    page = open_play(made[0])
    ours = np.array(page.evaluate(script, n), np.float32)
    assert ours.tolist() == page.evaluate(script, n)
    theirs = noise.NOISES[kind].function(np.full(n, 0.25, np.float32), amount, np.random.default_rng(0))
    edges = [-np.inf, -1, -0.5, -0.25, 0, 0.1, 0.2, 0.249, 0.251, 0.5, 0.9, 0.99, 1.5, np.inf]
    counts = [np.histogram(values, edges)[0] for values in (ours, theirs)]
    assert np.all(np.abs(counts[0] - counts[1]) <= 5 * np.sqrt(counts[0] + counts[1]))


def test_only_the_script_of_the_page_runs(chromium, made, tmp_path):
    html = made[0].read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"
    changed = tmp_path / "changed.html"
    changed.write_text(html.replace("</main>", "</main><script>document.title = 'changed'</script>"), encoding="utf-8")
    messages = []
    page = chromium.new_page()
    page.on("console", lambda message: messages.append(message.text))
    page.goto(changed.as_uri())
    page.wait_for_selector("body.ready")
    assert page.title() == play.TITLE
    assert ["Content Security Policy" in message for message in messages] == [True]
    page.close()


def test_moving_the_slider_changes_what_is_read(open_play, made):
    page = open_play(made[0])
    seen = set()
    for amount in ("0", "0.5", "1"):
        page.locator("#amount").fill(amount)
        assert page.inner_text("#amount-shown") == f"{float(amount):.2f}"
        seen.add(page.inner_text("table.readings"))
    assert len(seen) == 3


def test_a_state_can_be_reproduced(open_play, made):
    page = open_play(made[0])
    before = page.inner_text("table.readings")
    page.click("#redraw")
    assert page.inner_text("table.readings") != before
    page.locator("#draw").fill("0")
    assert page.inner_text("table.readings") == before


def test_every_denoiser_changes_what_is_read(open_play, made):
    page = open_play(made[0])
    page.locator("#amount").fill("0.5")
    seen = set()
    for denoiser in page.locator("#denoiser option").evaluate_all("options => options.map((each) => each.value)"):
        page.select_option("#denoiser", denoiser)
        seen.add(page.inner_text("table.readings"))
    assert len(seen) == 4


def test_page_is_used_with_the_keyboard_and_announces_what_is_read(open_play, made):
    page = open_play(made[0])
    page.focus("#digit")
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("DIGITS[document.getElementById('digit').value].label")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.inner_text("#amount-shown") == "1.00"
    announced = re.compile(rf"Test digit {chosen}\. MLP reads \d, .* CNN reads \d, ")
    expect(page.locator("#announced")).to_have_text(announced)
    assert page.inner_text("#mlp-reads") in page.text_content("#announced").split("CNN")[0]


def test_a_drawing_is_scaled_and_centered_as_mnist_is(open_play, made):
    drawn = np.zeros((280, 280))
    drawn[30:230, 200:240] = 1
    drawn[190:230, 120:240] = 1
    script = "(drawn) => [...prepareDrawing(Float32Array.from(drawn))]"
    page = open_play(made[0])
    image = np.array(page.evaluate(script, drawn.ravel().tolist())).reshape(28, 28)
    rows, columns = np.nonzero(image > 0.5)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 12)
    center = [(image * axis).sum() / image.sum() for axis in np.mgrid[0.5:28, 0.5:28]]
    assert center == pytest.approx([14, 14], abs=0.1)
    assert page.evaluate("prepareDrawing(new Float32Array(100))") is None


def test_a_finger_draws_and_the_button_clears(open_play, made):
    page = open_play(made[0], NARROW, has_touch=True)
    page.click("#clear")
    assert read_digit(page) == ["–", "–"]
    box = page.locator("#pad").bounding_box()
    touch = page.context.new_cdp_session(page)
    for kind, down in (("touchStart", 0.3), ("touchMove", 0.5), ("touchMove", 0.7), ("touchEnd", None)):
        points = [] if down is None else [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] * down}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.locator("#mlp-reads")).to_have_text(re.compile("[0-9]"))
    assert page.evaluate("scrollY") == 0
    page.click("#clear")
    assert read_digit(page) == ["–", "–"]


def test_reading_test_shows_each_level_as_often_and_follows_from_its_seed(open_play, made):
    page = open_play(made[0])
    trials = page.evaluate("makeTrials(42).map(({index, level, noisy}) => [index, level, [...noisy]])")
    assert trials == page.evaluate("makeTrials(42).map(({index, level, noisy}) => [index, level, [...noisy]])")
    indices, levels, noisy = zip(*trials, strict=True)
    assert len(set(indices)) == len(indices)
    assert sorted(levels) == [level for level in readers.LEVELS for _ in range(readers.DIGITS_PER_LEVEL)]
    x_test = data.load("digits", train_size=1).x_test
    assert all(
        np.mean(np.abs(image - x_test[index].ravel()) > 1e-6) <= level
        for index, level, image in zip(indices, levels, map(np.array, noisy), strict=True)
    )


@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["narrow", "wide"])
def test_reading_test_leads_to_a_file_that_the_readers_command_accepts(open_play, made, tmp_path, viewport):
    page = open_play(made[0], viewport, color_scheme="dark")
    page.click("#start")
    labels = page.evaluate("test.trials.map((trial) => trial.label)")
    assert find_violations(page) == []
    for number, label in enumerate(labels):
        assert page.inner_text("#progress") == f"Digit {number + 1} of {len(labels)}"
        if number < 30:
            page.keyboard.press(str(label))
        else:
            page.click(f"#answers button:text-is('{(label + 1) % 10}')")
    assert page.inner_text("#score") == "You read 30 of 40 digits correctly."
    assert find_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    with page.expect_download() as download:
        page.click("#csv")
    folder = tmp_path / "class"
    download.value.save_as(folder / download.value.suggested_filename)
    root = shutil.copytree(made[0].parents[2], tmp_path / "project", ignore=shutil.ignore_patterns("results"))
    done = noisy_digits(root, "readers", str(folder))
    assert (done.returncode, done.stdout) == (0, f"1 readers in {readers.FILE}\n")
    check_scores(page.inner_text("#scores"), root / readers.FILE)


def check_scores(shown, file):
    """Compare the reader's scores on the page with those that follow from the file."""
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    lines = [line.split("\t") for line in shown.splitlines()]
    for line, level in zip(lines, readers.LEVELS, strict=False):
        right = sum(row["answer"] == row["label"] for row in rows if float(row["level"]) == level)
        assert line[:2] == [f"{level:g}", f"{right} of 5"]
    assert lines[-1][:3] == ["all", "30 of 40", "0.60 to 0.86"]


def test_wilson_interval_is_that_of_scipy(open_play, made):
    from scipy.stats import binomtest

    page = open_play(made[0])
    for right, n in [(0, 5), (3, 5), (40, 40)]:
        ours = page.evaluate(f"wilsonInterval({right / n}, {n})")
        assert ours == pytest.approx(binomtest(right, n).proportion_ci(method="wilson"), abs=1e-9)


def test_render_page_makes_none_without_networks_data_or_digits(made, tmp_path, monkeypatch):
    root = shutil.copytree(made[0].parents[2], tmp_path / "project")
    monkeypatch.chdir(root)
    shutil.move(root / "results/digits", root / "results/fashion_mnist")
    assert play.render_page("fashion_mnist", []) is None
    assert play.render_page("digits", []) is None


def test_render_page_makes_none_without_a_model(made, tmp_path, monkeypatch, capsys):
    root = shutil.copytree(made[0].parents[2], tmp_path / "project")
    monkeypatch.chdir(root)
    for model in root.glob("results/digits/denoising/4a_autoencoder/*convolutional/*.keras"):
        model.unlink()
    assert play.render_page("digits", []) is None
    missing = "no run of denoising/4a_autoencoder with autoencoder convolutional saved a model of seed 0"
    assert f"play.html is left out: {missing}" in capsys.readouterr().err


@pytest.mark.slow
def test_mnist_networks_of_the_page_give_keras_outputs(open_play, made_of_mnist):
    assert made_of_mnist[0].stat().st_size <= MAX_BYTES
    differences = compare_outputs(open_play, made_of_mnist)
    assert max(differences.values()) < 1e-3, differences


@pytest.mark.slow
def test_rounded_weights_change_no_accuracy_by_a_thousandth(made_of_mnist):
    """On all 10,000 test images with noise that the networks misread often."""
    _, networks = made_of_mnist
    digits = data.load("mnist", train_size=1)
    noisy = noise.salt_and_pepper(digits.x_test, 0.3, np.random.default_rng(0))
    rounded = {name: round_weights(model) for name, model in networks.items()}

    def measure(networks):
        denoised = {name: training.predict(networks[name], noisy) for name in ("dense", "convolutional")}
        pairs = [("mlp", noisy), ("cnn", noisy), *(("cnn", images) for images in denoised.values())]
        return np.array(
            [training.evaluate(networks[name], images, digits.y_test)["accuracy"] for name, images in pairs]
        )

    assert np.abs(measure(rounded) - measure(networks)).max() <= 0.001


def round_weights(model):
    """Return a copy of a model with the weights that the page has."""
    rounded = type(model).from_config(model.get_config())
    rounded.set_weights([quantized * np.float32(step) for quantized, step in map(quantize, model.get_weights())])
    training.compile(rounded, optimizer="adam", learning_rate=0.001, loss="sparse_categorical_crossentropy")
    return rounded


@pytest.mark.slow
@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["narrow", "wide"])
def test_a_drawn_3_is_read_as_3(open_play, made_of_mnist, viewport):
    page = open_play(made_of_mnist[0], viewport)
    page.locator("#amount").fill("0")
    draw(page, STROKES_OF_A_3)
    expect(page.locator("#digit")).to_have_value("")
    expect(page.locator("#mlp-reads")).to_have_text("3")
    expect(page.locator("#cnn-reads")).to_have_text("3")
