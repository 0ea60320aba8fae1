"""`python -m lab.refinement`: how well steps from grid to pixels recover masks, on photographs or renders.

True masks are brought to a grid and damaged (`lab.damage`), and every method carries the same shares back. No
model is loaded.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float32, Int64, UInt8
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from lab.damage import DAMAGES, VARIANTS, damaged_shares
from segmint.benchmark.cases import case_samples
from segmint.cli.main import tell_error
from segmint.cli.options import whole_numbers
from segmint.cli.watching import counter
from segmint.errors import DatasetError, ImageError, SegmintError
from segmint.labels.legend import plain_legend
from segmint.labels.maskfile import read_mask
from segmint.masks.guided import guided_filter
from segmint.masks.meanfield import field_mask
from segmint.masks.resample import bilinear
from segmint.masks.settings import CompetitionSettings, MeanFieldSettings
from segmint.masks.specks import regions_of
from segmint.plan.photos.reading import read_photo
from segmint.scores import Confusion, confusion, score
from segmint.toybox.worlds import WORLDS

Image = UInt8[np.ndarray, "image_h image_w 3"]
Mask = UInt8[np.ndarray, "image_h image_w"]
GridShares = Float32[np.ndarray, "label grid_h grid_w"]
Winner = Int64[np.ndarray, "image_h image_w"]

LABELS = 255
"""Labels that a mask may hold: 0 to 254; 255 is void."""
PHOTO_CELL_PX, TOYBOX_CELL_PX = 8, 4
"""Side of a grid position: that of Stable Diffusion's largest grid, and of the toybox model's."""
SPECK_PX = 16
"""Regions of so many pixels or fewer are counted as specks."""
BAND_PX = 6
"""Pixels within so many of another true label (chessboard distance) are scored by themselves as well."""
BAD_INPUT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture with its true mask."""

    image: Image
    truth: Mask


@dataclass(slots=True, kw_only=True)
class Count:
    """What is counted of one method under one damage."""

    whole: Confusion
    band: Confusion
    specks: int = 0
    images: int = 0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Exam:
    """Counts by method and condition, such as `heavy` or `grey heavy`."""

    counts: dict[tuple[str, str], Count] = field(default_factory=dict)

    def add(self, method: str, condition: str, sample: Sample, labels: Mask, seconds: float) -> None:
        """Count one mask."""
        nothing = np.zeros((LABELS, LABELS + 1), np.int64)
        new = Count(whole=nothing, band=nothing)
        found = self.counts.setdefault((method, condition), new)
        near = border_band(sample.truth)
        found.whole = found.whole + confusion(sample.truth, labels, count=LABELS)
        found.band = found.band + confusion(sample.truth[near], labels[near], count=LABELS)
        regions, number = regions_of(labels.astype(np.int64))
        sizes = np.bincount(regions.ravel(), minlength=number)
        found.specks += int((sizes <= SPECK_PX).sum())
        found.images += 1
        found.seconds += seconds

    def figures(self) -> dict[str, dict[str, Any]]:
        """mIoU in percent by method and damage; below them borders, specks, seconds and the variants."""
        found: dict[str, dict[str, Any]] = {}
        for (method, condition), count in self.counts.items():
            *variant, damage = condition.split()
            row = found.setdefault(method, {})
            if variant:
                row.setdefault(variant[0], {})[damage] = _percent(count.whole)
                row.setdefault(f"specks {variant[0]}", {})[damage] = count.specks / count.images
                continue
            row[damage] = _percent(count.whole)
            row.setdefault("border", {})[damage] = _percent(count.band)
            row.setdefault("specks", {})[damage] = count.specks / count.images
            row.setdefault("seconds", {})[damage] = count.seconds / count.images
        return found


def by_field(shares: GridShares, image: Image) -> Winner:
    """The default method's step: mean field and specks given away."""
    return field_mask(shares, image, MeanFieldSettings()).winner


def by_bilinear(shares: GridShares, image: Image) -> Winner:
    """No colours at all."""
    return np.asarray(bilinear(shares, image.shape[:2]).argmax(axis=0))


def by_guided_filter(shares: GridShares, image: Image) -> Winner:
    """The guided filter at its settings."""
    rules = CompetitionSettings()
    cell_px = max(image.shape[0] / shares.shape[1], image.shape[1] / shares.shape[2])
    radius_px = max(1, round(rules.radius_cells * cell_px))
    maps = bilinear(shares, image.shape[:2])
    return np.asarray(
        guided_filter(maps, image, radius_px=radius_px, smoothness=rules.smoothness).argmax(axis=0)
    )


METHODS: Mapping[str, Callable[[GridShares, Image], Winner]] = {
    "segmint": by_field,
    "bilinear": by_bilinear,
    "guided": by_guided_filter,
}


def examine(
    samples: Iterator[Sample], *, cell_px: int, variants: Sequence[str] = tuple(VARIANTS), seed: int = 0
) -> Iterator[Exam]:
    """The exam so far, after each picture.

    Args:
        samples: pictures with true masks.
        cell_px: side of a grid position.
        variants: of the picture, tried under the last damage.
        seed: of all noise; picture i has its own.
    """
    exam = Exam()
    for index, sample in enumerate(samples):
        for number, (name, damage) in enumerate(DAMAGES.items()):
            labels, shares = damaged_shares(sample.truth, damage, cell_px=cell_px, seed=(seed, index, number))
            pictures = {name: sample.image}
            if number == len(DAMAGES) - 1:
                changed = {each: VARIANTS[each](sample.image, (seed, index)) for each in variants}
                pictures |= {f"{each} {name}": picture for each, picture in changed.items()}
            for condition, picture in pictures.items():
                for method, carry in METHODS.items():
                    start = time.process_time()
                    winner = carry(shares, picture)
                    exam.add(method, condition, sample, labels[winner], time.process_time() - start)
        yield exam


