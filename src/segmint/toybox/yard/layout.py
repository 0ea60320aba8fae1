"""What stands in a scene and where: things drawn at random, set down so that most of each can be seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from segmint.toybox.yard import things
from segmint.toybox.yard.bodies import Body
from segmint.toybox.yard.camera import Camera
from segmint.toybox.yard.palette import shade_of
from segmint.toybox.yard.tracing import Placed

_SIZES_PX = (66.0, 116.0)
"""Height in the picture of the tallest thing of a scene that holds one."""
_LEAST_PX = 15.0
"""Height in the picture below which no thing is taken, whatever the others' size."""
_CROWDING = 0.24
"""Sizes fall with the number of things to this power."""
_IN_FRAME = 0.8
_IN_SIGHT = 0.42
"""Shares of a thing's box that must be inside the frame, and not behind others' boxes."""
_TRIES = 60
_GRID = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A thing that has no place yet."""

    name: str
    """Its class; empty for clutter."""
    colour: str
    body: Body
    scale: float

    @property
    def extent_m(self) -> float:
        """Its height, or about half its width if that is more."""
        return float(max(self.body.height, 1.1 * self.body.half_x) * self.scale)


def camera(rng: Generator, tallest_m: float, smallest_m: float, *, count: int, side_px: int) -> Camera:
    """A viewpoint from which things of such sizes fill the picture well."""
    focal_px = 64 / float(np.tan(np.radians(rng.uniform(16, 24))))
    size_px = rng.uniform(*_SIZES_PX) * count**-_CROWDING
    distance = focal_px * tallest_m / size_px
    distance = min(distance, focal_px * smallest_m / _LEAST_PX)
    height = distance * rng.uniform(0.2, 0.55)
    aim = tallest_m * rng.uniform(0.2, 0.45)
    return Camera(
        height=float(height),
        pitch=float(np.arctan2(height - aim, distance)),
        roll=float(rng.normal(0, 0.015)),
        focal_px=focal_px,
        side_px=side_px,
        distance=float(distance),
    )


def sized(made: Sequence[Made], view: Camera, sizes_px: Sequence[float]) -> tuple[list[Made], Camera]:
    """Things scaled against the first, and a view in which each is so many pixels high.

    A view that comes closer is larger than before, so that the frame holds as much of the yard.
    """
    scale_px = view.focal_px / view.distance
    zoom = sizes_px[0] / (scale_px * made[0].extent_m)
    fitting = [
        replace(each, scale=each.scale * size / (zoom * scale_px * each.extent_m))
        for each, size in zip(made, sizes_px, strict=True)
    ]
    side_px = max(view.side_px, round(view.side_px * zoom))
    return fitting, replace(view, focal_px=view.focal_px * zoom, side_px=side_px)


def make(name: str, colour: str, rng: Generator) -> Made:
    """A thing of a class in one of the shades of a colour."""
    body = things.KINDS[name].build(shade_of(colour, rng), rng)
    return Made(name=name, colour=colour, body=body, scale=float(rng.uniform(0.85, 1.2)))


def arrange(rng: Generator, made: Sequence[Made], view: Camera, *, spread: float = 1.0) -> list[Placed]:
    """Set things down.

    Args:
        rng: Decides places and turns.
        made: What is to be set down.
        view: From where they are seen.
        spread: 1 uses the whole frame, less keeps things together.

    Returns:
        The things that found a place, which may be fewer.
    """
    overlap = rng.random() < 0.6
    best: list[Placed] = []
    for attempt in range(_TRIES):
        placed: list[Placed] = []
        for each in made:
            thing = _somewhere(rng, each, view, spread)
            if any(_touching(thing, other) for other in placed):
                break
            placed.append(thing)
        if len(placed) < len(made):
            if len(placed) > len(best):
                best = placed
            continue
        inside, seen = _shares(placed, view)
        if inside >= _IN_FRAME and seen >= _IN_SIGHT:
            if not overlap or len(placed) == 1 or seen < 0.93 or attempt > _TRIES // 2:
                return placed
            best = placed
    return best


def scatter(rng: Generator, view: Camera, placed: Sequence[Placed], *, most: int) -> list[Placed]:
    """Pebbles, bricks and pieces of wood that nobody names."""
    out: list[Placed] = []
    for _ in range(int(rng.integers(0, most + 1))):
        build_one, colours = things.CLUTTER[int(rng.integers(len(things.CLUTTER)))]
        colour = colours[int(rng.integers(len(colours)))]
        body = build_one(shade_of(colour, rng), rng)
        scale = float(view.distance * rng.uniform(0.012, 0.04))
        depth = float(view.distance * rng.uniform(0.6, 1.7))
        x = float(rng.uniform(-0.5, 0.5) * view.side_px / view.focal_px * depth)
        each = Made(name="", colour=colour, body=body, scale=scale)
        thing = _put(each, (x, depth), float(rng.uniform(0, 2 * np.pi)))
        if not any(_touching(thing, other) for other in [*placed, *out]):
            out.append(thing)
    return out


def _somewhere(rng: Generator, each: Made, view: Camera, spread: float) -> Placed:
    depth = view.distance * (1 + spread * rng.uniform(-0.25, 0.35))
    reach_px = each.body.half_x * each.scale * view.focal_px / depth
    room = max(view.side_px / 2 - 0.8 * reach_px, 2.0) * spread
    x = rng.uniform(-room, room) / view.focal_px * depth
    kind = things.KINDS[each.name]
    turn = rng.uniform(-kind.turn, kind.turn)
    lies = bool(rng.random() < kind.toppled)
    return _put(each, (float(x), float(depth)), float(turn), lies=lies)


def _put(each: Made, where: tuple[float, float], turn: float, *, lies: bool = False) -> Placed:
    """A thing at x and z, turned about the upright axis; lying, it rests on its side."""
    cos, sin = np.cos(turn), np.sin(turn)
    frame = np.asarray([(cos, 0, sin), (0, 1, 0), (-sin, 0, cos)])
    lift = 0.0
    if lies and each.body.ends is not None:
        foot, top = each.body.ends
        fall = np.arctan2(each.body.height, top - foot)
        frame = (
            np.asarray([(np.cos(fall), -np.sin(fall), 0), (np.sin(fall), np.cos(fall), 0), (0, 0, 1)]) @ frame
        )
        lift = foot * float(np.sin(fall)) * each.scale
    return Placed(
        body=each.body,
        name=each.name,
        colour=each.colour,
        place=np.asarray((where[0], lift, where[1]), np.float32),
        frame=frame.astype(np.float32),
        scale=each.scale,
    )


def _touching(one: Placed, two: Placed) -> bool:
    """Whether the circles that cover two things' footprints overlap."""
    (a, ra), (b, rb) = _feet(one), _feet(two)
    gaps = np.hypot(a[0][:, None] - b[0], a[1][:, None] - b[1])
    return bool((gaps < 0.92 * (ra + rb)).any())


