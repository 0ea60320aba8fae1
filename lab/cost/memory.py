"""Memory beside plain generation, by number of denoising steps and batch.

Peaks beyond the weights. A model that is here draws whole images: on a CUDA device its allocator tells the
peak, elsewhere the bytes of live tensors are counted (see `live_tensors`). SD 2.1 and SDXL, at full size on
torch's meta device, make single UNet calls with both guidance halves and one VAE decoding: a sampling is
those calls one after the other, with the capture held between them. Mask-making works on numpy arrays and is
measured by tracemalloc at the same shapes.
"""

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from lab.cost.live_tensors import peak_bytes
from lab.cost.masks import ours
from lab.cost.random_models import FULL_SIZE
from lab.cost.synthetic_scene import Shape, scene
from segmint.artifacts import PromptSpec
from segmint.attention import NOTHING, CaptureRequest
from segmint.backbone.base import Backbone
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.families.unet import attention_layers
from segmint.backbone.family import select
from segmint.backbone.settings import SamplingSettings
from segmint.backbone.taps import FeatureTap, MapTap, TextBatch
from segmint.backbone.text import Text

MB = 1e6
WORDS = ("boat", "tree")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Whole images: peaks in MB, without and with capture."""

    model: str
    device: str
    dtype: str
    steps: int
    batch: int
    plain_mb: float
    captured_mb: float
    extra_mb_an_image: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """UNet calls of a full-size model in float16, both guidance halves."""

    model: str
    image_px: int
    parameters: int
    batch: int
    calls: int
    plain_mb: float
    captured_mb: float
    extra_mb_an_image: float
    held_mb_an_image: float
    """What the capture holds on to between calls."""
    decode_mb: float
    """The VAE's peak for the batch."""
    unet_tflop_an_image: float
    """Of one call, both halves."""
    decode_tflop_an_image: float
    text_tflop_an_image: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """Making one mask: its input (the captured features and maps in float32), and the peak beside that."""

    shape: str
    input_mb: float
    peak_mb: float


def drawn(backbone: Backbone, steps: Sequence[int], batches: Sequence[int]) -> Iterator[Drawn]:
    """Every number of steps with the smallest batch, then every batch with the fewest steps."""
    least, smallest = min(steps), min(batches)
    cases = [(each, smallest) for each in sorted(steps)]
    cases += [(least, each) for each in sorted(batches) if each != smallest]
    for step, batch in cases:
        specs, sampling = [_spec(index) for index in range(batch)], SamplingSettings(steps=step)

        def peak(
            capture: CaptureRequest,
            specs: Sequence[PromptSpec] = specs,
            sampling: SamplingSettings = sampling,
        ) -> float:
            return _peak(lambda: backbone.generate(specs, sampling, capture), backbone.info.device) / MB

        plain, captured = peak(NOTHING), peak(CaptureRequest())
        yield Drawn(
            model=backbone.info.id,
            device=backbone.info.device,
            dtype=backbone.info.dtype,
            steps=step,
            batch=batch,
            plain_mb=plain,
            captured_mb=captured,
            extra_mb_an_image=(captured - plain) / batch,
        )


