"""The prompt's maps of every layer, weighed by how far the layer agrees with the image's own structure.

    heads:  what each head contributes to a layer's output at a position, held against the whole output
    layers: how far the layer's self-attention agrees with the likeness of one layer's features
    maps:   the weighed mean, each position parted among all tokens of the text

Source: GoCA (2026), steps 1 and 2; `masks/goca.py` has the others. Departures stand at the fields of
`attention.AgreementRequest`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from einops import rearrange, reduce
from jaxtyping import Float, Float32
from torch import Tensor

from segmint.artifacts import Affinity, Grid, TokenMaps
from segmint.attention import AgreementRequest
from segmint.backbone.family import AttentionLayer, Heard, Joint, JointLayer
from segmint.backbone.taps import ROWS_AT_ONCE, TextBatch, linear_shares, merged, shares_of_text

Pair = tuple[AttentionLayer, AttentionLayer]
"""The layer that meets the text, and the one whose positions meet one another; of joint layers the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Layers to weigh, one whose features (`heard` of it) say what is alike, and those that refine."""

    pairs: tuple[Pair, ...]
    reference: AttentionLayer
    heard: Heard
    refining: tuple[AttentionLayer, ...]


def chosen(layers: Sequence[AttentionLayer]) -> Chosen:
    """What of a model's layers is read.

    Where published work names no layers of a family, features are those of a block in the middle of the
    decoder, in a UNet the queries of the last cross-attention at half of the finest grid; and the decoder's
    finest layers refine.
    """
    joint: list[AttentionLayer] = [each for each in layers if isinstance(each, JointLayer)]
    cross = joint or [each for each in layers if each.kind == "cross"]
    alone = joint or [each for each in layers if each.kind == "self"]
    finest = min(each.level for each in layers)
    decoder = [each for each in cross if each.part == "decoder"]
    coarser = [each for each in decoder if each.level > finest]
    known = [each for each in cross if "likeness" in each.known_for]
    usual = [each for each in alone if each.part == "decoder" and each.level == finest]
    return Chosen(
        pairs=tuple(zip(cross, alone, strict=True)),
        reference=(known or coarser[-1:] or [decoder[len(decoder) // 2]])[0],
        heard="outputs" if joint else "queries",
        refining=tuple(each for each in alone if "refining" in each.known_for) or tuple(usual),
    )


@dataclass(slots=True, kw_only=True)
class AgreementTap:
    """The newest call's maps and self-attention of all layers, condensed as they pass.

    `first`: the step from which on calls are read; the last one's stays.
    """

    request: AgreementRequest
    layers: Chosen
    texts: TextBatch
    latent: Grid
    items: int
    first: int = 0
    maps: dict[str, list[Float32[Tensor, "token cell"]]] = field(default_factory=dict)
    likes: dict[str, list[Float32[Tensor, "cell key"]]] = field(default_factory=dict)
    """Self-attention of each layer at the reference's grid, the mean over heads."""
    features: list[Float[Tensor, "cell channel"]] = field(default_factory=list)
    wide: list[Float32[Tensor, "cell key"]] = field(default_factory=list)
    """Sums of the refining layers' self-attention at the largest grid."""

    @property
    def grid(self) -> Grid:
        """The largest of the layers'."""
        return max(
            (own.grid(self.latent) for _, own in self.layers.pairs), key=lambda each: each[0] * each[1]
        )

    @property
    def coarse(self) -> Grid:
        """Where self-attention is held against the features."""
        grid = self.layers.reference.grid(self.latent)
        while max(grid) > self.request.most_cells and not (grid[0] % 2 or grid[1] % 2):
            grid = grid[0] // 2, grid[1] // 2
        return grid

    def begin(self) -> None:
        """Forget the call before."""
        self.maps, self.likes, self.features, self.wide = {}, {}, [], []

    def read_text(
        self,
        layer: AttentionLayer,
        queries: Float[Tensor, "item cell width"],
        outputs: Float[Tensor, "item cell width"],
    ) -> None:
        """One cross-attention layer's map of the text, its heads weighed."""
        keys = rearrange(
            layer.text_keys(self.texts.embeds), "item token (head d) -> item head d token", head=layer.heads
        )
        self.maps[layer.name] = []
        for item in range(self.items):
            asked = rearrange(queries[item], "cell (head d) -> head cell d", head=layer.heads)
            scores = (asked.float() * layer.scale) @ keys[item].float()
            scores.masked_fill_(~self.texts.real[item], -torch.inf)
            shares = scores.softmax(-1)
            if self.request.heads == "mean" or layer.projection is None:
                found = shares.mean(0)
            else:
                weights = head_weights(outputs[item], layer.projection, layer.heads)
                found = torch.einsum("cn,nct->ct", weights, shares)
            self.maps[layer.name].append(found.T)

    def read_joint(self, layer: AttentionLayer, joint: Joint, rows: Sequence[int]) -> None:
        """One joint layer's map of the text, and its self-attention, of a softmax over both."""
        self.maps[layer.name] = []
        found = []
        for own, row in zip(self.texts.real, rows, strict=True):
            tokens = min(int(own.sum()), joint.text_keys.shape[2])  # not those of a longer text beside it
            shares = shares_of_text(joint, row, tokens, layer.scale)
            if self.request.heads == "projected" and layer.projection is not None:
                weights = head_weights(joint.outputs[row], layer.projection, layer.heads)
                self.maps[layer.name].append(torch.einsum("cn,ntc->tc", weights, shares))
            else:
                self.maps[layer.name].append(shares.mean(0))
            text = joint.text_keys[row] if joint.real is None else joint.text_keys[row][:, joint.real[row]]
            found.append(
                likeness(joint.queries[row] * layer.scale, joint.keys[row], text.to(joint.keys.dtype))
            )
        self._keep(layer, found)

    def read_self(
        self,
        layer: AttentionLayer,
        queries: Float[Tensor, "item cell width"],
        keys: Float[Tensor, "item cell width"],
    ) -> None:
        """One self-attention layer's probabilities."""
        split = [
            rearrange(values, "item cell (head d) -> item head cell d", head=layer.heads)
            for values in (queries, keys)
        ]
        near = linear_likeness if layer.linear else likeness
        self._keep(layer, [near(q * layer.scale, k) for q, k in zip(*split, strict=True)])

    def _keep(self, layer: AttentionLayer, found: list[Float32[Tensor, "cell key"]]) -> None:
        own = layer.grid(self.latent)
        if layer in self.layers.refining:
            large = [carried(each, own, self.grid) for each in found]
            before = self.wide or [torch.zeros_like(each) for each in large]
            self.wide = [one + other for one, other in zip(before, large, strict=True)]
        full = self.layers.reference.grid(self.latent)
        self.likes[layer.name] = [pooled(carried(each, own, full), full, self.coarse) for each in found]

    def maps_found(self) -> list[TokenMaps]:
        """Each item's weighed maps, at the largest grid."""
        return [
            merged([(text, self.weighed(item).cpu().numpy())]) for item, text in enumerate(self.texts.texts)
        ]

    def alike(self) -> list[Affinity]:
        """Each item's mean self-attention of the refining layers, at the largest grid."""
        many = len(self.layers.refining)
        return [Affinity(grid=self.grid, values=(each / many).cpu().numpy()) for each in self.wide]

    def held_bytes(self) -> int:
        """Bytes held when the call that is read has ended."""
        kept = [*self.features, *self.wide]
        kept += [each for own in (*self.maps.values(), *self.likes.values()) for each in own]
        return sum(each.numel() * each.element_size() for each in kept)

    def layer_weights(self, item: int) -> Float32[Tensor, " layer"]:
        """How far each layer's self-attention agrees with the likeness of the reference's features."""
        features = self.features[item].float()
        if self.request.reference == "published":
            features = features[:, :1]
        alike = (features @ features.T / features.shape[1] ** 0.5).softmax(1)
        alike = pooled(alike, self.layers.reference.grid(self.latent), self.coarse)
        return torch.stack([(alike * self.likes[own.name][item]).sum() for _, own in self.layers.pairs])

    def weighed(self, item: int) -> Float32[Tensor, "token grid_h grid_w"]:
        """One item's maps of all rows of its text, summing to 1 at each position."""
        weights = self.layer_weights(item).clamp(min=0)
        weights = weights / weights.sum()
        total: Any = 0
        for weight, (text, _) in zip(weights, self.layers.pairs, strict=True):
            height, width = text.grid(self.latent)
            maps = self.maps[text.name][item].reshape(-1, height, width)
            total = total + weight * _enlarged(maps, self.grid)
        total = total.clamp(min=0)
        found: Tensor = total / total.sum(0)
        return found


