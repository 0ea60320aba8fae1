"""What is known of an item as the bytes and the record that a run keeps."""

import time
from dataclasses import replace

from segmint._version import __version__
from segmint.artifacts import PromptSpec
from segmint.backbone.base import ModelInfo
from segmint.pipeline import Item
from segmint.recipe import Recipe
from segmint.runs import codec
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, Role, masked
from segmint.vocabulary import Vocabulary


def whole_draft(
    item: Item, recipe: Recipe, info: ModelInfo, vocabulary: Vocabulary, *, attempts: int = 1
) -> Draft:
    """A finished item."""
    start = time.perf_counter()
    blobs: dict[Role, bytes] = {"image": codec.encode_image(item.image, recipe.output.image_format)}
    if recipe.output.keep_features:
        blobs["features"] = codec.encode_summary(item.summary)
    height_px, width_px = item.image.shape[:2]
    draft = masked(
        _blank_record(item.spec, recipe, info, attempts),
        item.trace.mask,
        item.statistics,
        vocabulary,
        others=blobs,
        prompt_truncated=item.prompt_truncated,
        height_px=height_px,
        width_px=width_px,
    )
    spent = {**item.seconds, "writing": time.perf_counter() - start}
    return replace(draft, record=draft.record.model_copy(update={"timings_s": spent}))


def failed_draft(
    spec: PromptSpec, error: str, recipe: Recipe, info: ModelInfo, *, attempts: int = 1
) -> Draft:
    """An item that could not be made."""
    record = _blank_record(spec, recipe, info, attempts)
    return Draft(record=record.model_copy(update={"status": "failed", "error": error}), blobs={})


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
