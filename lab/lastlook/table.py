"""The table of a look: a line a method, the worlds side by side."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev

from lab.experiment import Outcome
from lab.lastlook.look import OURS, Look, parts
from segmint.atomic import put_text
from segmint.benchmark.rows import Mean, means

Learnt = Mapping[str, Sequence[Sequence[Outcome]]]
"""By world, the segmenters of each training."""


def write(out: Path, look: Look, learnt: Learnt, *, commit: str) -> str:
    """Write `lastlook.json`, every row, and `lastlook.md`; returns the latter."""
    found = {
        "rows": [
            {"world": part.world, "case": part.case, **row.model_dump()}
            for part in parts(out, look)
            for row in part.rows()
        ],
        "segmenter": {
            world: [[asdict(each) for each in outcomes] for outcomes in own] for world, own in learnt.items()
        },
    }
    put_text(out / "lastlook.json", json.dumps(found, indent=1) + "\n")
    text = markdown(out, look, learnt, commit=commit)
    put_text(out / "lastlook.md", text)
    return text


def markdown(out: Path, look: Look, learnt: Learnt, *, commit: str) -> str:
    """Scores of all methods, our error as a share of the best other's, and what segmenters learnt."""
    columns = _columns(out, look)
    names = sorted({name for own in columns.values() for name in own}, key=lambda name: (name != OURS, name))
    lines = [["method", *columns], ["---", *["--:"] * len(columns)]]
    lines += [[name, *(_score(own.get(name)) for own in columns.values())] for name in names]
    lines += [["error, of the best other's", *map(_ratio, columns.values())]]
    splits = ", ".join(f"{world} {look.split_of(world)}" for world in look.worlds)
    said = f"Settings of commit {commit}; {splits}; seeds {', '.join(map(str, look.seeds))}. mIoU in %.\n\n"
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return said + table + "".join(f"\n{line}" for line in _segmenters(look, learnt))


def _columns(out: Path, look: Look) -> dict[str, dict[str, Mean]]:
    """By world and mode, or case, each method's mean over the seeds."""
    columns: dict[str, dict[str, Mean]] = {}
    for world in look.worlds:
        for case in ("", *look.cases):
            own = [part for part in parts(out, look) if (part.world, part.case) == (world, case)]
            for mean in means([row for part in own for row in part.rows()]):
                columns.setdefault(" ".join(filter(None, (world, case, mean.mode))), {})[mean.method] = mean
    return columns


def _segmenters(look: Look, learnt: Learnt) -> list[str]:
    lines = []
    for world, trainings in learnt.items():
        for arm in look.arms if trainings else ():
            own = [each for outcomes in trainings for each in outcomes if each.arm == arm]
            scores = _spread([100 * each.mean_iou for each in own], "{:.1f}")
            shares = _spread([each.relative for each in own if each.relative is not None], "{:.3f}")
            lines.append(f"- {world}, learnt from {arm}: {scores}, of rendered {shares}\n")
    return lines


def _score(mean: Mean | None) -> str:
    return "–" if mean is None else "{:.1f} ± {:.1f}".format(*_miou(mean))


def _miou(mean: Mean) -> tuple[float, float]:
    """Mean and spread; there is no row without."""
    found, spread = mean.mean["miou"], mean.spread["miou"]
    assert found is not None
    assert spread is not None
    return found, spread


def _ratio(own: Mapping[str, Mean]) -> str:
    """Error of the default method as a share of that of the best of the others."""
    others = [_miou(mean)[0] for name, mean in own.items() if name != OURS]
    if OURS not in own or not others or max(others) == 100:
        return "–"
    return f"{(100 - _miou(own[OURS])[0]) / (100 - max(others)):.2f}"


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return "–"
    return f"{form.format(fmean(values))} ± {form.format(pstdev(values))}"
