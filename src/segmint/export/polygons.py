"""Masks to polygons along the pixels' edges: integer corners, exact areas, holes kept."""

from dataclasses import dataclass, replace

import cc3d
import numpy as np
from jaxtyping import Int, Integer

from segmint.artifacts import Mask
from segmint.masks.instances import Instances
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
    found: list[list[Region]] = [[] for _ in instances.label_ids]
    for region in regions_of(instances.numbers)[0]:
        label_id = instances.label_ids[region.label_id - 1]
        found[region.label_id - 1].append(replace(region, label_id=label_id))
    return found


def regions_of(
    values: Integer[np.ndarray, "image_h image_w"],
) -> tuple[list[Region], Integer[np.ndarray, "image_h image_w"]]:
    """As `regions`, of any whole numbers; 0 is no region."""
    components = cc3d.connected_components(values, connectivity=4).astype(np.int64)
    areas = np.bincount(components.ravel())
    found: list[Region] = []
    for number, rings in sorted(_rings(components).items()):
        outer = next(ring for ring in rings if signed_area(ring) > 0)
        x, y = int(outer[0, 0]), int(outer[0, 1])
        found.append(
            Region(
                label_id=int(values[_inside(components, number, x, y)]),
                area_px=int(areas[number]),
                outer=outer,
                holes=tuple(ring for ring in rings if signed_area(ring) < 0),
                component=number,
            )
        )
    return found, components


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


def _inside(
    components: Integer[np.ndarray, "image_h image_w"], number: int, x: int, y: int
) -> tuple[int, int]:
    height, width = components.shape
    for row, column in ((y, x), (y, x - 1), (y - 1, x), (y - 1, x - 1)):
        if 0 <= row < height and 0 <= column < width and components[row, column] == number:
            return row, column
    raise AssertionError("a corner of a line touches its region")


def _rings(components: Integer[np.ndarray, "image_h image_w"]) -> dict[int, list[Ring]]:
    """Lines of every component: edges with their owner on the right, each followed by the next."""
    padded = np.pad(components, 1)
    start, direction, owner = _edges(padded)
    following = _following(padded, start, direction, owner)
    turns = (direction[following] != direction).tolist()
    ends = (start + _STEP[direction]).tolist()
    following_list, seen = following.tolist(), [False] * len(following)
    rings: dict[int, list[Ring]] = {}
    for first in range(len(following_list)):
        corners, edge = [], first
        while not seen[edge]:
            seen[edge] = True
            if turns[edge]:
                corners.append(ends[edge])
            edge = following_list[edge]
        if corners:
            rings.setdefault(int(owner[first]), []).append(np.asarray(corners, dtype=np.int64))
    return rings


def _edges(
    padded: Integer[np.ndarray, "h w"],
) -> tuple[Int[np.ndarray, "edge xy"], Int[np.ndarray, "edge"], Int[np.ndarray, "edge"]]:
    """Start corner, direction and owner of every pixel side where another component begins."""
    inner = padded[1:-1, 1:-1]
    sides = (  # the neighbour across, and the side's start corner from the pixel's top left
        (padded[:-2, 1:-1], (0, 0)),
        (padded[1:-1, 2:], (1, 0)),
        (padded[2:, 1:-1], (1, 1)),
        (padded[1:-1, :-2], (0, 1)),
    )
    starts, directions, owners = [], [], []
    for way, (neighbour, (right, down)) in enumerate(sides):
        y, x = np.nonzero((inner != neighbour) & (inner != 0))
        starts.append(np.stack([x + right, y + down], axis=1))
        directions.append(np.full(len(x), way))
        owners.append(inner[y, x])
    return np.concatenate(starts), np.concatenate(directions), np.concatenate(owners)


def _following(
    padded: Integer[np.ndarray, "h w"],
    start: Int[np.ndarray, "edge xy"],
    direction: Int[np.ndarray, "edge"],
    owner: Int[np.ndarray, "edge"],
) -> Int[np.ndarray, "edge"]:
    """Each edge's successor: right where the owner ends ahead, left where it fills both sides."""
    height, width = padded.shape
    number = np.full((4, height, width), -1, dtype=np.int64)
    number[direction, start[:, 1], start[:, 0]] = np.arange(len(start))
    end = start + _STEP[direction]
    right, left = end + _AHEAD_RIGHT[direction] + 1, end + _AHEAD_LEFT[direction] + 1
    goes_right = padded[right[:, 1], right[:, 0]] != owner
    goes_straight = padded[left[:, 1], left[:, 0]] != owner
    turn = np.where(goes_right, 1, np.where(goes_straight, 0, 3))
    following: Int[np.ndarray, "edge"] = number[(direction + turn) % 4, end[:, 1], end[:, 0]]
    return following
