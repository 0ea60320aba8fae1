"""A bilateral grid: pixels gathered by where they lie and which colour they have.

Place and colour are cut into bins, five axes in all: row, column, and lightness, green–red and blue–yellow
of CIELAB. Only bins that hold a pixel are kept. A mean over a bin and, more weakly, its neighbours is a mean
over nearby pixels of like colour, at a cost that does not grow with the reach.

Source: Chen, Paris and Durand 2007, Real-time Edge-Aware Image Processing with the Bilateral Grid; colours in
CIELAB (CIE 1976, D65).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, Integer, UInt8

from segmint.masks.resample import Part

Rgb = UInt8[np.ndarray, "row col 3"]
Bins = Float32[np.ndarray, "bin label"]
Neighbours = Sequence[tuple[Int64[np.ndarray, "bin"], Int64[np.ndarray, "bin"]]]
"""For each axis the bins before and after every bin; the number of bins where there is none."""

STEPS = 64
"""Steps of each of R, G and B that are told apart: two bits less than the image has, far below a bin."""
LAB_SPANS = ((0.0, 100.0), (-87.0, 99.0), (-108.0, 95.0))
"""What CIELAB's three axes span over all of sRGB."""
TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""Linear sRGB to XYZ. Source: IEC 61966-2-1."""
WHITE = (0.950456, 1.0, 1.088754)
"""XYZ of the white D65."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourGrid:
    """The bins that an image's pixels fall into."""

    bin_of: Int64[np.ndarray, "image_h image_w"]
    """Each pixel's bin."""
    step: int
    """Means are over every so-manieth row and column alone."""
    neighbours: Neighbours
    mass: Bins
    """Pixels in each bin and, weighted, around it; one column."""

    def means(self, values: Float32[np.ndarray, "label row col"]) -> Bins:
        """Mean of each label's values over the pixels of every bin and, weighted, of those around it.

        Args:
            values: at every `step`-th row and column.

        Returns:
            Zero where no such pixel lies in a bin or beside it.
        """
        found = self.bin_of[:: self.step, :: self.step].ravel()
        sums = np.stack(
            [np.bincount(found, each.ravel(), minlength=len(self.mass)) for each in values], axis=1
        )
        return np.asarray(_smoothed(sums.astype(np.float32), self.neighbours) / np.maximum(self.mass, 1e-6))

    def at_pixels(self, values: Bins, part: Part) -> Float32[np.ndarray, "label row col"]:
        """Each bin's values at its pixels, in a part of the image."""
        bins = np.ascontiguousarray(self.bin_of[part])
        found = np.empty((values.shape[1], *bins.shape), np.float32)
        for each, plane in zip(np.ascontiguousarray(values.T), found, strict=True):
            each.take(bins, out=plane, mode="clip")  # the mode that needs no buffer: all bins are there
        return found


def colour_grid(
    image: Rgb, *, bin_px: tuple[float, float], bin_lab: tuple[float, float, float], shift: float, step: int
) -> ColourGrid:
    """Gather an image's pixels into bins.

    Args:
        image: RGB.
        bin_px: height and width of a bin.
        bin_lab: its span of lightness (0–100), of green–red and of blue–yellow.
        shift: of all bins, as a share of a bin: grids that differ in it cut at other places.
        step: see `ColourGrid`.
    """
    colours, colour_count, strides = colour_bins(bin_lab, shift)
    rows, columns = (_places(side, span, shift) for side, span in zip(image.shape[:2], bin_px, strict=True))
    width = int(columns[-1]) + 2
    places = rows[:, None] * width + columns
    bins, bin_of = _occupied(places, colours[rgb_codes(image)], colour_count)
    axes = (width * colour_count, colour_count, *strides)
    neighbours = [(_place_among(bins, bins - stride), _place_among(bins, bins + stride)) for stride in axes]
    mass = np.bincount(bin_of[::step, ::step].ravel(), minlength=len(bins)).astype(np.float32)
    return ColourGrid(
        bin_of=bin_of, step=step, neighbours=neighbours, mass=_smoothed(mass[:, None], neighbours)
    )


