"""Denoising evidence: the model is asked again, for each class and for nothing, to predict an image's noise.

Where a class's text makes the prediction better, the class is there. No attention is read, so that the answer
is in one unit for all classes and the same for every family of models. Texts go through the network a few at
a time and are summed up as they come: memory does not grow with the number of classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from segmint.artifacts import DenoisingEvidence, Grid, PromptSpec, TokenMaps
from segmint.attention import DenoisingRequest
from segmint.backbone.encoding import TextEncoder
from segmint.backbone.family import Embedding, Family
from segmint.backbone.guidance import on_grid
from segmint.backbone.latents import draw_noise

NOISE_OF_ITS_OWN = 0x5DEECE66D
"""Added to an item's seed: the noise that an image was drawn from is no fresh noise to it."""
SEEDS = 2**63
LOUDEST = 0.05
"""Share of the positions that tell how loud a class's map is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoiser:
    """Asks a pipeline of any family for its predictions."""

    family: Family
    pipe: Any
    encoder: TextEncoder
    request: DenoisingRequest

    def evidence(
        self,
        clean: Float[Tensor, "item channel row col"],
        specs: Sequence[PromptSpec],
        maps: Sequence[Mapping[str, TokenMaps]],
        grid: Grid,
    ) -> list[DenoisingEvidence]:
        """What the classes of each item help to see in its image, item by item.

        Args:
            clean: the images as latents (`Family.clean`).
            specs: their items; noise comes from each item's seed.
            maps: their token maps, which tell which of too many classes to ask for.
            grid: of the result.

        Source: Li et al. 2023, arXiv 2303.16203 (Diffusion Classifier), position by position.
        """
        return [
            self._of_item(clean[item : item + 1], spec, likeliest(spec, maps[item], self.request.most), grid)
            for item, spec in enumerate(specs)
        ]

    def texts(self, spec: PromptSpec, asked: Sequence[int]) -> list[Embedding]:
        """What an item's image is held against: no text, and those of its classes at these places."""
        told = [phrased(spec.phrases[place][0], self.request.phrasing) for place in asked]
        return [self.encoder.encode(None, negative=True), *map(self.encoder.encode, told)]

    def _of_item(
        self, clean: Float[Tensor, "1 channel row col"], spec: PromptSpec, asked: Sequence[int], grid: Grid
    ) -> DenoisingEvidence:
        request, texts = self.request, self.texts(spec, asked)
        generator = torch.Generator("cpu").manual_seed((spec.seed + NOISE_OF_ITS_OWN) % SEEDS)
        gains: list[Tensor] = []
        changes: list[Tensor] = []
        for level in request.levels:
            for _ in range(request.draws):
                noise = draw_noise([generator], tuple(clean.shape[1:])).to(clean)
                noisy, target = self.family.noised(self.pipe, clean, noise, level)
                found = self._predictions(noisy, level, texts)
                gain, change = _compared(next(found), found, target.float())
                gains.append(gain)
                changes.append(change)
        return DenoisingEvidence(
            classes=tuple(spec.classes[place] for place in asked),
            gains=on_grid(torch.stack(gains).mean(0), grid),
            change=on_grid(torch.stack(changes).mean(0)[None], grid)[0],
        )

    def _predictions(
        self, noisy: Tensor, level: int, texts: Sequence[Embedding]
    ) -> Iterator[Float32[Tensor, "channel row col"]]:
        for at in range(0, len(texts), self.request.at_once):
            part = texts[at : at + self.request.at_once]
            yield from self.family.predict(self.pipe, noisy.repeat(len(part), 1, 1, 1), level, part).float()


def phrased(phrase: str, phrasing: str) -> str:
    """The text of a class: "a photo of an apple"."""
    article = "an" if phrase[:1].lower() in {*"aeiou"} else "a"
    return phrasing.replace("{}", f"{article} {phrase}")


def likeliest(spec: PromptSpec, maps: Mapping[str, TokenMaps], most: int) -> list[int]:
    """Places of an item's classes that are asked for: all, or of too many those with the loudest maps.

    Args:
        spec: the item.
        maps: its token maps; none leaves the order of the classes.
        most: how many.
    """
    places = list(range(len(spec.classes)))
    if len(places) <= most:
        return places
    loud = np.zeros(len(places))
    for each in maps.values():
        rows = dict(zip(each.phrases, each.phrase_tokens, strict=True))
        for place, phrases in enumerate(spec.phrases):
            own = [row for phrase in phrases for row in rows.get(phrase, ())]
            if own:
                values = np.sort(each.values[own].max(axis=0), axis=None)
                loud[place] += values[-max(1, round(LOUDEST * values.size)) :].mean()
    return sorted(np.argsort(-loud, kind="stable")[:most].tolist())


def _compared(
    nothing: Float32[Tensor, "channel row col"],
    told: Iterator[Float32[Tensor, "channel row col"]],
    target: Float32[Tensor, "1 channel row col"],
) -> tuple[Float32[Tensor, "class row col"], Float32[Tensor, "row col"]]:
    """Gains of one noise, and the change that classes make, each as a share of its mean."""
    error = (nothing - target[0]).square().mean(0)
    gains, change = [], torch.zeros_like(error)
    for prediction in told:
        gains.append((error - (prediction - target[0]).square().mean(0)) / error.mean().clamp_min(1e-12))
        change += (prediction - nothing).square().mean(0).sqrt()
    return torch.stack(gains), change / change.mean().clamp_min(1e-12)
