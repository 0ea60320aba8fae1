"""The things of the yard, each built from solids; sizes are metres before a scene scales them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from segmint.toybox.yard import solids
from segmint.toybox.yard.bodies import Body, Part, edge, mixed, plain
from segmint.toybox.yard.palette import Colour, linear
from segmint.toybox.yard.solids import Points, Values, overlap, union

WHITE = linear(236, 232, 224)
STEEL = linear(158, 162, 168)
IRON = linear(46, 46, 50)
WOOD = linear(150, 104, 62)
EARTH = linear(70, 50, 36)


def ball(colour: Colour, rng: Generator) -> Body:
    """A beach ball: white and coloured gores about a tilted axis."""
    r, gores = 0.3, int(rng.integers(2, 5))
    tilt, spin = rng.uniform(0.2, 1.3), rng.uniform(0, 6)
    cos, sin = float(np.cos(tilt)), float(np.sin(tilt))

    def share(p: Points) -> Values:
        y, z = (p[1] - r) * cos - p[2] * sin, (p[1] - r) * sin + p[2] * cos
        around = edge(np.sin(gores * np.arctan2(p[0], z) + spin), 0.25)
        return np.where(np.abs(y) > 0.93 * r, 1, around)

    skin = Part(distance=lambda p: solids.ball(p, (0, r, 0), r), paint=mixed(colour, WHITE, share), gloss=0.6)
    return Body(parts=(skin,), half_x=r, height=2 * r, half_z=r)


def barrel(colour: Colour, rng: Generator) -> Body:
    """A bulging barrel of staves with two pairs of hoops and a sunken lid."""
    r, h, bulge = 0.33, 0.9, rng.uniform(0.16, 0.24)

    def girth(y: Values) -> Values:
        return r * (1 - bulge * ((y - h / 2) / (h / 2)) ** 2)

    def side(p: Points) -> Values:
        result: Values = (solids.length(p[0], p[2]) - girth(p[1])) * 0.88
        return result

    def staves(p: Points) -> Values:
        body = overlap(side(p), np.abs(p[1] - h / 2) - h / 2)
        lid = overlap(solids.length(p[0], p[2]) - 0.85 * girth(p[1]), h - 0.04 - p[1])
        return overlap(body, -lid)

    def hoops(p: Points) -> Values:
        mirrored = np.abs(p[1] - h / 2)
        height = union(np.abs(mirrored - 0.13), np.abs(mirrored - 0.36))
        return overlap(np.abs(side(p) - 0.006) - 0.012, height - 0.025)

    def joints(p: Points) -> Values:
        return 0.75 * edge(np.cos(16 * np.arctan2(p[0], p[2])) - 0.93, 0.08)

    wood = Part(distance=staves, paint=mixed(colour, colour * 0.2, joints), gloss=0.12, grain=0.24)
    iron = Part(distance=hoops, paint=plain(IRON if rng.random() < 0.6 else STEEL), gloss=0.5)
    return Body(parts=(wood, iron), half_x=r + 0.02, height=h, half_z=r + 0.02, ends=(r, r))


def bucket(colour: Colour, rng: Generator) -> Body:
    """An open bucket with a rolled rim and a wire handle, up or down."""
    h, low, high = 0.5, 0.19, 0.28
    lean = float(rng.choice([rng.uniform(-0.5, 0.5), 1.45, -1.45], p=[0.6, 0.2, 0.2]))

    def shell(p: Points) -> Values:
        return union(solids.cup(p, 0, h, (low, high), 0.014), solids.ring(p, h, high, 0.02))

    wire = Part(
        distance=lambda p: solids.handle(p, h, high + 0.01, 0.014, lean=lean), paint=plain(STEEL), gloss=0.7
    )
    tub = Part(distance=shell, paint=plain(colour), gloss=float(rng.uniform(0.35, 0.7)))
    top = h + (high + 0.03) * float(np.cos(lean)) + 0.01
    reach = max(high + 0.03, (high + 0.03) * abs(float(np.sin(lean))))
    return Body(
        parts=(tub, wire),
        half_x=high + 0.03,
        height=max(top, h + 0.03),
        half_z=reach,
        ends=(low, high + 0.02),
    )


def chair(colour: Colour, rng: Generator) -> Body:
    """A garden chair: four legs, a seat, a back of slats that run up or across."""
    seat, top, across = 0.45, rng.uniform(0.92, 1.05), rng.random() < 0.5

    def frame(p: Points) -> Values:
        mirrored = np.stack([np.abs(p[0]), p[1], p[2]])
        folded = np.stack([mirrored[0], p[1], np.abs(p[2])])
        legs = solids.box(folded, (0.21, seat / 2, 0.2), (0.025, seat / 2, 0.025))
        posts = solids.box(mirrored, (0.21, (seat + top) / 2, 0.2), (0.025, (top - seat) / 2, 0.022))
        rail = solids.box(p, (0, top - 0.04, 0.2), (0.21, 0.04, 0.018))
        return union(union(legs, posts), rail)

    def slats(p: Points) -> Values:
        board = solids.box(p, (0, seat, 0), (0.25, 0.024, 0.24))
        if across:
            y = p[1] - seat - 0.16
            y = y - 0.15 * np.clip(np.round(y / 0.15), 0, 1)
            back = solids.box(np.stack([p[0], y, p[2]]), (0, 0, 0.2), (0.2, 0.035, 0.014))
        else:
            x = p[0] - solids.nearest_multiple(p[0], 0.13, count=1)
            back = solids.box(
                np.stack([x, p[1], p[2]]), (0, (seat + top) / 2, 0.2), (0.025, (top - seat) / 2, 0.014)
            )
        return union(board, back)

    parts = (
        Part(distance=frame, paint=plain(colour * 0.85), gloss=0.25, grain=0.16),
        Part(distance=slats, paint=plain(colour), gloss=0.25, grain=0.16),
    )
    return Body(parts=parts, half_x=0.26, height=float(top), half_z=0.25)


def cone(colour: Colour, rng: Generator) -> Body:
    """A traffic cone with one or two white bands on a square foot."""
    h, bands = 0.78, int(rng.integers(1, 3))

    def share(p: Points) -> Values:
        first = edge(0.075 - np.abs(p[1] - 0.5), 0.01)
        return first if bands == 1 else overlap(first, edge(0.05 - np.abs(p[1] - 0.28), 0.01))

    def foot(p: Points) -> Values:
        return solids.box(p, (0, 0.025, 0), (0.27, 0.025, 0.27))

    parts = (
        Part(
            distance=lambda p: solids.taper(p, 0.03, h, (0.2, 0.035)),
            paint=mixed(colour, WHITE, share),
            gloss=0.35,
        ),
        Part(distance=foot, paint=plain(colour * 0.7 if rng.random() < 0.6 else IRON), gloss=0.2),
    )
    return Body(parts=parts, half_x=0.28, height=h, half_z=0.28, ends=(0.27, 0.035))


def duck(colour: Colour, rng: Generator) -> Body:
    """A rubber duck that looks along the x axis."""
    beak_colour = linear(226, 96, 24) if colour[0] < 0.62 or colour[1] > 0.4 else linear(240, 190, 50)

    def skin(p: Points) -> Values:
        mirrored = np.stack([p[0], p[1], np.abs(p[2])])
        body = solids.ellipsoid(p, (0, 0.19, 0), (0.3, 0.2, 0.22))
        tail = solids.ellipsoid(p, (-0.27, 0.3, 0), (0.1, 0.07, 0.08))
        wing = solids.ellipsoid(mirrored, (-0.05, 0.25, 0.19), (0.17, 0.09, 0.06))
        head = solids.ball(p, (0.15, 0.45, 0), 0.15)
        rump = solids.blend(solids.blend(body, tail, 0.12), wing, 0.03)
        # The ellipsoids overstate distances a little.
        return overlap(solids.blend(rump, head, 0.09) * 0.75, -p[1])

    def beak(p: Points) -> Values:
        return solids.ellipsoid(p, (0.31, 0.42, 0), (0.1, 0.035, 0.075))

    def eyes(p: Points) -> Values:
        return solids.ball(np.stack([p[0], p[1], np.abs(p[2])]), (0.235, 0.5, 0.095), 0.032)

    parts = (
        Part(distance=skin, paint=plain(colour), gloss=0.6),
        Part(distance=beak, paint=plain(beak_colour), gloss=0.5),
        Part(distance=eyes, paint=plain(linear(20, 20, 24)), gloss=0.9),
    )
    return Body(parts=parts, half_x=0.42, height=0.61, half_z=0.26)


def fence(colour: Colour, rng: Generator) -> Body:
    """A picket fence with two rails; pickets pointed or square."""
    side, spacing = int(rng.integers(3, 5)), rng.uniform(0.2, 0.26)
    h, pointed, wide = rng.uniform(0.75, 0.95), rng.random() < 0.6, rng.uniform(0.045, 0.065)
    half = side * spacing + 0.08

    def pickets(p: Points) -> Values:
        x = p[0] - solids.nearest_multiple(p[0], float(spacing), count=side)
        boards = solids.box(np.stack([x, p[1], p[2]]), (0, h / 2, 0), (wide, h / 2, 0.016))
        return overlap(boards, (np.abs(x) + p[1] - h) * 0.7) if pointed else boards

    def rails(p: Points) -> Values:
        y = np.abs(p[1] - 0.45 * h) - 0.22 * h
        return solids.box(np.stack([p[0], y, p[2]]), (0, 0, 0.03), (half, 0.03, 0.016))

    parts = (
        Part(distance=pickets, paint=plain(colour), gloss=0.12, grain=0.2),
        Part(distance=rails, paint=plain(colour * 0.88), gloss=0.12, grain=0.2),
    )
    return Body(parts=parts, half_x=float(half), height=float(h), half_z=0.05)


def ladder(colour: Colour, rng: Generator) -> Body:
    """A stepladder that stands open."""
    h, open_by, rungs = 1.75, rng.uniform(0.34, 0.44), int(rng.integers(4, 6))
    gap = h / (rungs + 0.6)

    def rails(p: Points) -> Values:
        folded = np.abs(p)
        sides = solids.rod(folded, (0.27, 0.0, float(open_by)), (0.19, h, 0.04), 0.028)
        return union(sides, solids.box(p, (0, h, 0), (0.23, 0.025, 0.09)))

    def steps(p: Points) -> Values:
        level = np.clip(np.round(p[1] / gap), 1, rungs) * gap
        z = p[2] + open_by - (open_by - 0.04) * level / h
        tread = overlap(np.abs(p[1] - level) - 0.018, np.abs(z) - 0.045)
        return overlap(tread, np.abs(p[0]) - 0.27 + 0.08 * level / h)

    parts = (
        Part(distance=rails, paint=plain(colour), gloss=0.35),
        Part(distance=steps, paint=plain(colour * 0.8), gloss=0.35),
    )
    return Body(parts=parts, half_x=0.3, height=h + 0.03, half_z=float(open_by) + 0.03)


def lamp(colour: Colour, rng: Generator) -> Body:
    """A lamp post: foot, thin pole, and a glowing globe or a roofed lantern."""
    h, globe, glow = rng.uniform(1.5, 1.8), rng.random() < 0.5, rng.uniform(0.5, 1.6)

    def metal(p: Points) -> Values:
        foot = solids.taper(p, 0, 0.2, (0.15, 0.06))
        pole = solids.post(p, 0, h, 0.034)
        collar = solids.post(p, h - 0.04, h, 0.1)
        stem = union(union(foot, pole), collar)
        roof = (
            solids.taper(p, h + 0.34, h + 0.39, (0.07, 0.02))
            if globe
            else solids.taper(p, h + 0.26, h + 0.42, (0.22, 0.02))
        )
        return union(stem, roof)

    def glass(p: Points) -> Values:
        if globe:
            return solids.ball(p, (0, h + 0.17, 0), 0.18)
        return solids.taper(p, h, h + 0.27, (0.1, 0.17))

    parts = (
        Part(distance=metal, paint=plain(colour), gloss=0.4),
        Part(distance=glass, paint=plain(linear(252, 226, 172)), gloss=0.5, glow=float(glow)),
    )
    return Body(parts=parts, half_x=0.23, height=float(h) + 0.42, half_z=0.23)


def pot(colour: Colour, rng: Generator) -> Body:
    """A flowerpot with a broad rim, full of earth."""
    h, low, high = rng.uniform(0.4, 0.5), 0.18, 0.27
    ridge = rng.random() < 0.4

    def clay(p: Points) -> Values:
        wall = solids.taper(p, 0, h - 0.1, (low, high - 0.03))
        rim = solids.taper(p, h - 0.13, h, (high, high + 0.025))
        mouth = solids.taper(p, h - 0.05, h + 0.1, (high - 0.035, high - 0.02))
        return overlap(union(wall, rim), -mouth)

    def stripe(p: Points) -> Values:
        return 0.8 * edge(0.03 - np.abs(p[1] - 0.45 * h), 0.01) if ridge else np.zeros_like(p[0])

    parts = (
        Part(distance=clay, paint=mixed(colour, WHITE, stripe), gloss=0.1, grain=0.15),
        Part(
            distance=lambda p: solids.post(p, h - 0.12, h - 0.045, high - 0.03), paint=plain(EARTH), gloss=0.0
        ),
    )
    return Body(parts=parts, half_x=high + 0.03, height=float(h), half_z=high + 0.03)


def umbrella(colour: Colour, rng: Generator) -> Body:
    """A parasol: a scalloped canopy of eight gores on a pole with a round foot."""
    h, reach, drop = rng.uniform(1.55, 1.8), rng.uniform(0.75, 0.9), rng.uniform(0.3, 0.45)
    second = WHITE if rng.random() < 0.6 else colour * 0.75
    spin = rng.uniform(0, 1.5)

    def canopy(p: Points) -> Values:
        radius, angle = solids.length(p[0], p[2]), np.arctan2(p[0], p[2]) + spin
        scallop = 1 - 0.05 * np.abs(np.sin(4 * angle))
        share = radius / reach
        top = h - drop * share * (0.55 + 0.45 * share) * (2 - scallop)
        skin = np.abs(p[1] - top) - 0.014
        return overlap(skin * 0.8, (radius - reach * scallop) * 0.9)

    def gores(p: Points) -> Values:
        return edge(np.sin(4 * (np.arctan2(p[0], p[2]) + spin)), 0.1)

    def stand(p: Points) -> Values:
        foot = solids.post(p, 0, 0.07, 0.2)
        return union(union(foot, solids.post(p, 0, h + 0.06, 0.026)), solids.post(p, 0, 0.25, 0.05))

    parts = (
        Part(distance=canopy, paint=mixed(colour, second, gores), gloss=0.08),
        Part(distance=stand, paint=plain(WHITE if rng.random() < 0.4 else WOOD), gloss=0.3),
    )
    return Body(parts=parts, half_x=float(reach) + 0.02, height=float(h) + 0.07, half_z=float(reach) + 0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a class is built, what it is called, and the colours that it comes in."""

    build: Callable[[Colour, Generator], Body]
    words: tuple[str, ...]
    """Names that a caption uses, the class's own first."""
    colours: tuple[str, ...]
    turn: float = float(np.pi)
    """Largest angle from facing the viewer."""
    toppled: float = 0.0
    """How often it lies on its side."""


_BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink")

KINDS: dict[str, Kind] = {
    "ball": Kind(build=ball, words=("ball", "beach ball"), colours=_BRIGHT),
    "barrel": Kind(
        build=barrel,
        words=("barrel", "cask"),
        colours=("brown", "brown", "red", "blue", "green", "grey"),
        toppled=0.2,
    ),
    "bucket": Kind(
        build=bucket,
        words=("bucket", "pail"),
        colours=("grey", "red", "blue", "green", "yellow", "orange", "white", "pink"),
        toppled=0.15,
    ),
    "chair": Kind(
        build=chair,
        words=("chair", "garden chair", "seat"),
        colours=("brown", "white", "red", "blue", "green", "yellow", "black"),
    ),
    "cone": Kind(
        build=cone,
        words=("cone", "traffic cone", "pylon"),
        colours=("orange", "orange", "red", "yellow", "green", "blue"),
        toppled=0.1,
    ),
    "duck": Kind(
        build=duck,
        words=("duck", "rubber duck"),
        colours=("yellow", "yellow", "white", "pink", "blue", "green", "red"),
    ),
    "fence": Kind(
        build=fence,
        words=("fence", "picket fence", "railing"),
        colours=("white", "brown", "grey", "green", "blue"),
        turn=0.6,
    ),
    "ladder": Kind(
        build=ladder,
        words=("ladder", "stepladder"),
        colours=("brown", "grey", "yellow", "red", "orange", "blue"),
        turn=1.0,
    ),
    "lamp": Kind(
        build=lamp,
        words=("lamp", "street lamp", "lantern"),
        colours=("black", "black", "green", "white", "red", "blue"),
    ),
    "pot": Kind(
        build=pot,
        words=("pot", "flowerpot", "planter"),
        colours=("brown", "orange", "white", "blue", "grey", "green", "yellow", "red"),
    ),
    "umbrella": Kind(build=umbrella, words=("umbrella", "parasol", "sunshade"), colours=_BRIGHT),
}
"""Solid classes in alphabetical order. The class `grass` covers ground; see `meadow`."""


