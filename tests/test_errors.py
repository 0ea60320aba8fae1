"""The tree of errors: complete, drawn as it is, and told in one line by the command."""

import inspect
import re

import pytest

from segmint import errors
from segmint.errors import SegmintError


def tree(kind: type[SegmintError], depth: int = 0) -> list[tuple[int, str]]:
    below = [kind for kind in kind.__subclasses__() if kind.__module__ == errors.__name__]
    return [(depth, kind.__name__), *(line for each in below for line in tree(each, depth + 1))]


def drawn(docstring: str) -> list[tuple[int, str]]:
    """(depth, name) of each line of the drawing."""
    lines = re.findall(r"^    ([│├└─ ]*)([A-Z]\w+)", docstring, re.M)
    return [(len(branch) // 4, name) for branch, name in lines]


def test_the_drawing_shows_the_tree_as_it_is() -> None:
    assert drawn(errors.__doc__ or "") == tree(SegmintError)


def test_every_error_says_what_it_stands_for() -> None:
    own = inspect.getmembers(errors, inspect.isclass)
    assert len(own) == len(tree(SegmintError))
    for name, kind in own:
        assert issubclass(kind, SegmintError)
        assert kind.__doc__, name


def test_every_error_is_caught_as_the_root_and_keeps_its_message() -> None:
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        with pytest.raises(SegmintError, match="what was found"):
            raise kind("what was found")
