"""Reading attention while a model runs, without changing what it computes.

The layers that a request means are listened to, and let alone again whatever happens. Their own processors
stay as they are (so any of them works, and the image cannot change), and nothing is computed twice: a
layer's outputs are the feature of method.md step 2, its queries those of step 5.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float32
from torch import Tensor

from segmint.artifacts import Affinity, Grid, HeadFeatures, TokenMaps
from segmint.attention import Half
from segmint.backbone.agreement import AgreementTap
from segmint.backbone.family import AttentionLayer, Halves, Joint, JointLayer, Stream, largest_grid
from segmint.backbone.guidance import GuidanceTap, on_grid
from segmint.backbone.taps import AffinityTap, FeatureTap, MapTap, halves_of, held_bytes
from segmint.errors import ConfigError, ModelError


@dataclass(slots=True, kw_only=True)
class Capture:
    """What is being read, and what has been: give it to `capturing`, run the model, then take the results."""

    layers: tuple[AttentionLayer, ...]
    items: int
    latent: Grid
    halves: Halves = field(default_factory=Halves)
    maps: list[MapTap] = field(default_factory=list)
    features: FeatureTap | None = None
    affinity: AffinityTap | None = None
    agreements: list[AgreementTap] = field(default_factory=list)
    guidance: GuidanceTap | None = None
    calls: int = 0
    """calls begun so far."""
    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    """Time spent reading (on an accelerator: queueing the reading)."""
    queries: dict[str, Tensor] = field(default_factory=dict)

    @property
    def half(self) -> Half | None:
        """The half that the present call is, where halves come call by call; None where a call has all."""
        names = self.halves.names
        by_call = self.halves.by == "call" and len(names) > 1
        return names[(self.calls - 1) % len(names)] if by_call else None

    @property
    def step(self) -> int:
        """Number of the present step from 0."""
        return (self.calls - 1) // (len(self.halves.names) if self.half else 1)

    def sees(self, wanted: Half) -> bool:
        """Whether the present call has anything of the halves that a request means."""
        return self.half in (None, wanted) or wanted == "both"

    def token_maps(self) -> list[dict[str, TokenMaps]]:
        """Each item's maps, at the largest attention grid or at their own where a request asks for one."""
        found: list[dict[str, TokenMaps]] = [{} for _ in range(self.items)]
        for tap in self.maps:
            own = tap.request.downscale is not None or tap.request.side is not None
            grid = tap.layers[0].grid(self.latent) if own else largest_grid(self.layers, self.latent)
            for item, maps in enumerate(tap.maps(grid)):
                found[item] |= maps
        for weighed in self.agreements:
            for item, values in enumerate(weighed.maps_found()):
                found[item][weighed.request.name] = values
        return found

    def refining(self) -> list[Affinity | None]:
        """Each item's self-attention to carry weighed maps along; None where they were not asked for."""
        return list(self.agreements[0].alike()) if self.agreements else [None for _ in range(self.items)]

    def guided(self, grid: Grid) -> list[Float32[np.ndarray, "grid_h grid_w"] | None]:
        """How far each item's prompt moved the prediction, at the grid; None where nobody listened."""
        if self.guidance is None or self.guidance.total is None:
            return [None for _ in range(self.items)]
        return list(on_grid(self.guidance.total, grid))

    def heads(self) -> list[tuple[HeadFeatures, ...]]:
        """Each item's self-attention features; empty where none were asked for."""
        return self.features.heads() if self.features else [() for _ in range(self.items)]

    def affinities(self) -> list[Affinity | None]:
        """Each item's affinity; None where it was not asked for."""
        return list(self.affinity.affinities()) if self.affinity else [None for _ in range(self.items)]

    def held_bytes(self) -> int:
        """Bytes held between calls."""
        weighed = sum(each.held_bytes() for each in self.agreements)
        return held_bytes(self.maps, self.features, self.affinity) + weighed


@contextmanager
def capturing(network: Any, capture: Capture) -> Iterator[Capture]:
    """Feed a capture with every call made inside the block.

    Args:
        network: whose layers the capture names.
        capture: what to read; its results are there after the block.
    """
    for tap in capture.maps:
        tap.prepare()
    with ExitStack() as stack:
        for handle in _install(network, capture):
            stack.callback(handle.remove)
        yield capture