def head_weights(
    outputs: Float[Tensor, "cell width"], projection: Float[Tensor, "out width"], heads: int
) -> Float32[Tensor, "cell head"]:
    """How far each head's contribution to a layer's output goes along with the whole; sums to 1."""
    split = rearrange(outputs.float(), "cell (head d) -> head cell d", head=heads)
    weights = rearrange(projection.float(), "out (head d) -> head d out", head=heads)
    parts = split @ weights
    found = torch.einsum("nco,co->cn", parts, parts.sum(0))
    return found / found.sum(1, keepdim=True)


def likeness(
    queries: Float[Tensor, "head cell d"],
    keys: Float[Tensor, "head key d"],
    text: Float[Tensor, "head token d"] | None = None,
) -> Float32[Tensor, "cell key"]:
    """Attention of positions to one another, the mean over heads; with a text, of a softmax over both."""
    found = queries.new_zeros(queries.shape[1], keys.shape[1], dtype=torch.float32)
    for head in range(len(queries)):
        asked, every = queries[head].float(), keys[head].float()
        for start in range(0, len(asked), ROWS_AT_ONCE):
            part = asked[start : start + ROWS_AT_ONCE]
            scores = part @ every.T
            total = scores.logsumexp(1)
            if text is not None:
                total = torch.logaddexp(total, (part @ text[head].float().T).logsumexp(1))
            found[start : start + ROWS_AT_ONCE] += (scores - total[:, None]).exp() / len(queries)
    return found


