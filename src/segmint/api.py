"""segmint from Python: load a model, mint one pair in memory, or mint a whole run.

import segmint

model = segmint.load("toybox")
run = segmint.generate(model, classes=["boat", "tree"], count=12, out="demo")
for pair in run:
    image, mask = pair.image, pair.mask
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, looking_notes
from segmint.backbone.settings import ModelSettings
from segmint.dataset import Run, held, open_run
from segmint.errors import GenerationError
from segmint.jobs.additions import with_addition
from segmint.jobs.engines.local import LocalEngine
from segmint.jobs.job import Job, run_job
from segmint.jobs.request import Classes, named_classes, request
from segmint.listening import Listener, Logged, ProgressBar, is_watched
from segmint.pictures.heatmaps import HeatMaps
from segmint.pictures.heatmaps import attention_maps as read_attention
from segmint.pipeline import Item, finish, look
from segmint.pipeline import mint as mint_specs
from segmint.plan.photos.reading import as_photo
from segmint.plan.photos.sources import Source, plan_photos
from segmint.plan.prompts.given import GivenPrompts, given_prompts
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe, compose
from segmint.runs.files.remote import files_at
from segmint.runs.store import open_run as open_stored
from segmint.textfile import shown
from segmint.vocabulary import Vocabulary

__all__ = ["Model", "attention_maps", "generate", "label", "load", "mint", "open_run"]

CLASSES = "names or a vocabulary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A loaded model with the settings that it was loaded by, which go into every recipe."""

    settings: ModelSettings
    backbone: Backbone

    def __repr__(self) -> str:
        info = self.backbone.info
        size = f"{info.width_px}×{info.height_px} px"
        return f"Model({self.settings.id!r}, {info.family}, {size}, {info.dtype} on {info.device})"


def load(model: Any = "toybox", *, device: str = "auto", **settings: Any) -> Model:
    """A model, ready to draw.

    Args:
        model: `toybox` (shipped), a hub id, a local folder, or a diffusers pipeline of a supported family,
            which is taken as it is: only `id` and `revision` can be set, for the records.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        settings: other fields of `ModelSettings`, such as `revision`, `dtype`, `scheduler`, `loras`.

    Raises:
        ConfigError: a setting is unknown or out of range.
        ModelError, DeviceError: the model or the device is not there, or not fit.
        TypeError: the model is neither a name nor a pipeline.
    """
    from segmint.backbone.loading import adopt
    from segmint.backbone.loading import load as load_backbone

    if hasattr(model, "components") and hasattr(model, "scheduler"):
        made, backbone = adopt(model, device=device, **settings)
        return Model(settings=made, backbone=backbone)
    _expect(model, str | os.PathLike, "model", "a name, a folder or a diffusers pipeline")
    chosen = compose({"model": {"id": os.fspath(model), **settings}}, {}).model
    return Model(settings=chosen, backbone=load_backbone(chosen, device))


