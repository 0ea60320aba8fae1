"""Layers of joint attention, and the way that texts of their own take through them.

A transformer's text changes from block to block, so that a class phrase cannot be projected to keys once, as
in a UNet. It is sent along instead: its tokens pass each block by the text's own weights, see one another and
the image, and are seen by nobody, so that the image stays what it is. Source: Helbling et al. 2025
(ConceptAttention), eqs. 5–8.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from einops import rearrange
from torch import Tensor

from segmint.artifacts import Grid
from segmint.attention import Kind, Part
from segmint.backbone.family import Heard, Joint, KnownFor, Stream
from segmint.backbone.gguf import unpacked

Rotate = Callable[[Tensor, Any, int, bool], Tensor]
"""Turns (batch, head, row, d) by a call's rotary embedding, given how many rows are text, and whether these
are the text's.
"""


def unrotated(values: Tensor, _rotary: Any, _tokens: int, _text: bool) -> Tensor:
    """For models whose positions are added at the input."""
    return values


@dataclass(slots=True)
class Handles:
    """Several hooks as one."""

    stack: ExitStack

    @classmethod
    def of(cls, *handles: Any) -> "Handles":
        """Hooks that end together."""
        stack = ExitStack()
        for each in handles:
            stack.callback(each.remove)
        return cls(stack)

    def remove(self) -> None:
        """End all of them."""
        self.stack.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleLayer:
    """Joint attention of a block with weights of its own for the text (SD 3, FLUX, Qwen-Image).

    `patch`: latent positions on a side of one image token. `rotary`: the argument that brings rotary
    embeddings. `heads_first`: how the module lays out what its norms see.
    """

    name: str
    block: Any
    part: Part
    patch: int
    begin: Callable[[Mapping[str, Any], Tensor, Tensor, Tensor | None], Stream] | None
    follow: Callable[[Any, Stream, Joint], Tensor] | None
    rotate: Rotate = unrotated
    heads_first: bool = False
    known_for: tuple[KnownFor, ...] = ()
    kind: Kind = "joint"
    linear: bool = False

    @property
    def level(self) -> int:
        """Halvings by the patches."""
        return self.patch.bit_length() - 1

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self.block.attn.heads)

    @property
    def scale(self) -> float:
        """1/√d."""
        return float((self.block.attn.to_q.out_features // self.heads) ** -0.5)

    @property
    def projection(self) -> Tensor:
        """As `AttentionLayer.projection`."""
        return weight_of(self.block.attn.to_out[0])

    def grid(self, latent: Grid) -> Grid:
        """As `AttentionLayer.grid`."""
        return latent[0] // self.patch, latent[1] // self.patch

    def text_keys(self, embeds: Tensor) -> Tensor:
        """As `AttentionLayer.text_keys`: a text has none before it has come through the blocks below."""
        raise NotImplementedError(f"{self.name} is joint: texts are sent along")

    def listen(self, what: Heard, hear: Callable[[Tensor], None]) -> Any:
        """As `AttentionLayer.listen`."""
        if what == "outputs":
            return self.block.attn.to_out[0].register_forward_pre_hook(lambda _, inputs: hear(inputs[0]))
        return self.hear_all(lambda joint: hear(flat(getattr(joint, what))))

    def hear_all(self, hear: Callable[[Joint], None]) -> Any:
        """As `JointLayer.hear_all`."""
        attn, seen = self.block.attn, dict[str, Any]()

        def keep(name: str) -> Callable[..., None]:
            return lambda _, __, output: seen.__setitem__(name, output)

        def begun(_: Any, __: Any, kwargs: Mapping[str, Any]) -> None:
            seen["rotary"] = kwargs.get("image_rotary_emb")
            seen["real"] = kwargs.get("encoder_hidden_states_mask")

        def finished(_: Any, inputs: tuple[Tensor, ...]) -> None:
            hear(self._joint(seen, inputs[0]))
            seen.clear()

        return Handles.of(
            attn.register_forward_pre_hook(begun, with_kwargs=True),
            (attn.norm_q or attn.to_q).register_forward_hook(keep("queries")),
            (attn.norm_k or attn.to_k).register_forward_hook(keep("keys")),
            attn.to_v.register_forward_hook(keep("values")),
            (attn.norm_added_k or attn.add_k_proj).register_forward_hook(keep("text_keys")),
            attn.add_v_proj.register_forward_hook(keep("text_values")),
            attn.to_out[0].register_forward_pre_hook(finished),
        )

    def _joint(self, seen: Mapping[str, Any], outputs: Tensor) -> Joint:
        names = ("queries", "keys", "values", "text_keys", "text_values")
        split = {name: self._by_head(seen[name]) for name in names}
        tokens = split["text_keys"].shape[2]
        for name in ("queries", "keys", "text_keys"):
            split[name] = self.rotate(split[name], seen["rotary"], tokens, name == "text_keys")
        return Joint(outputs=outputs, real=seen["real"], **split)

    def _by_head(self, values: Tensor) -> Tensor:
        if values.ndim == 3:
            return rearrange(values, "batch row (head d) -> batch head row d", head=self.heads)
        return values if self.heads_first else values.transpose(1, 2)


def weight_of(module: Any) -> Tensor:
    """A projection's weights, also while they wait elsewhere for their turn, and as numbers if quantised."""
    found = module.weight
    hook = getattr(module, "_hf_hook", None)
    if found.is_meta and hook is not None:
        maps = (getattr(each, "weights_map", None) for each in getattr(hook, "hooks", (hook,)))
        found = next(each["weight"] for each in maps if each is not None)
    if getattr(found, "quant_state", None) is not None:
        four_bit = import_module("bitsandbytes.functional").dequantize_4bit
        found = four_bit(found.data, found.quant_state)
    elif type(found).__module__.startswith("torchao"):
        found = found.dequantize()
    elif hasattr(found, "quant_type"):  # of a GGUF file
        found = unpacked(found)
    weights: Tensor = found
    return weights