def linear_likeness(
    queries: Float[Tensor, "head cell d"], keys: Float[Tensor, "head key d"]
) -> Float32[Tensor, "cell key"]:
    """As `likeness`, of a layer without softmax."""
    pairs = zip(queries.float(), keys.float().mT, strict=True)
    return torch.stack([linear_shares(*pair) for pair in pairs]).mean(0)


def carried(values: Float32[Tensor, "cell key"], own: Grid, grid: Grid) -> Float32[Tensor, "to_cell to_key"]:
    """Self-attention at another grid: keys bilinear, queries nearest, rows not made to sum to 1 again.

    So coarse layers weigh more, as in the published code.
    """
    if own == grid:
        return values
    by_key = _enlarged(values.reshape(-1, *own), grid).flatten(1)
    by_query = F.interpolate(by_key.T.reshape(1, -1, *own), grid, mode="nearest")[0]
    return by_query.flatten(1).T


def pooled(
    values: Float32[Tensor, "cell key"], grid: Grid, coarse: Grid
) -> Float32[Tensor, "to_cell to_key"]:
    """Self-attention at a grid that divides its own: the mean of queries, the sum of keys."""
    if grid == coarse:
        return values
    step = {"r": grid[0] // coarse[0], "c": grid[1] // coarse[1]}
    fewer = reduce(values, "(row r col c) key -> (row col) key", "mean", row=coarse[0], col=coarse[1], **step)
    return reduce(fewer, "cell (row r col c) -> cell (row col)", "sum", row=coarse[0], col=coarse[1], **step)


def _enlarged(maps: Float32[Tensor, "map h w"], grid: Grid) -> Float32[Tensor, "map grid_h grid_w"]:
    if tuple(maps.shape[1:]) == grid:
        return maps
    return F.interpolate(maps[None], grid, mode="bilinear", align_corners=False)[0]
