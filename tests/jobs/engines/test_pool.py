"""Drawing beside mask-making: nobody waits without need, the queue is bounded, and bytes stay the same."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from run_contents import contents
from segmint.backbone.fake import FAKE_INFO, FakeBackbone
from segmint.errors import GenerationError, StorageError
from segmint.jobs.engines import worker
from segmint.jobs.engines.local import LocalEngine
from segmint.jobs.engines.pool import BATCHES_AHEAD, MaskPool
from segmint.jobs.engines.worker import TRIES, make_at_last
from segmint.jobs.job import run_job
from segmint.jobs.work import Seen, Work, batches_to_do, draw, give_up
from segmint.runs.files.local import LocalFiles
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft
from small_jobs import Heard, job_at

BATCH = 2
RECIPE = job_at(Path("x"), count=1).request.recipe
WORK = Work(files=LocalFiles(Path("x")), recipe=RECIPE, batches=())


def drawn(batches: int) -> list[list[Seen]]:
    seen = [
        Seen(spec=spec, outcome=GenerationError("nothing drawn"))
        for spec in job_at(Path("x"), count=batches * BATCH, batch=BATCH).request.plan
    ]
    return [seen[at : at + BATCH] for at in range(0, len(seen), BATCH)]


def at_once(seen: Seen) -> Draft:
    return give_up(seen.spec, str(seen.outcome), WORK, FAKE_INFO, attempts=1)


def records(drafts: list[Draft]) -> list[ItemRecord]:
    return [draft.record for draft in drafts]


def names(made: Iterable[list[ItemRecord]]) -> list[str]:
    return [record.id for batch in made for record in batch]


def test_the_items_of_a_batch_are_made_side_by_side():
    together = threading.Barrier(BATCH, timeout=30)

    def make(seen: Seen) -> Draft:
        together.wait()
        return at_once(seen)

    with MaskPool(make, records, workers=BATCH) as pool:
        assert names(pool.follow(drawn(1))) == ["000000", "000001"]


def test_batches_come_back_in_order_however_long_their_masks_take():
    def make(seen: Seen) -> Draft:
        time.sleep(0.05 if seen.spec.index < BATCH else 0.0)
        return at_once(seen)

    with MaskPool(make, records, workers=4) as pool:
        made = names(pool.follow(drawn(4)))
    assert made == [f"{place:06d}" for place in range(4 * BATCH)]


def test_drawing_goes_on_until_the_queue_is_full_and_then_waits():
    gate, given = threading.Event(), []

    def batches():
        for each in drawn(6):
            given.append(each[0])
            if len(given) == BATCHES_AHEAD + 1:  # this one fills the queue: without the gate it would wait
                threading.Timer(0.2, gate.set).start()
            yield each

    def make(seen: Seen) -> Draft:
        waiting_at.append(len(given))
        gate.wait(30)
        return at_once(seen)

    waiting_at: list[int] = []
    with MaskPool(make, records, workers=1) as pool:
        assert len(list(pool.follow(batches()))) == 6
        pace = pool.pace()
    assert waiting_at[0] <= BATCHES_AHEAD + 1
    assert pace.waiting_s > 0.1
    assert pace.masks_s > 0.1


def test_a_pool_that_keeps_up_makes_nobody_wait():
    def batches():
        for each in drawn(4):
            time.sleep(0.1)
            yield each

    with MaskPool(at_once, records, workers=1) as pool:
        list(pool.follow(batches()))
        assert pool.pace().waiting < 0.05
        assert pool.pace().enough_mask_workers == 1


def test_what_putting_in_place_raises_ends_the_work():
    def full(_: list[Draft]):
        raise StorageError("no space left")

    with (
        pytest.raises(StorageError, match="no space left"),
        MaskPool(at_once, full, workers=1) as pool,
    ):
        list(pool.follow(drawn(5)))


@pytest.mark.parametrize("workers", [1, 4])
def test_the_run_is_the_same_for_any_number_of_mask_workers(tmp_path, workers):
    for name, count in (("one", 1), ("other", workers)):
        engine = LocalEngine(load=FakeBackbone, mask_workers=count)
        run_job(job_at(tmp_path / name), engine, Heard())
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_mask_that_cannot_be_made_fails_its_item_alone(tmp_path, monkeypatch):
    job = job_at(tmp_path / "run", count=2)
    work = Work(files=LocalFiles(tmp_path), recipe=job.request.recipe, batches=())
    tried = []

    def broken(seen: Seen, work: Work, info: object) -> Draft:
        if not isinstance(seen.outcome, Exception):
            tried.append(seen.spec.item_id)
            raise ZeroDivisionError("no pixels")
        return real(seen, work, info)

    real = worker.make
    monkeypatch.setattr(worker, "make", broken)
    [batch] = batches_to_do(job.request.plan, {"000001"}, 2)
    [seen] = draw(batch, work, FakeBackbone(), Heard())
    draft = make_at_last(seen, work, FakeBackbone().info)
    assert (draft.record.status, draft.record.attempts, len(tried)) == ("failed", TRIES, TRIES)
    assert draft.record.error.startswith("ZeroDivisionError: no pixels")
    assert draft.blobs == {}
