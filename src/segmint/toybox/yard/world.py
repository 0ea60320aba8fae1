"""The yard: shaded scenes with exact class and instance masks and captions, each decided by one number."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float32, Integer, UInt8
from numpy.random import Generator

from segmint.errors import SegmintError
from segmint.toybox.yard import captions, layout, lens, painting, surroundings, things
from segmint.toybox.yard.camera import SAMPLES, Camera, Window
from segmint.toybox.yard.captions import GRASS, Told
from segmint.toybox.yard.layout import Made
from segmint.toybox.yard.lighting import weather
from segmint.toybox.yard.tracing import Placed

Split = Literal["train", "val", "test", "reserve"]

SIDE_PX = 128
"""Side of a scene."""
CLOSE_UP_PX = 64
"""Side of a close-up."""
CLASSES: tuple[str, ...] = tuple(captions.WORDS)
"""Class names in the order of their ids, from 1; 0 is the background."""
SPLIT_STARTS: dict[str, int] = {"train": 0, "val": 10_000_000, "test": 20_000_000, "reserve": 30_000_000}
"""`reserve` is a second test range that no gate and no training reads."""
SEEDS_PER_SPLIT = 10_000_000
"""Seeds 0 to SEEDS_PER_SPLIT - 1 of a split are its own: no two splits share a scene."""
LEAST_VISIBLE_PX = 48
"""Every thing in a scene covers at least so many pixels; what would cover fewer is taken away."""

_STREAM = 20
"""Sets the yard's random streams apart from those of the first world."""
_LEAST_SEEN = 0.3
"""Share of a thing that what stands before it must leave in sight."""
_COUNT_SHARES = (0.22, 0.3, 0.23, 0.15, 0.1)
"""Shares of scenes with one to five things, grass among them."""
_GRASS_SHARE = 0.3
_AGAIN_SHARE = 0.18
"""How often a further thing is of a class that is there already."""
_WHOLE_GRASS = 0.4
_CLUTTER = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One rendered scene."""

    image: UInt8[np.ndarray, "row col 3"]
    """RGB."""
    mask: UInt8[np.ndarray, "row col"]
    """Class ids; 0 is the background."""
    instances: UInt8[np.ndarray, "row col"]
    """Number of the thing at each pixel, from 1, in the order of `things`; 0 is the background."""
    things: tuple[str, ...]
    """The class of every thing; grass is one thing."""
    caption: str
    classes: tuple[str, ...]
    """Names of the classes in the picture, by id."""
    colours: tuple[str, ...]
    """The colour of the things of each class."""
    ground: str
    """The ground that is not grass; empty if none can be seen."""
    backdrop: str
    window: Window
    """Which part of a full view this is."""

    def told(self) -> list[Told]:
        """What a caption says of the scene."""
        counts = Counter(self.things)
        return [
            Told(name=name, colour=colour, count=counts[name])
            for name, colour in zip(self.classes, self.colours, strict=True)
        ]


def render(seed: int, *, split: Split) -> Scene:
    """Render one 128 × 128 scene of one to five things.

    Args:
        seed: 0 to 9 999 999; with the split it decides everything.
        split: Scenes of different splits never come from the same random stream.

    Returns:
        The scene.

    Raises:
        SegmintError: The seed is outside the split's range.
    """
    rng = _stream(seed, split=split, purpose=0)
    count = 1 + int(rng.choice(len(_COUNT_SHARES), p=_COUNT_SHARES))
    return _compose(rng, count=count, close_up=False)


def render_sized(seed: int, *, split: Split, sizes_px: Sequence[tuple[float, float]]) -> Iterator[Scene]:
    """Scenes of one thing in each range of heights in the picture, as many as are asked for; see `render`.

    No grass grows in them. What is hidden or left the frame is missing from a scene.
    """
    rng = _stream(seed, split=split, purpose=2)
    while True:
        sizes = [rng.uniform(*span) for span in sizes_px]
        scene = _attempt(rng, count=len(sizes), close_up=False, sizes_px=sizes)
        if scene is not None:
            yield scene


def render_close_up(seed: int, *, split: Split) -> Scene:
    """Render a 64 × 64 window of a full view, about one or two things; see `render`."""
    rng = _stream(seed, split=split, purpose=1)
    return _compose(rng, count=1 + int(rng.random() < 0.35), close_up=True)


def _stream(seed: int, *, split: Split, purpose: int) -> Generator:
    if not 0 <= seed < SEEDS_PER_SPLIT:
        raise SegmintError(
            f"yard seed {seed}: expected 0 to {SEEDS_PER_SPLIT - 1} within the split {split!r}"
        )
    return np.random.default_rng([_STREAM + purpose, SPLIT_STARTS[split] + seed])


def _compose(rng: Generator, *, count: int, close_up: bool) -> Scene:
    """Draw scenes until one holds something; the first almost always does."""
    while True:
        scene = _attempt(rng, count=count, close_up=close_up)
        if scene is not None:
            return scene


def _attempt(rng: Generator, *, count: int, close_up: bool, sizes_px: Sequence[float] = ()) -> Scene | None:
    grassy = bool(rng.random() < _GRASS_SHARE) and not sizes_px
    names = _names(rng, count - grassy)
    made = _make(rng, names)
    sizes = [each.extent_m for each in made] or [1.0]
    # A close-up holds half a view: its things must be smaller.
    crowd = 5 * len(made) + 2 if close_up else max(len(made), 1)
    view = layout.camera(rng, max(sizes), min(sizes), count=crowd, side_px=SIDE_PX)
    if sizes_px:
        made, view = layout.sized(made, view, sizes_px)
    placed = layout.arrange(rng, made, view, spread=0.45 if close_up else 1.0)
    side = CLOSE_UP_PX if close_up else SIDE_PX
    window = _window(rng, placed, view, side) if side < view.side_px else Window(row=0, col=0, side=side)
    yard = _yard(rng, view, placed, grassy=grassy)
    placed = [*placed, *layout.scatter(rng, view, placed, most=_CLUTTER)]
    sky = weather(rng, walled=yard.backdrop != "open")
    seen = painting.look(view, window, placed, yard)
    seen, kept_grass = _without_scraps(seen, grassy=grassy)
    if not kept_grass and grassy:
        seen = painting.look(view, window, seen.things, replace(yard, meadow=None))
        seen, _ = _without_scraps(seen, grassy=False)
    if not any(thing.name for thing in seen.things) and not kept_grass:
        return None
    light, depth = painting.paint(seen, sky)
    film = lens.choose(rng, focus_m=view.distance)
    image = lens.photograph(_resolved(light, window), _resolved(depth[None], window)[0], film, rng)
    return _scene(rng, seen, image, grass=kept_grass)


def _names(rng: Generator, count: int) -> list[str]:
    solid = list(things.KINDS)
    names: list[str] = []
    for _ in range(count):
        if names and rng.random() < _AGAIN_SHARE and names.count(names[-1]) < 3:
            names.append(names[-1])
        else:
            fresh = [name for name in solid if name not in names]
            names.append(fresh[int(rng.integers(len(fresh)))])
    return names


def _make(rng: Generator, names: Sequence[str]) -> list[Made]:
    """Things of each name, in one colour a class."""
    colours: dict[str, str] = {}
    made = []
    for name in names:
        options = things.KINDS[name].colours
        colour = colours.setdefault(name, options[int(rng.integers(len(options)))])
        made.append(layout.make(name, colour, rng))
    return made


def _window(rng: Generator, placed: Sequence[Placed], view: Camera, side_px: int) -> Window:
    """A window about one of the things, on whole tokens of eight pixels."""
    middle = np.asarray((view.side_px / 2, view.side_px / 2))
    if placed:
        thing = placed[int(rng.integers(len(placed)))]
        cols, rows = view.project(thing.corners())
        middle = np.asarray((rows.min() + rows.max(), cols.min() + cols.max())) / 2
    wanted = middle - side_px / 2 + rng.uniform(-8, 8, 2)
    row, col = np.clip(np.round(wanted / 8) * 8, 0, view.side_px - side_px).astype(int)
    return Window(row=int(row), col=int(col), side=side_px)


def _yard(rng: Generator, view: Camera, placed: Sequence[Placed], *, grassy: bool) -> surroundings.Yard:
    grounds, backdrops = tuple(surroundings.GROUNDS), tuple(surroundings.BACKDROPS)
    backdrop = backdrops[int(rng.choice(len(backdrops), p=_backdrop_shares(backdrops)))]
    farthest = max([view.distance, *(float(thing.corners()[2].max()) for thing in placed)])
    unit = float(np.clip(view.distance / 4.5, 0.45, 1.7))
    heights = {"open": 0.0, "hedge": rng.uniform(0.25, 0.45) * view.distance}
    return surroundings.Yard(
        ground=grounds[int(rng.integers(len(grounds)))],
        backdrop=backdrop,
        wall_z=1e4 if backdrop == "open" else farthest + float(rng.uniform(0.08, 0.7)) * view.distance,
        wall_height=float(heights.get(backdrop, 30.0)),
        unit=unit,
        turn=float(rng.uniform(-0.7, 0.7)),
        shift=(float(rng.uniform(0, 4)), float(rng.uniform(0, 4))),
        tints=(_tint(rng), _tint(rng)),
        meadow=surroundings.meadow(rng, distance=view.distance, whole=bool(rng.random() < _WHOLE_GRASS))
        if grassy
        else None,
    )


def _backdrop_shares(names: Sequence[str]) -> list[float]:
    weights = [2.0 if name == "open" else 1.0 for name in names]
    return [weight / sum(weights) for weight in weights]


def _tint(rng: Generator) -> Float32[np.ndarray, "3"]:
    return np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.15)).astype(np.float32)


def _without_scraps(seen: painting.Seen, *, grassy: bool) -> tuple[painting.Seen, bool]:
    """Take things away of which too little can be seen; also whether enough grass is left."""
    while True:
        numbers = _per_pixel(seen)
        scraps = [
            index
            for index, thing in enumerate(seen.things)
            if thing.name and not _shows(seen, numbers, index)
        ]
        if not scraps:
            break
        seen = seen.without(scraps[0])
    return seen, grassy and int((numbers == painting.GRASS_ID).sum()) >= 4 * LEAST_VISIBLE_PX


def _shows(seen: painting.Seen, numbers: Integer[np.ndarray, "row col"], index: int) -> bool:
    own = int(np.isfinite(seen.reach[index]).sum())
    visible = int((seen.owner == index).sum())
    return visible >= _LEAST_SEEN * own and int((numbers == index).sum()) >= LEAST_VISIBLE_PX


def _per_pixel(seen: painting.Seen) -> Integer[np.ndarray, "row col"]:
    """What owns most of each pixel's samples; the nearer thing wins a draw."""
    near_first = np.argsort([float(thing.place[2]) for thing in seen.things], kind="stable")
    ids = np.asarray([*near_first, painting.GRASS_ID, painting.GROUND_ID], np.int16)
    owner = rearrange(
        seen.owner, "(row i col j) -> row col (i j)", i=SAMPLES, j=SAMPLES, row=seen.window.side
    )
    votes = np.stack([(owner == each).sum(-1, dtype=np.int8) for each in ids])
    # Wall and sky count with the bare ground: all of it is background.
    votes[-1] = SAMPLES**2 - votes[:-1].sum(0)
    winner: Integer[np.ndarray, "row col"] = ids[votes.argmax(0)]
    return winner


