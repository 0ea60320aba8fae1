"""Prompts to embeddings, item by item, so that an item's embedding never depends on its batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom

from segmint.backbone.chatter import unwarned
from segmint.backbone.family import Embedding, Family
from segmint.backbone.taps import TextBatch
from segmint.backbone.text import Text

_REMEMBERED = 64
"""Texts whose embeddings are kept, the newest used: class texts and negative prompts come back in every
batch.
"""


@dataclass(slots=True, kw_only=True)
class TextEncoder:
    """Encodes texts as the family does it, and remembers those used last."""

    pipe: Any
    family: Family
    memory: dict[tuple[str | None, bool], Embedding] = field(default_factory=dict)

    def batch(self, texts: Sequence[tuple[Text, ...]]) -> TextBatch:
        """Encoded texts of a batch, several an item where an item has several."""
        flat = [(text, item) for item, own in enumerate(texts) for text in own]
        embeds = [
            torch.cat([self.encode(piece).tokens[:, list(rows)] for piece, rows in text.pieces], 1)
            if text.pieces
            else self.encode(text.text).tokens
            for text, _ in flat
        ]
        lengths = [
            rows.shape[1] if text.padded else text.length or len(text.tokens)
            for (text, _), rows in zip(flat, embeds, strict=True)
        ]
        longest = max(lengths)
        places = torch.arange(longest, device=embeds[0].device)
        return TextBatch(
            texts=tuple(text for text, _ in flat),
            owner=tuple(item for _, item in flat),
            embeds=torch.cat(
                [F.pad(rows[:, :longest], (0, 0, 0, max(0, longest - rows.shape[1]))) for rows in embeds]
            ),
            real=places[None] < torch.tensor(lengths, device=places.device)[:, None],
        )

    def encode(self, text: str | None, *, negative: bool = False) -> Embedding:
        """One text's embedding; a negative None is what the pipeline makes of no negative prompt."""
        key = (text, negative)
        found = self.memory.pop(key, None)
        if found is None:
            with unwarned():
                found = self.family.encode(self.pipe, text, negative=negative)
        self.memory[key] = found
        if len(self.memory) > _REMEMBERED:
            del self.memory[next(iter(self.memory))]
        return found
