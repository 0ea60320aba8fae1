"""Why a mask is what it is: every stage of the method for one item, as titled pictures."""

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from segmint.artifacts import AttentionSummary, Image, Mask, Trace
from segmint.pictures import render
from segmint.runs import layout
from segmint.runs.masksets import read_mask_settings, spec_of
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run
from segmint.vocabulary import BACKGROUND, Vocabulary

HELD = 4
"""Items whose stages stay in memory."""
HEADS_SHOWN = 6
"""Single heads shown as pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One picture of one step."""

    key: str
    group: str
    title: str
    caption: str
    picture: render.Picture


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
    from segmint.pipeline import remake
    from segmint.recipe import Recipe

    record = run.record(item_id, mask_set)
    image, summary, labels = run.image(record), run.summary(record), run.mask(record)
    said = read_mask_settings(run, mask_set) or {"method": record.method}
    settings = Recipe.parse({"masks": said}, source=f"settings of {mask_set or 'the run'}").masks
    trace, _ = remake(summary, image, spec_of(record), settings)
    return Explanation(
        record=record, image=image, labels=labels, summary=summary, trace=trace, vocabulary=vocabulary
    )


def draw_stages(known: Explanation) -> list[Stage]:
    """Every stage that the method has, in its order, each at its own resolution."""
    return [*_features(known), *_clusters(known), *_class_maps(known), *_votes(known), *_masks(known)]


class StageShelf:
    """Stages of the items looked at last."""

    def __init__(self, run: Run, vocabulary: Vocabulary) -> None:
        self.run, self.vocabulary = run, vocabulary
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str], list[Stage]] = OrderedDict()

    def stages(self, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> list[Stage]:
        """The item's stages; one request computes, the others wait for it."""
        key = (item_id, mask_set)
        with self._lock:
            if key not in self._held:
                self._held[key] = draw_stages(explain(self.run, self.vocabulary, item_id, mask_set))
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


def _features(known: Explanation) -> list[Stage]:
    if not known.summary.components:
        return []
    whole = Stage(
        key="features",
        group="Attention features",
        title="All heads",
        caption="Three main directions of all head components, as red, green, blue",
        picture=render.features_rgb(known.summary.components, known.summary.grid),
    )
    heads = render.heads_rgb(known.summary.components, HEADS_SHOWN)
    singles = [
        Stage(
            key=f"head-{i}",
            group=whole.group,
            title="One head",
            caption=f"{_short(layer)}, {picture.shape[0]} × {picture.shape[1]} positions",
            picture=picture,
        )
        for i, (layer, picture) in enumerate(heads)
    ]
    return [whole, *singles]


def _short(layer: str) -> str:
    """A layer's place in words, where its name follows diffusers; else the name."""
    place = re.match(r"(up|down)_blocks\.(\d+)\.attentions\.(\d+)", layer)
    return f"{place[1]} block {place[2]}, attention {place[3]}" if place else layer


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
            picture=render.partition(found.clusters[trial]),
        )
        for trial, count in enumerate(found.counts)
    ]


def _class_maps(known: Explanation) -> list[Stage]:
    evidence = known.trace.evidence
    if evidence is None:
        return []
    names = {e.label_id: e.name for e in known.vocabulary.entries} | {BACKGROUND: "background"}
    return [
        Stage(
            key=f"map-{label_id}",
            group="Class maps",
            title=names.get(label_id, f"label {label_id}"),
            caption="Cross-attention of the class's words" if label_id else "Attention of the start token",
            picture=render.heat(evidence.values[row]),
        )
        for row, label_id in enumerate(evidence.label_ids)
    ]


def _votes(known: Explanation) -> list[Stage]:
    voted, palette = known.trace.voted, render.palette_of(known.vocabulary)
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
            picture=render.colourise(ballot, palette),
        )
        for i, ballot in enumerate(voted.ballots)
    ]
    agreed = Stage(
        key="agreement",
        group="Vote",
        title="Agreement",
        caption=f"Share of the {len(voted.ballots)} ballots for the winner; bright is unanimous",
        picture=render.heat(voted.agreement, "viridis"),
    )
    winner = Stage(
        key="voted",
        group="Vote",
        title="Winner",
        caption="Pale where no label has enough ballots",
        picture=render.colourise(voted.labels, palette),
    )
    return [*ballots, winner, agreed]


def _masks(known: Explanation) -> list[Stage]:
    palette, trace = render.palette_of(known.vocabulary), known.trace
    stages = []
    if trace.unrefined is not None:
        picture = render.overlay(known.image, trace.unrefined, palette)
        stages.append(
            Stage(
                key="before",
                group="Mask",
                title="Before refinement",
                caption="The vote, enlarged",
                picture=picture,
            )
        )
    after = render.overlay(known.image, known.labels, palette)
    caption = "Along the image's own edges" if trace.unrefined is not None else f"Made by {trace.method}"
    stages.append(Stage(key="after", group="Mask", title="After refinement", caption=caption, picture=after))
    if trace.unrefined is not None:
        changed = np.where(trace.unrefined != known.labels, 1.0, 0.0)
        stages.append(
            Stage(
                key="changed",
                group="Mask",
                title="Changed pixels",
                caption=percent_of(changed),
                picture=render.heat(changed),
            )
        )
    return stages


def percent_of(changed: Float[np.ndarray, "h w"]) -> str:
    """How much of the image changed, in words."""
    return f"{100 * float(changed.mean()):.1f} % of the image"
