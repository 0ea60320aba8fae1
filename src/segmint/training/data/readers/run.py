"""Reader of segmint's own runs."""

from pathlib import Path, PurePosixPath

from segmint.errors import DatasetError
from segmint.labels.legend import Legend, legend_of
from segmint.runs import layout
from segmint.runs.curation.decisions import read_states
from segmint.runs.files.local import LocalFiles
from segmint.runs.masksets import sets_by_item
from segmint.runs.records import ItemRecord
from segmint.runs.store import open_run
from segmint.textfile import read_text
from segmint.training.data.datasets import LabelledSet, Sample


def read_run(folder: Path, *, part: str | None = None, mask_set: str | None = None) -> LabelledSet:
    """The finished items of a run, without those that were rejected by hand or by rule.

    Args:
        folder: the run folder.
        part: an image set of the run (`train`, `val`); all items without it.
        mask_set: name of a mask set made later by `segmint remask`; None takes corrections where some were
            imported, "" never.

    Raises:
        RunError: the folder is no run, or a record is damaged.
        DatasetError: it has no finished item, or all are rejected.
    """
    run = open_run(folder)
    sets = sets_by_item(run, mask_set)
    done = [run.record(item_id, sets[item_id]) for item_id in sorted(sets)]
    failed = len(run.failed_ids())
    if not done:
        said = f" ({failed} failed)" if failed else ""
        place = f" in the mask set {mask_set!r}" if mask_set else ""
        raise DatasetError(
            f"{folder} has no finished item{place}{said}; run `segmint generate --out {folder}` first"
        )
    states = read_states(folder)
    kept = [record for record in done if states.get(record.id) != "rejected"]
    if not kept:
        raise DatasetError(
            f"all {len(done)} items of {folder} are rejected; take some back in `segmint view {folder}`"
        )
    listed = _listed(folder, part)
    legend = legend_of(run.vocabulary())
    chosen = [record for record in kept if listed is None or record.id in listed]
    counts = {"failed": failed, "rejected": len(done) - len(kept), f"not in {part}": len(kept) - len(chosen)}
    return LabelledSet(
        name=folder.resolve().name,
        classes=legend.classes,
        samples=tuple(_sample(folder, record, legend) for record in chosen),
        skipped={reason: count for reason, count in counts.items() if count},
    )


def _sample(folder: Path, record: ItemRecord, legend: Legend) -> Sample:
    for role in ("image", "mask"):
        if role not in record.files:
            raise DatasetError(
                f"item {record.id} of {folder} records no {role}; see `segmint verify {folder}`"
            )
    files = LocalFiles(folder)
    return Sample(
        item_id=record.id,
        image=files.inside(PurePosixPath(record.files["image"].path)),
        mask=files.inside(PurePosixPath(record.files["mask"].path)),
        legend=legend,
        group=record.prompt,
    )


def _listed(folder: Path, part: str | None) -> set[str] | None:
    if part is None:
        return None
    path = LocalFiles(folder).inside(layout.image_set(part))
    text, _ = read_text(path, what=f"image set {part!r}", error=DatasetError)
    return {line.strip() for line in text.split("\n") if line.strip()}
