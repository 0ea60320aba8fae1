"""The viewer as a person uses it, in Debian's Chromium.

`SEGMINT_DOCS_RUN=RUN pytest -m browser -k screenshot` draws the pictures of docs/images from that run.
"""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from segmint.export.corrections import put_in
from segmint.runs import layout
from segmint.runs.curation.decisions import read_states
from segmint.runs.store import open_run
from synthetic_runs import scene, write_mask_set, write_record, write_run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
COUNT = 1500
NASTY = "</span><script>document.title='owned'</script> \"quoted\" 'n' 🦊 " + "long " * 2000
PAGES = {  # address, height of the window, what to wait for
    "viewer-grid": ("#/", 800, ".tile[data-item]:not(.waiting)"),
    "viewer-item": ("#/item/{item}", 1560, ".stage-row img"),
    "viewer-duplicates": ("#/duplicates", 860, "#alike .pair"),
    "viewer-statistics": ("#/statistics", 1500, "img.heat"),
}
COMPARE = ("#/item/{item}?compare=", 800, ".pane:nth-child(3) canvas")


def find_chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="module")
def browser():
    path = find_chromium()
    if path is None:
        message = "no Chromium on this machine: the browser tests did not run (apt-get install chromium)"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Serving:
    """A viewer in a thread of this process."""

    def __init__(self, run, cache):
        from segmint.viewer.app import create_app
        from segmint.viewer.catalog import Catalog
        from segmint.viewer.guard import Guard
        from segmint.viewer.serve import bind, server_of

        self.catalog, self.socket = Catalog(run), bind("127.0.0.1", 0)
        port = self.socket.getsockname()[1]
        self.server = server_of(Guard(create_app(self.catalog, cache), port=port))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.url = f"http://127.0.0.1:{port}/"

    def __enter__(self):
        self.watch = self.catalog.watching()
        self.watch.__enter__()
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        return self

    def __exit__(self, *error):
        self.server.should_exit = True
        self.thread.join(20)
        self.watch.__exit__(*error)
        self.socket.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("browser") / "demo", COUNT)
    write_mask_set(folder, "strict", 1, 12)
    write_record(folder, "000002", 2, scene(2), prompt=NASTY)
    (folder / layout.image("000007", "jpg")).unlink()
    return folder


@pytest.fixture(scope="module")
def serving(run, tmp_path_factory):
    with Serving(run, tmp_path_factory.mktemp("cache")) as it:
        yield it


@pytest.fixture
def page(browser, serving):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.complaints = []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith((serving.url, "data:")) else page.complaints.append(r.url),
    )
    page.goto(serving.url)
    page.wait_for_selector(".tile[data-item='000000']")
    yield page
    assert page.complaints == []
    context.close()


def until(page, script, *, limit_s=30):
    """Ask until it is so; the page's own policy forbids the waiting of Playwright, which evaluates text."""
    deadline = time.monotonic() + limit_s
    while not page.evaluate(script):
        assert time.monotonic() < deadline, script
        page.wait_for_timeout(50)


def count_text(page, text):
    until(page, f"document.querySelector('#count').textContent === '{text}'")


def pixel(page, x, y):
    context = "document.querySelector('.stack canvas').getContext('2d')"
    return page.evaluate(f"([x, y]) => [...{context}.getImageData(x, y, 1, 1).data]", [x, y])


def open_item(page, item):
    page.evaluate("item => { location.hash = '#/item/' + item; }", item)
    page.wait_for_selector(".stack canvas")
    page.wait_for_selector("#toggles label")


