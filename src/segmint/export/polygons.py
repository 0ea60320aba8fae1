"""Masks to polygons along the pixels' edges: integer corners, exact areas, holes kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cc3d
import numpy as np
from jaxtyping import Int, Integer

from segmint.artifacts import Mask
from segmint.masks.instances import Instances, runs_of
from segmint.vocabulary import BACKGROUND, IGNORE

Ring = Int[np.ndarray, "_corner xy"]
"""Corners of a closed line, x then y in pixels from the top left corner; the first is not repeated."""

_STEP = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
"""East, south, west, north, as x and y."""
_AHEAD_RIGHT = np.array([(0, 0), (-1, 0), (-1, -1), (0, -1)])
_AHEAD_LEFT = np.array([(0, -1), (0, 0), (-1, 0), (-1, -1)])
"""The two pixels ahead of a corner, as x and y from it, for each direction of arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A connected region (4 neighbours) of one class: its outline, clockwise, and its holes."""

    label_id: int
    area_px: int
    outer: Ring
    holes: tuple[Ring, ...]
    component: int
    """Its number in the component map."""


def regions(labels: Mask) -> tuple[list[Region], Integer[np.ndarray, "image_h image_w"]]:
    """Every connected region of every class, and the map of their numbers (0 where no class is).

    Source: boundary following on the cracks between pixels; a foreground of 4 neighbours has a background of
    8, so each region has one outer line and one line for each hole.
    """
    return regions_of(np.where((labels == BACKGROUND) | (labels == IGNORE), 0, labels))


def outlines(instances: Instances) -> list[list[Region]]:
    """The regions of each object, number 1 first; their `label_id` is the class's."""
    if instances.scattered:
        traced, _ = regions_of(instances.numbers)
    else:  # the objects are their own components
        traced = _traced(instances.numbers, range(len(instances.label_ids) + 1))
    found: list[list[Region]] = [[] for _ in instances.label_ids]
    for region in traced:
        label_id = instances.label_ids[region.label_id - 1]
        found[region.label_id - 1].append(replace(region, label_id=label_id))
    return found


def regions_of(
    values: Integer[np.ndarray, "image_h image_w"],
) -> tuple[list[Region], Integer[np.ndarray, "image_h image_w"]]:
    """As `regions`, of any whole numbers; 0 is no region."""
    components = cc3d.connected_components(values, connectivity=4).astype(np.int32, copy=False)
    starts, _ = runs_of(components.ravel())
    numbers = components.ravel()[starts]
    label_ids = np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    label_ids[numbers] = values.ravel()[starts]
    return _traced(components, label_ids.tolist()), components


def _traced(components: Integer[np.ndarray, "image_h image_w"], label_ids: Sequence[int]) -> list[Region]:
    """Every region by its number in the component map, with the label id of that number."""
    lines: dict[int, list[tuple[Ring, int]]] = {}
    for number, ring, doubled_area in _rings(components):
        lines.setdefault(number, []).append((ring, doubled_area))
    return [
        Region(
            label_id=label_ids[number],
            area_px=sum(area for _, area in lines[number]) // 2,
            outer=next(ring for ring, area in lines[number] if area > 0),
            holes=tuple(ring for ring, area in lines[number] if area < 0),
            component=number,
        )
        for number in sorted(lines)
    ]


def bridged(*parts: Region) -> Ring:
    """An object's regions as one line: each hole and each further region is joined to it by a bridge walked
    there and back, which has no area.

    Readers that fill by parity (COCO, OpenCV) leave the holes empty.
    """
    first, *others = parts
    line = first.outer
    for ring in (*first.holes, *(ring for each in others for ring in (each.outer, *each.holes))):
        gaps = np.abs(line[:, None, :] - ring[None, :, :]).sum(axis=2)
        at, start = np.unravel_index(int(gaps.argmin()), gaps.shape)
        around = np.concatenate([ring[start:], ring[: start + 1]])
        line = np.concatenate([line[: at + 1], around, line[at:]])
    return line


