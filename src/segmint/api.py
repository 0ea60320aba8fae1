"""segmint from Python: load a model, mint one pair in memory, or mint a whole run.

import segmint

model = segmint.load("toybox")
run = segmint.generate(model, classes=["boat", "tree"], count=12, out="demo")
for record in run.records():
    image, mask = run.image(record), run.mask(record)
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone
from segmint.backbone.settings import ModelSettings
from segmint.errors import GenerationError
from segmint.jobs.engines.local import LocalEngine
from segmint.jobs.job import Job, run_job
from segmint.jobs.request import request
from segmint.listening import Listener, Silent
from segmint.pictures.heatmaps import HeatMaps
from segmint.pictures.heatmaps import attention_maps as read_attention
from segmint.pipeline import Item, finish, look
from segmint.pipeline import mint as mint_specs
from segmint.plan.photos.plan import plan_photos
from segmint.plan.photos.reading import as_rgb
from segmint.plan.photos.sources import Source
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe, compose
from segmint.runs.files.remote import files_at
from segmint.runs.store import Run, open_run
from segmint.vocabulary import Vocabulary

__all__ = ["Model", "attention_maps", "generate", "label", "load", "mint", "open_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A loaded model with the settings that it was loaded by, which go into every recipe."""

    settings: ModelSettings
    backbone: Backbone


def load(model: str = "toybox", *, device: str = "auto", **settings: Any) -> Model:
    """A model, ready to draw.

    Args:
        model: `toybox` (shipped), a hub id, or a local folder.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        settings: other fields of `ModelSettings`, such as `revision`, `dtype`, `scheduler`, `loras`.

    Raises:
        ConfigError: a setting is unknown or out of range.
        ModelError, DeviceError: the model or the device is not there, or not fit.
    """
    from segmint.backbone.loading import load as load_backbone

    chosen = compose({"model": {"id": model, **settings}}, {}).model
    return Model(settings=chosen, backbone=load_backbone(chosen, device))


def mint(
    model: Model,
    prompt: str,
    classes: Sequence[str] | Vocabulary,
    *,
    recipe: Recipe | None = None,
    settings: dict[str, Any] | None = None,
) -> Item:
    """One image with its mask, in memory.

    Args:
        model: from `load`.
        prompt: what to draw.
        classes: what to label, with ids 1, 2, … in this order; or a vocabulary with its own ids and phrases.
        recipe: settings; None takes the defaults.
        settings: dotted fields over the recipe, such as `{"sampling.seed": 7}`.

    Returns:
        The item: `item.image`, `item.trace.mask.labels`, `item.statistics`, and every stage in between.

    Raises:
        ConfigError, VocabularyError, PromptError: what is asked for cannot be.
        GenerationError: the image came out black or not at all.
    """
    vocabulary = classes if isinstance(classes, Vocabulary) else Vocabulary.of(classes)
    settled = _recipe(model, recipe, settings or {})
    spec = PromptSpec(
        item_id="000000",
        index=0,
        prompt=prompt,
        classes=vocabulary.names,
        label_ids=tuple(entry.label_id for entry in vocabulary.entries),
        phrases=tuple(entry.phrases for entry in vocabulary.entries),
        seed=settled.sampling.seed,
    )
    [item] = mint_specs(model.backbone, [spec], settled)
    if isinstance(item, GenerationError):
        raise item
    return item


