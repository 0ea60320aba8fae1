"""GoCA's weights of heads and layers: the published code's own numbers, on tiny models."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_models import model

from segmint.artifacts import Affinity
from segmint.attention import AgreementRequest
from segmint.backbone.agreement import AgreementTap, Chosen, carried, chosen, pooled
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.family import Halves
from segmint.backbone.taps import TextBatch
from segmint.backbone.text import Text
from segmint.masks.goca import entities, refined
from segmint.masks.settings import GocaSettings

GROUPS = ((0,), (2, 3), (5,), (7,), (9,))
"""Rows of dog, pot plant, sky, grass, background in T5's text; CLIP's begin one later."""
CONTENT = (0, 2, 3, 5, 7, 9)
ORDER = {"unet": 2, "pixart": 5, "flux": 2}


@cache
def golden(reference: Path, family: str) -> dict[str, Any]:
    with np.load(reference / "dit" / f"goca_{family}.npz") as file:
        return {key: np.asarray(file[key]) for key in file.files}


@cache
@torch.inference_mode()
def heard(reference: Path, family: str, request: AgreementRequest) -> AgreementTap:
    """The tiny model's one call, as the published code read it."""
    folder = reference / "tiny_sd2_a" if family == "unet" else reference / "dit" / f"tiny_{family}"
    backbone, data = model(folder), golden(reference, family)
    given = {key: torch.from_numpy(value) for key, value in data.items() if key.startswith("in_")}
    embeds = given["in_prompt_embeds"].float()
    real = given.get("in_mask", torch.ones(embeds.shape[:2])).bool()
    width = int(real.sum())
    text = Text(text="", tokens=tuple(f"t{row}" for row in range(width)), phrases=(), phrase_rows=())
    tap = AgreementTap(
        request=request,
        layers=layers_of(backbone, family),
        texts=TextBatch(texts=(text,), owner=(0,), embeds=embeds[:, :width], real=real[:, :width]),
        latent=(32, 32),
        items=1,
    )
    capture = Capture(layers=backbone.layers, items=1, latent=(32, 32), halves=Halves(), agreements=[tap])
    with capturing(backbone.network, capture):
        found = call(backbone, family, given)
    name = "velocity" if family == "flux" else "noise_pred"
    np.testing.assert_allclose(found, data[name], atol=1e-4)
    return tap


def layers_of(backbone: DiffusersBackbone, family: str) -> Chosen:
    """The layers that the reference was made with."""
    usual, named = chosen(backbone.layers), {each.name: each for each in backbone.layers}
    if family == "unet":
        blocks = ("down_blocks", "mid_block", "up_blocks")  # modules stand in another order than they run
        return Chosen(
            pairs=tuple(sorted(usual.pairs, key=lambda pair: blocks.index(pair[0].name.partition(".")[0]))),
            reference=named["up_blocks.2.attentions.1.transformer_blocks.0.attn2"],
            heard="queries",
            refining=tuple(
                named[f"{place}.transformer_blocks.0.attn1"]
                for place in (
                    "up_blocks.3.attentions.0",
                    "up_blocks.3.attentions.1",
                    "down_blocks.0.attentions.0",
                )
            ),
        )
    name = "transformer_blocks.{}.attn1" if family == "pixart" else "transformer_blocks.{}.attn"
    like = "transformer_blocks.2.attn2" if family == "pixart" else "single_transformer_blocks.1.attn"
    return Chosen(
        pairs=usual.pairs,
        reference=named[like],
        heard=usual.heard,
        refining=tuple(named[name.format(place)] for place in (1, 2)),
    )


