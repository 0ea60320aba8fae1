"""Where in an image a model's attention to words went.

Three kinds. DAAM reads the attention by which the image was drawn, to the words of its own prompt. OVAM asks
after words of any other text, without that text having a part in the drawing. Denoising evidence reads no
attention: it tells where a word helps the model to see the image in noise (`backbone/denoising.py`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float32

from segmint.artifacts import Generation, Image, PromptSpec, TokenMaps
from segmint.attention import CaptureRequest, DenoisingRequest, GroupBy, Half, Reading
from segmint.backbone.base import Backbone, Callback, looking_notes
from segmint.backbone.settings import ObserveSettings, SamplingSettings
from segmint.errors import GenerationError, PromptError
from segmint.masks.methods import class_maps, prompt_maps

Kind = Literal["daam", "ovam", "denoising"]
WHOLE = ""
"""Key in `HeatMaps.maps` of the maps summed over everything."""
_REQUEST = "words"
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMaps:
    """Each word's attention in one image.

    `maps` holds one map a word, under WHOLE or, where groups were asked for, under names such as
    "layer=LAYER/step=3": sums of attention probabilities, ≥ 0, on no fixed scale, at the largest
    attention grid; of kind `denoising`, gains as in `DenoisingEvidence`, above 0 where the word helps.
    `notes` says what a person should know.
    """

    kind: Kind
    prompt: str
    image: Image
    words: tuple[str, ...]
    maps: Mapping[str, Float32[np.ndarray, "word grid_h grid_w"]]
    notes: tuple[str, ...] = ()


def attention_maps(
    backbone: Backbone,
    prompt: str,
    words: Sequence[str] = (),
    *,
    kind: Kind | None = None,
    text: str | None = None,
    image: Image | None = None,
    half: Half | None = None,
    group_by: Iterable[GroupBy] = (),
    layers: Sequence[str] = (),
    denoising: DenoisingRequest | None = None,
    sampling: SamplingSettings | None = None,
    observation: ObserveSettings | None = None,
    callback: Callback | None = None,
) -> HeatMaps:
    """Draw an image, or look at one, and map the model's attention to words.

    A word of several tokens, or one that stands several times in the text, takes the mean of its tokens' maps
    (`daam`), or the largest (`ovam`).

    Args:
        backbone: the model; see `segmint.load`.
        prompt: what to draw, or what `image` shows.
        words: words or phrases to map; none: every word of `text`, or else of the prompt.
        kind: `daam` for words of the prompt, `ovam` or `denoising` for any; None is `ovam` where a text is
            given.
        text: for `ovam`, a text in which the words stand; None is the words alone, in as many texts as
            they need.
        image: an existing image to look at instead of drawing one, of a size that the model takes.
        half: guidance half whose queries are read; None is what each kind published: `conditional` for
            `daam`, `unconditional` for `ovam`.
        group_by: keep maps apart by `layer`, `step`, `head`, or several of them.
        layers: cross-attention layers to read, as shell patterns of the model's own names; none: those that
            each kind published.
        denoising: of kind `denoising`, noise levels, draws and phrasing; None asks at two levels, once.
        sampling: how to draw; its seed fixes the image.
        observation: how to look at `image`; its seed fixes the noise.
        callback: called after each step.

    Raises:
        PromptError: an empty word, a word that the text does not contain, or one that the model cannot read.
        ConfigError: an image size that the model cannot take, or layers that it has not.
        GenerationError: the image came out black or not at all.

    Source: DAAM, Tang et al. 2022, as their package does it; OVAM, Marcos-Manchón et al. 2024.
    """
    kind = kind or ("daam" if text is None else "ovam")
    if kind != "ovam" and text is not None:
        raise PromptError(
            f"a text beside the prompt belongs to kind 'ovam'; '{kind}' takes "
            + ("the prompt's own words" if kind == "daam" else "words alone")
        )
    if kind == "denoising" and (half or layers or tuple(group_by)):
        raise PromptError("kind 'denoising' reads no attention, which half, layers and group_by choose from")
    sampling, observation = sampling or SamplingSettings(), observation or ObserveSettings()
    chosen = _checked(words) or _words_of(prompt if text is None else text)
    reading = Reading(half=half or "unconditional", map_layers=tuple(layers))
    request = replace(
        prompt_maps(reading) if kind == "daam" else class_maps(reading),
        name=_REQUEST,
        strict=True,
        group_by=tuple(dict.fromkeys(group_by)),
    )
    if half:
        request = replace(request, half=half)
    if text is not None:
        request = replace(request, text="given", given=text)
    spec = _spec(prompt, chosen, sampling.seed if image is None else observation.seed)
    capture = CaptureRequest(features=None, maps=(request,))
    if kind == "denoising":
        asked = denoising or DenoisingRequest()
        capture = CaptureRequest(features=None, maps=(), denoising=replace(asked, most=len(chosen)))
    if image is None:
        (outcome,) = backbone.generate([spec], sampling, capture, callback)
    else:
        (outcome,) = backbone.observe([image], [spec], observation, capture, callback)
    if isinstance(outcome, GenerationError):
        raise outcome
    maps = {_group_of(key): _by_word(maps, chosen, kind) for key, maps in outcome.maps.items()}
    if outcome.denoising is not None:
        maps = {WHOLE: outcome.denoising.gains}
    return HeatMaps(
        kind=kind,
        prompt=prompt,
        image=outcome.image,
        words=chosen,
        maps=maps,
        notes=(
            *(() if image is None else looking_notes(backbone.info, observation.timesteps)),
            *_notes(outcome, backbone.info.prompt_tokens - 2),
        ),
    )


def _checked(words: Sequence[str]) -> tuple[str, ...]:
    clean = tuple(" ".join(word.split()) for word in words)
    if not all(clean):
        raise PromptError(f"word {clean.index('') + 1} of {len(clean)} is empty; name a word or leave it out")
    return tuple(dict.fromkeys(clean))


def _words_of(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_WORD.findall(text)))
    if not found:
        raise PromptError(f"the text {text!r} has no words to map; give some")
    return found


def _spec(prompt: str, words: tuple[str, ...], seed: int) -> PromptSpec:
    return PromptSpec(
        item_id="heatmap",
        index=0,
        prompt=prompt,
        classes=words,
        label_ids=tuple(range(1, len(words) + 1)),
        phrases=tuple((word,) for word in words),
        seed=seed,
    )


def _group_of(key: str) -> str:
    return key.removeprefix(_REQUEST).removeprefix("/")


def _by_word(
    maps: TokenMaps, words: tuple[str, ...], kind: Kind
) -> Float32[np.ndarray, "word grid_h grid_w"]:
    rows = dict(zip(maps.phrases, maps.phrase_tokens, strict=True))
    told = [maps.values[list(rows[word])] for word in words]
    return np.stack([each.mean(0) if kind == "daam" else each.max(0) for each in told])


def _notes(outcome: Generation, limit: int) -> Iterable[str]:
    tokens = max((len(maps.tokens) - 2 for maps in outcome.maps.values()), default=0)
    if tokens > limit:
        yield (
            f"the words have {tokens} tokens and the model reads {limit} at once, so they were "
            "split into several texts; maps of words in different texts compete with different words"
        )
    if outcome.prompt_truncated:
        yield f"the prompt is longer than the {limit} tokens that the model reads; it saw only the beginning"
