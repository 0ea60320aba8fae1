"""`python -m lab.calibration`: whether the default method's agreement is right as often as it says.

Of real masks, made of the model's own attention on a world's renders, and of photographs whose true masks
are brought to a grid and damaged (`lab.damage`). Writes a reliability diagram.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Bool, Float, Float64

from lab.damage import DAMAGES, damaged_shares
from lab.refinement import BAD_INPUT, PHOTO_CELL_PX, photo_files, read_photos
from segmint.backbone.loading import load
from segmint.benchmark.cases import CASES
from segmint.benchmark.sets import Bench
from segmint.cli.main import tell_error
from segmint.cli.options import parts, whole_numbers
from segmint.errors import SegmintError
from segmint.masks.meanfield import field_mask
from segmint.masks.settings import MeanFieldSettings
from segmint.pipeline import finish
from segmint.recipe import Recipe
from segmint.toybox.worlds import WORLDS
from segmint.vocabulary import IGNORE

BINS = 10
_PANEL_IN, _DPI = 3.0, 90


@dataclass(slots=True, kw_only=True)
class Reliability:
    """Pixels by their agreement, in ten bins: how many, their agreement and how many are right, summed."""

    count: Float64[np.ndarray, "bin"] = field(default_factory=lambda: np.zeros(BINS))
    said: Float64[np.ndarray, "bin"] = field(default_factory=lambda: np.zeros(BINS))
    right: Float64[np.ndarray, "bin"] = field(default_factory=lambda: np.zeros(BINS))

    def add(self, agreement: Float[np.ndarray, "row col"], right: Bool[np.ndarray, "row col"]) -> None:
        """Count one mask's pixels."""
        places = np.minimum((agreement.ravel() * BINS).astype(int), BINS - 1)
        self.count += np.bincount(places, minlength=BINS)
        self.said += np.bincount(places, agreement.ravel(), minlength=BINS)
        self.right += np.bincount(places, right.ravel().astype(float), minlength=BINS)

    @property
    def error(self) -> float:
        """Expected calibration error: how far agreement is from being right, a mean over pixels.

        Source: Guo et al. 2017, eq. 3.
        """
        return float(np.abs(self.said - self.right).sum() / max(self.count.sum(), 1))

    def curve(self) -> list[dict[str, float]]:
        """Each bin that holds pixels: its mean agreement, the share right, the share of all pixels."""
        known = self.count > 0
        columns = self.said / np.maximum(self.count, 1), self.right / np.maximum(self.count, 1)
        shares = self.count / max(self.count.sum(), 1)
        return [
            {"agreement": float(said), "right": float(right), "share": float(share)}
            for said, right, share in zip(*(each[known] for each in (*columns, shares)), strict=True)
        ]


def of_renders(bench: Bench, case: str, *, seeds: Sequence[int], count: int) -> Reliability:
    """Of the default method's masks of a case's renders, the classes asked for believed."""
    found = Reliability()
    recipe = bench.recipe.merged({"photos.absent": "keep"})
    for seed in seeds:
        for looked in bench.looked_at(case, seed=seed, count=count).pictures:
            mask = finish(looked.generation, recipe, looked.image).trace.mask
            found.add(mask.agreement, mask.labels == looked.truth)
    return found


def of_photos(folder: Path, *, part: str, count: int | None, seed: int = 0) -> dict[str, Reliability]:
    """By damage, of masks that are carried from damaged shares to pixels; void pixels count nowhere."""
    found = {name: Reliability() for name in DAMAGES}
    pairs = photo_files(folder)[part == "odd" :: 1 if part == "all" else 2]
    for index, sample in enumerate(islice(read_photos(pairs), count)):
        known = (sample.truth != IGNORE)[None]
        for number, (name, damage) in enumerate(DAMAGES.items()):
            labels, shares = damaged_shares(
                sample.truth, damage, cell_px=PHOTO_CELL_PX, seed=(seed, index, number)
            )
            carried = field_mask(shares, sample.image, MeanFieldSettings())
            right = labels[carried.winner] == sample.truth
            found[name].add(carried.agreement[None][known][None], right[None][known][None])
    return found


def draw(panels: Mapping[str, Mapping[str, Reliability]], path: Path) -> None:
    """Write one panel a group of curves, on the diagonal where agreement is honest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_PANEL_IN * len(panels), _PANEL_IN), dpi=_DPI)
    for place, (title, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place)
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle="--")
        for name, found in curves.items():
            points = found.curve()
            axes.plot(
                [each["agreement"] for each in points],
                [each["right"] for each in points],
                marker="o",
                markersize=3,
                linewidth=1.2,
                label=f"{name} ({found.error:.3f})",
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="agreement", ylabel="share that is right", title=title)
        axes.legend(fontsize=7, title="expected error", title_fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


app = typer.Typer()


@app.command()
def calibration(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The diagram.")] = Path("reliability.png"),
    cases: Annotated[str, typer.Option(help="Cases of the benchmark, of renders.")] = "exact, grey",
    seeds: Annotated[str, typer.Option(help="Of the renders, in the validation split.")] = "0, 1, 2",
    count: Annotated[int, typer.Option(min=1, help="Renders a seed; photographs in all.")] = 20,
    photos: Annotated[
        Path | None, typer.Option(help="Folder with JPEGImages/NAME.jpg and SegmentationClass/NAME.png too.")
    ] = None,
    part: Annotated[str, typer.Option(help="Of the photographs: all, even or odd.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Curves as JSON on stdout.")] = False,
) -> None:
    """Hold the agreement of masks against the truth, in ten bins."""
    numbers, chosen = whole_numbers(seeds, "--seeds"), parts(cases, "--cases", tuple(CASES))
    panels: dict[str, dict[str, Reliability]] = {"renders": {}}
    bench = toybox_bench()
    for case in chosen:
        panels["renders"][case] = of_renders(bench, case, seeds=numbers, count=count)
    if photos is not None:
        panels["photographs, simulated"] = of_photos(photos, part=part, count=count)
    draw(panels, out)
    if as_json:
        told = {
            title: {name: {"error": each.error, "bins": each.curve()} for name, each in curves.items()}
            for title, curves in panels.items()
        }
        typer.echo(json.dumps(told, indent=1))
        return
    for title, name, found in rows(panels):
        typer.echo(f"{title}, {name}: expected error {found.error:.3f}")


def rows(panels: Mapping[str, Mapping[str, Reliability]]) -> Iterator[tuple[str, str, Reliability]]:
    """Every curve with its panel and its name."""
    for title, curves in panels.items():
        for name, found in curves.items():
            yield title, name, found


def toybox_bench() -> Bench:
    """The shipped model on the first world's validation split."""
    recipe = Recipe()
    backbone = load(recipe.model, device="cpu")
    return Bench(
        world=WORLDS["toybox"], split="val", backbone=backbone, recipe=recipe, methods=[recipe.masks.method]
    )


def main() -> None:
    """Entry point: bad input is one line and exit code 2."""
    try:
        app(standalone_mode=False)
    except SegmintError as error:
        tell_error(str(error))
        sys.exit(BAD_INPUT)
    except typer.BadParameter.__mro__[1] as error:  # type: ignore[misc]  # usage errors of typer's own click
        tell_error(error.format_message())
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
