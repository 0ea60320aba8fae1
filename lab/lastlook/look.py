"""What is looked at, the commands that do it, and how they are carried out one after the other."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab import experiment
from lab.experiment import RENDERED, Outcome, RunCommand, Where
from segmint.atomic import put_text
from segmint.benchmark.rows import Report, Row
from segmint.errors import ConfigError
from segmint.toybox.worlds import WORLDS, world_named

OURS = "segmint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is looked at, and how much of it."""

    worlds: tuple[str, ...] = tuple(WORLDS)
    split: str | None = None
    """Whose scenes; None is each world's own last split. Others are for rehearsals."""
    seeds: tuple[int, ...] = (0, 1, 2)
    count: int = 100
    """Renders of each seed."""
    generated: int = 70
    """Drawn images of each seed."""
    methods: str = "all"
    cases: tuple[str, ...] = ()
    """Hard cases of the benchmark."""
    arms: tuple[str, ...] = (RENDERED, OURS)
    """Of the segmenter experiment; none leaves it out."""
    trainings: tuple[int, ...] = (2024, 2025)
    """Seeds of the segmenter's training."""
    size: experiment.Size = experiment.FULL
    models: tuple[tuple[str, str], ...] = ()
    """Other models than the worlds' own, by world."""

    def split_of(self, world: str) -> str:
        """Whose scenes of a world are looked at."""
        return self.split or world_named(world).last_look

    def model_of(self, world: str) -> str:
        """What draws and is looked into."""
        return dict(self.models).get(world, world)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One command of the benchmark."""

    world: str
    case: str
    """Empty for plain scenes."""
    words: tuple[str, ...]
    folder: Path

    @property
    def result(self) -> Path:
        """There once the command has finished."""
        return self.folder / "benchmark.json"

    def rows(self) -> tuple[Row, ...]:
        """What it found."""
        return Report.model_validate_json(self.result.read_text("utf-8")).rows


def parts(out: Path, look: Look) -> Iterator[Part]:
    """The benchmark's commands, as words after `segmint`."""
    for world in look.worlds:
        for case in ("", *look.cases):
            for seed in look.seeds:
                folder = out / world / (case or "plain") / str(seed)
                words = ["benchmark", "toybox", "--world", world, "--split", look.split_of(world)]
                words += ["--case", case] if case else []
                words += ["--seeds", str(seed), "--count", str(look.count), "--modes", "label, generate"]
                words += ["--generated", str(look.generated), "--methods", look.methods]
                words += ["--model", look.model_of(world), "--out", str(folder), "--device", "cpu", "-q"]
                yield Part(world=world, case=case, words=tuple(words), folder=folder)


def take(
    out: Path, look: Look, frozen: Mapping[str, Any], run: RunCommand
) -> dict[str, list[tuple[Outcome, ...]]]:
    """Carry out what is left.

    Args:
        out: Folder of the look.
        look: What is looked at.
        frozen: Settings of all methods, and their commit; kept in `facts.json`.
        run: Carries out a command.

    Returns:
        By world, the segmenters of each training; the benchmark's rows are those of `parts`.

    Raises:
        ConfigError: `out` holds another look.
    """
    _claim(out, {"look": asdict(look), "frozen": frozen})
    for part in parts(out, look):
        if not part.result.is_file():
            run(part.words)
    return {world: list(_segmenters(out, look, world, run)) for world in look.worlds}


def _segmenters(out: Path, look: Look, world: str, run: RunCommand) -> Iterator[tuple[Outcome, ...]]:
    if not look.arms:
        return
    where = Where(
        world=world, split=look.split_of(world), model=look.model_of(world), runs=out / world / "runs"
    )
    for seed in look.trainings:
        folder = out / world / "segmenter" / str(seed)
        yield experiment.run_experiment(folder, look.size, look.arms, run, seed=seed, where=where)


def _claim(out: Path, facts: Mapping[str, Any]) -> None:
    path = out / "facts.json"
    text = json.dumps(facts, indent=1, sort_keys=True, default=str) + "\n"
    if path.is_file() and path.read_text("utf-8") != text:
        raise ConfigError(f"{out} holds another look; choose another --out")
    put_text(path, text)
