import numpy as np

from segmint.pictures.sheets import Panel, contact_sheet, rows_of, side_by_side, spread, write_contact_sheet
from segmint.runs import layout
from segmint.runs.files.local import LocalFiles
from segmint.vocabulary import Vocabulary
from small_runs import VOCABULARY, fill


def panel(height: int = 16, width: int = 24, caption: str = "000000 a boat") -> Panel:
    mask = np.zeros((height, width), np.uint8)
    mask[4:8, 4:8], mask[0, 0] = 1, 255
    return Panel(image=np.full((height, width, 3), 200, np.uint8), mask=mask, caption=caption)


def test_sheets_hold_any_number_of_items_of_any_size():
    one = contact_sheet([panel()], VOCABULARY)
    three = contact_sheet([panel(), panel(40, 10), panel(caption="word " * 200)], VOCABULARY, title="t")
    assert one.width < three.width
    assert one.height < three.height
    many = Vocabulary.of([f"a class with a long name {index}" for index in range(60)])
    mask = np.arange(60, dtype=np.uint8).reshape(6, 10)
    crowded = contact_sheet([Panel(image=np.zeros((6, 10, 3), np.uint8), mask=mask, caption="")], many)
    assert crowded.height > one.height


def test_items_are_spread_over_the_run():
    ids = [f"{index:03d}" for index in range(100)]
    assert spread(ids, 4) == ["000", "025", "050", "075"]
    assert spread(ids[:3], 4) == ids[:3]


def test_a_run_gets_its_sheet_and_an_empty_one_none(tmp_path):
    run = fill(LocalFiles(tmp_path / "run"), planned=3, done=3)
    write_contact_sheet(run)
    assert (run.folder / layout.CONTACT_SHEET).read_bytes().startswith(b"\x89PNG")
    for path in (run.folder / layout.ITEMS).iterdir():
        path.unlink()
    (run.folder / layout.CONTACT_SHEET).unlink()
    write_contact_sheet(run)
    assert not (run.folder / layout.CONTACT_SHEET).exists()


def test_methods_stand_side_by_side_in_their_colours():
    vocabulary = Vocabulary.of(["boat"], colours={"boat": (1, 2, 3)})
    image = np.full((8, 16, 3), 9, np.uint8)
    masks = {"truth": [np.ones((8, 16), np.uint8)], "pcc": [np.full((8, 16), 255, np.uint8)]}
    sheet = np.asarray(side_by_side([image], masks, vocabulary))
    assert (sheet == (9, 9, 9)).all(-1).sum() == 128 * 64
    assert (sheet == (1, 2, 3)).all(-1).sum() == 128 * 64
    assert (sheet == (224, 224, 192)).all(-1).sum() == 128 * 64


def test_rows_hold_every_picture():
    pictures = [np.full((32, 32, 3), level, np.uint8) for level in (0, 60, 120)]
    sheet = np.asarray(rows_of(pictures, columns=2))
    assert sheet.shape == (2 * 34 + 2, 2 * 34 + 2, 3)
    assert set(np.unique(sheet)) == {0, 60, 120, 255}