def stone(colour: Colour, rng: Generator) -> Body:
    """A pebble: an ellipsoid with bumps."""
    a, b, c = (float(v) for v in rng.uniform((0.7, 0.4, 0.6), (1.0, 0.75, 1.0)))
    waves = rng.uniform(2, 5, 3).astype(np.float32)

    def lump(p: Points) -> Values:
        bumps = np.sin(waves[0] * p[0]) * np.sin(waves[1] * p[1] + 1) * np.sin(waves[2] * p[2])
        result: Values = (solids.ellipsoid(p, (0, 0.6 * b, 0), (a, b, c)) + 0.12 * bumps) * 0.8
        return result

    part = Part(distance=lump, paint=plain(colour), gloss=0.1)
    return Body(parts=(part,), half_x=a + 0.12, height=1.6 * b + 0.12, half_z=c + 0.12)


def brick(colour: Colour, rng: Generator) -> Body:
    """A loose brick."""
    part = Part(distance=lambda p: solids.box(p, (0, 0.35, 0), (1.0, 0.35, 0.5)), paint=plain(colour))
    return Body(parts=(part,), half_x=1.0, height=0.7, half_z=0.5)


def log(colour: Colour, rng: Generator) -> Body:
    """A piece of wood, round, pale at its ends."""
    r, half = rng.uniform(0.18, 0.3), 1.0

    def wood(p: Points) -> Values:
        return overlap(solids.length(p[1] - r, p[2]) - r, np.abs(p[0]) - half)

    pale = linear(196, 158, 110)
    part = Part(distance=wood, paint=mixed(colour, pale, lambda p: edge(np.abs(p[0]) - half + 0.03, 0.03)))
    return Body(parts=(part,), half_x=half, height=2 * float(r), half_z=float(r))


CLUTTER: tuple[tuple[Callable[[Colour, Generator], Body], tuple[str, ...]], ...] = (
    (stone, ("grey", "grey", "brown", "white")),
    (stone, ("grey", "black", "white")),
    (brick, ("red", "brown")),
    (log, ("brown",)),
)
"""Unnamed props, one metre about, to be scaled down; and their colours."""
