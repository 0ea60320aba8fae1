"""CPU time of mask-making against a plain restatement with scikit-learn: `python -m benchmarks.masks`."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from benchmarks import plain_pcc
from benchmarks.synthetic_scene import SD21, TOYBOX, Scene, Shape, scene
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from segmint.artifacts import AttentionSummary
from segmint.masks.clusters import segment_grid
from segmint.masks.evidence import class_evidence
from segmint.masks.features import condense
from segmint.masks.refine import refine
from segmint.masks.settings import profile
from segmint.masks.vote import vote

Result = TypeVar("Result")
STAGES = ("features", "grid", "pixels")
"""PCA; clusters, evidence and vote; refinement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scene shape: median CPU seconds of each stage, plain and ours, and whether the masks agree."""

    shape: str
    scenes: int
    plain_s: dict[str, float]
    ours_s: dict[str, float]
    ratio: float
    ratio_low: float
    ratio_high: float
    identical_scenes: int
    equal_pixels: float


def ours(raw: Scene, shape: Shape) -> tuple[np.ndarray, dict[str, float]]:
    """Mask by `pcc-published`, and CPU seconds of each stage."""
    settings, spent = profile("pcc-published"), {}
    components = _timed(spent, "features", lambda: condense(raw.heads, settings.features))
    attention = AttentionSummary(
        grid=(shape.side, shape.side), components=components, maps={"classes": raw.maps}
    )

    def grid():  # type: ignore[no-untyped-def]
        clusters = segment_grid(components, attention.grid, settings.clusters)
        evidence = class_evidence(raw.maps, raw.classes, raw.image.shape[:2], settings.evidence)
        return vote(clusters, evidence, settings.vote)

    voted = _timed(spent, "grid", grid)
    mask = _timed(spent, "pixels", lambda: refine(voted, raw.image, settings.refine))
    return mask.labels, spent


def plain(raw: Scene, shape: Shape) -> tuple[np.ndarray, dict[str, float]]:
    """The same by the plain restatement."""
    spent: dict[str, float] = {}
    heads = [layer.values for layer in raw.heads]
    features = _timed(spent, "features", lambda: plain_pcc.principal_features(heads, shape.side))
    label_ids = (0, *(each.label_id for each in raw.classes))

    def grid() -> np.ndarray:
        maps = plain_pcc.class_maps(raw.maps.values, raw.maps.phrase_tokens, shape.side, shape.image_px)
        return plain_pcc.blocky_mask(features, maps, label_ids, shape.side)

    blocky = _timed(spent, "grid", grid)
    return _timed(spent, "pixels", lambda: plain_pcc.refined_mask(blocky, raw.image)), spent


def measure(shape: Shape, scenes: int) -> Row:
    """Both implementations on the same scenes, taking turns, after one warm-up each."""
    both = {"plain": plain, "ours": ours}
    for run in both.values():
        run(scene(shape, 0), shape)
    spent: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
    equal = []
    for seed in range(1, scenes + 1):
        raw, masks = scene(shape, seed), {}
        for name, run in both.items():
            masks[name], seconds = run(raw, shape)
            spent[name].append(seconds)
        equal.append(float((masks["plain"] == masks["ours"]).mean()))
    ratios = [sum(o.values()) / sum(p.values()) for o, p in zip(spent["ours"], spent["plain"], strict=True)]
    return Row(
        shape=shape.name,
        scenes=scenes,
        plain_s={stage: median(each[stage] for each in spent["plain"]) for stage in STAGES},
        ours_s={stage: median(each[stage] for each in spent["ours"]) for stage in STAGES},
        ratio=median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        identical_scenes=sum(each == 1.0 for each in equal),
        equal_pixels=float(np.mean(equal)),
    )


def table(rows: list[Row]) -> Table:
    """The rows for a terminal."""
    out = Table(title="Mask-making, CPU seconds an image, one thread (median)")
    for column in ("shape", *STAGES, "plain", "ours", "ratio (spread)", "identical masks"):
        out.add_column(column, justify="left" if column == "shape" else "right")
    for row in rows:
        stages = [f"{row.plain_s[each]:.3f} → {row.ours_s[each]:.3f}" for each in STAGES]
        out.add_row(
            row.shape,
            *stages,
            f"{sum(row.plain_s.values()):.3f}",
            f"{sum(row.ours_s.values()):.3f}",
            f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})",
            f"{row.identical_scenes} of {row.scenes} ({100 * row.equal_pixels:.3f} % of pixels)",
        )
    return out


def main() -> None:
    """Print the table, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=8, help="scenes of each shape (default 8)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        rows = [measure(shape, arguments.scenes) for shape in (SD21, TOYBOX)]
    Console(width=140).print(table(rows))
    text = json.dumps([asdict(row) for row in rows], indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _timed(spent: dict[str, float], name: str, work: Callable[[], Result]) -> Result:
    start = time.process_time()
    result = work()
    spent[name] = time.process_time() - start
    return result


if __name__ == "__main__":
    main()