def call(backbone: DiffusersBackbone, family: str, given: dict[str, Any]) -> Any:
    net = backbone.network
    if family == "unet":
        return net(given["in_latents"], given["in_timestep"], given["in_prompt_embeds"]).sample
    if family == "pixart":
        return net(
            given["in_latents"],
            encoder_hidden_states=given["in_prompt_embeds"],
            encoder_attention_mask=given["in_mask"],
            timestep=given["in_timestep"],
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
    return net(
        hidden_states=given["in_packed_latents"],
        encoder_hidden_states=given["in_prompt_embeds"],
        pooled_projections=given["in_pooled"],
        timestep=given["in_timestep_0_1"].reshape(1),
        guidance=given["in_guidance"].reshape(1),
        img_ids=given["in_img_ids"],
        txt_ids=torch.zeros(given["in_prompt_embeds"].shape[1], 3),
    ).sample


FAMILIES = ("unet", "pixart", "flux")
PAPER, PUBLISHED = AgreementRequest(), AgreementRequest(reference="published")
OTHER = {"unet": "head_average", "pixart": "head_average", "flux": "head_dot"}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_layers_map_is_the_published_one(reference: Path, family: str) -> None:
    tap, data = heard(reference, family, PUBLISHED), golden(reference, family)
    known = [value for key, value in data.items() if key.startswith("published/layer_map/")]
    assert len(known) == len(tap.layers.pairs)
    for (text, _), published in zip(tap.layers.pairs, known, strict=True):
        found = tap.maps[text.name][0].T.numpy()[:, : published.shape[1]]
        np.testing.assert_allclose(found, published, atol=1e-4)


@pytest.mark.parametrize(
    ("request_", "stored"), [(PUBLISHED, "published"), (PAPER, "intended_ref")], ids=["published", "paper"]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_weighed_by_all_channels_and_as_published(
    reference: Path, family: str, request_: AgreementRequest, stored: str
) -> None:
    tap, data = heard(reference, family, request_), golden(reference, family)
    raw = tap.layer_weights(0)
    np.testing.assert_allclose(raw, data[f"{stored}/layer_weight_raw"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(raw / raw.sum(), data[f"{stored}/layer_weight"], atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_channel_alone_is_another_weight(reference: Path, family: str) -> None:
    one, other = (heard(reference, family, each).layer_weights(0) for each in (PAPER, PUBLISHED))
    assert float((one / one.sum() - other / other.sum()).abs().max()) > 0.01


@pytest.mark.parametrize("stored", ["published", "intended_ref", "other_heads"])
@pytest.mark.parametrize("family", FAMILIES)
def test_all_stages_are_the_published_ones(reference: Path, family: str, stored: str) -> None:
    heads = "projected" if family == "flux" else "mean"
    request = {
        "published": PUBLISHED,
        "intended_ref": PAPER,
        "other_heads": AgreementRequest(reference="published", heads=heads),
    }[stored]
    tap, data = heard(reference, family, request), golden(reference, family)
    name = OTHER[family] if stored == "other_heads" else stored
    first = 1 if family == "unet" else 0
    groups = [tuple(row + first for row in rows) for rows in GROUPS]
    content = [row + first for row in CONTENT]
    values = tap.weighed(0).numpy()
    np.testing.assert_allclose(values.sum(0), 1, atol=1e-5)
    if stored == "published":
        known = np.moveaxis(data["published/aggregated"], -1, 0)
        np.testing.assert_allclose(values[: len(known)], known, atol=1e-4)
        parted = entities(values, groups, content, GocaSettings())
        np.testing.assert_allclose(parted, np.moveaxis(data["published/rescaled_entities"], -1, 0), atol=2e-4)
        plain = entities(values, groups, content, GocaSettings(rescale=False))
        classes = np.stack([plain[0], plain[1], plain[2:].max(0)])
        np.testing.assert_allclose(classes, data["rescale_raw/class_then_background"], atol=2e-4)
    parted = entities(values, groups, content, GocaSettings())
    classes = np.stack([parted[0], parted[1], parted[2:].max(0)])
    np.testing.assert_allclose(classes, data[f"{name}/class_then_background"], atol=2e-4)
    [alike] = tap.alike()
    atol = 1e-3 if ORDER[family] == 5 else 2e-4
    np.testing.assert_allclose(refined(classes, alike, ORDER[family]), data[f"{name}/refined"], atol=atol)


@pytest.mark.parametrize("family", FAMILIES)
def test_refining_does_not_make_rows_sum_to_one(reference: Path, family: str) -> None:
    [alike] = heard(reference, family, PUBLISHED).alike()
    known = golden(reference, family)["published/refine_affinity_row0_row_mid"]
    height, width = alike.grid
    rows = alike.values[[0, height // 2 * width + width // 2]]
    np.testing.assert_allclose(rows, known, atol=1e-5)


def test_pooling_keeps_a_positions_whole_attention() -> None:
    values = torch.rand(16, 16).softmax(1)
    found = pooled(values, (4, 4), (2, 2))
    assert found.shape == (4, 4)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_a_coarse_layer_weighs_more_once_enlarged() -> None:
    """As in the published code: its rows sum to as many as a position became."""
    found = carried(torch.full((4, 4), 0.25), (2, 2), (4, 4))
    np.testing.assert_allclose(found.sum(1), 4.0)


def test_maps_that_are_zero_all_over_stay_so() -> None:
    alike = Affinity(grid=(2, 2), values=np.full((4, 4), 0.25, np.float32))
    assert not refined(np.zeros((1, 2, 2), np.float32), alike, 3).any()
