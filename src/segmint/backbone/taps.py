"""What is read at an attention layer while the model runs: token maps, head features, affinity.

Each tap belongs to one request, is fed by `capture.capturing`, and keeps sums only, so that its memory does
not grow with the number of steps (grouping by step apart).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from einops import rearrange
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from segmint.artifacts import Affinity, Grid, HeadFeatures, TokenMaps
from segmint.attention import AffinityRequest, FeatureRequest, Half, MapRequest, group_key
from segmint.backbone.family import AttentionLayer, Joint, JointLayer
from segmint.backbone.text import Text

GroupKey = tuple[Grid, str | None, int | None]
"""Grid, and layer and UNet call where maps are kept apart by them."""


def halves_of(half: Half, count: int) -> slice:
    """Which of `count` guidance halves (unconditional first) a request means; the only one where there is
    one.
    """
    if count == 1 or half == "both":
        return slice(0, count)
    return slice(0, 1) if half == "unconditional" else slice(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBatch:
    """Encoded texts of a batch: text i belongs to item `owner[i]`; texts are padded to the longest."""

    texts: tuple[Text, ...]
    owner: tuple[int, ...]
    embeds: Float[Tensor, "text token width"]
    real: Bool[Tensor, "text token"]
    """False at the padding that the softmax must not see."""


@dataclass(slots=True, kw_only=True)
class MapTap:
    """Running sums of softmax(QKᵀ/√d) over the tokens of a text, by grid (method.md step 5)."""

    request: MapRequest
    layers: tuple[AttentionLayer, ...]
    texts: TextBatch
    items: int
    keys: dict[str, Float32[Tensor, "text head token channel"]] = field(default_factory=dict)
    padding: Bool[Tensor, "text 1 token 1"] | None = None
    """Tokens that the softmax must not see; None where there are none."""
    owners: Int64[Tensor, " text"] | None = None
    """Items that the texts belong to; None where each item has one text."""
    concepts: Float32[Tensor, "text concept token"] = field(init=False)
    """In joint layers: weights by which a text's rows make up what is told apart."""
    meant: Bool[Tensor, "text concept"] = field(init=False)
    sums: dict[GroupKey, Tensor] = field(default_factory=dict)

    def prepare(self) -> None:
        """Project the texts to each layer's keys, once; the scale 1/√d goes into them.

        All that an accelerator would have to be waited for is settled here, not at each reading.
        """
        if not self.texts.real.all():
            self.padding = ~self.texts.real[:, None, :, None]
        if self.texts.owner != tuple(range(self.items)):
            self.owners = torch.tensor(self.texts.owner, device=self.texts.embeds.device)
        if isinstance(self.layers[0], JointLayer):  # its texts come along with the call
            self.concepts = _means(self.texts)
            self.meant = self.concepts.sum(2) > 0
            return
        for layer in self.layers:
            keys = layer.text_keys(self.texts.embeds)
            split = rearrange(keys, "text token (head d) -> text head token d", head=layer.heads)
            self.keys[layer.name] = split.float() * layer.scale

    def alone(self, layer: AttentionLayer) -> bool:
        """Whether a layer's heads are enlarged each by itself: those of the finest layers need not be."""
        finest = min(each.level for each in self.layers)
        return self.request.enlarge == "bicubic" and layer.level > finest

    def by_head(self, layer: AttentionLayer) -> bool:
        """Whether a layer's heads are kept apart."""
        return "head" in self.request.group_by or self.alone(layer)

    def shares_with(self, other: "MapTap") -> bool:
        """Whether both want the same attention of a layer, and differ only in what they add up."""
        same_text = self.texts is other.texts and self.request.half == other.request.half
        same_heads = all(self.by_head(each) == other.by_head(each) for each in (*self.layers, *other.layers))
        return same_text and same_heads

    def attend(
        self, layer: AttentionLayer, queries: Float[Tensor, "half item cell width"]
    ) -> Float32[Tensor, "text *head token cell"]:
        """One layer's attention to the texts in one UNet call, summed over halves, and over heads if not
        kept.
        """
        total: Tensor | None = None
        for half in queries[halves_of(self.request.half, len(queries))]:
            asked = half if self.owners is None else half[self.owners]
            heads = rearrange(asked.float(), "text cell (head d) -> text head d cell", head=layer.heads)
            scores = self.keys[layer.name] @ heads
            if self.padding is not None:
                scores.masked_fill_(self.padding, -torch.inf)
            shares = scores.softmax(dim=2)
            shares = shares if self.by_head(layer) else shares.sum(1)
            total = shares if total is None else total + shares
        assert total is not None
        return total

    def attend_jointly(
        self, layer: AttentionLayer, joint: Joint, rows: Sequence[Int64[Tensor, " text"]]
    ) -> Float32[Tensor, "text *head token cell"]:
        """A joint layer's attention from the image to the prompt's own tokens, of a softmax over all keys.

        Args:
            layer: which.
            joint: its call.
            rows: which of the batch each text's item is, once for each half that is wanted.
        """
        width = min(self.texts.embeds.shape[1], joint.text_keys.shape[2])
        total: Tensor | None = None
        for chosen in rows:
            shares = torch.stack([shares_of_text(joint, int(row), width, layer.scale) for row in chosen])
            shares = shares if self.by_head(layer) else shares.sum(1)
            total = shares if total is None else total + shares
        assert total is not None
        return total

    def agree(
        self,
        layer: AttentionLayer,
        image: Float[Tensor, "text cell width"],
        outputs: Float[Tensor, "text token width"],
    ) -> Float32[Tensor, "text *head concept cell"]:
        """How a joint layer's outputs of the image agree with those of texts that were sent along.

        Products of outputs, the mean over a concept's tokens, and a softmax over the concepts of a text at
        each position: what the layer has made of both is held against one another, and no attention map.

        Source: Helbling et al. 2025, eq. 9; there each concept is its first token.
        """
        heads = layer.heads if self.by_head(layer) else 1
        cells = rearrange(image.float(), "text cell (head d) -> text head d cell", head=heads)
        told = self.concepts @ outputs.float()
        words = rearrange(told, "text token (head d) -> text head token d", head=heads)
        scores = (words @ cells).masked_fill(~self.meant[:, None, :, None], -torch.inf)
        shares = scores.softmax(2)
        return shares if self.by_head(layer) else shares[:, 0]

    def add(
        self, layer: AttentionLayer, grid: Grid, shares: Float32[Tensor, "text *head token cell"], call: int
    ) -> None:
        """Add what `attend` found to the sum of its group; `shares` itself is left as it is."""
        groups = self.request.group_by
        by_layer = "layer" in groups or self.alone(layer)
        key = (grid, layer.name if by_layer else None, call if "step" in groups else None)
        if key not in self.sums:
            self.sums[key] = shares.clone()
        elif shares.ndim == 4 and self.sums[key].shape[1] != shares.shape[1]:
            fewer, more = sorted((self.sums[key], shares), key=lambda each: each.shape[1])
            self.sums[key] = more.clone()
            self.sums[key][:, : fewer.shape[1]] += fewer
        else:
            self.sums[key] += shares

    def maps(self, grid: Grid) -> list[dict[str, TokenMaps]]:
        """Each item's finished maps by key of `Generation.maps`, resized to a grid and summed over what is
        not kept apart.
        """
        found: list[dict[str, TokenMaps]] = [{} for _ in range(self.items)]
        for key, values in self._grouped(grid).items():
            rows = values.cpu().numpy()
            for item in range(self.items):
                own = [place for place, owner in enumerate(self.texts.owner) if owner == item]
                found[item][key] = merged([(self.texts.texts[place], rows[place]) for place in own])
        return found

    def _grouped(self, grid: Grid) -> dict[str, Tensor]:
        grouped: dict[str, Tensor] = {}
        groups = self.request.group_by
        for (own, layer, step), sums in self.sums.items():
            resized = self._enlarged(sums.reshape(*sums.shape[:-1], *own), grid)
            if sums.ndim == 4 and "head" not in groups:
                resized = resized.sum(1)
            for head, values in enumerate(resized.unbind(1) if "head" in groups else (resized,)):
                key = group_key(
                    self.request.name,
                    layer=layer if "layer" in groups else None,
                    step=step,
                    head=head if "head" in groups else None,
                )
                grouped[key] = grouped[key] + values if key in grouped else values
        return grouped

    def _enlarged(
        self, maps: Float32[Tensor, "text *head token low_h low_w"], grid: Grid
    ) -> Float32[Tensor, "text *head token high_h high_w"]:
        if maps.shape[-2:] == grid:
            return maps
        flat = rearrange(maps, "text ... row col -> text (...) row col")
        found = F.interpolate(flat, grid, mode=self.request.enlarge, align_corners=False)
        if self.request.enlarge == "bicubic":
            found = found.clamp(min=0)
        return found.reshape(*maps.shape[:-2], *grid)


