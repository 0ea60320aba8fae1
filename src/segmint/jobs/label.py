"""The labelling job: the images of a list become a run's items, a batch at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from segmint.artifacts import Generation, PromptSpec
from segmint.backbone.base import Backbone, Outcome
from segmint.errors import GenerationError, ImageError
from segmint.jobs.work import Batch, Finish, Work, failed_draft, whole_draft
from segmint.listening import Listener
from segmint.pipeline import finish, look
from segmint.plan.photos.reading import Photo, read_photo
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """An image that has been before the model: its item, its file, and what became of it."""

    spec: PromptSpec
    path: Path
    photo: Photo | None
    outcome: Outcome | ImageError


def label_unit(paths: Mapping[str, Path]) -> Callable[[Batch, Work, Backbone, Listener], Finish]:
    """The unit of labelling, for `LocalEngine`: as `mint_batch`, but images are read from `paths`, by item.

    An image that cannot be read becomes a failed item with the reason, and nothing else is lost. All readable
    images of a batch are looked at together, also those that are done already, so that an item's arithmetic
    does not depend on what was done before.
    """
    return partial(_label_batch, paths=paths)


def _label_batch(
    batch: Batch, work: Work, backbone: Backbone, listener: Listener, *, paths: Mapping[str, Path]
) -> Finish:
    read = [(spec, _read(paths[spec.item_id])) for spec in batch.specs]
    seen = [(spec, photo) for spec, photo in read if isinstance(photo, Photo)]
    size = work.most or len(batch.specs)
    outcomes: dict[str, Outcome | ImageError] = {
        spec.item_id: photo for spec, photo in read if isinstance(photo, ImageError)
    }
    for at in range(0, len(seen), size):
        specs = [spec for spec, _ in seen[at : at + size]]
        images = [photo.rgb for _, photo in seen[at : at + size]]
        found = look(backbone, images, specs, work.recipe, listener.stepped)
        outcomes |= {spec.item_id: outcome for spec, outcome in zip(specs, found, strict=True)}
    looked = [
        Looked(
            spec=spec,
            path=paths[spec.item_id],
            photo=photo if isinstance(photo, Photo) else None,
            outcome=outcomes[spec.item_id],
        )
        for spec, photo in read
        if spec.item_id in batch.wanted
    ]
    return partial(_store, looked, work, backbone, listener)


def _store(looked: list[Looked], work: Work, backbone: Backbone, listener: Listener) -> list[ItemRecord]:
    for each in looked:
        for note in each.photo.notes if each.photo else ():
            listener.noted(f"{each.path} {note}")
    return commit(work.files, [_draft(each, work, backbone) for each in looked])


def _draft(looked: Looked, work: Work, backbone: Backbone) -> Draft:
    recipe, info = work.recipe, backbone.info
    draft = None
    error: Exception | None = looked.outcome if not isinstance(looked.outcome, Generation) else None
    if looked.photo is not None and isinstance(looked.outcome, Generation):
        try:
            item = finish(looked.outcome, recipe, looked.photo.rgb)
            draft = whole_draft(item, recipe, info, recipe.vocabulary.to_vocabulary())
        except GenerationError as caught:
            error = caught
    if draft is None:
        draft = failed_draft(looked.spec, str(error), recipe, info)
    elif looked.photo is not None and looked.photo.original is not None:
        draft = replace(draft, blobs={**draft.blobs, "image": looked.photo.original})
    return replace(draft, record=draft.record.model_copy(update={"source": looked.path.as_posix()}))


def _read(path: Path) -> Photo | ImageError:
    try:
        return read_photo(path)
    except ImageError as error:
        return error
