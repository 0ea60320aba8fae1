"""Why a mask is what it is: every stage of the method for one item, as titled pictures."""

from dataclasses import dataclass

import numpy as np

from segmint.artifacts import AttentionSummary, Image, Mask, Trace
from segmint.attention import layer_in_words
from segmint.pictures import paint
from segmint.runs.masksets import read_mask_settings, spec_of
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run
from segmint.vocabulary import Vocabulary

HEADS_SHOWN = 6
"""Single heads shown as pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One picture of one step."""

    key: str
    group: str
    title: str
    caption: str
    picture: paint.Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything known about how one item's mask came to be."""

    record: ItemRecord
    image: Image
    labels: Mask
    """The mask as stored: the image of a JPEG run is not to the last bit what the mask was made from."""
    summary: AttentionSummary
    trace: Trace
    vocabulary: Vocabulary


def explain(run: Run, vocabulary: Vocabulary, item_id: str, mask_set: str) -> Explanation:
    """The item's stages, made again from its stored features with the settings of the mask set.

    Raises:
        RunError: the item is not in the run, or has no stored features.
        ImageError: its image or features cannot be read.
    """
    from segmint.pipeline import queries, remake
    from segmint.recipe import Recipe

    record = run.record(item_id, mask_set)
    image, summary, labels = run.image(record), run.summary(record), run.mask(record)
    said = read_mask_settings(run, mask_set) or {"method": record.method}
    settings = Recipe.parse({"masks": said}, source=f"settings of {mask_set or 'the run'}").masks
    recipe = Recipe.parse(run.recipe(), source=f"{run.files.address}/recipe.toml")
    recipe = recipe.model_copy(update={"masks": settings})
    classes = queries(spec_of(record), recipe, photo=record.source is not None)
    trace, _ = remake(summary, image, classes, settings)
    return Explanation(
        record=record, image=image, labels=labels, summary=summary, trace=trace, vocabulary=vocabulary
    )


def label_name(vocabulary: Vocabulary, label_id: int) -> str:
    """The name of a label; its number where the vocabulary has none for it."""
    names = vocabulary.label_names
    return names[label_id] if label_id < len(names) else f"label {label_id}"


def draw_stages(known: Explanation) -> list[Stage]:
    """Every stage that the method has, in its order, each at its own resolution."""
    return [
        *_features(known),
        *_clusters(known),
        *_class_maps(known),
        *_guidance(known),
        *_gains(known),
        *_votes(known),
        *_masks(known),
    ]


def _features(known: Explanation) -> list[Stage]:
    if not known.summary.components:
        return []
    whole = Stage(
        key="features",
        group="Attention features",
        title="All heads",
        caption="Three main directions of all head components, as red, green, blue",
        picture=paint.features_rgb(known.summary.components, known.summary.grid),
    )
    heads = paint.heads_rgb(known.summary.components, HEADS_SHOWN)
    singles = [
        Stage(
            key=f"head-{i}",
            group=whole.group,
            title="One head",
            caption=f"{layer_in_words(layer)}, {picture.shape[0]} × {picture.shape[1]} positions",
            picture=picture,
        )
        for i, (layer, picture) in enumerate(heads)
    ]
    return [whole, *singles]


def _clusters(known: Explanation) -> list[Stage]:
    found = known.trace.clusters
    if found is None:
        return []
    return [
        Stage(
            key=f"clusters-{trial}",
            group="Clusters",
            title=f"k = {count}",
            caption=f"{count} clusters, {int(found.segments[trial].max()) + 1} connected segments",
            picture=paint.partition(found.clusters[trial]),
        )
        for trial, count in enumerate(found.counts)
    ]


def _class_maps(known: Explanation) -> list[Stage]:
    evidence = known.trace.evidence
    if evidence is None:
        return []
    return [
        Stage(
            key=f"map-{label_id}",
            group="Class maps",
            title=label_name(known.vocabulary, label_id),
            caption="Cross-attention of the class's words" if label_id else "Attention of the start token",
            picture=paint.heat(evidence.values[row]),
        )
        for row, label_id in enumerate(evidence.label_ids)
    ]


def _gains(known: Explanation) -> list[Stage]:
    told, presence = known.summary.denoising, known.trace.presence
    if told is None:
        return []
    absent = presence.absent if presence else ()
    return [
        Stage(
            key=f"gain-{place}",
            group="Denoising evidence",
            title=f"{name} (not drawn)" if name in absent else name,
            caption="Where its text helps the model to see the image in noise"
            + (f"; share at its peak {presence.scores.get(name, 0.0):.2f}" if presence else ""),
            picture=paint.heat(told.gains[place]),
        )
        for place, name in enumerate(told.classes)
    ]


def _guidance(known: Explanation) -> list[Stage]:
    if known.summary.guidance is None:
        return []
    return [
        Stage(
            key="guidance",
            group="What stands out",
            title="Guidance",
            caption="How far the prompt moved what the model predicts, over all steps",
            picture=paint.heat(known.summary.guidance),
        )
    ]


def _votes(known: Explanation) -> list[Stage]:
    voted, palette = known.trace.voted, paint.palette_of(known.vocabulary)
    if voted is None:
        return []
    counts = known.trace.clusters.counts if known.trace.clusters else ()
    per_trial = max(len(voted.ballots) // max(len(counts), 1), 1)
    ballots = [
        Stage(
            key=f"ballot-{i}",
            group="Ballots",
            title=f"Ballot {i + 1}",
            caption=f"k = {counts[i // per_trial]}, threshold {i % per_trial + 1}" if counts else "",
            picture=paint.colourise(ballot, palette),
        )
        for i, ballot in enumerate(voted.ballots)
    ]
    agreed = Stage(
        key="agreement",
        group="Vote",
        title="Agreement",
        caption=f"Share of the {len(voted.ballots)} ballots for the winner; bright is unanimous",
        picture=paint.heat(voted.agreement, "viridis"),
    )
    winner = Stage(
        key="voted",
        group="Vote",
        title="Winner",
        caption="Pale where no label has enough ballots",
        picture=paint.colourise(voted.labels, palette),
    )
    return [*ballots, winner, agreed]


def _masks(known: Explanation) -> list[Stage]:
    palette, trace = paint.palette_of(known.vocabulary), known.trace
    stages = []
    if trace.unrefined is not None:
        picture = paint.overlay(known.image, trace.unrefined, palette)
        stages.append(
            Stage(
                key="before",
                group="Mask",
                title="Before refinement",
                caption="The vote, enlarged",
                picture=picture,
            )
        )
    after = paint.overlay(known.image, known.labels, palette)
    caption = "Along the image's own edges" if trace.unrefined is not None else f"Made by {trace.method}"
    stages.append(Stage(key="after", group="Mask", title="After refinement", caption=caption, picture=after))
    if trace.unrefined is not None:
        changed = np.where(trace.unrefined != known.labels, 1.0, 0.0)
        stages.append(
            Stage(
                key="changed",
                group="Mask",
                title="Changed pixels",
                caption=f"{100 * float(changed.mean()):.1f} % of the image",
                picture=paint.heat(changed),
            )
        )
    return stages
