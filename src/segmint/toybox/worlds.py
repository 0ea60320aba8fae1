"""The worlds that segmint renders, one row each: what all that renders, judges or scores must know of one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from segmint.errors import ConfigError
from segmint.toybox import world as toybox
from segmint.toybox.yard import world as yard
from segmint.vocabulary import Vocabulary

WorldName = Literal["toybox", "yard"]
Split = Literal["train", "val", "test", "reserve"]
SPLITS: tuple[Split, ...] = get_args(Split)
SEEDS_PER_SPLIT = min(toybox.SEEDS_PER_SPLIT, yard.SEEDS_PER_SPLIT)


@runtime_checkable
class Scene(Protocol):
    """One rendered scene of any world."""

    @property
    def image(self) -> UInt8[np.ndarray, "row col 3"]:
        """RGB."""

    @property
    def mask(self) -> UInt8[np.ndarray, "row col"]:
        """Class ids; 0 is the background."""

    @property
    def instances(self) -> UInt8[np.ndarray, "row col"]:
        """Number of the thing at each pixel, from 1, in the order of `things`; 0 is the background."""

    @property
    def things(self) -> tuple[str, ...]:
        """The class of every thing."""

    @property
    def caption(self) -> str:
        """What the scene shows, in words."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the picture, by id."""


@runtime_checkable
class Render(Protocol):
    """Draws the scene that a seed of a split decides."""

    def __call__(self, seed: int, *, split: Split) -> Scene:
        """A 128 × 128 scene."""


@runtime_checkable
class RenderSized(Protocol):
    """Draws scenes of things whose sizes are asked for."""

    def __call__(
        self, seed: int, *, split: Split, sizes_px: Sequence[tuple[float, float]]
    ) -> Iterator[Scene]:
        """128 × 128 scenes, without end, with one thing for each range of sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is known of a world."""

    name: WorldName
    """Also that of its model, its preset of classes, its prompt templates and its addresses."""
    classes: tuple[str, ...]
    """By id, from 1."""
    render: Render
    render_sized: RenderSized
    stuff: tuple[str, ...] = ()
    """Classes that fill ground: one instance a scene, which no measure of things counts."""
    last_look: Split = "test"
    """The split that nobody has looked at, kept for methods whose settings are frozen."""


WORLDS: dict[str, World] = {
    world.name: world
    for world in (
        World(
            name="toybox",
            classes=toybox.CLASSES,
            render=toybox.render,
            render_sized=toybox.render_sized,
            last_look="reserve",
        ),
        World(
            name="yard",
            classes=yard.CLASSES,
            render=yard.render,
            render_sized=yard.render_sized,
            stuff=("grass",),
        ),
    )
}


def world_named(name: str) -> World:
    """The world of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in WORLDS:
        raise ConfigError(f"no world is called {name!r}; expected {' or '.join(WORLDS)}")
    return WORLDS[name]


def never_seen(model: str, vocabulary: Vocabulary) -> str | None:
    """What to say of classes that a shipped model was never shown; None where it knows all of them, or where
    nobody can know, as of any other model."""
    world = WORLDS.get(model)
    if world is None:
        return None
    known = {name.casefold() for name in world.classes}
    strange = [
        repr(entry.name)
        for entry in vocabulary.entries
        if not known & {phrase.casefold() for phrase in (entry.name, *entry.phrases)}
    ]
    if not strange:
        return None
    return (
        f"the model {model} does not know {', '.join(strange)}: it draws something, and its masks of that "
        f"mean nothing; it knows {', '.join(world.classes)}"
    )
