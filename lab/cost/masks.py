"""CPU time of mask-making, stage by stage, against a plain restatement with scikit-learn (`plain_pcc`)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lab.cost import plain_pcc
from lab.cost.synthetic_scene import Scene, Shape, scene
from segmint.artifacts import AttentionSummary
from segmint.masks.evidence import class_evidence
from segmint.masks.features import condense, segment_grid
from segmint.masks.pcc import vote
from segmint.masks.refine import refine
from segmint.masks.settings import profile

Result = TypeVar("Result")
Labels = NDArray[np.uint8]
Seconds = dict[str, float]
METHOD = "pcc-published"
STAGES = ("features", "grid", "pixels")
"""PCA; clusters, evidence and vote; refinement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskTime:
    """One scene shape: median CPU seconds of each stage, plain and ours, and whether the masks agree."""

    shape: str
    scenes: int
    plain_s: Mapping[str, float]
    ours_s: Mapping[str, float]
    ratio: float
    """Median over the scenes of ours to plain, all stages together."""
    ratio_low: float
    ratio_high: float
    identical_scenes: int
    equal_pixels: float


def measure(
    shape: Shape, scenes: int, seen: Callable[[int, int], None] = lambda done, total: None
) -> MaskTime:
    """Both implementations on the same scenes, by turns, after one scene that only warms up.

    Args:
        shape: sizes of the captured attention and of the image.
        scenes: how many are measured.
        seen: told after each scene, of how many.
    """
    plain_s: list[Seconds] = []
    ours_s: list[Seconds] = []
    equal: list[float] = []
    for seed in range(scenes + 1):
        raw = scene(shape, seed)
        (theirs, their_s), (mask, own_s) = plain(raw, shape), ours(raw, shape)
        plain_s.append(their_s)
        ours_s.append(own_s)
        equal.append(float((theirs == mask).mean()))
        seen(seed + 1, scenes + 1)
    del plain_s[0], ours_s[0], equal[0]
    ratios = [sum(o.values()) / sum(p.values()) for o, p in zip(ours_s, plain_s, strict=True)]
    return MaskTime(
        shape=shape.name,
        scenes=scenes,
        plain_s={stage: median(each[stage] for each in plain_s) for stage in STAGES},
        ours_s={stage: median(each[stage] for each in ours_s) for stage in STAGES},
        ratio=median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        identical_scenes=sum(each == 1.0 for each in equal),
        equal_pixels=fmean(equal),
    )


def ours(raw: Scene, shape: Shape) -> tuple[Labels, Seconds]:
    """The mask by segmint's `pcc-published`, and CPU seconds of each stage."""
    settings, watch = profile(METHOD), _Stopwatch()
    components = watch.timed("features", lambda: condense(raw.heads, settings.features))
    attention = AttentionSummary(
        grid=(shape.side, shape.side), components=components, maps={"classes": raw.maps}
    )
    clusters = watch.timed("grid", lambda: segment_grid(components, attention.grid, settings.clusters))
    evidence = watch.timed(
        "grid", lambda: class_evidence(raw.maps, raw.classes, raw.image.shape[:2], settings.evidence)
    )
    voted = watch.timed("grid", lambda: vote(clusters, evidence, settings.vote))
    mask = watch.timed("pixels", lambda: refine(voted, raw.image, settings.refine))
    return mask.labels, watch.spent


def plain(raw: Scene, shape: Shape) -> tuple[Labels, Seconds]:
    """The same by the plain restatement."""
    watch, side = _Stopwatch(), shape.side
    heads = [layer.values for layer in raw.heads]
    label_ids = (0, *(each.label_id for each in raw.classes))
    features = watch.timed("features", lambda: plain_pcc.principal_features(heads, side))
    maps = watch.timed(
        "grid",
        lambda: plain_pcc.class_maps(raw.maps.values, raw.maps.phrase_tokens, side, shape.image_px),
    )
    blocky = watch.timed("grid", lambda: plain_pcc.blocky_mask(features, maps, label_ids, side))
    mask = watch.timed("pixels", lambda: plain_pcc.refined_mask(blocky, raw.image))
    return mask, watch.spent


class _Stopwatch:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.spent: Seconds = {}

    def timed(self, stage: str, work: Callable[[], Result]) -> Result:
        start = time.process_time()
        result = work()
        self.spent[stage] = self.spent.get(stage, 0.0) + time.process_time() - start
        return result
