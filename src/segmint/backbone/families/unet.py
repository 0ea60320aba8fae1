"""The family of UNets: which models are of it, their parts and facts, and where their attention is.

Of it are UNets of the Stable Diffusion family (1.x, 2.x, SDXL and their distillations):
`UNet2DConditionModel` whose attention sits in transformer blocks with a self-attention `attn1` and a
cross-attention `attn2`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor

from segmint.artifacts import Grid
from segmint.attention import Kind, Part
from segmint.backbone.family import Heard, Parts
from segmint.backbone.fitting import check_unet_parts
from segmint.backbone.settings import ModelSettings
from segmint.errors import ModelError

SUPPORTED = (
    "Stable Diffusion 1.x, Stable Diffusion 2.x (512 and 768 px), SDXL, their few-step distillations (LCM, "
    "Turbo), and models of the same layout (a UNet2DConditionModel with cross-attention to text)"
)
SD_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
SDXL_PARTS = (*SD_PARTS, "text_encoder_2", "tokenizer_2")
_PARTS: dict[str, Part] = {"down_blocks": "encoder", "up_blocks": "decoder"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetLayer:
    """One attention module; `level` counts the halvings of the latent grid above it."""

    name: str
    module: Any
    part: Part
    kind: Kind
    level: int

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self.module.heads)

    @property
    def scale(self) -> float:
        """1/√d."""
        return float(self.module.scale)

    def grid(self, latent: Grid) -> Grid:
        """As `AttentionLayer.grid`; odd sides are rounded up at each halving, as the UNet does."""
        height, width = latent
        for _ in range(self.level):
            height, width = (height + 1) // 2, (width + 1) // 2
        return height, width

    def text_keys(self, embeds: Tensor) -> Tensor:
        """As `AttentionLayer.text_keys`."""
        attn = self.module
        found: Tensor = attn.to_k(attn.norm_encoder_hidden_states(embeds) if attn.norm_cross else embeds)
        return found

    def listen(self, what: Heard, hear: Callable[[Tensor], None]) -> Any:
        """As `AttentionLayer.listen`: the projections' outputs, and the input of the last."""
        if what == "outputs":
            return self.module.to_out[0].register_forward_pre_hook(lambda _, inputs: hear(inputs[0]))
        projection = self.module.to_q if what == "queries" else self.module.to_k
        return projection.register_forward_hook(lambda _, __, output: hear(output))


def attention_layers(unet: Any) -> tuple[UNetLayer, ...]:
    """All attention layers, in the order of the module tree.

    Raises:
        ModelError: the UNet is of no understood layout, or has no cross-attention in its up blocks.
    """
    if not isinstance(unet, UNet2DConditionModel):
        raise ModelError(
            f"found {type(unet).__name__} where a UNet2DConditionModel was expected; supported: {SUPPORTED}"
        )
    if unet.encoder_hid_proj is not None:
        raise ModelError(
            f"the UNet projects its text embeddings, which is not understood; supported: {SUPPORTED}"
        )
    layers = tuple(
        UNetLayer(
            name=name,
            module=module,
            part=_PARTS.get(name.partition(".")[0], "middle"),
            kind="self" if name.endswith("attn1") else "cross",
            level=_level(unet, name),
        )
        for name, module in unet.named_modules()
        if name.rsplit(".", 1)[-1] in ("attn1", "attn2") and hasattr(module, "to_q")
    )
    odd = [
        layer.name for layer in layers if layer.module.norm_q is not None or layer.module.norm_k is not None
    ]
    if odd:
        raise ModelError(
            f"attention layer {odd[0]} normalises its queries, which is not understood; supported: "
            f"{SUPPORTED}"
        )
    if not any(layer.kind == "cross" and layer.part == "decoder" for layer in layers):
        raise ModelError(f"the UNet has no cross-attention to text in its up blocks; supported: {SUPPORTED}")
    return layers


def _level(unet: Any, name: str) -> int:
    block, _, rest = name.partition(".")
    depth = len(unet.config.block_out_channels)
    if block == "down_blocks":
        return int(rest.split(".", 1)[0])
    if block == "up_blocks":
        return depth - 1 - int(rest.split(".", 1)[0])
    return depth - 1


@dataclass(frozen=True, slots=True)
class UNetFamily:
    """Stable Diffusion's pipelines, with one text encoder or two."""

    supported: str = SUPPORTED

    def recognises(self, index: Mapping[str, Any]) -> bool:
        """As `Family.recognises`."""
        return _present(index, "unet") and index["unet"][1] == "UNet2DConditionModel"

    def parts(self, index: Mapping[str, Any]) -> Parts:
        """As `Family.parts`."""
        missing = [part for part in SD_PARTS if not _present(index, part)]
        if missing:
            raise ModelError(
                f"the model lists no {missing[0]} in its model_index.json; supported: {SUPPORTED}"
            )
        return Parts(
            all=SDXL_PARTS if _present(index, "text_encoder_2") else SD_PARTS,
            weighted=frozenset({"unet", "vae", "text_encoder", "text_encoder_2"}),
            configs={"tokenizer": "tokenizer_config.json", "scheduler": "scheduler_config.json"},
        )

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`; `fp16` weights are taken where the UNet's come in no other form."""
        names = [path.name for path in (folder / "unet").glob("*.safetensors")]
        only = "fp16" if names and all(".fp16" in name for name in names) else None
        variant = {"variant": settings.variant or only}
        if _present(index, "text_encoder_2"):
            return StableDiffusionXLPipeline, {**variant, "add_watermarker": False}
        if not settings.safety_checker:
            return StableDiffusionPipeline, {
                **variant,
                "safety_checker": None,
                "requires_safety_checker": False,
            }
        if not (folder / "safety_checker").is_dir():
            raise ModelError(f"model {settings.id} has no safety checker; leave safety_checker off")
        return StableDiffusionPipeline, variant

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        check_unet_parts(pipe)

    def network(self, pipe: Any) -> Any:
        """As `Family.network`."""
        return pipe.unet

    def layers(self, pipe: Any) -> tuple[UNetLayer, ...]:
        """As `Family.layers`."""
        return attention_layers(pipe.unet)

    def describe(self, pipe: Any) -> tuple[str, int, float]:
        """As `Family.describe`; a model with guidance built in needs few steps."""
        xl = isinstance(pipe, StableDiffusionXLPipeline)
        width = pipe.unet.config.cross_attention_dim
        branch = "sdxl" if xl else {768: "sd1", 1024: "sd2"}.get(width, "sd")
        if pipe.unet.config.time_cond_proj_dim is not None:
            return branch, 4, 8.5
        return branch, 50, 5.0 if xl else 7.5


def _present(index: Mapping[str, Any], part: str) -> bool:
    entry = index.get(part)
    return isinstance(entry, list | tuple) and len(entry) == 2 and entry[1] is not None
