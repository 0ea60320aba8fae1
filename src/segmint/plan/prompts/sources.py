"""From a recipe's `prompts` section to the plan of a run: the one door for callers."""

import hashlib
from pathlib import Path

from segmint.artifacts import PromptSpec
from segmint.errors import PromptError
from segmint.plan.classes import PRESETS, preset_vocabulary
from segmint.plan.prompts.formats import detect_format
from segmint.plan.prompts.given import GIVEN, GivenPrompts
from segmint.plan.prompts.planning import check_digest, class_names_suffix, make_spec, plan
from segmint.plan.prompts.readers import PromptEntry, classes_of_suffix, parse_prompts
from segmint.plan.prompts.templates import WORLDS, load_templates
from segmint.plan.prompts.words import word_table
from segmint.plan.settings import PromptSettings
from segmint.specs import SEED_LIMIT, is_item_id
from segmint.textfile import read_text
from segmint.vocabulary import Vocabulary


def settle(
    settings: PromptSettings,
    *,
    model: str,
    prompts_file: Path | GivenPrompts | None = None,
    templates_file: Path | None = None,
) -> PromptSettings:
    """Settings in which nothing is left open, so that a recipe's digest fixes every prompt.

    Args:
        settings: as the user gave them; what they already fix must agree with the files.
        model: the model's id; "toybox" and "yard" take their own templates where `templates` is "auto".
        prompts_file: read prompts from here, or take these; None looks for a file that `settings` names at
            that name.
        templates_file: plan with these templates.

    Raises:
        PromptError: a file cannot be read, or is not the one whose SHA-256 the settings hold.
    """
    if prompts_file is not None or settings.source == "file":
        text, data, path = _read(settings, prompts_file)
        unsaid = settings.format == "auto" or isinstance(prompts_file, GivenPrompts)
        form = detect_format(path, text) if unsaid else settings.format
        changes = {
            "source": "file",
            "file": path.name,
            "file_sha256": hashlib.sha256(data).hexdigest(),
            "format": form,
        }
        return settings.model_copy(update=changes)
    automatic = model if model in WORLDS else "photo"
    chosen = templates_file or (automatic if settings.templates == "auto" else settings.templates)
    templates = load_templates(chosen)
    if templates_file is None:
        check_digest(settings, templates)
    return settings.model_copy(update={"templates": templates.name, "templates_sha256": templates.sha256})


def make_plan(
    settings: PromptSettings,
    vocabulary: Vocabulary,
    *,
    count: int | None,
    seed: int,
    prompts_file: Path | GivenPrompts | None = None,
    templates_file: Path | None = None,
    start: int = 0,
) -> list[PromptSpec]:
    """The items of a run, or of an addition to one.

    Args:
        settings: best from `settle`; any digest in them is checked against the file.
        vocabulary: the classes.
        count: number of items; None takes every prompt of a file (planned prompts have no end of their own).
        seed: `sampling.seed`; item i draws its noise from seed + i, unless a file gives it a seed.
        prompts_file: where the file of `settings.file` lies; None looks for it at that name.
        templates_file: where the templates lie, if they are not of segmint's own.
        start: index of the first item, where there are others before.

    Raises:
        PromptError: a file is missing, malformed or not the recipe's, or holds fewer prompts than asked for.
    """
    if count is not None and count < 1:
        raise PromptError(f"a count of {count} items makes an empty run; ask for 1 or more")
    if settings.source == "file":
        text, _, path = _read(settings, prompts_file, check=True)
        form = None if settings.format == "auto" else settings.format
        entries = parse_prompts(text, path, vocabulary, form=form)
        specs = specs_from(entries, vocabulary, settings, seed, start=start)
        if count is not None and count > len(specs):
            raise PromptError(
                f"{path} gives {len(specs)} items, fewer than the {count} asked for; lower the count, or "
                "raise images_per_prompt"
            )
        return specs[:count]
    if count is None:
        raise PromptError("planned prompts have no end; say how many items to make, for example --count 100")
    templates = None if templates_file is None else load_templates(templates_file)
    return plan(vocabulary, settings, count=count, seed=seed, templates=templates, start=start)


