"""Plan prompts from classes: which classes meet in an image, and in which words."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from segmint.artifacts import PromptSpec
from segmint.errors import PromptError, VocabularyError
from segmint.plan.prompts.templates import TemplateSet, Wording, load_templates, shuffled
from segmint.plan.settings import PromptSettings
from segmint.specs import SEED_LIMIT
from segmint.vocabulary import ClassEntry, Vocabulary


def plan(
    vocabulary: Vocabulary,
    settings: PromptSettings,
    *,
    count: int,
    seed: int,
    templates: TemplateSet | None = None,
    start: int = 0,
) -> list[PromptSpec]:
    """Items with one to three classes each, every class as often as any other, or by its weight.

    Item i follows from vocabulary, settings, seed, start and i alone: a longer plan begins with the shorter
    one.

    Args:
        vocabulary: classes to draw; a prompt names each of its classes by one of the class's phrases.
        settings: `class_counts`, `append_class_names`, `seed`, and `templates` where none are given.
        count: number of items, at least 1.
        seed: `sampling.seed`: item i draws its noise from seed + i; also decides the wording, unless
            `settings.seed` does.
        templates: wording; None loads `settings.templates` ("auto" then means "plain").
        start: index of the first item, where there are others before.

    Raises:
        PromptError: count is below 1, or the templates are missing or not those of the settings' digest.
        VocabularyError: a weight is of an unknown class, or no class has one above 0.
    """
    if count < 1:
        raise PromptError(f"a plan of {count} items is empty; ask for 1 or more")
    if templates is None:
        templates = load_templates("plain" if settings.templates == "auto" else settings.templates)
    check_digest(settings, templates)
    wording = Wording(vocabulary, templates)
    wording_seed = seed if settings.seed is None else settings.seed
    if settings.weights is None:
        groups = class_groups(vocabulary, settings.class_counts, wording_seed)
    else:
        groups = _weighted_groups(vocabulary, settings.class_counts, wording_seed, settings.weights)
    specs = []
    for index, entries in zip(range(start, start + count), groups, strict=False):
        prompt = wording.write(entries, Random(f"segmint prompt {wording_seed} {index}"))
        if settings.append_class_names:
            prompt += class_names_suffix(entries)
        specs.append(
            make_spec(prompt, entries, item_id=f"{index:06d}", index=index, seed=(seed + index) % SEED_LIMIT)
        )
    return specs


def make_spec(
    prompt: str,
    entries: Sequence[ClassEntry],
    *,
    item_id: str,
    index: int,
    seed: int,
    negative_prompt: str | None = None,
) -> PromptSpec:
    """A spec that looks for these classes."""
    return PromptSpec(
        item_id=item_id,
        index=index,
        prompt=prompt,
        classes=tuple(entry.name for entry in entries),
        label_ids=tuple(entry.label_id for entry in entries),
        phrases=tuple(entry.phrases for entry in entries),
        seed=seed,
        negative_prompt=negative_prompt,
    )


def class_names_suffix(entries: Sequence[ClassEntry]) -> str:
    """ "; " and the first phrase of each class, joined by blanks.

    Source: Dataset Diffusion (Nguyen et al. 2023), class-prompt appending.
    """
    return "; " + " ".join(entry.phrases[0] for entry in entries)


def class_groups(
    vocabulary: Vocabulary, weights: tuple[float, float, float], seed: int
) -> Iterator[list[ClassEntry]]:
    """Without end: classes that meet in an image, dealt from shuffled decks: all come equally often."""
    random = Random(f"segmint classes {seed}")
    deck: list[ClassEntry] = []
    while True:
        size = min(_weighted(weights, random), len(vocabulary.entries))
        group: list[ClassEntry] = []
        while len(group) < size:
            place = next((at for at, card in enumerate(deck) if card not in group), None)
            if place is None:
                deck += shuffled(vocabulary.entries, random)
            else:
                group.append(deck.pop(place))
        yield group


def _weighted_groups(
    vocabulary: Vocabulary, counts: tuple[float, float, float], seed: int, weights: Mapping[str, float]
) -> Iterator[list[ClassEntry]]:
    """As `class_groups`, each class by its weight: every draw gives each its share of credit, the class with
    most credit, give or take chance, comes next and pays one. A class comes at most once an image."""
    for name in weights:
        vocabulary.entry(name)
    drawn = [entry for entry in vocabulary.entries if weights.get(entry.name, 1.0) > 0]
    if not drawn:
        raise VocabularyError("every class has weight 0; give one or more a weight above 0")
    whole = sum(weights.get(entry.name, 1.0) for entry in drawn)
    share = {entry.name: weights.get(entry.name, 1.0) / whole for entry in drawn}
    credit = dict.fromkeys(share, 0.0)
    random = Random(f"segmint weighted classes {seed}")
    while True:
        size = min(_weighted(counts, random), len(drawn))
        group: list[ClassEntry] = []
        for _ in range(size):
            for name in credit:
                credit[name] += share[name]
            luck = {entry.name: credit[entry.name] + random.random() for entry in drawn}
            left = [entry for entry in drawn if entry not in group]
            group.append(max(left, key=lambda entry: luck[entry.name]))
            credit[group[-1].name] -= 1
        yield group


def check_digest(settings: PromptSettings, templates: TemplateSet) -> None:
    """Refuse templates that are not those that the settings were settled with.

    Raises:
        PromptError: their digest differs.
    """
    if settings.templates_sha256 not in (None, templates.sha256):
        raise PromptError(
            f"templates {templates.name!r} are not those of the recipe (SHA-256 {templates.sha256[:12]}…, in "
            f"the recipe {(settings.templates_sha256 or '')[:12]}…); restore the file or start a new run"
        )


def _weighted(weights: Sequence[float], random: Random) -> int:
    """1, 2, … with these weights. Only `random()` is used: Python promises it, and nothing else, for ever."""
    left = random.random() * sum(weights)
    for number, weight in enumerate(weights, start=1):
        left -= weight
        if left < 0:
            return number
    return max(number for number, weight in enumerate(weights, start=1) if weight > 0)