def _feet(thing: Placed) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    corners = thing.corners()
    low, high = corners.min(1), corners.max(1)
    lying = abs(float(thing.frame[1, 1])) < 0.7
    half_x, half_z = thing.body.half_x * thing.scale, thing.body.half_z * thing.scale
    if lying:
        radius = float(max(high[0] - low[0], high[2] - low[2])) / 2
        return (np.asarray([(low[0] + high[0]) / 2]), np.asarray([(low[2] + high[2]) / 2])), radius
    radius = max(half_z, 0.35 * half_x)
    along = np.linspace(-1, 1, max(1, round(half_x / radius))) * max(half_x - radius, 0)
    axis = thing.frame[0]
    return (thing.place[0] + along * axis[0], thing.place[2] + along * axis[2]), radius


def _shares(placed: Sequence[Placed], view: Camera) -> tuple[float, float]:
    """The least share of a thing's box in the picture that is inside the frame, and of that, in sight."""
    boxes = []
    for thing in sorted(placed, key=lambda each: float(each.place[2])):
        cols, rows = view.project(thing.corners())
        boxes.append([float(v) for v in (cols.min(), rows.min(), cols.max(), rows.max())])
    taken = np.zeros((_GRID, _GRID), bool)
    inside, seen = 1.0, 1.0
    for left, top, right, bottom in boxes:
        whole = max((right - left) * (bottom - top), 1e-6)
        clipped = [float(np.clip(v, 0, view.side_px)) for v in (left, top, right, bottom)]
        inside = min(inside, (clipped[2] - clipped[0]) * (clipped[3] - clipped[1]) / whole)
        c0, r0, c1, r1 = (round(v * _GRID / view.side_px) for v in clipped)
        spot = taken[r0 : max(r1, r0 + 1), c0 : max(c1, c0 + 1)]
        seen = min(seen, 1 - float(spot.mean()) if spot.size else 0.0)
        spot[:] = True
    return inside, seen
