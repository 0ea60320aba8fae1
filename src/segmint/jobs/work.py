"""The one unit of work, which every engine calls: draw one batch of the plan, label it, put it in place.

A batch is a fixed slice of the plan, so that an item's arithmetic, down to the last bit, does not depend on
which worker draws it, on what was done before, or on how often the run was stopped. Where only some items of
a batch are missing, the whole batch is drawn again and only those are put in place.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from segmint._version import __version__
from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, Callback, ModelInfo, Outcome
from segmint.errors import GenerationError
from segmint.listening import Listener
from segmint.pipeline import Item, capture_for, finish
from segmint.recipe import Recipe
from segmint.runs import codec
from segmint.runs.files.local import Files
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, Role, commit
from segmint.vocabulary import Vocabulary

SEED_SPACE = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Items drawn together. `wanted` are those to put in place; the others only keep them company."""

    specs: tuple[PromptSpec, ...]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, in terms that any process on any machine can act on."""

    files: Files
    recipe: Recipe
    batches: tuple[Batch, ...]
    retries: int = 0
    """Further seeds to try for an item that fails."""
    most: int | None = None
    """How many items fit the device at once, where that is known to be fewer than a batch."""


Drawn = tuple[PromptSpec, Outcome, int]
"""An item out of the model: its spec with the seed used last, its outcome, and how many seeds were tried."""
Finish = Callable[[], list[ItemRecord]]
"""What is left to do for a batch that has been through the model: masks and writing, without the device."""


Unit = Callable[[Batch, Work, Backbone, Listener], Finish]
"""Does one batch: the model's part at once, the rest when the result is called."""


def batches_to_do(plan: Sequence[PromptSpec], skip: Set[str], batch_size: int) -> tuple[Batch, ...]:
    """The plan's batches that hold an item not in `skip`, in order.

    Args:
        plan: every item, in index order.
        skip: ids that are done, or not to be tried again.
        batch_size: the recipe's.
    """
    return tuple(_to_do(plan, skip, batch_size))


def mint_batch(batch: Batch, work: Work, backbone: Backbone, listener: Listener) -> Finish:
    """The unit of minting: let the model draw a batch now; masks and writing are left to what it returns.

    Raises:
        DeviceError: out of memory.
    """
    drawn = draw(batch, work, backbone, listener.stepped)
    return partial(label_and_store, drawn, work, backbone.info)


def draw(batch: Batch, work: Work, backbone: Backbone, callback: Callback | None = None) -> list[Drawn]:
    """Let the model draw a batch, and failed items again with further seeds where the work allows.

    Raises:
        DeviceError: out of memory.
    """
    sampling, capture = work.recipe.sampling, capture_for(work.recipe)
    size = work.most or len(batch.specs)
    outcomes: list[Outcome] = []
    for at in range(0, len(batch.specs), size):
        outcomes += backbone.generate(batch.specs[at : at + size], sampling, capture, callback)
    drawn: list[Drawn] = []
    for spec, first in zip(batch.specs, outcomes, strict=True):
        if spec.item_id not in batch.wanted:
            continue
        last, outcome, attempt = spec, first, 1
        while isinstance(outcome, GenerationError) and attempt <= work.retries:
            attempt += 1
            last = replace(spec, seed=further_seed(spec, attempt))
            [outcome] = backbone.generate([last], sampling, capture, callback)
        drawn.append((last, outcome, attempt))
    return drawn


def label_and_store(drawn: Sequence[Drawn], work: Work, info: ModelInfo) -> list[ItemRecord]:
    """Make the masks of a drawn batch and put its items in place.

    Raises:
        StorageError: the place refused a write.
    """
    vocabulary = work.recipe.vocabulary.to_vocabulary()
    drafts = [_draft(each, work.recipe, info, vocabulary) for each in drawn]
    return commit(work.files, drafts)


def whole_draft(
    item: Item, recipe: Recipe, info: ModelInfo, vocabulary: Vocabulary, *, attempts: int = 1
) -> Draft:
    """A finished item as the bytes and the record that a run keeps."""
    start = time.perf_counter()
    blobs: dict[Role, bytes] = {
        "image": codec.encode_image(item.image, recipe.output.image_format),
        "mask": codec.encode_mask(item.trace.mask.labels, vocabulary.palette()),
        "agreement": codec.encode_agreement(item.trace.mask.agreement),
    }
    if recipe.output.keep_features:
        blobs["features"] = codec.encode_summary(item.summary)
    names = dict(enumerate(("background",))) | {each.label_id: each.name for each in vocabulary.entries}
    height_px, width_px = item.image.shape[:2]
    record = _blank_record(item.spec, recipe, info, attempts).model_copy(
        update={
            "prompt_truncated": item.prompt_truncated,
            "height_px": height_px,
            "width_px": width_px,
            "areas": {names[label_id]: area for label_id, area in item.statistics.areas.items()},
            "uncertain_fraction": item.statistics.uncertain_fraction,
            "agreement": item.statistics.agreement,
            "timings_s": {**item.seconds, "writing": time.perf_counter() - start},
        }
    )
    return Draft(record=record, blobs=blobs)


def failed_draft(
    spec: PromptSpec, error: str, recipe: Recipe, info: ModelInfo, *, attempts: int = 1
) -> Draft:
    """An item that could not be made, as the record that a run keeps of it."""
    record = _blank_record(spec, recipe, info, attempts)
    return Draft(record=record.model_copy(update={"status": "failed", "error": error}), blobs={})


def _draft(drawn: Drawn, recipe: Recipe, info: ModelInfo, vocabulary: Vocabulary) -> Draft:
    spec, outcome, attempts = drawn
    try:
        if isinstance(outcome, GenerationError):
            raise outcome
        return whole_draft(finish(outcome, recipe), recipe, info, vocabulary, attempts=attempts)
    except GenerationError as error:
        return failed_draft(spec, str(error), recipe, info, attempts=attempts)


def further_seed(spec: PromptSpec, attempt: int) -> int:
    """The seed of an item's attempt 2, 3, …, drawn from its planned one: every run tries the same."""
    digest = hashlib.sha256(f"{spec.item_id}/{spec.seed}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % SEED_SPACE


def _to_do(plan: Sequence[PromptSpec], skip: Set[str], batch_size: int) -> Iterator[Batch]:
    for at in range(0, len(plan), batch_size):
        specs = tuple(plan[at : at + batch_size])
        wanted = frozenset(each.item_id for each in specs) - skip
        if wanted:
            yield Batch(specs=specs, wanted=wanted)


def _blank_record(spec: PromptSpec, recipe: Recipe, info: ModelInfo, attempts: int) -> ItemRecord:
    return ItemRecord(
        segmint_version=__version__,
        id=spec.item_id,
        index=spec.index,
        attempts=attempts,
        prompt=spec.prompt,
        negative_prompt=recipe.sampling.negative_prompt
        if spec.negative_prompt is None
        else spec.negative_prompt,
        classes=spec.classes,
        label_ids=spec.label_ids,
        phrases=spec.phrases,
        seed=spec.seed,
        model=info.id,
        revision=info.revision,
        model_licence=info.licence,
        method=recipe.masks.method,
    )
