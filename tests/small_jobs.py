"""Jobs of a few small items on the stand-in model."""

from dataclasses import dataclass, field
from pathlib import Path

from segmint.backbone.fake import FakeBackbone
from segmint.jobs.engines.local import LocalEngine
from segmint.jobs.job import Job, run_job
from segmint.jobs.request import request
from segmint.listening import Silent
from segmint.runs.files.remote import files_at
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run

CLASSES = "boat, tree"
SMALL = {"sampling.height_px": 32, "sampling.width_px": 32}


@dataclass
class Heard(Silent):
    """A listener that remembers, and may break the work off."""

    stop_after: int | None = None
    todo: int = 0
    planned: int = 0
    records: list[ItemRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def starting(self, todo: int, planned: int) -> None:
        self.todo, self.planned = todo, planned

    def finished(self, record: ItemRecord) -> None:
        self.records.append(record)
        if self.stop_after is not None and len(self.records) >= self.stop_after:
            raise KeyboardInterrupt

    def noted(self, text: str) -> None:
        self.notes.append(text)


def job_at(folder: Path, *, count: int = 7, batch: int = 3, changes: dict | None = None, **options) -> Job:
    fields = {
        "model.id": "fake",
        "sampling.batch_size": batch,
        "sampling.steps": 2,
        **SMALL,
        **(changes or {}),
    }
    asked = request(classes=CLASSES, changes=fields, count=count)
    return Job(files=files_at(folder), request=asked, **options)


def mint(job: Job, backbone: FakeBackbone | None = None, heard: Heard | None = None) -> Run:
    return run_job(job, LocalEngine(load=lambda: backbone or FakeBackbone()), heard or Heard())
