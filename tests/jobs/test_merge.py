"""Merging: the same bytes under new names, with decisions; and everything that is refused, whole."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from segmint.errors import DamagedError, RunError, VocabularyError
from segmint.export.source import open_source
from segmint.export.write import export
from segmint.jobs.additions import standing_request
from segmint.jobs.merge import merge
from segmint.jobs.resume import adopt
from segmint.listening import Silent
from segmint.runs import layout
from segmint.runs.curation.decisions import decide, read_states
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import Run, open_run, write_run
from segmint.runs.verify import verify
from segmint.vocabulary import Vocabulary, voc_colour
from small_runs import fill


def renamed(run: Run, *entries: tuple[str, int]) -> Run:
    """The run with other classes in its header; its items stay."""
    classes = Vocabulary.of_entries(
        replace(run.header.classes[0], name=name, label_id=label, phrases=(name,), colour=voc_colour(label))
        for name, label in entries
    ).entries
    header = run.header.model_copy(update={"classes": classes})
    return write_run(
        run.files, header=header, recipe_toml=run.files.read(layout.RECIPE).decode(), plan=run.plan()
    )


@pytest.fixture
def runs(tmp_path) -> list[Run]:
    return [
        fill(LocalFiles(tmp_path / name), planned=4, done=done, features=True)
        for name, done in (("monday", 3), ("tuesday", 4))
    ]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_items_keep_their_bytes_under_new_names(runs, tmp_path):
    decide(runs[0].folder, {"000001": "rejected", "000002": "kept"}, by="test")
    before = [tree(run.folder) for run in runs]
    merged = merge(runs, tmp_path / "week", Silent())
    assert [tree(run.folder) for run in runs] == before
    assert verify(merged.files).problems == ()
    assert sorted(merged.done_ids()) == [
        *(f"monday-00000{at}" for at in range(3)),
        *(f"tuesday-00000{at}" for at in range(4)),
    ]
    assert [spec.index for spec in merged.plan()] == list(range(7))
    for run, name in zip(runs, ("monday", "tuesday"), strict=True):
        for record in run.records():
            new = merged.record(f"{name}-{record.id}")
            assert new.prompt == record.prompt
            assert new.seed == record.seed
            for role, file in record.files.items():
                ours = merged.files.read(PurePosixPath(new.files[role].path))
                assert ours == run.files.read(PurePosixPath(file.path)), role
    assert read_states(tmp_path / "week") == {"monday-000001": "rejected", "monday-000002": "kept"}
    assert "monday-000001" not in (tmp_path / "week" / layout.image_set("train")).read_text()
    assert (tmp_path / "week" / "contact-sheet.png").is_file()
    assert merged.files.read(layout.recipe_of("monday")) == runs[0].files.read(layout.RECIPE)
    told = export(open_source(merged), "voc", tmp_path / "voc")
    assert sum(told.written.values()) == 6


def test_ids_that_do_not_clash_stay(tmp_path):
    first = fill(LocalFiles(tmp_path / "a"), planned=4, done=2)
    second = fill(LocalFiles(tmp_path / "b"), planned=4, done=4)
    for item_id in ("000000", "000001"):
        second.files.remove(layout.record(item_id))
    merged = merge([first, second], tmp_path / "both", Silent())
    assert sorted(merged.done_ids()) == ["000000", "000001", "000002", "000003"]


def test_stopped_it_goes_on_and_ends_the_same(runs, tmp_path):
    class Stop(Silent):
        left = 3

        def finished(self, what):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    whole = merge(runs, tmp_path / "whole", Silent())
    with pytest.raises(KeyboardInterrupt):
        merge(runs, tmp_path / "again", Stop())
    assert len(open_run(tmp_path / "again").done_ids()) == 3
    again = merge(runs, tmp_path / "again", Silent())
    for record in whole.records():
        assert np.array_equal(again.mask(again.record(record.id)), whole.mask(record))
    assert again.header.digest == whole.header.digest
    assert verify(again.files).problems == ()


def test_classes_are_put_together(runs, tmp_path):
    parts = [renamed(runs[0], ("boat", 1), ("tree", 2)), renamed(runs[1], ("boat", 1), ("house", 7))]
    merged = merge(parts, tmp_path / "week", Silent())
    assert {entry.label_id: entry.name for entry in merged.header.classes} == {
        1: "boat",
        2: "tree",
        7: "house",
    }


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((("boat", 1), ("house", 2)), "the id 2 is 'tree' in monday and 'house' in tuesday"),
        ((("house", 5), ("boat", 6)), "class 'boat' has the id 1 in monday and 6 in tuesday"),
    ],
)
def test_classes_that_clash_are_refused_and_nothing_is_made(runs, tmp_path, classes, message):
    with pytest.raises(VocabularyError, match=message):
        merge([runs[0], renamed(runs[1], *classes)], tmp_path / "week", Silent())
    assert not (tmp_path / "week").exists()


def test_what_cannot_be_merged(runs, tmp_path):
    with pytest.raises(RunError, match="is given twice"):
        merge([runs[0], runs[0]], tmp_path / "week", Silent())
    with pytest.raises(RunError, match="two runs or more"):
        merge(runs[:1], tmp_path / "week", Silent())
    empty = fill(LocalFiles(tmp_path / "empty"), planned=2, done=0)
    with pytest.raises(RunError, match="no whole item to merge"):
        merge([runs[0], empty], tmp_path / "week", Silent())
    assert not (tmp_path / "week").exists()
    with pytest.raises(RunError, match="holds another run"):
        merge(runs, empty.folder, Silent())


def test_a_damaged_file_is_not_sealed_anew(runs, tmp_path):
    (runs[0].folder / layout.mask("000001")).write_bytes(b"broken")
    with pytest.raises(DamagedError, match=r"SegmentationClass/000001\.png is not as it was written"):
        merge(runs, tmp_path / "week", Silent())


def test_nothing_is_minted_into_a_merged_run(runs, tmp_path):
    merged = merge(runs, tmp_path / "week", Silent())
    asked = standing_request(merged)
    with pytest.raises(RunError, match="was merged from monday, tuesday; go on with one of those"):
        adopt(merged, asked)