def beside(values: Tensor, module: Any) -> Tensor:
    """Values where a module's weights wait; where they come to the values by themselves, as they are."""
    device = module.weight.device
    return values if device.type == "meta" else values.to(device)


def flat(values: Tensor) -> Tensor:
    """Heads side by side."""
    return rearrange(values, "batch head row d -> batch row (head d)")


def attended(stream: Stream, queries: Tensor, keys: Tensor, values: Tensor, joint: Joint) -> Tensor:
    """What texts make of themselves and the image.

    Args:
        stream: says which of the batch they go with, and which of their rows are padding.
        queries: of the texts (text, head, token, d).
        keys: of the texts.
        values: of the texts.
        joint: the image's.

    Returns:
        (text, token, head · d).
    """
    cells = joint.keys.shape[2]
    mask = None
    if stream.seen is not None:
        mask = F.pad(stream.seen, (0, cells), value=True)[:, None, None]
    found = F.scaled_dot_product_attention(
        queries,
        torch.cat([keys, joint.keys[stream.rows].to(keys.dtype)], 2),
        torch.cat([values, joint.values[stream.rows].to(values.dtype)], 2),
        attn_mask=mask,
    )
    return flat(found)


def repeated(values: Tensor, heads: int) -> Tensor:
    """Keys or values of fewer heads (grouped queries), once for each head."""
    times = heads // values.shape[1]
    return values.repeat_interleave(times, dim=1) if times > 1 else values


def attend_along(
    stream: Stream,
    normed: Tensor,
    joint: Joint,
    projections: Sequence[Any],
    norms: Sequence[Any],
    *,
    turn: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """What texts make of themselves and the image, by the modules that make queries, keys and values.

    Args:
        stream: on its way.
        normed: its state, as the projections take it.
        joint: the image's part of the call.
        projections: of queries, keys and values; hooks of theirs are passed by, which are for the prompt.
        norms: of queries and keys, None where there are none.
        turn: gives queries and keys a place.
    """
    queries, keys, values = (
        rearrange(each.forward(normed), "text token (head d) -> text head token d", d=joint.keys.shape[-1])
        for each in projections
    )
    queries, keys = (
        each if norm is None else norm.forward(each)
        for norm, each in zip(norms, (queries, keys), strict=True)
    )
    if turn:
        queries, keys = turn(queries), turn(keys)
    heads = joint.keys.shape[1]
    return attended(stream, queries, repeated(keys, heads), repeated(values, heads), joint)


def of_text(attn: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """The text's own projections and norms of a module of joint attention."""
    return (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj), (attn.norm_added_q, attn.norm_added_k)


def follow_zero(layer: DoubleLayer, stream: Stream, joint: Joint) -> Tensor:
    """Through a block modulated by adaptive layer norms (SD 3, FLUX); the last one of SD 3 ends there."""
    block, attn = layer.block, layer.block.attn
    last = getattr(block, "context_pre_only", False)
    gates: Any = ()
    if last:
        normed = block.norm1_context(stream.state, stream.condition)
    else:
        normed, *gates = block.norm1_context(stream.state, emb=stream.condition)
    found = attend_along(stream, normed, joint, *of_text(attn))
    if not last:
        gate, shift, scale, gate_wide = gates
        state = stream.state + gate[:, None] * attn.to_add_out(found)
        wide = block.norm2_context(state) * (1 + scale[:, None]) + shift[:, None]
        stream.state = state + gate_wide[:, None] * block.ff_context(wide)
    return found