def _install(network: Any, capture: Capture) -> Iterator[Any]:
    def count(*_: Any) -> None:
        capture.calls += 1

    yield network.register_forward_pre_hook(count)
    if capture.guidance:
        yield network.register_forward_hook(
            partial(_timed, capture, _read_guidance, capture, capture.guidance)
        )
    joint = [tap for tap in capture.maps if isinstance(tap.layers[0], JointLayer)]
    for taps in _alike(joint):
        reads = _prompt_hooks if taps[0].request.text == "prompt" else _stream_hooks
        yield from reads(network, capture, taps)
    for weighed in capture.agreements:
        yield from _agreement_hooks(network, capture, weighed)
    for layer in capture.layers:
        taps = [tap for tap in capture.maps if tap not in joint and layer in tap.layers]
        if taps:
            yield layer.listen("queries", partial(_timed, capture, _read_maps, capture, layer, _alike(taps)))
        if capture.affinity and layer in capture.affinity.layers:
            yield layer.listen("queries", partial(_timed, capture, _keep_queries, capture, layer))
            yield layer.listen(
                "keys", partial(_timed, capture, _read_affinity, capture, layer, capture.affinity)
            )
        if capture.features and layer in capture.features.layers:
            yield layer.listen(
                "outputs", partial(_timed, capture, _read_features, capture, layer, capture.features)
            )


def _alike(taps: Sequence[MapTap]) -> list[list[MapTap]]:
    """Taps grouped by the attention that they want; those of a group differ in what they add up."""
    alike: list[list[MapTap]] = []
    for tap in taps:
        found = next((group for group in alike if group[0].shares_with(tap)), None)
        if found is None:
            alike.append([tap])
        else:
            found.append(tap)
    return alike


def _prompt_hooks(_: Any, capture: Capture, taps: Sequence[MapTap]) -> Iterator[Any]:
    """Of joint layers: the image's attention to the prompt's own tokens."""

    def hook(layer: Any, joint: Joint) -> None:
        rows = _rows(capture, taps[0], len(joint.outputs), joint.outputs.device)
        if rows:
            _add(capture, taps, layer, taps[0].attend_jointly(layer, joint, rows))

    for layer in _joint(capture):
        if any(layer in tap.layers for tap in taps):
            yield layer.hear_all(partial(_timed, capture, hook, layer))


def _stream_hooks(network: Any, capture: Capture, taps: Sequence[MapTap]) -> Iterator[Any]:
    """Of joint layers: texts sent along, and how the image's outputs agree with theirs."""
    ways = [layer for layer in _joint(capture) if layer.follow]
    wanted = [layer for layer in ways if any(layer in tap.layers for tap in taps)]
    if not wanted:
        names = ", ".join(layer.name for layer in ways)
        raise ConfigError(f"class phrases pass the layers {names} only; none of them was asked for")
    sent: list[Stream] = []
    told: list[Mapping[str, Any]] = []

    def called(_: Any, __: Any, kwargs: Mapping[str, Any]) -> None:
        sent.clear()
        told[:] = [kwargs]

    def begin(kwargs: Mapping[str, Any]) -> None:
        batch = capture.items * (1 if capture.half else len(capture.halves.names))
        texts = taps[0].texts
        for rows in _rows(capture, taps[0], batch, texts.embeds.device):
            assert ways[0].begin
            seen = None if texts.real.all() else texts.real
            sent.append(ways[0].begin(kwargs, texts.embeds, rows, seen))

    def hook(layer: Any, joint: Joint) -> None:
        if told:  # not before the first layer: weights that wait elsewhere are not there until then
            begin(told.pop())
        total: Tensor | None = None
        for stream in sent:
            outputs = layer.follow(layer, stream, joint)
            if layer in wanted:
                shares = taps[0].agree(layer, joint.outputs[stream.rows], outputs)
                total = shares if total is None else total + shares
        if total is not None:
            _add(capture, taps, layer, total)

    yield network.register_forward_pre_hook(called, with_kwargs=True)
    for layer in ways[: ways.index(wanted[-1]) + 1]:
        yield layer.hear_all(partial(_timed, capture, hook, layer))


def _agreement_hooks(network: Any, capture: Capture, tap: AgreementTap) -> Iterator[Any]:
    """Of weighed maps: every layer that meets the text or itself, from the step on at which they are read."""

    def on(hook: Callable[..., None]) -> Callable[..., None]:
        def heard(*inputs: Any) -> None:
            if capture.step >= tap.first and capture.sees(tap.request.half):
                hook(*inputs)

        return partial(_timed, capture, heard)

    def reference(values: Tensor) -> None:
        tap.features = list(_half_of(capture, tap.layers.reference, values, tap.request.half))

    def joint(layer: JointLayer, heard: Joint) -> None:
        rows = _rows(capture, tap, len(heard.outputs), "cpu")
        tap.read_joint(layer, heard, rows[0].tolist())

    yield network.register_forward_pre_hook(on(lambda *_: tap.begin()))
    yield tap.layers.reference.listen(tap.layers.heard, on(reference))
    for text, alone in tap.layers.pairs:
        if isinstance(text, JointLayer):
            yield text.hear_all(on(partial(joint, text)))
            continue
        queries, outputs = _in_turn(capture, text, tap.request.half, tap.read_text)
        yield text.listen("queries", on(queries))
        yield text.listen("outputs", on(outputs))
        queries, keys = _in_turn(capture, alone, tap.request.half, tap.read_self)
        yield alone.listen("queries", on(queries))
        yield alone.listen("keys", on(keys))