def signed_area(ring: Ring) -> float:
    """Area inside the line, in pixels; negative for a hole."""
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def _rings(components: Integer[np.ndarray, "image_h image_w"]) -> Iterator[tuple[int, Ring, int]]:
    """Every line with its component and twice its area, which is negative for a hole.

    Lines follow edges that have their owner on the right, from the edge that was found first.
    """
    few = components.astype(np.min_scalar_type(components.max(initial=0)))  # bytes are compared faster
    start, direction, owner, following = _edges(np.pad(few, 1))
    if not len(start):
        return
    first, place = _along(following)
    turns = np.flatnonzero(direction[following] != direction)
    turns = turns[np.argsort(first[turns] * len(first) + place[turns])]
    corners = start[turns] + _STEP[direction[turns]]
    begins = np.flatnonzero(np.diff(first[turns], prepend=-1))
    ends = np.append(begins[1:], len(turns))
    following_corner = np.arange(1, len(turns) + 1)
    following_corner[ends - 1] = begins
    (x, y), (next_x, next_y) = corners.T, corners[following_corner].T
    doubled_areas = np.add.reduceat(x * next_y - next_x * y, begins)
    numbers = owner[turns[begins]]
    for number, begin, end, area in zip(numbers.tolist(), begins, ends, doubled_areas.tolist(), strict=True):
        yield number, corners[begin:end], area


def _along(following: Int[np.ndarray, "edge"]) -> tuple[Int[np.ndarray, "edge"], Int[np.ndarray, "edge"]]:
    """The lowest edge of each edge's line, and the steps from there: by doubling, all lines at once."""
    edges = np.arange(len(following))
    rounds = max(1, len(edges).bit_length())
    first, ahead = edges, following
    for _ in range(rounds):
        first, ahead = np.minimum(first, first[ahead]), ahead[ahead]
    is_first = first == edges
    ahead = np.where(is_first, edges, following)
    left = np.where(is_first, 0, 1)
    for _ in range(rounds):
        left, ahead = left + left[ahead], ahead[ahead]
    length = np.bincount(first, minlength=len(edges))[first]
    return first, np.where(is_first, 0, length - left)


def _edges(
    padded: Integer[np.ndarray, "h w"],
) -> tuple[
    Int[np.ndarray, "edge xy"], Int[np.ndarray, "edge"], Int[np.ndarray, "edge"], Int[np.ndarray, "edge"]
]:
    """Every pixel side where another component begins: start corner, direction, owner and successor."""
    flat, width = padded.ravel(), padded.shape[1]
    rows = np.flatnonzero(flat[width:] != flat[:-width])  # the pixel above; its neighbour is a row on
    columns = np.flatnonzero(flat[1:] != flat[:-1])  # the pixel to the left
    sides = (  # the owner, the side's start corner from the owner's top left
        (rows + width, 0),
        (columns, 1),
        (rows, width + 1),
        (columns + 1, width),
    )
    owned = [(pixels[flat[pixels] != 0], corner) for pixels, corner in sides]
    pixels = np.concatenate([each for each, _ in owned])
    corner = np.concatenate([each + shift for each, shift in owned])
    direction = np.repeat(np.arange(4), [len(each) for each, _ in owned])
    owner = flat[pixels].astype(np.int64)
    start = np.stack([corner % width - 1, corner // width - 1], axis=1)
    return start, direction, owner, _following(flat, width, corner, direction, owner)


def _following(
    flat: Integer[np.ndarray, "pixel"],
    width: int,
    corner: Int[np.ndarray, "edge"],
    direction: Int[np.ndarray, "edge"],
    owner: Int[np.ndarray, "edge"],
) -> Int[np.ndarray, "edge"]:
    """Each edge's successor: right where the owner ends ahead, left where it fills both sides."""
    strides = np.array([1, width])
    number = np.empty((4, len(flat) + width + 2), np.int32)
    number[direction, corner] = np.arange(len(corner))
    end = corner + (_STEP @ strides)[direction]
    right, left = end + (_AHEAD_RIGHT @ strides)[direction], end + (_AHEAD_LEFT @ strides)[direction]
    goes_right, goes_straight = flat[right] != owner, flat[left] != owner
    turn = np.where(goes_right, 1, np.where(goes_straight, 0, 3))
    following: Int[np.ndarray, "edge"] = number[(direction + turn) % 4, end].astype(np.int64)
    return following