def label(
    model: Model,
    image: Shaped[np.ndarray, "..."] | str | Path,
    classes: Sequence[str] | Vocabulary,
    *,
    caption: str | None = None,
    recipe: Recipe | None = None,
    settings: dict[str, Any] | None = None,
) -> Item:
    """The mask of one existing image, in memory, at the image's own size.

    Args:
        model: from `load`.
        image: an image file of any kind, or RGB as (height, width, 3) of uint8.
        classes: what to look for, with ids 1, 2, … in this order; or a vocabulary with ids of its own. Of
            several, those that the image does not seem to show are left out (`photos.absent`).
        caption: what the image shows; by default the classes.
        recipe: settings; None takes the defaults.
        settings: dotted fields over the recipe, such as `{"observation.timesteps": [50, 100]}`.

    Returns:
        The item: `item.trace.mask.labels` holds the mask, 255 where uncertain.

    Raises:
        ConfigError, VocabularyError: what is asked for cannot be.
        ImageError: the image cannot be read, or is no 8-bit RGB array.
        GenerationError: the model's attention holds NaN or infinity.
    """
    vocabulary = classes if isinstance(classes, Vocabulary) else Vocabulary.of(classes)
    settled = _recipe(model, recipe, settings or {}).model_copy(
        update={"vocabulary": VocabularySettings.from_vocabulary(vocabulary)}
    )
    rgb = as_rgb(image)
    source = Source(path=Path("image"), item_id="image", caption=caption)
    specs = plan_photos([source], vocabulary, caption=settled.photos.caption, seed=settled.observation.seed)
    [outcome] = look(model.backbone, [rgb], specs, settled)
    if isinstance(outcome, GenerationError):
        raise outcome
    return finish(outcome, settled, rgb)


def attention_maps(model: Model, prompt: str, words: Sequence[str] = (), **options: Any) -> HeatMaps:
    """Draw an image, or look at one, and map the model's attention to words, as DAAM and OVAM do.

    Args:
        model: from `load`.
        prompt: what to draw, or what `image` among the options shows.
        words: words or phrases to map; none: every word of the prompt.
        options: as `pictures.heatmaps.attention_maps` has them: `kind`, `text`, `image`, `group_by`, …

    Returns:
        The maps, one a word, as `maps.maps[""]` with shape (word, grid_h, grid_w), and the image.

    Raises:
        PromptError: a word is empty or does not stand in the text.
        GenerationError: the image came out black or not at all.
    """
    return read_attention(model.backbone, prompt, words, **options)


def generate(
    model: Model,
    *,
    out: str | os.PathLike[str],
    classes: str | Sequence[str] | Vocabulary | None = None,
    prompts: str | os.PathLike[str] | None = None,
    count: int | None = None,
    recipe: Recipe | None = None,
    settings: dict[str, Any] | None = None,
    retries: int = 0,
    repair: bool = False,
    listener: Listener | None = None,
) -> Run:
    """A whole run on disk; called again it goes on where it was. As `segmint generate`.

    Args:
        model: from `load`.
        out: run folder, new or to go on with; a path or a URL (s3://, gs://, …).
        classes: names, a vocabulary, or as `--classes`; None takes the recipe's or the prompts file's.
        prompts: a file of prompts; None plans prompts from the classes.
        count: number of items; None takes every prompt of the file.
        recipe: settings; None takes the defaults.
        settings: dotted fields over the recipe, such as `{"sampling.steps": 20}`.
        retries: further seeds for an item that fails.
        repair: check every file first and make damaged items again.
        listener: hears how it goes; see `segmint.listening.Listener`.

    Raises:
        SegmintError: as `segmint.jobs.job.run_job`.
    """
    base = {} if recipe is None else recipe.model_dump(mode="json")
    changes = {**_model_fields(model), **(settings or {})}
    asked = request(
        base=base,
        changes=changes,
        classes=classes,
        prompts_file=None if prompts is None else Path(prompts),
        count=count,
    )
    job = Job(files=files_at(out), request=asked, retries=retries, repair=repair)
    return run_job(job, LocalEngine(load=lambda: model.backbone), listener or Silent())


def _recipe(model: Model, recipe: Recipe | None, settings: dict[str, Any]) -> Recipe:
    base = {} if recipe is None else recipe.model_dump(mode="json")
    return compose(base, {**_model_fields(model), **settings})


def _model_fields(model: Model) -> dict[str, Any]:
    return {f"model.{field}": value for field, value in model.settings.model_dump(mode="json").items()}
