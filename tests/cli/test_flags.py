"""Options that are made from the fields of settings."""

from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from segmint.cli.flags import Changes, Flags, with_options
from segmint.errors import ConfigError
from segmint.settings import Flag, Settings


class Drawing(Settings):
    panel = "Drawing"

    steps: Annotated[int | None, Field(ge=1, le=1000), Flag("--steps")] = None
    """Denoising steps; `auto` is none. More are slower."""
    kind: Annotated[Literal["jpg", "png"], Flag("--kind", short="-k")] = "jpg"
    """What is written."""
    smooth: Annotated[bool, Flag("--smooth/--no-smooth", panel="Masks")] = True
    """Whether it is smoothed."""
    keep: Annotated[bool, Flag("--keep")] = False
    """Keep it all."""
    words: Annotated[tuple[str, ...], Flag("--word", metavar="WORD")] = ()
    """Words to draw."""
    levels: Annotated[tuple[float, ...], Flag("--levels", metavar="T,…")] = (1.0,)
    """Levels to look at."""
    silent: int = 3
    """Has no option."""


class Whole(Settings):
    drawing: Drawing = Field(default_factory=Drawing)
    seed: Annotated[int, Field(ge=0), Flag("--seed")] = 5
    """Decides everything."""


class Where(Settings):
    device: Annotated[str, Flag("--device")] = "auto"
    """Where to draw."""
    workers: Annotated[int, Field(ge=1), Flag("--workers")] = 1
    """How many draw."""


def called(flags: Flags, *words: str) -> tuple[Any, str]:
    """What a command got, or what it refused, and its help."""
    app, got = typer.Typer(), []

    @app.command()
    @with_options
    def draw(what: str, *, changes: Annotated[Changes, flags], where: Where) -> None:
        got.append((what, changes, where))

    result = CliRunner().invoke(app, ["it", *words])
    told = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return got[0], told


def test_only_what_was_given_is_a_change() -> None:
    got, _ = called(Flags(Whole))
    assert got == ("it", {}, Where())
    words = ["--steps", "7", "-k", "png", "--no-smooth", "--keep", "--word", "a, b", "--word", "c"]
    (_, changes, where), _ = called(Flags(Whole), *words, "--levels", "1,0.5", "--workers", "3")
    assert changes == {
        "drawing.steps": 7,
        "drawing.kind": "png",
        "drawing.smooth": False,
        "drawing.keep": True,
        "drawing.words": ["a, b", "c"],
        "drawing.levels": [1.0, 0.5],
    }
    assert Whole().merged(changes).drawing.words == ("a, b", "c")
    assert where == Where(workers=3)


def test_help_is_the_fields_text_bounds_choices_and_default() -> None:
    _, told = called(Flags(Whole))
    lines = {line.split()[1]: " ".join(line.split()) for line in told.splitlines() if "--" in line}
    assert "Denoising steps; auto is none; from 1 to 1000." in lines["--steps"]
    assert "slower" not in told
    assert "jpg|png" in lines["--kind"]
    assert "[default: (jpg)]" in lines["--kind"]
    assert "[default: (on)]" in lines["--smooth"]
    assert "repeatable" in lines["--word"]
    assert "Decides everything; at least 0. [default: (5)]" in lines["--seed"]
    assert "Has no option" not in told
    assert told.index("─ Drawing") < told.index("--steps") < told.index("─ Masks") < told.index("--smooth")


def test_a_field_with_a_flag_is_an_option_and_nothing_else_is_touched() -> None:
    class More(Drawing):
        extra: Annotated[int, Field(ge=2, le=9), Flag("--extra")] = 4
        """One more number."""

    class Larger(Whole):
        drawing: More = Field(default_factory=More)

    (_, changes, _), told = called(Flags(Larger, "drawing"), "--extra", "3")
    assert changes == {"drawing.extra": 3}
    assert "One more number; from 2 to 9." in told


def test_a_command_may_take_some_of_the_fields() -> None:
    flags = Flags(Whole, "drawing", without=("drawing.keep",), notes=False, rest="Any field.")
    (_, changes, _), told = called(flags, "--steps", "7", "--set", "drawing.steps=8", "--set", "seed=x")
    assert changes == {"drawing.steps": 8, "seed": "x"}
    assert "--seed" not in told
    assert "--keep" not in told
    assert "[default: (jpg)]" not in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "0"], r"options: workers: expected a whole number of at least 1, found 0"),
        (["--levels", "1,z"], r"--levels '1,z'; expected numbers"),
        (["--set", "x"], r"--set 'x': expected FIELD=VALUE"),
    ],
)
def test_what_cannot_be_used_is_refused_by_the_settings(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        called(Flags(Whole, rest="Any field."), *words)
