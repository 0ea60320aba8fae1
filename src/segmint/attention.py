"""What can be asked of a model's attention, by the role that its layers play; no model's own names are here.

A layer is of the decoder, the encoder, the encoder's last block (the bottom) or the middle after it (a model
without that distinction has a decoder only), it attends from image to image (self), from image to text
(cross), or over both at once (joint), and it works on a grid of some fineness. Which layers these are, a
model's family knows (`backbone/families`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Half = Literal["unconditional", "conditional", "both"]
"""Halves of classifier-free guidance. Without guidance there is one, the conditional."""
Part = Literal["encoder", "bottom", "middle", "decoder"]
Kind = Literal["self", "cross", "joint"]
"""A joint layer is found by who asks for self-attention, and by who asks for cross-attention."""
GroupBy = Literal["layer", "step", "head"]

EVERYWHERE: tuple[Part, ...] = ("encoder", "bottom", "middle", "decoder")
CLASS_MAPS = "classes"
"""Name of the maps of the class phrases, where a request gives them no other (OVAM)."""
CONCEPT_MAPS = "concepts"
"""Name of the maps of class phrases that were sent along through joint attention (ConceptAttention)."""
AGREED_MAPS = "prompt@agreed"
"""Name of the maps of the prompt's own words that are weighed by head and layer (GoCA)."""
EXPERT_MAPS = "prompt@expert"
"""Name of the maps of the prompt's own words in the one block that tells most of them (Seg4Diff)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """One set of cross-attention maps to accumulate while the model runs (method.md step 5).

    `name`: its key in `Generation.maps`.
    `text`: "classes" holds the image against a separate text of the class phrases alone, softmax over
    [SoT … EoT] (OVAM); "prompt" reads the attention by which the image is made, softmax over the padded
    prompt (DAAM), in which the class phrases are looked up token by token; "given" holds the image against
    the text `given`, in which they are looked up too, softmax over [SoT … EoT].
    `strict`: a phrase that such a text lacks is an error; else it has no rows.
    `padded`: whether texts of class phrases share attention with their padding, as prompts do (of CLIP).
    `half`: whose queries; without guidance the conditional half is all there is, and is taken.
    `parts`: of the model, whose layers are read. The default is OVAM's choice.
    `layers`: instead of `parts`, shell patterns of layer names as the model's family has them.
    `expert`: only the block of those that tells most of words, as the family knows it.
    `only`: the kind of attention without which the request means nothing; None takes cross and joint.
    `downscale`: only layers at this fraction of the largest grid (4: a quarter of its side, the nearest there
    is), and the maps stay at that grid; None takes every grid and resizes to the largest.
    `side`: the same by a number: only layers of the grid whose side is nearest to it.
    `least_side`: layers of grids with a smaller side are left out, unless `layers` names them.
    `enlarge`: how coarser grids' maps reach the largest: the sums bilinearly, or those of each layer and head
    by itself bicubically, what undershoots cut off (DAAM); memory then grows with the heads of those grids.
    `group_by`: keep maps apart by layer, by call of the model ("step"), by head, or by several of them, under
    the keys of `group_key`; memory then grows with the number of groups.
    """

    name: str = CLASS_MAPS
    text: Literal["classes", "prompt", "given"] = "classes"
    given: str = ""
    strict: bool = False
    padded: bool = False
    half: Half = "unconditional"
    parts: tuple[Part, ...] = ("encoder", "decoder")
    layers: tuple[str, ...] = ()
    expert: bool = False
    only: Literal["cross", "joint"] | None = None
    downscale: int | None = None
    side: int | None = None
    least_side: int = 0
    enlarge: Literal["bilinear", "bicubic"] = "bilinear"
    group_by: tuple[GroupBy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinityRequest:
    """Self-attention probabilities to average over heads, layers and steps at one grid (Dataset Diffusion).

    `parts`, `layers`, `side`: as in `MapRequest`.
    """

    side: int = 32
    half: Half = "conditional"
    parts: tuple[Part, ...] = EVERYWHERE
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRequest:
    """The prompt's maps at the last call, weighed by heads and layers (GoCA).

    `reference`: how the features that say what is alike are compared: "paper" by all their channels,
    "published" by the first one, as the published code does by a slip.
    `heads`: "projected" weighs them by what they contribute to the layer's output, "mean" takes them alike;
    "usual" is the first where cross-attention is by itself, the second where it is joint, as published.
    `most_cells`: side of the grid up to which self-attention is held against the features; larger ones are
    pooled to it, so that a layer holds 4 MB.
    """

    reference: Literal["paper", "published"] = "paper"
    heads: Literal["usual", "projected", "mean"] = "usual"
    half: Half = "conditional"
    most_cells: int = 32

    @property
    def name(self) -> str:
        """Key of its maps in `Generation.maps`."""
        said = (AGREED_MAPS, self.reference, self.heads)
        return "-".join(each for each in said if each not in ("paper", "usual"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRequest:
    """Per-head self-attention outputs to keep from the end of sampling (method.md step 2).

    `parts`, `layers`: as in `MapRequest`.
    `calls`: how many of the last calls of the model; `merge` says whether several calls (or an observation's
    several passes) are averaged, or handed over one by one, oldest first, as layers named `LAYER@-2`,
    `LAYER@-1`.
    """

    half: Half = "both"
    parts: tuple[Part, ...] = ("decoder",)
    layers: tuple[str, ...] = ()
    calls: int = 1
    merge: Literal["mean", "each"] = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoisingRequest:
    """How much better the model predicts an image's noise when it is told of a class (docs/method.md).

    `levels`: training timesteps, 0 (clean) to 999 (noise), at which it is asked, `draws` noises each.
    `phrasing`: the text of a class, "{}" standing for its first phrase with its article.
    `most`: with more classes, only those are asked for whose maps are loudest.
    `at_once`: texts in one call of the model.
    """

    levels: tuple[int, ...] = (500, 700)
    draws: int = 1
    phrasing: str = "a photo of {}"
    most: int = 12
    at_once: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """Which attention to hand over with each image. The default is what PCC needs; `NOTHING` just draws.

    `guidance`: also how far the prompt moves the prediction, where a drawing is guided.
    """

    features: FeatureRequest | None = FeatureRequest()
    maps: tuple[MapRequest, ...] = (MapRequest(),)
    affinity: AffinityRequest | None = None
    denoising: DenoisingRequest | None = None
    agreements: tuple[AgreementRequest, ...] = ()
    guidance: bool = False

    @property
    def map_names(self) -> tuple[str, ...]:
        """Keys of all its maps in `Generation.maps`."""
        return (*(each.name for each in self.maps), *(each.name for each in self.agreements))


NOTHING = CaptureRequest(features=None, maps=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a recipe wants attention read (its section `capture`), for methods that leave it to the recipe."""

    half: Half = "unconditional"
    """Whose queries meet the text of the classes."""
    map_layers: tuple[str, ...] = ()
    """As `MapRequest.layers`; empty: its `parts`."""
    features: FeatureRequest = FeatureRequest()
    doubted: bool = False
    """Whether classes are asked for that the image may not show."""


