"""The base of every settings class: read, laid over, digested, and refused in words of our own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from segmint.errors import ConfigError
from segmint.settings import Settings, in_words, meaning, values_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    name: str
    number: Annotated[int, Field(ge=1, le=9)]


class Drawing(Settings):
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    edge: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1
    counts: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (4, 7)
    kind: Literal["jpg", "png"] = "jpg"
    smooth: bool = False
    caption: str = "a photo"

    @field_validator("caption")
    @classmethod
    def _check(cls, text: str) -> str:
        if "{" in text:
            raise ValueError("no braces can stand in a caption")
        return text


class Whole(Settings):
    sampling: Drawing = Field(default_factory=Drawing)
    things: tuple[Thing, ...] = ()
    """What is shown."""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"samplng": {}}, "unknown setting 'samplng', did you mean sampling?"),
        ({"sampling": {"step": 3}}, "unknown setting 'sampling.step', did you mean sampling.steps?"),
        ({"steps": 3}, "unknown setting 'steps', did you mean sampling.steps?"),
        ({"nowhere": {"x": 1}}, "unknown setting 'nowhere.x'; known there are sampling, things"),
        ({"sampling": 3}, "sampling: expected a table of steps, edge, "),
        ({"sampling": {"steps": 0}}, "sampling.steps: expected a whole number from 1 to 1000, found 0"),
        ({"sampling": {"steps": "x"}}, "sampling.steps: expected a whole number from 1 to 1000, found 'x'"),
        ({"sampling": {"edge": 0}}, "sampling.edge: expected a number above 0 and up to 10, found 0"),
        ({"sampling": {"counts": []}}, "sampling.counts: expected a list of at least 1, each: a "),
        (
            {"sampling": {"counts": [4, 0]}},
            "sampling.counts.1: expected a whole number of at least 1, found 0",
        ),
        ({"sampling": {"kind": "gif"}}, "sampling.kind: expected jpg or png, found 'gif'"),
        ({"sampling": {"smooth": 3}}, "sampling.smooth: expected true or false, found 3"),
        ({"sampling": {"caption": "{"}}, "sampling.caption: no braces can stand in a caption, found '{'"),
        ({"things": [{"name": "a"}]}, "things.0.number is missing; expected a whole number from 1 to 9"),
        (
            {"things": [{"name": "a", "number": 0}]},
            "things.0.number: expected a whole number from 1 to 9, found 0",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_of_our_own(data: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Whole.parse(data, source="a.toml")
    message = str(refused.value)
    assert message.startswith(f"a.toml: {said}")
    assert "\n" not in message
    assert "nput should" not in message


def test_several_mistakes_are_told_together() -> None:
    with pytest.raises(ConfigError, match=r"steps: expected .*; sampling\.kind: expected"):
        Whole().merged({"sampling.steps": 0, "sampling.kind": "gif"})


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigError) as refused:
        Whole.parse({"sampling": {"kind": "x" * 1000}})
    assert len(str(refused.value)) < 200


def test_settings_are_laid_over_digested_and_written(tmp_path: Path) -> None:
    changed = Whole().merged({"sampling.steps": 7, "things": [{"name": "a", "number": 2}]})
    assert changed == Whole(sampling=Drawing(steps=7), things=(Thing(name="a", number=2),))
    assert changed.digest() != Whole().digest()
    assert changed.digest("data") != changed.digest()
    path = tmp_path / "settings.toml"
    path.write_text(changed.to_toml(), encoding="utf-8")
    assert Whole.load(path) == changed
    assert "steps" not in Whole().to_toml()


def test_settings_are_frozen_and_their_fields_say_what_they_mean() -> None:
    with pytest.raises(ValidationError) as refused:
        Whole().things = ()  # type: ignore[misc]
    assert "things" in in_words(refused.value, Whole)
    assert meaning(Whole, "things") == "What is shown."


def test_a_table_is_spelled_out_where_that_is_asked() -> None:
    kind = Whole.model_fields["things"].annotation
    assert values_of(kind) == "a list, each: a table of name, number"
    told = values_of(kind, mark="`{}`".format, spelled_out=True)
    assert told == "a list, each: a table of `name` (text), `number` (a whole number from 1 to 9)"
