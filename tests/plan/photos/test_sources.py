"""Images are found in a fixed order, keep their names, and never share one."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segmint.errors import ImageError
from segmint.plan.photos.sources import Source, _named, find_sources
from segmint.specs import is_item_id


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in (
        "zoo.jpg",
        "sea/boat.png",
        "sea/day/boat.png",
        "sea/boat.jpg",
        "Boat.JPG",
        ".hidden/x.png",
        "notes.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("md"):
            path.write_text("no image")
        else:
            Image.new("RGB", (2, 2)).save(path)
    return tmp_path


def ids(*inputs: str | Path) -> list[str]:
    return [source.item_id for source in find_sources(inputs)]


def test_names_stay_and_clashes_take_their_folder(album: Path) -> None:
    assert ids(album) == ["Boat", "boat__sea_jpg", "boat__sea_png", "boat__sea_day", "zoo"]


def test_order_and_names_do_not_depend_on_how_the_images_were_named(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album)
    assert ids(".") == ids(album)


def test_globs(album: Path) -> None:
    assert ids(f"{album}/*.jpg") == ["zoo"]
    assert ids(f"{album}/sea/**/*.png") == ["boat", "boat__day"]


def test_an_image_named_twice_counts_once(album: Path) -> None:
    assert ids(album / "zoo.jpg", album / "zoo.jpg", f"{album}/z*.jpg") == ["zoo"]


def test_a_text_list_keeps_missing_files(album: Path) -> None:
    (album / "list.txt").write_text("# mine\nzoo.jpg\n\nsea/gone.png\n")
    sources = find_sources([album / "list.txt"])
    assert [source.item_id for source in sources] == ["zoo", "gone"]
    assert [source.path.exists() for source in sources] == [True, False]


def test_a_json_list_brings_classes_and_captions(album: Path) -> None:
    lines = [
        {"image": "zoo.jpg", "classes": ["lion", " sea  lion"], "caption": "a lion"},
        {"file_name": "sea/boat.png", "classes": "boat, sail"},
    ]
    (album / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    first, second = find_sources([album / "list.jsonl"])
    assert first.classes == ("lion", "sea lion")
    assert first.caption == "a lion"
    assert second.classes == ("boat", "sail")
    assert second.caption is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: expected an object"),
        ('{"classes": ["a"]}', "no image is named"),
        ('{"image": "a.png", "classes": [""]}', "list of class names"),
        ('{"image": "a.png", "caption": 3}', "caption is 3"),
        ('{"image": "a.png", "clases": []}', "expected an object"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "list.jsonl").write_text(line)
    with pytest.raises(ImageError, match=reason):
        find_sources([tmp_path / "list.jsonl"])


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n")
    for each in (tmp_path / "empty", tmp_path / "gone.png", tmp_path / "*.png", tmp_path / "empty.txt"):
        with pytest.raises(ImageError):
            find_sources([each])


def test_names_that_no_file_system_would_refuse(tmp_path: Path) -> None:
    for name in ("holiday 1 (2).png", "-x.png", "con.png", "塔.png", "a.b.png", "n" * 120 + ".png"):
        Image.new("RGB", (1, 1)).save(tmp_path / name)
    found = ids(tmp_path)
    assert found == ["_x", "a_b", "_con", "holiday_1__2_", "n" * 100, "_"]
    assert all(map(is_item_id, found))


@given(
    st.lists(
        st.lists(st.sampled_from(("a", "b", "a_b", "A")), min_size=1, max_size=3), min_size=1, max_size=12
    )
)
def test_no_two_items_share_a_name(parts: list[list[str]]) -> None:
    paths = {"/".join(each) + ".png" for each in parts}
    sources = [Source(path=Path("/root") / each, item_id=Path(each).stem) for each in sorted(paths)]
    named = [source.item_id.casefold() for source in _named(sources)]
    assert len(set(named)) == len(named)
    assert all(map(is_item_id, named))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a.png\0\n", "line 1: a NUL byte"),
        (b"\xff\xfea\0", "UTF-16"),
        (b"caf\xe9.png\n", "line 1: not UTF-8"),
    ],
)
@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_a_list_that_is_no_text_is_named_by_line(tmp_path, data, message, suffix):
    (tmp_path / f"list.{suffix}").write_bytes(data)
    with pytest.raises(ImageError, match=message):
        find_sources([tmp_path / f"list.{suffix}"])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("line", ["sub/a 1.png", "sub\\a 1.png", "  sub/a 1.png  ", "./sub/a 1.png"])
def test_a_line_of_a_list_is_one_path(tmp_path, line, end):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a 1.png").touch()
    (tmp_path / "list.txt").write_bytes(f"\ufeff{end}{line}{end}# c{end}".encode())
    (source,) = find_sources([tmp_path / "list.txt"])
    assert source.path.is_file()
    assert source.item_id == "a_1"


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "nowhere.png"])
def test_an_address_that_cannot_be_is_refused(name):
    with pytest.raises(ImageError, match="no such file"):
        find_sources([name])


def test_paths_of_two_slashes_are_told_apart(tmp_path):
    (tmp_path / "list.txt").write_text("images/a.png\n//a.png\n")
    assert len({each.item_id for each in find_sources([tmp_path / "list.txt"])}) == 2


def test_what_is_no_plain_file_in_a_folder_stays_to_be_named(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "folder.jpg").mkdir()
    assert [each.item_id for each in find_sources([tmp_path])] == ["a", "gone", "pipe"]
    assert [each.item_id for each in find_sources([f"{tmp_path}/*"])] == ["a", "gone", "pipe"]