def rgb_codes(image: Rgb) -> Int32[np.ndarray, "row col"]:
    """Place of each pixel's colour among STEPS³."""
    coarse = (image // (256 // STEPS)).astype(np.int32)
    return np.asarray((coarse[..., 0] * STEPS + coarse[..., 1]) * STEPS + coarse[..., 2])


@lru_cache(maxsize=8)
def colour_bins(
    bin_lab: tuple[float, float, float], shift: float
) -> tuple[Int32[np.ndarray, "colour"], int, tuple[int, int, int]]:
    """The colour bin of each of STEPS³ colours, the number of codes, and each axis's step between codes.

    An empty bin lies around all others on every axis, so that a neighbour's code is never another row's.
    """
    sides = [
        int((high - low) / span + shift) + 3 for (low, high), span in zip(LAB_SPANS, bin_lab, strict=True)
    ]
    strides = (sides[1] * sides[2], sides[2], 1)
    codes = np.zeros(STEPS**3, np.int32)
    for values, (low, _), span, stride in zip(_lab_of_steps(), LAB_SPANS, bin_lab, strides, strict=True):
        codes += (np.floor((values - low) / span + shift).astype(np.int32) + 1) * np.int32(stride)
    return codes, sides[0] * strides[0], strides


def _lab_of_steps() -> Float64[np.ndarray, "3 colour"]:
    """CIELAB of the middle of every step of R, G and B."""
    signal = (np.arange(STEPS) + 0.5) / STEPS
    linear = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    rgb = np.stack(np.meshgrid(linear, linear, linear, indexing="ij")).reshape(3, -1)
    relative = np.array(TO_XYZ) @ rgb / np.array(WHITE)[:, None]
    x, y, z = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _places(side: int, span: float, shift: float) -> Int64[np.ndarray, "place"]:
    """Bin of each row or column, from 1."""
    return np.asarray(np.floor((np.arange(side) + 0.5) / span + shift).astype(np.int64) + 1)


def _occupied(
    places: Int64[np.ndarray, "row col"], colours: Int32[np.ndarray, "row col"], colour_count: int
) -> tuple[Int64[np.ndarray, "bin"], Int64[np.ndarray, "row col"]]:
    """Codes of place and colour that occur, ascending, and each pixel's place among them."""
    seen, colour_of = _ranked(colours, colour_count)
    pairs = places * len(seen) + colour_of
    occupied, bin_of = _ranked(pairs, int(places[-1, -1] + 1) * len(seen))
    place, colour = np.divmod(occupied, len(seen))
    return place * colour_count + seen[colour], bin_of


def _ranked(
    codes: Integer[np.ndarray, "row col"], count: int
) -> tuple[Int64[np.ndarray, "code"], Int64[np.ndarray, "row col"]]:
    """Codes below `count` that occur, ascending, and each pixel's place among them."""
    seen = np.zeros(count, bool)
    seen[codes] = True
    found = np.flatnonzero(seen)
    rank = np.zeros(count, np.int64)
    rank[found] = np.arange(len(found))
    return found, rank[codes]


def _place_among(bins: Int64[np.ndarray, "bin"], codes: Int64[np.ndarray, "bin"]) -> Int64[np.ndarray, "bin"]:
    """Where each code stands among ascending bins; their number, if it is none of them."""
    place = np.searchsorted(bins, codes)
    known = bins[np.minimum(place, len(bins) - 1)] == codes
    return np.where(known, place, len(bins))


def _smoothed(values: Bins, neighbours: Neighbours) -> Bins:
    """Weights ¼, ½, ¼ along each axis in turn; a bin that holds no pixel counts as zero."""
    for before, after in neighbours:
        padded = np.concatenate([values, np.zeros((1, values.shape[1]), np.float32)])
        values = padded[before]
        values += padded[after]
        values *= np.float32(0.25)
        values += np.float32(0.5) * padded[:-1]
    return values