ROWS_AT_ONCE = 1024
"""Image positions whose scores are held at once: 1024 × 4608 of float32 are 19 MB."""


def shares_of_text(joint: Joint, row: int, tokens: int, scale: float) -> Float32[Tensor, "head token cell"]:
    """How much of each image position's attention the first text tokens have, of all keys; by head.

    The whole matrix never exists: a row's sum is taken a chunk of positions and a head at a time.
    """
    queries, keys = joint.queries[row].float() * scale, joint.keys[row].float()
    text = joint.text_keys[row].float()
    found = queries.new_empty(len(queries), tokens, queries.shape[1])
    for head in range(len(queries)):
        for start in range(0, queries.shape[1], ROWS_AT_ONCE):
            asked = queries[head, start : start + ROWS_AT_ONCE]
            words = asked @ text[head].T
            if joint.real is not None:
                words = words.masked_fill(~joint.real[row].bool(), -torch.inf)
            total = torch.logaddexp(words.logsumexp(1), (asked @ keys[head].T).logsumexp(1))
            found[head, :, start : start + ROWS_AT_ONCE] = (words[:, :tokens] - total[:, None]).exp().T
    return found


def _means(texts: TextBatch) -> Float32[Tensor, "text concept token"]:
    """The mean over the rows of each piece of a text; of a text in one piece, each row by itself."""
    lengths = [
        [len(rows) for _, rows in text.pieces] or [1] * int(real.sum())
        for text, real in zip(texts.texts, texts.real, strict=True)
    ]
    count = max(map(len, lengths)) + 1  # the end token, which pieces have not
    found = texts.embeds.new_zeros(len(lengths), count, texts.embeds.shape[1], dtype=torch.float32)
    for place, own in enumerate(lengths):
        first = 0
        for concept, length in enumerate(own):
            found[place, concept, first : first + length] = 1 / length
            first += length
    return found


