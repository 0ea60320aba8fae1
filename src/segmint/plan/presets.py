"""Vocabularies that ship with segmint: `voc`, `coco`, `toybox` and `yard`."""

import tomllib
from functools import cache
from importlib.resources import files

from segmint import plan
from segmint.errors import VocabularyError
from segmint.vocabulary import Vocabulary

_NAMES = ("coco", "toybox", "voc", "yard")


def names() -> tuple[str, ...]:
    """Names of the presets, sorted."""
    return _NAMES


@cache
def vocabulary(name: str) -> Vocabulary:
    """A preset by its name.

    Args:
        name: one of `names()`.

    Raises:
        VocabularyError: there is no such preset.
    """
    if name not in _NAMES:
        raise VocabularyError(f"no preset is called {name!r}; presets are {', '.join(_NAMES)}")
    text = (files(plan) / "data" / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    said = tomllib.loads(text)
    classes: dict[str, list[str]] = said["classes"]
    colours = {each: (red, green, blue) for each, (red, green, blue) in said.get("colours", {}).items()}
    phrases = {each: own for each, own in classes.items() if own}
    return Vocabulary.of(classes, phrases=phrases, colours=colours, name=name)