def specs_from(
    entries: list[PromptEntry],
    vocabulary: Vocabulary,
    settings: PromptSettings,
    seed: int,
    *,
    start: int = 0,
) -> list[PromptSpec]:
    """Items for the prompts of a file: `settings.images_per_prompt` of each, one after the other.

    An item is called by the entry's own id, with "-1", "-2", … where a prompt gets several images, else by
    its place in the plan. Its seed is the entry's own (counted up over its images), else `seed` + place.

    Raises:
        PromptError: two items would have one id.
        VocabularyError: an entry has a class that the vocabulary lacks.
    """
    known = {entry.name: entry for entry in vocabulary.entries}
    table = word_table(vocabulary)
    specs: list[PromptSpec] = []
    holders: dict[str, str] = {}
    for entry in entries:
        classes = [known.get(name) or vocabulary.entry(name) for name in entry.classes]
        prompt = entry.prompt
        if settings.append_class_names and not classes_of_suffix(prompt, table):
            prompt += class_names_suffix(classes)
        for image in range(settings.images_per_prompt):
            index = start + len(specs)
            own_seed = seed + index if entry.seed is None else entry.seed + image
            item_id = _item_id(entry, image, index, settings.images_per_prompt)
            _claim(item_id, entry.place, holders)
            specs.append(
                make_spec(
                    prompt,
                    classes,
                    item_id=item_id,
                    index=index,
                    seed=own_seed % SEED_LIMIT,
                    negative_prompt=entry.negative_prompt,
                )
            )
    return specs


def vocabulary_of(entries: list[PromptEntry]) -> Vocabulary:
    """The vocabulary of a file that lists its classes, where none was given.

    If the classes are exactly those of a preset, all of them, it is that preset. Else ids follow the order of
    first appearance, so that lines added at the end leave them as they are.

    Raises:
        VocabularyError: two spellings differ only in capitals, or there are over 254 classes.
    """
    names = dict.fromkeys(name for entry in entries for name in entry.classes)
    for preset in PRESETS:
        if set(names) == set(preset_vocabulary(preset).names):
            return preset_vocabulary(preset)
    return Vocabulary.of(names)


def _read(
    settings: PromptSettings, prompts_file: Path | GivenPrompts | None, *, check: bool = False
) -> tuple[str, bytes, Path]:
    """The prompts file; if `check`, or if only the settings name it, it must be the one of their digest."""
    if isinstance(prompts_file, GivenPrompts):
        return prompts_file.text, prompts_file.text.encode(), GIVEN
    path = prompts_file if prompts_file is not None else Path(settings.file or "")
    if prompts_file is None and not settings.file:
        raise PromptError(
            "prompts.source is file, but no file is named; give one, for example --prompts FILE"
        )
    text, data = read_text(path, what="prompts file", error=PromptError)
    wanted, found = settings.file_sha256, hashlib.sha256(data).hexdigest()
    if (check or prompts_file is None) and wanted not in (None, found):
        raise PromptError(
            f"{path} is not the prompts file of the recipe (SHA-256 {found[:12]}…, in the recipe "
            f"{str(wanted)[:12]}…); restore the file or start a new run"
        )
    return text, data, path


def _item_id(entry: PromptEntry, image: int, index: int, images: int) -> str:
    if entry.item_id is None:
        return f"{index:06d}"
    return entry.item_id if images == 1 else f"{entry.item_id}-{image + 1}"


def _claim(item_id: str, place: str, holders: dict[str, str]) -> None:
    if not is_item_id(item_id):
        raise PromptError(f"{place}: the item id {item_id!r} is too long; shorten the prompt's own id")
    holder = holders.setdefault(item_id.casefold(), place)
    if holder != place:
        raise PromptError(
            f"{place}: the item id {item_id!r} is already that of {holder}; change the prompt's own id"
        )