def test_the_grid_scrolls_without_growing_or_loading_anew(page, serving):
    count_text(page, "1,500 images")
    page.evaluate("window.still = 'here'")
    tiles = page.evaluate("document.querySelectorAll('.tile').length")
    assert tiles < 120
    for share in (0.3, 0.6, 1.0):
        page.evaluate(
            "s => { const e = document.querySelector('#scroller'); e.scrollTop = s * e.scrollHeight; }", share
        )
        page.wait_for_timeout(150)
    page.wait_for_selector(".tile[data-item='001499']")
    assert page.evaluate("document.querySelectorAll('.tile').length") < 120
    assert page.evaluate("window.still") == "here"
    until(page, "document.querySelector('.tile[data-item] img').naturalWidth > 0")
    assert page.title() == "demo · segmint"


def test_filters_narrow_and_clear(page):
    page.fill("#search", "bold")
    count_text(page, "300 images")
    page.get_by_label("star", exact=False).first.check()
    until(page, "document.querySelector('#count').textContent !== '300 images'")
    shown = "[...document.querySelectorAll('.tile[data-item]:not(.waiting)')].slice(0, 8)"
    until(page, f"{shown}.every((tile) => tile.getAttribute('aria-label').includes('star'))")
    assert page.evaluate(f"{shown}.length") > 0
    page.select_option("#sort", "uncertain")
    page.check("#descending")
    page.reload()
    page.wait_for_selector(".tile[data-item]:not(.waiting)")
    assert page.input_value("#search") == "bold"
    page.click("#clear")
    count_text(page, "1,500 images")


def test_a_hostile_prompt_is_text_and_a_missing_image_a_card(page):
    open_item(page, "000002")
    assert "<script>document.title" in page.inner_text(".item-head .prompt")
    assert page.title() == "000002 · demo · segmint"
    page.evaluate("location.hash = '#/item/000007'")
    page.wait_for_selector("[role=alert]")
    assert "missing" in page.inner_text("[role=alert]")
    page.complaints[:] = [
        each for each in page.complaints if "404" not in each
    ]  # the image itself, asked for by the page


def test_layers_follow_opacity_toggles_and_cursor(page):
    open_item(page, "000003")
    labels = scene(3).labels
    y, x = next(zip(*(labels == 4).nonzero(), strict=True))
    y, x = int(y) + 8, int(x)
    assert labels[y, x] == 4
    before = pixel(page, x, y)
    assert before[3] == pytest.approx(0.55 * 255, abs=2)
    page.locator("#opacity").fill("90")
    assert pixel(page, x, y)[3] == pytest.approx(0.9 * 255, abs=2)
    page.locator("#toggles label", has_text="potted plant").locator("input").uncheck()
    assert pixel(page, x, y)[3] == 0
    box = page.locator(".stack").bounding_box()
    page.mouse.move(box["x"] + (x + 0.5) / 64 * box["width"], box["y"] + (y + 0.5) / 64 * box["height"])
    assert f"potted plantagreement 89 %at {x}, {y}" in page.inner_text("#readout").replace("\n", "")


def test_decisions_last_over_a_reload_and_are_undone(page, run):
    open_item(page, "000004")
    page.keyboard.press("r")
    page.wait_for_selector("#reject[aria-pressed=true]")
    assert read_states(run)["000004"] == "rejected"
    page.reload()
    page.wait_for_selector("#reject[aria-pressed=true]")
    page.keyboard.press("k")
    page.wait_for_selector("#keep[aria-pressed=true]")
    page.keyboard.press("ArrowRight")
    until(page, "location.hash === '#/item/000005'")
    page.reload()
    page.wait_for_selector("#toggles label")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tile[data-item='000004'][data-state=kept]")
    page.focus(".tile[data-item='000004']")
    page.keyboard.press("u")
    page.wait_for_selector(".tile[data-item='000004'][data-state=rejected]")
    page.keyboard.press("u")
    page.wait_for_selector(".tile[data-item='000004'][data-state=undecided]")
    assert "000004" not in read_states(run)


