"""Layers in which text and image share all weights: one sequence, of which each row is of one or the other.

Where a row stands is the family's to say, and may differ from item to item: texts have lengths of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from segmint.artifacts import Grid
from segmint.attention import Kind, Part
from segmint.backbone.family import Heard, Joint, KnownFor, Stream
from segmint.backbone.joint import Handles, flat, repeated, weight_of

Where = slice | Tensor
"""Rows of a sequence: the same for all items, or (item, row) where each has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where image and text stand in the sequence of a call.

    `real`: which of the text's rows are attended to; None: all.
    """

    image: Where
    text: Where
    real: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLayer:
    """Joint attention of a block with one set of weights (FLUX's single blocks, Z-Image, Lumina 2).

    `places`: from the network's arguments to where image and text stand. `rotate`: turns (batch, head, row,
    d) by a call's rotary embedding. `rotary`: the argument that brings it. `values`: the module that makes
    the values, and `values_from` where they begin in what it makes. `last`: the projection of the outputs,
    whose first columns are theirs; None: the module gives them unprojected. `condition`: from the block's
    arguments to what modulates it.
    """

    name: str
    network: Any
    block: Any
    attn: Any
    heads: int
    head_dim: int
    places: Callable[[Sequence[Any], Mapping[str, Any]], Places]
    rotate: Callable[[Tensor, Any], Tensor]
    values: Any
    last: Any | None
    part: Part
    patch: int
    rotary: str = "image_rotary_emb"
    values_from: int = 0
    condition: Callable[[Sequence[Any]], Any] | None = None
    begin: Callable[[Mapping[str, Any], Tensor, Tensor, Tensor | None], Stream] | None = None
    follow: Callable[[Any, Stream, Joint], Tensor] | None = None
    known_for: tuple[KnownFor, ...] = ()
    kind: Kind = "joint"
    linear: bool = False

    @property
    def level(self) -> int:
        """Halvings by the patches."""
        return self.patch.bit_length() - 1

    @property
    def width(self) -> int:
        """Of all heads."""
        return self.heads * self.head_dim

    @property
    def scale(self) -> float:
        """1/√d."""
        return float(self.head_dim**-0.5)

    @property
    def projection(self) -> Tensor | None:
        """As `AttentionLayer.projection`."""
        return None if self.last is None else weight_of(self.last)[:, : self.width]

    def grid(self, latent: Grid) -> Grid:
        """As `AttentionLayer.grid`."""
        return latent[0] // self.patch, latent[1] // self.patch

    def text_keys(self, embeds: Tensor) -> Tensor:
        """As `AttentionLayer.text_keys`: a text has none before it has come through the blocks below."""
        raise NotImplementedError(f"{self.name} is joint: texts are sent along")

    def listen(self, what: Heard, hear: Callable[[Tensor], None]) -> Any:
        """As `AttentionLayer.listen`."""
        if what == "outputs":
            seen = dict[str, Any]()
            return Handles.of(
                self._told(seen), self._finished(lambda output: hear(taken(output, seen["at"].image)))
            )
        return self.hear_all(lambda joint: hear(flat(getattr(joint, what))))

    def hear_all(self, hear: Callable[[Joint], None]) -> Any:
        """As `JointLayer.hear_all`."""
        attn, seen = self.attn, dict[str, Any]()

        def keep(name: str) -> Callable[..., None]:
            return lambda _, __, output: seen.__setitem__(name, output)

        def begun(_: Any, __: Any, kwargs: Mapping[str, Any]) -> None:
            seen["rotary"] = kwargs[self.rotary]

        def conditioned(_: Any, inputs: Sequence[Any]) -> None:
            seen["condition"] = self.condition(inputs) if self.condition else None

        return Handles.of(
            self._told(seen),
            self.block.register_forward_pre_hook(conditioned),
            attn.register_forward_pre_hook(begun, with_kwargs=True),
            (attn.norm_q or attn.to_q).register_forward_hook(keep("queries")),
            (attn.norm_k or attn.to_k).register_forward_hook(keep("keys")),
            self.values.register_forward_hook(keep("values")),
            self._finished(lambda output: hear(self._joint(seen, output))),
        )

    def _told(self, seen: dict[str, Any]) -> Any:
        def told(_: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
            seen["at"] = self.places(args, kwargs)

        return self.network.register_forward_pre_hook(told, with_kwargs=True)

    def _finished(self, hear: Callable[[Tensor], None]) -> Any:
        if self.last is None:
            return self.attn.register_forward_hook(lambda _, __, output: hear(output))
        return self.last.register_forward_pre_hook(lambda _, inputs: hear(inputs[0][..., : self.width]))

    def _joint(self, seen: Mapping[str, Any], outputs: Tensor) -> Joint:
        at: Places = seen["at"]
        queries, keys = (
            self.rotate(self._by_head(seen[name]), seen["rotary"]) for name in ("queries", "keys")
        )
        width = self.width if self.values_from else seen["values"].shape[-1]
        values = self._by_head(seen["values"][..., self.values_from : self.values_from + width])
        keys, values = (repeated(each, self.heads) for each in (keys, values))
        return Joint(
            queries=taken(queries, at.image),
            keys=taken(keys, at.image),
            values=taken(values, at.image),
            text_keys=taken(keys, at.text),
            text_values=taken(values, at.text),
            outputs=taken(outputs, at.image),
            real=at.real,
            condition=seen["condition"],
        )

    def _by_head(self, values: Tensor) -> Tensor:
        if values.ndim == 4:
            return values.transpose(1, 2)
        return rearrange(values, "batch row (head d) -> batch head row d", d=self.head_dim)


def taken(values: Tensor, where: Where) -> Tensor:
    """Rows of (…, row, width); of each item its own, where they differ."""
    if isinstance(where, slice) or where.ndim == 1:
        return values[..., where, :]
    return torch.stack([one[..., rows, :] for one, rows in zip(values, where, strict=True)])


def text_first(_: Sequence[Any], kwargs: Mapping[str, Any]) -> Places:
    """For sequences of [text, image] in which all texts are of one length."""
    tokens = kwargs["encoder_hidden_states"].shape[1]
    return Places(image=slice(tokens, None), text=slice(0, tokens))


def turned(values: Tensor, rotary: Tensor) -> Tensor:
    """(batch, head, row, d) turned by complex numbers (batch, row, d/2), pairs of neighbours together."""
    pairs = torch.view_as_complex(values.float().unflatten(-1, (-1, 2)).contiguous())  # type: ignore[no-untyped-call]
    return torch.view_as_real(pairs * rotary[:, None]).flatten(3).to(values.dtype)


def of_all(attn: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """The projections and norms of a module whose text has none of its own."""
    return (attn.to_q, attn.to_k, attn.to_v), (attn.norm_q, attn.norm_k)