def merged(parts: Sequence[tuple[Text, np.ndarray]]) -> TokenMaps:
    """One item's maps from its texts: SoT and EoT averaged over texts, the tokens between them in order."""
    tokens: list[str] = [parts[0][0].tokens[0]]
    phrase_tokens: list[tuple[int, ...]] = []
    told = [_by_token(text, values) for text, values in parts]
    rows = [np.mean([values[0] for values in told], axis=0, dtype=np.float32)]
    for (text, _), values in zip(parts, told, strict=True):
        phrase_tokens += [tuple(len(tokens) - 1 + row for row in each) for each in text.phrase_rows]
        tokens += text.tokens[1:-1]
        rows += list(values[1:-1])
    rows.append(np.mean([values[-1] for values in told], axis=0, dtype=np.float32))
    return TokenMaps(
        tokens=(*tokens, parts[0][0].tokens[-1]),
        phrases=tuple(phrase for text, _ in parts for phrase in text.phrases),
        phrase_tokens=tuple(phrase_tokens),
        values=np.stack(rows),
    )


def _by_token(text: Text, values: np.ndarray) -> np.ndarray:
    """A text's maps by token: the maximum over rows where a token has several, zero where it has none."""
    if not text.rows:
        return values[: len(text.tokens)]
    return np.stack([values[list(rows)].max(0, initial=0) for rows in text.rows])