def test_the_keyboard_walks_the_grid(page):
    page.focus(".tile[data-item='000000']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = "document.activeElement.dataset.item"
    columns = int(page.evaluate(focused)) - 1
    assert 3 <= columns <= 8
    page.keyboard.press("End")
    until(page, f"{focused} === '001499'")
    page.keyboard.press("Home")
    until(page, f"{focused} === '000000'")
    page.keyboard.press("Enter")
    page.wait_for_selector(".stack canvas")
    page.keyboard.press("Escape")
    until(page, f"{focused} === '000000'")


def test_the_worst_come_first_with_their_number(page):
    page.select_option("#sort", "agreement")
    first = ".tile[data-current=yes] .share"
    until(page, f"document.querySelector('{first}')?.textContent.startsWith('agreement 0.')")
    worst = page.inner_text(first)
    page.check("#descending")
    until(page, f"![undefined, '{worst}'].includes(document.querySelector('{first}')?.textContent)")
    assert worst.split()[1] < page.inner_text(first).split()[1]


def test_objects_are_coloured_numbered_and_listed(page):
    open_item(page, "000003")
    page.get_by_text("Objects", exact=True).click()
    page.wait_for_selector(".objects li")
    rows, badges = page.locator(".objects li"), page.locator(".stack .badge")
    assert rows.count() == badges.count() == 1
    assert rows.inner_text().split("\n")[:2] == ["1", "potted plant"]
    box, stack = badges.bounding_box(), page.locator(".stack").bounding_box()
    x = int((box["x"] + box["width"] / 2 - stack["x"]) / stack["width"] * 64)
    y = int((box["y"] + box["height"] / 2 - stack["y"]) / stack["height"] * 64)
    assert scene(3).labels[y, x] == 4
    assert pixel(page, x, y)[3] > 0
    page.get_by_text("Classes", exact=True).click()
    page.wait_for_selector("#toggles label")
    assert badges.count() == 0


def test_duplicates_side_by_side_and_one_is_rejected(page, run):
    page.click("nav a[data-page=duplicates]")
    page.wait_for_selector("#alike .pair")
    until(page, "!document.querySelector('#alike-count').textContent.startsWith('reading')")
    page.locator("#distance").fill("0")
    until(page, "document.querySelector('#distance-text').textContent === '0 of 63 bits'")
    half = page.locator("#alike .half").nth(1)
    item = half.get_attribute("data-item")
    half.get_by_role("button").click()
    page.wait_for_selector(f".half[data-item='{item}'][data-state=rejected]")
    assert read_states(run)[item] == "rejected"
    page.keyboard.press("u")
    page.wait_for_selector(f".half[data-item='{item}'][data-state=undecided]")
    assert item not in read_states(run)
    page.get_by_text("By features").click()
    until(page, "document.querySelector('#alike-count').textContent.startsWith('No item has its features')")


def test_two_mask_sets_side_by_side(page):
    page.evaluate("location.hash = '#/item/000004?compare=strict'")
    until(page, "document.querySelectorAll('.stack').length === 3")
    title = page.inner_text(".pane:nth-child(3) h2")
    wanted = (scene(4).labels != scene(5).labels).mean()
    assert title == f"Differences: {100 * wanted:.1f} % of the pixels"


def test_statistics_show_every_section(page):
    page.click("nav a[data-page=statistics]")
    page.wait_for_selector("img.heat")
    assert page.locator("#figures h2").all_inner_texts() == [
        "Overview",
        "Classes",
        "Area of a class in its images",
        "Classes that appear together",
        "Certainty",
        "Where classes lie",
    ]
    assert page.locator(".numbers tbody tr").count() == 4


def test_an_unknown_item_is_told(page):
    page.evaluate("location.hash = '#/item/nope'")
    page.wait_for_selector("text=This item cannot be shown")
    assert "no item 'nope'" in page.inner_text("#page-item")
    page.complaints[:] = [each for each in page.complaints if "404" not in each]


UNNAMED = """() => [...document.querySelectorAll('button, input, select, a[href], img')].filter((node) => {
  if (!node.checkVisibility() || node.closest('[aria-hidden=true]')) return false;
  if (node.tagName === 'IMG') return !node.hasAttribute('alt');
  const label = node.labels && [...node.labels].map((each) => each.textContent).join('');
  return !(node.getAttribute('aria-label') || label || node.textContent || node.title).trim();
}).map((node) => node.outerHTML.slice(0, 120))"""
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = new Map();
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest('svg, .skip, select, :disabled')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.set(node.className || node.tagName, ratio);
  }
  return [...poor];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_contrast(page, scheme):
    page.emulate_media(color_scheme=scheme)
    for hash_, sign in (
        ("#/", ".tile[data-item='000001']"),
        ("#/item/000001", "#toggles label"),
        ("#/duplicates", ".pair"),
        ("#/statistics", ".numbers"),
    ):
        page.evaluate("hash => { location.hash = hash; }", hash_)
        page.wait_for_selector(sign)
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(CONTRAST) == []