def border_band(truth: Mask) -> np.ndarray:
    """Where another true label, void among them, lies within BAND_PX."""
    size = 2 * BAND_PX + 1
    high = ndimage.maximum_filter(truth, size, mode="nearest")
    return np.asarray(high != ndimage.minimum_filter(truth, size, mode="nearest"))


def photo_files(folder: Path) -> list[tuple[Path, Path]]:
    """Photographs with their masks, by name: JPEGImages/NAME.jpg and SegmentationClass/NAME.png.

    Raises:
        DatasetError: the folder has no such pair, or a mask has no photograph.
    """
    masks = sorted((folder / "SegmentationClass").glob("*.png"))
    if not masks:
        raise DatasetError(
            f"{folder}: no masks; expected JPEGImages/NAME.jpg with SegmentationClass/NAME.png in it"
        )
    pairs = [(folder / "JPEGImages" / f"{mask.stem}.jpg", mask) for mask in masks]
    lone = [image for image, _ in pairs if not image.is_file()]
    if lone:
        raise DatasetError(
            f"{lone[0]}: no such photograph, but its mask is there; add it or take the mask away"
        )
    return pairs


def read_photos(pairs: Sequence[tuple[Path, Path]]) -> Iterator[Sample]:
    """Each photograph with its mask.

    Raises:
        ImageError: a file cannot be read, or the two differ in size.
    """
    anything = plain_legend({number: f"label {number}" for number in range(1, LABELS)})
    for photo, mask in pairs:
        image, truth = read_photo(photo).rgb, read_mask(mask, anything)
        if truth.shape != image.shape[:2]:
            raise ImageError(
                f"{mask}: {truth.shape[1]}×{truth.shape[0]} px, but {photo.name} has "
                f"{image.shape[1]}×{image.shape[0]} px; masks need the size of their photographs"
            )
        yield Sample(image=image, truth=truth)


def renders(seeds: Sequence[int], count: int) -> Iterator[Sample]:
    """Toybox renders of the validation split."""
    for seed in seeds:
        for each in case_samples("exact", WORLDS["toybox"], "val", seed=seed, count=count):
            yield Sample(image=each.image, truth=each.truth)


def _percent(counted: Confusion) -> float | None:
    found = score(counted, label_names=[str(number) for number in range(LABELS)]).mean_iou
    return None if found is None else 100 * found


app = typer.Typer()


@app.command()
def refinement(
    *,
    photos: Annotated[
        Path | None, typer.Option(help="Folder with JPEGImages/NAME.jpg and SegmentationClass/NAME.png.")
    ] = None,
    renders_too: Annotated[bool, typer.Option("--toybox", help="Toybox renders instead.")] = False,
    seeds: Annotated[str, typer.Option(help="Of the renders, in the validation split.")] = "0, 1, 2",
    count: Annotated[int | None, typer.Option(min=1, help="At most so many pictures, or a seed.")] = None,
    part: Annotated[
        str, typer.Option(help="all; or every other photograph: even to choose by, odd to report.")
    ] = "all",
    seed: Annotated[int, typer.Option(min=0, help="Of the damage.")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="Without grey, JPEG and noise.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Carry damaged masks from the grid to pixels by every method, and score what comes out."""
    if (photos is None) != renders_too:
        raise DatasetError("expected one of --photos DIR and --toybox; give either")
    if part not in ("all", "even", "odd"):
        raise DatasetError(f"--part is {part!r}; expected all, even or odd")
    if photos is not None:
        pairs = photo_files(photos)[part == "odd" :: 1 if part == "all" else 2][:count]
        samples, total, cell_px = read_photos(pairs), len(pairs), PHOTO_CELL_PX
    else:
        numbers, each = whole_numbers(seeds, "--seeds"), count or 20
        samples, total, cell_px = renders(numbers, each), each * len(numbers), TOYBOX_CELL_PX
    exam = Exam()
    with counter(quiet=quiet) as bar:
        task = bar.add_task("pictures", total=total)
        variants = () if plain else tuple(VARIANTS)
        for exam in examine(samples, cell_px=cell_px, variants=variants, seed=seed):  # noqa: B007 - the last counts
            bar.advance(task)
    if as_json:
        typer.echo(json.dumps(exam.figures(), indent=2))
    else:
        Console().print(table(exam.figures()))


def table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a condition, mIoU of every method in its columns, and specks for each picture in brackets."""
    shown = Table("mIoU (specks)", *figures)
    rows: dict[str, list[str]] = {
        name: [] for name in next(iter(figures.values()), {}) if not name.startswith("specks ")
    }
    for row in figures.values():
        for name, cells in rows.items():
            cells.append(_cell(name, row))
    for name, cells in rows.items():
        shown.add_row(name, *cells)
    return shown


def _cell(name: str, row: Mapping[str, Any]) -> str:
    if name in DAMAGES:
        return f"{_number(row[name])} ({row['specks'][name]:.1f})"
    digits = 3 if name == "seconds" else 1
    said = " / ".join(_number(value, digits) for value in row[name].values())
    if name in VARIANTS:
        said += f" ({' / '.join(_number(value) for value in row[f'specks {name}'].values())})"
    return said


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


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