@dataclass(slots=True, kw_only=True)
class FeatureTap:
    """The newest per-head outputs of self-attention layers, by reference: a later call replaces an earlier
    one.
    """

    request: FeatureRequest
    layers: tuple[AttentionLayer, ...]
    items: int
    kept: dict[str, deque[tuple[Grid, Tensor]]] = field(default_factory=dict)
    waiting: dict[str, Tensor] = field(default_factory=dict)
    """The first of two halves, until the other's call has come."""

    def read(
        self,
        layer: AttentionLayer,
        grid: Grid,
        outputs: Float[Tensor, "half item cell width"],
        alone: Half | None = None,
    ) -> None:
        """Keep the output of one layer and call, instead of the oldest where enough are kept.

        `alone` names the half where halves come call by call; two that belong together are kept as one.
        """
        if layer.name not in self.kept:
            self.kept[layer.name] = deque(maxlen=self.request.calls)
        values = outputs[halves_of(self.request.half, len(outputs))]
        if alone and self.request.half == "both":
            if layer.name not in self.waiting:
                self.waiting[layer.name] = values
                return
            pair = (self.waiting.pop(layer.name), values)
            values = torch.cat(pair if alone == "conditional" else pair[::-1])
        self.kept[layer.name].append((grid, values))

    def heads(self) -> list[tuple[HeadFeatures, ...]]:
        """Each item's features, layers in the order of the model, as precise as the model computed them.

        Making them float32 is left to who condenses them: the device waits for this.
        """
        found: list[list[HeadFeatures]] = [[] for _ in range(self.items)]
        for layer in self.layers:
            for name, grid, values in self._merged(layer.name):
                read = values.float() if values.dtype == torch.bfloat16 else values  # numpy knows no bfloat16
                split = rearrange(
                    read.cpu().numpy(),
                    "half item cell (head d) -> item half head cell d",
                    head=layer.heads,
                )
                for item in range(self.items):
                    found[item].append(HeadFeatures(layer=name, grid=grid, values=split[item]))
        return [tuple(each) for each in found]

    def _merged(self, name: str) -> list[tuple[str, Grid, Tensor]]:
        calls = self.kept[name]
        grid = calls[0][0]
        if len(calls) == 1:
            return [(name, grid, calls[0][1])]
        if self.request.merge == "mean":
            return [(name, grid, torch.stack([values.float() for _, values in calls]).mean(0))]
        return [(f"{name}@{place - len(calls)}", grid, values) for place, (_, values) in enumerate(calls)]


@dataclass(slots=True, kw_only=True)
class AffinityTap:
    """Running sum of self-attention probabilities at one grid."""

    request: AffinityRequest
    layers: tuple[AttentionLayer, ...]
    items: int
    grid: Grid | None = None
    total: Float32[Tensor, "item cell key"] | None = None
    readings: int = 0

    def read(
        self,
        layer: AttentionLayer,
        grid: Grid,
        queries: Float[Tensor, "half item cell width"],
        keys: Float[Tensor, "half item cell width"],
    ) -> None:
        """Add one layer's probabilities of one UNet call, a head at a time to keep the memory small."""
        wanted = halves_of(self.request.half, len(queries))
        if self.total is None:
            cells = queries.shape[2]
            self.grid, self.total = grid, torch.zeros(self.items, cells, cells, device=queries.device)
        for half_q, half_k in zip(queries[wanted], keys[wanted], strict=True):
            split_q = rearrange(half_q.float(), "item cell (head d) -> item head cell d", head=layer.heads)
            split_k = rearrange(half_k.float(), "item cell (head d) -> item head d cell", head=layer.heads)
            for item, head in np.ndindex(self.items, layer.heads):
                asked, answering = split_q[item, head] * layer.scale, split_k[item, head]
                shares = linear_shares(asked, answering) if layer.linear else (asked @ answering).softmax(-1)
                self.total[item].add_(shares, alpha=1 / layer.heads)
            self.readings += 1

    def affinities(self) -> list[Affinity]:
        """Each item's mean over heads, layers and steps; rows sum to 1."""
        if self.total is None or self.grid is None:
            raise RuntimeError("no self-attention was read: run the UNet inside `capturing` first")
        values = (self.total / self.readings).cpu().numpy()
        return [Affinity(grid=self.grid, values=values[item]) for item in range(self.items)]


def linear_shares(
    queries: Float32[Tensor, "cell d"], keys: Float32[Tensor, "d key"]
) -> Float32[Tensor, "cell key"]:
    """Attention whose weights are products of what is positive, as Sana's layers compute it."""
    weights = queries.relu() @ keys.relu()
    return weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def held_bytes(maps: Sequence[MapTap], features: FeatureTap | None, affinity: AffinityTap | None) -> int:
    """Bytes that the taps hold on to between UNet calls: sums, keys and the newest features."""
    tensors: list[Any] = [each for tap in maps for kept in (tap.sums, tap.keys) for each in _values(kept)]
    if features:
        tensors += [values for calls in features.kept.values() for _, values in calls]
    if affinity and affinity.total is not None:
        tensors.append(affinity.total)
    return sum(each.numel() * each.element_size() for each in tensors)


def _values(mapping: Mapping[Any, Tensor]) -> list[Tensor]:
    return list(mapping.values())
