"""What is known of an item as the bytes and the record that a run keeps."""

import time

from segmint._version import __version__
from segmint.artifacts import PromptSpec, RefinedMask
from segmint.backbone.base import ModelInfo
from segmint.pipeline import Item
from segmint.recipe import Recipe
from segmint.runs import codec
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, Role
from segmint.vocabulary import Vocabulary


def whole_draft(
    item: Item, recipe: Recipe, info: ModelInfo, vocabulary: Vocabulary, *, attempts: int = 1
) -> Draft:
    """A finished item."""
    start = time.perf_counter()
    blobs: dict[Role, bytes] = {
        "image": codec.encode_image(item.image, recipe.output.image_format),
        **mask_blobs(item.trace.mask, vocabulary),
    }
    if recipe.output.keep_features:
        blobs["features"] = codec.encode_summary(item.summary)
    height_px, width_px = item.image.shape[:2]
    record = _blank_record(item.spec, recipe, info, attempts).model_copy(
        update={
            "prompt_truncated": item.prompt_truncated,
            "height_px": height_px,
            "width_px": width_px,
            "areas": item.statistics.by_name(vocabulary.label_names),
            "uncertain_fraction": item.statistics.uncertain_fraction,
            "agreement": item.statistics.agreement,
            "timings_s": {**item.seconds, "writing": time.perf_counter() - start},
        }
    )
    return Draft(record=record, blobs=blobs)


def failed_draft(
    spec: PromptSpec, error: str, recipe: Recipe, info: ModelInfo, *, attempts: int = 1
) -> Draft:
    """An item that could not be made."""
    record = _blank_record(spec, recipe, info, attempts)
    return Draft(record=record.model_copy(update={"status": "failed", "error": error}), blobs={})


def mask_blobs(mask: RefinedMask, vocabulary: Vocabulary) -> dict[Role, bytes]:
    """The files of a mask."""
    return {
        "mask": codec.encode_mask(mask.labels, vocabulary.palette()),
        "agreement": codec.encode_agreement(mask.agreement),
    }


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