def called(model: str, cases: Sequence[tuple[int, int]]) -> Iterator[Called]:
    """A full-size model, for each (batch, UNet calls)."""
    family = FULL_SIZE[model]
    size = family.image_px
    with torch.device("meta"):
        pipe = family.build(torch.float16)
    texts = [part for part in (pipe.text_encoder, getattr(pipe, "text_encoder_2", None)) if part is not None]
    parameters = sum(each.numel() for part in (pipe.unet, pipe.vae, *texts) for each in part.parameters())
    tokens = torch.zeros(2, 77, dtype=torch.long, device="meta")
    unet_tflop = _tflop(_calls(pipe.unet, size, 1, 1))
    decode_tflop = _tflop(_decoding(pipe.vae, size, 1))
    text_tflop = sum(_tflop(partial(part, tokens)) for part in texts)
    for batch, calls in cases:
        run, capture = _calls(pipe.unet, size, batch, calls), _capture(pipe.unet, size, batch)
        plain = peak_bytes(run) / MB
        captured = peak_bytes(partial(_captured, pipe.unet, capture, run)) / MB
        yield Called(
            model=family.name,
            image_px=size,
            parameters=parameters,
            batch=batch,
            calls=calls,
            plain_mb=plain,
            captured_mb=captured,
            extra_mb_an_image=(captured - plain) / batch,
            held_mb_an_image=capture.held_bytes() / MB / batch,
            decode_mb=peak_bytes(_decoding(pipe.vae, size, batch)) / MB,
            unet_tflop_an_image=unet_tflop,
            decode_tflop_an_image=decode_tflop,
            text_tflop_an_image=text_tflop,
        )


def masks(shape: Shape) -> Masks:
    """One mask at a shape."""
    raw = scene(shape, 1)
    ours(raw, shape)
    tracemalloc.start()
    ours(raw, shape)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = sum(each.values.nbytes for each in raw.heads) + raw.maps.values.nbytes
    return Masks(shape=shape.name, input_mb=size / MB, peak_mb=peak / MB)


def _peak(work: Callable[[], Any], device: str) -> int:
    if not device.startswith("cuda"):
        return peak_bytes(work)
    work()  # what a first call alone needs, such as a library's workspace, is not counted
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device)) - before


def _captured(unet: Any, capture: Capture, run: Callable[[], None]) -> None:
    with capturing(unet, capture):
        run()


def _decoding(vae: Any, size: int, batch: int) -> Callable[[], Any]:
    return partial(vae.decode, _meta(batch, 4, size // 8, size // 8))


def _calls(unet: Any, size: int, batch: int, calls: int) -> Callable[[], None]:
    rows, side = 2 * batch, size // 8
    arguments: dict[str, Any] = {
        "encoder_hidden_states": _meta(rows, 77, unet.config.cross_attention_dim),
    }
    if unet.config.addition_embed_type == "text_time":
        ids = {"text_embeds": _meta(rows, 1280), "time_ids": _meta(rows, 6)}
        arguments["added_cond_kwargs"] = ids
    latents, step = _meta(rows, 4, side, side), torch.tensor(1, device="meta")

    def run() -> None:
        for _ in range(calls):
            unet(latents, step, **arguments)

    return run


def _capture(unet: Any, size: int, batch: int) -> Capture:
    layers, request = attention_layers(unet), CaptureRequest()
    assert request.features is not None
    text = Text(
        text=" ".join(WORDS),
        tokens=("<SoT>", *WORDS, "<EoT>"),
        phrases=WORDS,
        phrase_rows=tuple((row,) for row in range(1, 1 + len(WORDS))),
    )
    rows = len(text.tokens)
    texts = TextBatch(
        texts=(text,) * batch,
        owner=tuple(range(batch)),
        embeds=_meta(batch, rows, unet.config.cross_attention_dim),
        real=torch.ones(batch, rows, dtype=torch.bool),
    )
    [wanted] = request.maps
    maps = MapTap(request=wanted, layers=select(layers, "cross", wanted), texts=texts, items=batch)
    features = FeatureTap(
        request=request.features, layers=select(layers, "self", request.features), items=batch
    )
    side = size // 8
    return Capture(layers=layers, items=batch, latent=(side, side), maps=[maps], features=features)


def _meta(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, dtype=torch.float16, device="meta")


def _tflop(work: Callable[[], Any]) -> float:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops() / 1e12)


def _spec(index: int) -> PromptSpec:
    return PromptSpec(
        item_id=f"{index:06d}",
        index=index,
        prompt="a boat and a tree",
        classes=WORDS,
        label_ids=(1, 2),
        phrases=tuple((word,) for word in WORDS),
        seed=index,
    )
