import errno
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import VOCSegmentation

from run_contents import contents
from segmint import atomic
from segmint.backbone.fake import FakeBackbone
from segmint.errors import DeviceError, ModelError, RunError, StorageError
from segmint.jobs.engines.local import LocalEngine
from segmint.jobs.job import run_job
from segmint.jobs.work import batches_to_do, further_seed
from segmint.runs import layout
from segmint.runs.files.remote import files_at
from segmint.runs.store import open_run
from segmint.runs.verify import verify
from small_jobs import Heard, job_at, mint


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted run of 7 items."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    mint(job_at(folder))
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy of the whole run, to be hurt."""
    return Path(shutil.copytree(whole, tmp_path / "run", symlinks=True))


def test_a_run_is_a_voc_dataset_with_a_record_an_item(whole):
    run = open_run(whole)
    assert verify(run.files).problems == ()
    dataset = VOCSegmentation(str(whole), year="2012", image_set="train")
    assert len(dataset) == 7
    record = run.record("000002")
    image, mask = dataset[2]
    assert image.size == mask.size == (32, 32)
    values = set(np.unique(np.asarray(mask)).tolist())
    assert values <= {0, 255, *record.label_ids}
    assert record.seed == 2026
    assert record.model == "fake"
    assert record.method == "segmint"
    assert set(record.timings_s) >= {"sampling", "capture", "masks", "writing"}
    shares = sum(record.areas.values()) + record.uncertain_fraction
    assert shares == pytest.approx(1.0, abs=1e-6)
    assert (whole / layout.CONTACT_SHEET).is_file()
    assert (whole / "recipe.toml").read_text().count("[masks.clusters]") == 1


@pytest.mark.parametrize("stop_after", [1, 2, 4, 6])
def test_an_interrupted_run_goes_on_to_the_same_bytes(whole, tmp_path, stop_after):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        mint(job_at(folder), heard=Heard(stop_after=stop_after))
    assert stop_after <= len(open_run(folder).done_ids()) <= 7
    mint(job_at(folder))
    assert contents(folder) == contents(whole)


def test_only_missing_items_are_put_in_place_and_come_out_the_same(whole, folder):
    for name in ("items/000001.json", "JPEGImages/000001.jpg", "items/000006.json"):
        (folder / name).unlink()
    heard = Heard()
    mint(job_at(folder), heard=heard)
    assert [record.id for record in heard.records] == ["000001", "000006"]
    assert contents(folder) == contents(whole)


def test_a_finished_run_does_not_load_the_model(whole):
    def never() -> FakeBackbone:
        raise AssertionError("loaded")

    heard = Heard()
    run_job(job_at(whole), LocalEngine(load=never), heard)
    assert (heard.todo, heard.planned) == (0, 7)


def test_a_longer_count_extends_the_run_and_equals_a_run_of_that_length(whole, tmp_path):
    folder = tmp_path / "run"
    mint(job_at(folder, count=4))
    mint(job_at(folder))
    assert contents(folder) == contents(whole)
    assert open_run(folder).header.items == 7
    assert verify(files_at(folder)).problems == ()


def test_a_shorter_count_is_refused(whole):
    with pytest.raises(RunError, match="planned for 7 items and 4 are asked for"):
        mint(job_at(whole, count=4))


def test_a_changed_recipe_is_refused_with_the_fields_name_and_values(whole):
    before = contents(whole)
    with pytest.raises(RunError, match=r"changed: sampling\.steps \(2 → 3\)"):
        mint(job_at(whole, changes={"sampling.steps": 3}))
    with pytest.raises(RunError, match=r"masks\.vote\.share"):
        mint(job_at(whole, changes={"masks.vote.share": 0.7}))
    assert contents(whole) == before


def test_other_weights_under_the_same_name_are_refused(folder):
    other = FakeBackbone(info=replace(FakeBackbone().info, revision="abc"))
    with pytest.raises(RunError, match="revision"):
        mint(job_at(folder, count=9), other)


def test_failed_items_are_counted_and_do_not_stop_the_run(tmp_path):
    folder = tmp_path / "run"
    heard = Heard()
    run = mint(job_at(folder), FakeBackbone(fail_seeds=frozenset({2025, 2028})), heard)
    assert run.failed_ids() == {"000001", "000004"}
    assert run.failure("000001").error == "item 000001 (seed 2025): told to fail"
    assert len(run.done_ids()) == 5
    assert verify(run.files).problems == ()
    assert "000001" not in (folder / layout.image_set("train")).read_text()


def test_failed_items_are_tried_again_only_when_asked_with_seeds_that_are_always_the_same(tmp_path):
    backbone = FakeBackbone(fail_seeds=frozenset({2025}))
    once, later = tmp_path / "once", tmp_path / "later"
    mint(job_at(once, retries=2), backbone)
    mint(job_at(later), backbone)
    heard = Heard()
    mint(job_at(later), backbone, heard)
    assert heard.todo == 0
    run = mint(job_at(later, retries=2), backbone)
    assert run.failed_ids() == set()
    record = run.record("000001")
    assert record.attempts == 2
    assert record.seed == further_seed(job_at(later).request.plan[1], 2)
    assert contents(once) == {name: data for name, data in contents(later).items() if "failed" not in name}


def test_a_defect_keeps_its_traceback_and_what_was_whole(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="told to crash"):
        mint(job_at(folder), FakeBackbone(crash_items=frozenset({"000004"})))
    assert open_run(folder).done_ids() == {"000000", "000001", "000002"}
    assert (folder / layout.image_set("train")).read_text().split() == ["000000", "000001", "000002"]


def test_a_full_disk_stops_the_run_which_goes_on_later(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    real, writes = atomic.put, [0]

    def filling(path: Path, data: bytes, **how) -> None:
        writes[0] += 1
        if writes[0] > 12:
            raise OSError(errno.ENOSPC, "no space left")
        real(path, data, **how)

    with monkeypatch.context() as patched:
        patched.setattr(atomic, "put", filling)
        with pytest.raises(StorageError, match="no space left"):
            mint(job_at(folder))
    assert verify(files_at(folder)).problems == ()
    mint(job_at(folder))
    assert contents(folder) == contents(whole)


@dataclass(frozen=True)
class SmallDevice(FakeBackbone):
    """Takes no more than `fits` images at once."""

    fits: int = 1

    def generate(self, specs, sampling, capture, callback=None):
        if len(specs) > self.fits:
            raise DeviceError("out of memory")
        return FakeBackbone.generate(self, specs, sampling, capture, callback)


def test_out_of_memory_halves_the_batch_and_says_so(whole, tmp_path):
    heard = Heard()
    folder = tmp_path / "run"
    mint(job_at(folder), SmallDevice(fits=1), heard)
    assert heard.notes == ["out of memory: going on with 1 images at once"]
    assert contents(folder) == contents(whole)


def test_a_single_item_that_does_not_fit_is_an_error(tmp_path):
    with pytest.raises(DeviceError):
        mint(job_at(tmp_path / "run"), SmallDevice(fits=0))


def test_on_a_gpu_masks_are_made_beside_the_next_batch(whole, tmp_path):
    info = replace(FakeBackbone().info, device="cuda:0")
    mint(job_at(tmp_path / "run"), FakeBackbone(info=info))
    assert contents(tmp_path / "run") == contents(whole)


def test_damaged_items_are_made_again_byte_for_byte(whole, folder):
    mask = folder / "SegmentationClass" / "000003.png"
    mask.write_bytes(mask.read_bytes()[:-9] + b"\0" * 9)
    (folder / "items" / "000005.json").write_text("{")
    (folder / "JPEGImages" / "000000.jpg").unlink()
    (folder / "plan.jsonl").write_text("nonsense\n")
    heard = Heard()
    mint(job_at(folder, repair=True), heard=heard)
    assert sorted(record.id for record in heard.records) == ["000000", "000003", "000005"]
    assert len(heard.notes) == 3
    assert contents(folder) == contents(whole)
    assert verify(files_at(folder)).problems == ()


@pytest.mark.parametrize("name", ["run.json", "recipe.toml", "plan.jsonl", "labelmap.txt"])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_the_runs_own_files_are_repaired_too(whole, folder, name, damage):
    path = folder / name
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 3] ^= 4
    path.write_bytes(data)
    if name == "recipe.toml":
        with pytest.raises(RunError, match="another recipe"):
            mint(job_at(folder, repair=True, changes={"sampling.steps": 9}))
    mint(job_at(folder, repair=True))
    assert contents(folder) == contents(whole)
    assert verify(files_at(folder)).problems == ()


def test_a_run_of_another_schema_is_refused_even_for_repair(folder):
    header = json.loads((folder / "run.json").read_text())
    del header["checksum"]
    (folder / "run.json").write_text(json.dumps({**header, "schema_version": 0, "segmint_version": "0.0.1"}))
    for repair in (False, True):
        with pytest.raises(RunError, match=r"older version of segmint \(0\.0\.1"):
            mint(job_at(folder, repair=repair))


def test_foreign_folders_are_left_as_they_are(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(RunError, match=r"not empty and no run \(it holds 'holiday.jpg'\)"):
        mint(job_at(folder))
    assert [path.name for path in folder.iterdir()] == ["holiday.jpg"]


def test_batches_are_fixed_slices_of_the_plan():
    plan = job_at(Path("unused"), count=7).request.plan
    batches = batches_to_do(plan, {"000000", "000001", "000002", "000004"}, 3)
    assert [[spec.index for spec in batch.specs] for batch in batches] == [[3, 4, 5], [6]]
    assert batches[0].wanted == {"000003", "000005"}


def test_a_model_that_is_refused_leaves_nothing_behind(tmp_path):
    def refuse():
        raise ModelError("part 'unet' does not fit")

    with pytest.raises(ModelError):
        run_job(job_at(tmp_path / "out"), LocalEngine(load=refuse), Heard())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("happens", ["moved", "deleted", "replaced"])
@pytest.mark.parametrize("after", [1, 4])
def test_a_folder_that_goes_away_ends_the_job_and_nothing_is_written_elsewhere(tmp_path, happens, after):
    out, elsewhere = tmp_path / "run", tmp_path / "elsewhere"

    def go() -> None:
        while happens == "deleted" and out.exists():  # it is written to meanwhile
            shutil.rmtree(out, ignore_errors=True)
        if happens != "deleted":
            out.rename(elsewhere)
        if happens == "replaced":
            out.mkdir()

    class Mover(Heard):
        def finished(self, record) -> None:
            Heard.finished(self, record)
            if len(self.records) == after:
                go()

    with pytest.raises(StorageError, match=r"was moved or deleted while|cannot write"):
        mint(job_at(out, count=30), heard=Mover())
    assert not out.exists() or (happens == "replaced" and not any(out.iterdir()))
    if happens != "deleted":
        elsewhere.rename(out) if happens == "moved" else shutil.copytree(elsewhere, out, dirs_exist_ok=True)
        assert len(mint(job_at(out, count=30)).done_ids()) == 30