def test_new_items_appear_while_one_looks(browser, tmp_path):
    run = write_run(tmp_path / "run", 3)
    with Serving(run, tmp_path / "cache") as serving:
        page = browser.new_page()
        page.goto(serving.url)
        count_text(page, "3 images")
        write_run(run, 2, start=3)
        count_text(page, "5 images")
        page.wait_for_selector(".tile[data-item='000004']")
        page.close()


def test_corrections_are_shown_beside_what_was_minted_and_taken_back(browser, tmp_path):
    run, masks = write_run(tmp_path / "run", 3), {"000001": np.zeros((64, 64), np.uint8)}
    with Serving(run, tmp_path / "cache") as serving:
        page = browser.new_page()
        page.goto(serving.url)
        count_text(page, "3 images")
        put_in(open_run(run), masks, "corrected", base=None, origin="fixed.zip")
        page.click("#show-corrected")
        count_text(page, "1 image")
        page.click(".tile[data-item='000001']:has(.corrected:not([hidden]))")
        page.click("#beside")
        until(page, "document.querySelectorAll('.stack').length === 3")
        assert page.locator(".pane h2").all_inner_texts()[:2] == ["corrected", "Original masks"]
        page.click(".correction button")
        until(page, "document.querySelector('.correction') === null")
        assert read_states(run) == {}
        assert (run / layout.mask("000001", "corrected")).exists()
        page.close()


def test_screenshots_of_every_page(browser, run, tmp_path):
    """Drawn for the docs where a run is named; else only that they can be drawn."""
    named = os.environ.get("SEGMINT_DOCS_RUN")
    folder = Path(named) if named else run
    target = Path(__file__).parents[2] / "docs" / "images" if named else tmp_path
    ids = sorted(open_run(folder).done_ids())
    item = os.environ.get("SEGMINT_DOCS_ITEM", ids[min(4, len(ids) - 1)])
    sets = (
        [each.name for each in (folder / layout.MASK_SETS).iterdir()]
        if (folder / layout.MASK_SETS).is_dir()
        else []
    )
    pages = PAGES | ({"viewer-compare": (COMPARE[0] + sets[0], *COMPARE[1:])} if sets else {})
    with Serving(folder, tmp_path / "cache") as serving:
        for name, (hash_, height, sign) in pages.items():
            page = browser.new_page(viewport={"width": 1280, "height": height})
            if name == "viewer-item":
                page.add_init_script("sessionStorage.setItem('segmint-why', 'yes')")
            if named and name == "viewer-duplicates":
                page.add_init_script("sessionStorage.setItem('segmint-alike', 'features')")
            page.goto(serving.url + hash_.format(item=item))
            page.wait_for_selector(
                sign if named or name != "viewer-item" else "#toggles label", timeout=60_000
            )
            page.wait_for_timeout(1500)
            path = target / f"{name}.png"
            page.screenshot(path=path)
            assert path.stat().st_size > 5000
            page.close()