def _in_turn(
    capture: Capture, layer: AttentionLayer, half: Half, read: Callable[..., None]
) -> tuple[Callable[[Tensor], None], Callable[[Tensor], None]]:
    """Hooks of a layer's queries and of what comes after them, read together."""
    held: list[Tensor] = []

    def second(values: Tensor) -> None:
        read(layer, *(_half_of(capture, layer, each, half) for each in (held.pop(), values)))

    return held.append, second


def _half_of(capture: Capture, layer: AttentionLayer, values: Tensor, half: Half) -> Tensor:
    """The items of one half."""
    parted, _ = _by_half(capture, layer, values)
    found: Tensor = parted[halves_of(half, len(parted))][0]
    return found


def _joint(capture: Capture) -> list[JointLayer]:
    return [layer for layer in capture.layers if isinstance(layer, JointLayer)]


def _rows(capture: Capture, tap: MapTap | AgreementTap, batch: int, device: Any) -> list[Tensor]:
    """Rows of the batch that the tap's texts go with, once for each half of the call that is wanted."""
    names = (capture.half,) if capture.half else capture.halves.names
    if batch != capture.items * len(names):
        raise ModelError(
            f"the model was called with {batch} rows where {len(names)} guidance halves of {capture.items} "
            "items were expected; this model's layout is not understood"
        )
    lone = len(capture.halves.names) == 1
    owners = torch.tensor(tap.texts.owner, device=device)
    return [
        place * capture.items + owners
        for place, name in enumerate(names)
        if lone or tap.request.half in ("both", name)
    ]


def _add(capture: Capture, taps: Sequence[MapTap], layer: AttentionLayer, shares: Tensor) -> None:
    for tap in taps:
        if layer in tap.layers:
            tap.add(layer, layer.grid(capture.latent), shares, capture.step)


def _read_maps(
    capture: Capture, layer: AttentionLayer, alike: Sequence[Sequence[MapTap]], output: Tensor
) -> None:
    queries, grid = _by_half(capture, layer, output)
    for group in alike:
        if capture.sees(group[0].request.half):
            shares = group[0].attend(layer, queries)
            for tap in group:
                tap.add(layer, grid, shares, capture.step)


def _read_features(capture: Capture, layer: AttentionLayer, tap: FeatureTap, output: Tensor) -> None:
    if capture.sees(tap.request.half):
        outputs, grid = _by_half(capture, layer, output)
        tap.read(layer, grid, outputs, capture.half)


def _read_guidance(capture: Capture, tap: GuidanceTap, _: Any, __: Any, output: Any) -> None:
    tap.read(output, capture.half)


def _keep_queries(capture: Capture, layer: AttentionLayer, output: Tensor) -> None:
    capture.queries[layer.name] = output


def _read_affinity(capture: Capture, layer: AttentionLayer, tap: AffinityTap, output: Tensor) -> None:
    queries, grid = _by_half(capture, layer, capture.queries.pop(layer.name))
    if capture.sees(tap.request.half):
        tap.read(layer, grid, queries, _by_half(capture, layer, output)[0])


def _timed(capture: Capture, hook: Callable[..., None], *inputs: Any) -> None:
    start = time.perf_counter()
    hook(*inputs)
    capture.seconds += time.perf_counter() - start


def _by_half(capture: Capture, layer: AttentionLayer, values: Tensor) -> tuple[Tensor, Grid]:
    """Split guidance halves, unconditional first, from items, and check that the layer has the grid that its
    place in the model implies.
    """
    grid = layer.grid(capture.latent)
    batch, cells, _ = values.shape
    if batch % capture.items or cells != grid[0] * grid[1]:
        raise ModelError(
            f"layer {layer.name} holds {batch} × {cells} positions where {capture.items} items of "
            f"{grid[0]}×{grid[1]} were expected; this model's layout is not understood"
        )
    parted = rearrange(values, "(half item) cell width -> half item cell width", item=capture.items)
    turned = capture.halves.names == ("conditional", "unconditional") and len(parted) == 2
    return parted.flip(0) if turned else parted, grid