def _resolved(
    samples: Float32[np.ndarray, "channel sample"], window: Window
) -> Float32[np.ndarray, "channel row col"]:
    """Mean of each pixel's samples, with light too bright for the film cut off first."""
    grid = rearrange(
        samples, "channel (row i col j) -> channel row col (i j)", i=SAMPLES, j=SAMPLES, row=window.side
    )
    return np.asarray(np.minimum(grid, 60.0).mean(-1), np.float32)


def _scene(
    rng: Generator, seen: painting.Seen, image: UInt8[np.ndarray, "row col 3"], *, grass: bool
) -> Scene:
    numbers = _per_pixel(seen)
    named = [index for index, thing in enumerate(seen.things) if thing.name]
    owners = [*named, *([painting.GRASS_ID] if grass else [])]
    names = [*(seen.things[index].name for index in named), *([GRASS] if grass else [])]
    mask, instances = np.zeros(numbers.shape, np.uint8), np.zeros(numbers.shape, np.uint8)
    for number, (owner, name) in enumerate(zip(owners, names, strict=True), start=1):
        spot: Bool[np.ndarray, "row col"] = numbers == owner
        mask[spot], instances[spot] = CLASSES.index(name) + 1, number
    colours = {thing.name: thing.colour for thing in seen.things if thing.name} | {GRASS: "green"}
    classes = tuple(name for name in CLASSES if name in names)
    bare = int((seen.owner == painting.GROUND_ID).sum()) > 0.04 * seen.owner.size
    scene = Scene(
        image=image,
        mask=mask,
        instances=instances,
        things=tuple(names),
        caption="",
        classes=classes,
        colours=tuple(colours[name] for name in classes),
        ground=seen.yard.ground if bare else "",
        backdrop=seen.yard.backdrop,
        window=seen.window,
    )
    caption = captions.write(scene.told(), ground=scene.ground, backdrop=scene.backdrop, rng=rng)
    return replace(scene, caption=caption)
