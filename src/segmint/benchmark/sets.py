"""The sets of a benchmark on a world: for each seed, case and mode its pictures, looked at or drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from segmint.backbone.base import Backbone
from segmint.benchmark import samples
from segmint.benchmark.cases import CASES, case_samples
from segmint.benchmark.rows import Mode
from segmint.benchmark.run import Looked, draw, look, union_capture
from segmint.recipe import Recipe
from segmint.toybox.worlds import Split, World

USUAL = "exact"
"""The case that is meant where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSet:
    """The pictures of one seed, case and mode, made as they are taken."""

    case: str | None
    mode: Mode
    seed: int
    count: int
    pictures: Iterator[Looked]

    @property
    def title(self) -> str:
        """What it is, for a progress bar."""
        return ", ".join([*([self.case] if self.case else []), self.mode, f"seed {self.seed}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where pictures come from, and what looks at them for which methods."""

    world: World
    split: Split
    backbone: Backbone
    recipe: Recipe
    methods: Sequence[str]

    def looked_at(self, case: str | None, *, seed: int, count: int) -> PictureSet:
        """Renders."""
        name = case or USUAL
        found = case_samples(name, self.world, self.split, seed=seed, count=count)
        capture = union_capture(self.methods, self.recipe, doubted=CASES[name].doubted)
        noise = samples.first_seed(seed, count)
        pictures = look(found, self.backbone, self.recipe, capture, seed=noise)
        return PictureSet(case=case, mode="label", seed=seed, count=count, pictures=pictures)

    def drawn(self, case: str | None, *, seed: int, count: int) -> PictureSet | None:
        """Generated pictures; None for a case that no prompt can ask for."""
        rules = CASES[case or USUAL].drawn
        if rules is None:
            return None
        specs = samples.planned_specs(
            self.world, self.split, seed=seed, count=count, class_counts=rules.class_counts
        )
        recipe = self.recipe
        if rules.across != 1:
            recipe = recipe.merged({"sampling.width_px": round(self.backbone.info.width_px * rules.across)})
        capture = union_capture(self.methods, self.recipe)
        pictures = draw(specs, self.backbone, recipe, capture, judge=partial(samples.judge, self.world))
        return PictureSet(case=case, mode="generate", seed=seed, count=count, pictures=pictures)

    def sets(
        self,
        cases: Sequence[str],
        modes: Sequence[str],
        seeds: Sequence[int],
        *,
        count: int,
        generated: int | None = None,
    ) -> Iterator[PictureSet]:
        """All sets, one after another; without cases the usual scenes.

        Raises:
            ConfigError: a seed or the count is out of range.
            DatasetError: a seed's scenes hold too few of a case.
        """
        for seed in seeds:
            for case in cases or (None,):
                if "label" in modes:
                    yield self.looked_at(case, seed=seed, count=count)
                if "generate" in modes:
                    found = self.drawn(case, seed=seed, count=generated or count)
                    if found:
                        yield found