def mint(
    model: Model,
    prompt: str,
    classes: Classes,
    *,
    recipe: Recipe | None = None,
    settings: dict[str, Any] | None = None,
) -> Item:
    """One image with its mask, in memory.

    Args:
        model: from `load`.
        prompt: what to draw.
        classes: what to label: names, with ids 1, 2, … in this order; text as `--classes` has it, such as
            "boat" or "boat, tree"; or a vocabulary with its own ids and phrases.
        recipe: settings; None takes the defaults.
        settings: dotted fields over the recipe, such as `{"sampling.seed": 7}`.

    Returns:
        The item: `item.image`, `item.trace.mask.labels`, `item.statistics`, and every stage in between.

    Raises:
        ConfigError, VocabularyError, PromptError: what is asked for cannot be.
        GenerationError: the image came out black or not at all.
    """
    _expect(prompt, str, "prompt", "text")
    vocabulary = _vocabulary(classes)
    settled = _recipe(model, recipe, settings)
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
    classes: Classes,
    *,
    caption: str | None = None,
    recipe: Recipe | None = None,
    settings: dict[str, Any] | None = None,
) -> Item:
    """The mask of one existing image, in memory, at the image's own size.

    What had to be decided, such as which frame to read, goes to the logger "segmint".

    Args:
        model: from `load`.
        image: an image file of any kind, or RGB as (height, width, 3) of uint8.
        classes: what to look for, as `mint` has it. Of several, those that the image does not seem to show
            are left out (`photos.absent`).
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
    vocabulary = _vocabulary(classes)
    settled = _recipe(model, recipe, settings).model_copy(
        update={"vocabulary": VocabularySettings.from_vocabulary(vocabulary)}
    )
    photo = as_photo(image)
    source = Source(path=Path("image"), item_id="image", caption=caption)
    specs = plan_photos([source], vocabulary, caption=settled.photos.caption, seed=settled.observation.seed)
    [outcome] = look(model.backbone, [photo.rgb], specs, settled)
    for note in (*photo.notes, *looking_notes(model.backbone.info, settled.observation.timesteps)):
        Logged().noted(note)
    if isinstance(outcome, GenerationError):
        raise outcome
    return finish(outcome, settled, photo.rgb)


def attention_maps(model: Model, prompt: str, words: str | Sequence[str] = (), **options: Any) -> HeatMaps:
    """Draw an image, or look at one, and map the model's attention to words, as DAAM and OVAM do.

    Args:
        model: from `load`.
        prompt: what to draw, or what `image` among the options shows.
        words: words or phrases to map, or one; none: every word of the prompt.
        options: as `pictures.heatmaps.attention_maps` has them: `kind`, `text`, `image`, `group_by`, …

    Returns:
        The maps, one a word, as `maps.maps[""]` with shape (word, grid_h, grid_w), and the image.

    Raises:
        PromptError: a word is empty or does not stand in the text.
        GenerationError: the image came out black or not at all.
    """
    _expect(model, Model, "model", "one from segmint.load")
    return read_attention(model.backbone, prompt, [words] if isinstance(words, str) else words, **options)


def generate(
    model: Model,
    *,
    out: str | os.PathLike[str],
    classes: Classes = None,
    prompts: str | os.PathLike[str] | Iterable[str | Mapping[str, Any] | PromptSpec] | None = None,
    count: int | None = None,
    add: bool = False,
    recipe: Recipe | None = None,
    settings: dict[str, Any] | None = None,
    retries: int = 0,
    repair: bool = False,
    progress: bool = True,
    listener: Listener | None = None,
) -> Run:
    """A whole run on disk; called again it goes on where it was. As `segmint generate`.

    Args:
        model: from `load`.
        out: run folder, new or to go on with; a path or a URL (s3://, gs://, …).
        classes: names, a vocabulary, or as `--classes`; None takes the recipe's or the prompts'.
        prompts: a file of prompts; or texts, specs, or tables of the fields that a JSONL file has; None plans
            prompts from the classes.
        count: number of items; None takes every prompt that is given.
        add: put so many further items into the run, by a recipe of their own.
        recipe: settings; None takes the defaults.
        settings: dotted fields over the recipe, such as `{"sampling.steps": 20}`.
        retries: further seeds for an item that fails.
        repair: check every file first and make damaged items again.
        progress: show a bar at a terminal and in a notebook. Notes and failures go to the logger "segmint".
        listener: hears how it goes, instead of bar and logger; see `segmint.listening.Listener`.

    Raises:
        SegmintError: as `segmint.jobs.job.run_job`.
        TypeError: an argument is of another kind.
    """
    _expect(count, int | None, "count", "a whole number")
    _expect(classes, Iterable | Vocabulary | None, "classes", CLASSES)
    _expect(out, str | os.PathLike, "out", "a folder or a URL")
    base, changes = _asked(model, recipe, settings)
    files = files_at(out)
    ask = partial(with_addition, open_stored(files)) if add else request
    asked = ask(
        base=base,
        changes=changes,
        classes=classes,
        prompts_file=_prompts(prompts),
        count=count,
    )
    job = Job(files=files, request=asked, retries=retries, repair=repair)
    bar = ProgressBar(asked.recipe.model.id) if progress and is_watched() else None
    try:
        run = run_job(job, LocalEngine(load=lambda: model.backbone), listener or bar or Logged())
    finally:
        if bar is not None:
            bar.close()
    return held(run)


def _prompts(prompts: Any) -> Path | GivenPrompts | None:
    if prompts is None or isinstance(prompts, str | os.PathLike):
        return None if prompts is None else Path(prompts)
    _expect(prompts, Iterable, "prompts", "a file, or texts or specs")
    return given_prompts(prompts)


def _vocabulary(classes: Classes) -> Vocabulary:
    _expect(classes, Iterable | Vocabulary, "classes", CLASSES)
    return named_classes(classes) or Vocabulary.of(())


def _expect(value: Any, kind: Any, name: str, wanted: str) -> None:
    """Refuse an argument of another kind on one line, before anything else meets it."""
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"{name}: expected {wanted}, found {type(value).__name__} {shown(value)}")


def _recipe(model: Model, recipe: Recipe | None, settings: dict[str, Any] | None) -> Recipe:
    return compose(*_asked(model, recipe, settings))


def _asked(
    model: Model, recipe: Recipe | None, settings: dict[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a recipe is composed of: its base, and the changes over it."""
    _expect(model, Model, "model", "one from segmint.load")
    _expect(recipe, Recipe | None, "recipe", "a Recipe, such as segmint.load_recipe gives")
    _expect(settings, Mapping | None, "settings", 'dotted fields, such as {"sampling.steps": 20}')
    base = {} if recipe is None else recipe.model_dump(mode="json")
    return base, {**_model_fields(model), **(settings or {})}


def _model_fields(model: Model) -> dict[str, Any]:
    return {f"model.{field}": value for field, value in model.settings.model_dump(mode="json").items()}
