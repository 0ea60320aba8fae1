"""The one unit of work, in the two stages that every engine runs: a batch before the model, its items' masks.

A batch is a fixed slice of the plan, so that an item's arithmetic, down to the last bit, does not depend on
which worker does it, on what was done before, or on how often the run was stopped. Where only some items of
a batch are missing, the whole batch is done again and only those are put in place.

Minting and labelling differ in how a batch comes before the model: it draws the images, or it looks at
existing ones. An image that cannot be read becomes a failed item with the reason, and nothing else is lost.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segmint._version import __version__
from segmint.artifacts import Generation, PromptSpec
from segmint.backbone.base import Backbone, Callback, ModelInfo, Outcome
from segmint.errors import GenerationError, ImageError
from segmint.listening import Listener
from segmint.pipeline import capture_for, finish, look
from segmint.plan.photos.reading import Photo, read_photo
from segmint.recipe import Recipe
from segmint.runs import codec
from segmint.runs.attentionfile import encode_summary
from segmint.runs.files.local import Files
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, Role, masked

SEED_SPACE = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Items that go before the model together. `wanted` are those to put in place; the others only keep them
    company."""

    specs: tuple[PromptSpec, ...]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, in terms that any process on any machine can act on."""

    files: Files
    recipe: Recipe
    batches: tuple[Batch, ...]
    photos: Mapping[str, Path] | None = None
    """The image of each item, where existing ones are labelled."""
    retries: int = 0
    """Further seeds to try for an item that fails: its noise, where the model looks at an image."""
    most: int | None = None
    """How many items fit the device at once, where that is known to be fewer than a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An item that has been before the model: its spec with the seed used last, and what became of it."""

    spec: PromptSpec
    outcome: Outcome | ImageError
    attempts: int = 1
    """How many seeds were tried."""
    photo: Photo | None = None
    """The image that the model looked at."""


Draw = Callable[[Batch, Work, Backbone, Listener], list[Seen]]
"""The first stage, a batch at a time: `draw`, or what stands for it."""


def batches_to_do(plan: Sequence[PromptSpec], skip: Set[str], batch_size: int) -> tuple[Batch, ...]:
    """The plan's batches that hold an item not in `skip`, in order.

    Args:
        plan: every item, in index order.
        skip: ids that are done, or not to be tried again.
        batch_size: the request's.
    """
    slices = (tuple(plan[at : at + batch_size]) for at in range(0, len(plan), batch_size))
    batches = (
        Batch(specs=specs, wanted=frozenset(each.item_id for each in specs) - skip) for specs in slices
    )
    return tuple(each for each in batches if each.wanted)


def draw(batch: Batch, work: Work, backbone: Backbone, listener: Listener) -> list[Seen]:
    """The first stage: the wanted items of a batch after the model; failed ones with further seeds, where the
    work allows. The listener hears of every step, and of doubtful photos.

    Raises:
        DeviceError: out of memory.
    """
    # Also the photos of the items that are done, which keep the others company.
    paths = {} if work.photos is None else {each.item_id: work.photos[each.item_id] for each in batch.specs}
    photos = {item_id: _read(path) for item_id, path in paths.items()}
    view = _View(work=work, backbone=backbone, callback=listener.stepped, photos=photos)
    first = view.outcomes(batch.specs)
    seen = [_retried(view, spec, first[spec.item_id]) for spec in batch.specs if spec.item_id in batch.wanted]
    for each in seen:
        for note in each.photo.notes if each.photo else ():
            listener.noted(f"{(work.photos or {})[each.spec.item_id].as_posix()} {note}")
    return seen


def make(seen: Seen, work: Work, info: ModelInfo) -> Draft:
    """The second stage: an item's mask, and all of its files as bytes. Needs no device, and no other item."""
    photo = seen.photo
    try:
        if not isinstance(seen.outcome, Generation):
            raise seen.outcome
        item = finish(seen.outcome, work.recipe, None if photo is None else photo.rgb)
    except (GenerationError, ImageError) as error:
        return give_up(seen.spec, str(error), work, info, attempts=seen.attempts)
    start, output = time.perf_counter(), work.recipe.output
    as_it_was = None if photo is None else photo.original
    blobs: dict[Role, bytes] = {"image": as_it_was or codec.encode_image(item.image, output.image_format)}
    if output.keep_features:
        blobs["features"] = encode_summary(item.summary)
    height_px, width_px = item.image.shape[:2]
    draft = masked(
        _record(item.spec, work, info, attempts=seen.attempts),
        item.trace.mask,
        item.statistics,
        work.recipe.vocabulary.to_vocabulary(),
        presence=item.trace.presence,
        touching=item.trace.touching,
        others=blobs,
        prompt_truncated=item.prompt_truncated,
        height_px=height_px,
        width_px=width_px,
    )
    spent = {**item.seconds, "writing": time.perf_counter() - start}
    return replace(draft, record=draft.record.model_copy(update={"timings_s": spent}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """How a batch comes before the model."""

    work: Work
    backbone: Backbone
    callback: Callback | None
    photos: Mapping[str, Photo | ImageError] = field(default_factory=dict)

    def outcomes(self, specs: Sequence[PromptSpec]) -> dict[str, Outcome | ImageError]:
        """What becomes of each item; as many at once as the work allows."""
        found: dict[str, Outcome | ImageError] = {
            item_id: photo for item_id, photo in self.photos.items() if isinstance(photo, ImageError)
        }
        readable = [spec for spec in specs if spec.item_id not in found]
        size, recipe = self.work.most or len(specs), self.work.recipe
        for at in range(0, len(readable), size):
            part = readable[at : at + size]
            if self.work.photos is None:
                made = self.backbone.generate(part, recipe.sampling, capture_for(recipe), self.callback)
            else:
                images = [photo.rgb for spec in part if (photo := self.photo(spec.item_id)) is not None]
                made = look(self.backbone, images, part, recipe, self.callback)
            found |= {spec.item_id: each for spec, each in zip(part, made, strict=True)}
        return found

    def photo(self, item_id: str) -> Photo | None:
        photo = self.photos.get(item_id)
        return photo if isinstance(photo, Photo) else None


def further_seed(spec: PromptSpec, attempt: int) -> int:
    """The seed of an item's attempt 2, 3, …, drawn from its planned one: every run tries the same."""
    digest = hashlib.sha256(f"{spec.item_id}/{spec.seed}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % SEED_SPACE


def _retried(view: _View, spec: PromptSpec, outcome: Outcome | ImageError) -> Seen:
    last, attempts = spec, 1
    while isinstance(outcome, GenerationError) and attempts <= view.work.retries:
        attempts += 1
        last = replace(spec, seed=further_seed(spec, attempts))
        outcome = view.outcomes([last])[spec.item_id]
    return Seen(spec=last, outcome=outcome, attempts=attempts, photo=view.photo(spec.item_id))


def _read(path: Path) -> Photo | ImageError:
    try:
        return read_photo(path)
    except ImageError as error:
        return error


def give_up(spec: PromptSpec, error: str, work: Work, info: ModelInfo, *, attempts: int) -> Draft:
    """An item that cannot be made, whatever is tried."""
    record = _record(spec, work, info, attempts=attempts, status="failed", error=error)
    return Draft(record=record, blobs={})


def _record(spec: PromptSpec, work: Work, info: ModelInfo, **known: Any) -> ItemRecord:
    """What was to be made of an item, and what else is known of it."""
    own = spec.negative_prompt
    return ItemRecord(
        segmint_version=__version__,
        id=spec.item_id,
        index=spec.index,
        prompt=spec.prompt,
        negative_prompt=work.recipe.sampling.negative_prompt if own is None else own,
        classes=spec.classes,
        label_ids=spec.label_ids,
        phrases=spec.phrases,
        seed=spec.seed,
        model=info.id,
        revision=info.revision,
        model_licence=info.licence,
        method=work.recipe.masks.method,
        source=None if work.photos is None else work.photos[spec.item_id].as_posix(),
        **known,
    )
