"""Prompts to embeddings, item by item, so that an item's embedding never depends on its batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from segmint.backbone.taps import TextBatch
from segmint.backbone.text import Text

_REMEMBERED = 64
"""Texts whose embeddings are kept, the newest used: class texts and negative prompts come back in every
batch.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A text as the UNet sees it; `pooled` is SDXL's second view of it."""

    tokens: Tensor
    pooled: Tensor | None


@dataclass(slots=True, kw_only=True)
class TextEncoder:
    """Encodes texts with a pipeline's own encoder or encoders, and remembers those used last."""

    pipe: Any
    memory: dict[tuple[str | None, bool], Embedding] = field(default_factory=dict)

    def prompt_arguments(self, prompts: Sequence[str], negatives: Sequence[str] | None) -> dict[str, Tensor]:
        """Keyword arguments of the pipeline that stand for these prompts.

        Args:
            prompts: one an item.
            negatives: texts of the unconditional half, one an item; None without guidance.
        """
        positive = [self.encode(prompt) for prompt in prompts]
        arguments = {"prompt_embeds": _stack([each.tokens for each in positive])}
        if positive[0].pooled is not None:
            arguments["pooled_prompt_embeds"] = _stack([each.pooled for each in positive])
        if negatives is not None:
            negative = [self.encode(text or None, negative=True) for text in negatives]
            arguments["negative_prompt_embeds"] = _stack([each.tokens for each in negative])
            if negative[0].pooled is not None:
                arguments["negative_pooled_prompt_embeds"] = _stack([each.pooled for each in negative])
        return arguments

    def batch(self, texts: Sequence[tuple[Text, ...]]) -> TextBatch:
        """Encoded texts of a batch, several an item where an item has several."""
        flat = [(text, item) for item, own in enumerate(texts) for text in own]
        embeds = [self.encode(text.text).tokens for text, _ in flat]
        lengths = [
            rows.shape[1] if text.padded else len(text.tokens)
            for (text, _), rows in zip(flat, embeds, strict=True)
        ]
        longest = max(lengths)
        places = torch.arange(longest, device=embeds[0].device)
        return TextBatch(
            texts=tuple(text for text, _ in flat),
            owner=tuple(item for _, item in flat),
            embeds=torch.cat([rows[:, :longest] for rows in embeds]),
            real=places[None] < torch.tensor(lengths, device=places.device)[:, None],
        )

    def encode(self, text: str | None, *, negative: bool = False) -> Embedding:
        """One text's embedding; a negative None is what the pipeline makes of no negative prompt."""
        key = (text, negative)
        found = self.memory.pop(key, None) or self._encode(text, negative=negative)
        self.memory[key] = found
        if len(self.memory) > _REMEMBERED:
            del self.memory[next(iter(self.memory))]
        return found

    def _encode(self, text: str | None, *, negative: bool) -> Embedding:
        """SD pipelines answer (positive, negative), SDXL's the same and both pooled."""
        answer = self.pipe.encode_prompt(
            prompt="" if negative else text,
            negative_prompt=text if negative else None,
            device=self.pipe._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=negative,
        )
        place = 1 if negative else 0
        return Embedding(tokens=answer[place], pooled=answer[2 + place] if len(answer) > 2 else None)


def _stack(rows: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([each for each in rows if each is not None])