def joined(*requests: CaptureRequest) -> CaptureRequest:
    """All that any of the requests asks for; maps of one name are asked for once."""
    maps = {each.name: each for request in requests for each in request.maps}
    return CaptureRequest(
        features=next((each.features for each in requests if each.features), None),
        maps=tuple(maps.values()),
        affinity=next((each.affinity for each in requests if each.affinity), None),
        denoising=next((each.denoising for each in requests if each.denoising), None),
        agreements=tuple(dict.fromkeys(one for each in requests for one in each.agreements)),
        guidance=any(each.guidance for each in requests),
    )


def unserved(only: Literal["cross", "joint"]) -> str:
    """Why a model of the other kind of attention cannot serve what asks for one."""
    if only == "joint":
        return (
            "the method reads joint attention of text and image, which diffusion transformers such as SD 3, "
            "FLUX and Qwen-Image have; this model has cross-attention: take segmint, pcc or ovam"
        )
    return (
        "the method reads cross-attention, which UNets, PixArt and Sana have; in this model text and image "
        "attend jointly: take segmint, pcc or concept-attention"
    )


def group_key(
    name: str, *, layer: str | None = None, step: int | None = None, head: int | None = None
) -> str:
    """Key in `Generation.maps` of one group of a grouped request, such as `prompt/layer=LAYER/step=3`.

    Args:
        name: the request's name.
        layer: name of the attention layer, where grouped by layer.
        step: number of the model's call from 0, where grouped by step.
        head: number of the head from 0, where grouped by head.
    """
    parts = {"layer": layer, "step": step, "head": head}
    return "/".join([name, *(f"{what}={value}" for what, value in parts.items() if value is not None)])


def layer_in_words(name: str) -> str:
    """A layer's place, in words a person reads, from its dotted name: "up block 1, attention 0"."""
    places: list[str] = []
    for word in name.split("@", maxsplit=1)[0].split("."):
        if word.isdigit() and places:
            places[-1] = f"{places[-1].removesuffix('s')} {word}"
        else:
            places.append(word.replace("_", " "))
    return ", ".join(places[:2])


def shared_parts(names: Sequence[str]) -> frozenset[str]:
    """Parts of dotted layer names, beside the first and numbers, that all of them have."""
    kept = [{part for part in name.split(".")[1:] if not part.isdigit()} for name in names]
    return frozenset(set.intersection(*kept)) if kept else frozenset()
