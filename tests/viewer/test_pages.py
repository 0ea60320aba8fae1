"""HTML from templates, with names that try to be more than text."""

from html.parser import HTMLParser

import pytest

from segmint.runs import layout
from segmint.runs.store import open_run
from segmint.viewer import pages
from segmint.viewer.report import write_report
from synthetic_runs import scene, write_mask_set, write_record, write_run

HOSTILE = (
    "<script>alert(1)</script>",
    "\"onload='alert(1)'",
    "{{ 7 * 191 }}{% raw %}",
    "</title></style><img src=x onerror=alert(1)>",
)


class Page(HTMLParser):
    """Tags, attributes' names and texts of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts, self.titles = set(), set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.titles += [value for name, value in attributes if name in ("aria-label", "alt")]

    def handle_data(self, text):
        self.texts.append(text.strip())


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / HOSTILE[0].replace("/", "|")
    write_run(folder, 4, classes=HOSTILE)
    write_record(folder, "000001", 1, scene(1, classes=HOSTILE), prompt="".join(HOSTILE) + "\x00\x1b[2J")
    (folder / layout.RECIPE).write_text(f"# {HOSTILE[3]}\n")
    return write_report(open_run(folder))


def test_hostile_names_are_texts(report):
    page = Page(report)
    assert "script" not in page.tags
    assert not {name for name in page.attributes if name.startswith("on")}
    for name in HOSTILE:
        assert any(name == text or name in text for text in page.texts)
        assert f"Areas of {name}" in page.titles
    assert "1337" not in report
    assert any(HOSTILE[3] in text for text in page.texts if text.startswith("#"))


def test_control_characters_are_left_out(report):
    assert "[2J" in report
    assert "\x00" not in report
    assert "\x1b" not in report


def test_the_report_of_a_mask_set_names_it(tmp_path):
    run = write_run(tmp_path / "run", 4)
    write_mask_set(run, "strict", 1, 4)
    texts = Page(write_report(open_run(run), mask_set="strict")).texts
    assert texts[texts.index("Masks “strict”") + 1] == "{}"
    assert "Masks “strict”" not in Page(write_report(open_run(run))).texts


def test_a_run_without_items_says_so(tmp_path):
    run = write_run(tmp_path / "run", 0)
    texts = Page(write_report(open_run(run))).texts
    assert "No mask is read yet." in texts
    assert texts.count("No class appears yet.") == 2


def test_percent_in_words():
    assert [pages.percent(0.1234), pages.percent(None), pages.percent(float("nan"))] == ["12.3 %", "–", "–"]
