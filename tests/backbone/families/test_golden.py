"""Joint attention against the published codes' own numbers (ConceptAttention, Seg4Diff), on tiny models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_models import concepts, golden, heard, model

from segmint.attention import MapRequest
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.family import Stream, select
from segmint.backbone.flow import packed, unpacked
from segmint.backbone.taps import MapTap, shares_of_text


@pytest.mark.parametrize(
    ("blocks", "heat"),
    [("transformer_blocks.*", "heat_all_layers"), ("transformer_blocks.[12].*", "heat_layers_1_2")],
)
@torch.inference_mode()
def test_concepts_pass_flux_as_published(reference: Path, blocks: str, heat: str) -> None:
    """Published code fails with its own default, the last blocks, which concepts reach through the first."""
    backbone, data = model(reference / "dit" / "tiny_flux"), golden(reference, "concept_attention_flux")
    net, times = backbone.network, data["in_timesteps"]
    request = MapRequest(layers=(blocks,))
    layers = select(backbone.layers, "cross", request)
    capture = Capture(layers=backbone.layers, items=1, latent=(32, 32))
    texts = concepts(data["in_concepts"].float())
    capture.maps.append(MapTap(request=request, layers=layers, texts=texts, items=1))
    image = data["in_img"].float()
    with capturing(net, capture):
        for place in range(4):
            found = net(
                hidden_states=image,
                timestep=times[place].reshape(1).float(),
                guidance=data["in_guidance"].reshape(1).float(),
                pooled_projections=data["in_vec"].float(),
                encoder_hidden_states=data["in_txt"].float(),
                txt_ids=data["in_txt_ids"][0].float(),
                img_ids=data["in_img_ids"][0].float(),
                return_dict=False,
            )[0]
            np.testing.assert_allclose(found, data["velocity"][place], atol=1e-4)
            image = image + (times[place + 1] - times[place]).float() * found
    found = capture.token_maps()[0]["classes"].values[:5] / (4 * len(layers))
    np.testing.assert_allclose(found, data[heat], atol=1e-5)


@torch.inference_mode()
def test_all_tokens_of_a_phrase_are_one_concept(reference: Path) -> None:
    """The published code takes the first token of each, so that a skyscraper is a sky."""
    backbone = model(reference / "dit" / "tiny_flux")
    (text,) = backbone.reader.class_texts(("dog", "pot plant", "skyscraper"))
    assert [len(rows) for _, rows in text.pieces] == [1, 1, 2, 3]
    embeds = backbone.encoder.batch([(text,)]).embeds
    assert embeds.shape[1] == 7
    data = golden(reference, "concept_attention_flux")
    order = [6, 0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(embeds[0], data["alltok_in_concepts"][0].float()[order], atol=1e-4)


@torch.inference_mode()
def test_the_prompts_words_in_sd3_are_seg4diffs(reference: Path) -> None:
    backbone, data = model(reference / "dit" / "tiny_sd3"), golden(reference, "seg4diff")
    joint = heard(
        backbone.layers[2],
        lambda: backbone.network(
            hidden_states=data["sd3_in_hidden_states"].float(),
            encoder_hidden_states=data["sd3_in_prompt_embeds"].float(),
            pooled_projections=data["sd3_in_pooled"].float(),
            timestep=data["sd3_in_timestep"].float(),
        ),
    )
    found = shares_of_text(joint, 0, 77, backbone.layers[2].scale)
    np.testing.assert_allclose(found.mean(0).T, data["sd3_block2_I2T_mean_heads"], atol=3e-6)


@pytest.mark.parametrize("block", [1, 4])
@torch.inference_mode()
def test_the_prompts_words_in_flux_are_seg4diffs(reference: Path, block: int) -> None:
    """Blocks 0 to 2 are double, 3 to 5 single."""
    backbone, data = model(reference / "dit" / "tiny_flux"), golden(reference, "seg4diff")
    text = data["flux_in_prompt_embeds"].float()
    joint = heard(
        backbone.layers[block],
        lambda: backbone.network(
            hidden_states=data["flux_in_hidden_states"].float(),
            encoder_hidden_states=text,
            pooled_projections=data["flux_in_pooled"].float(),
            timestep=data["flux_in_timestep"].float(),
            guidance=data["flux_in_guidance"].float(),
            img_ids=data["flux_in_img_ids"].float(),
            txt_ids=torch.zeros(text.shape[1], 3),
        ),
    )
    found = shares_of_text(joint, 0, 77, backbone.layers[block].scale)
    np.testing.assert_allclose(found.mean(0).T, data[f"flux_block{block}_I2T_mean_heads"], atol=3e-6)


@torch.inference_mode()
def test_concepts_pass_sd3_as_published(reference: Path) -> None:
    """Their outputs; the image's come from its own pass, and not from a second one that sees the concepts."""
    backbone, data = model(reference / "dit" / "tiny_sd3"), golden(reference, "concept_attention_sd3")
    found: list[torch.Tensor] = []
    handles = []
    streams: list[Stream] = []

    def begin(_: Any, __: Any, kwargs: Any) -> None:
        begun = backbone.layers[0].begin  # type: ignore[attr-defined]
        streams[:] = [begun(kwargs, data["in_concepts"].float(), torch.tensor([0]), None)]

    handles.append(backbone.network.register_forward_pre_hook(begin, with_kwargs=True))
    for layer in backbone.layers[: len(backbone.network.transformer_blocks)]:
        handles.append(
            layer.hear_all(lambda joint, own=layer: found.append(own.follow(own, streams[0], joint)))  # type: ignore[attr-defined]
        )
    velocity = backbone.network(
        hidden_states=data["step_inputs"][2].float(),
        encoder_hidden_states=data["in_prompt_embeds"].float(),
        pooled_projections=data["in_pooled"].float(),
        timestep=data["in_timesteps"][2].reshape(1).float(),
    ).sample
    for handle in handles:
        handle.remove()
    np.testing.assert_allclose(velocity, data["velocity"][2], atol=1e-4)
    np.testing.assert_allclose(torch.stack(found), data["o_c"][2], atol=1e-4)


def test_latents_are_packed_as_the_pipeline_does(reference: Path) -> None:
    pipe = model(reference / "dit" / "tiny_flux").pipe
    latents = torch.randn(2, 4, 8, 12)
    rows = packed(latents)
    assert torch.equal(rows, pipe._pack_latents(latents, 2, 4, 8, 12))
    assert torch.equal(unpacked(rows, 8, 12), latents)


@torch.inference_mode()
def test_qwen_image_is_read_as_it_computes(reference: Path) -> None:
    backbone, data = model(reference / "dit" / "tiny_qwenimage"), golden(reference, "pipelines")
    layer = backbone.layers[1]
    found: list[torch.Tensor] = []
    joint = heard(
        layer,
        lambda: found.append(
            backbone.network(
                hidden_states=data["qwenimage/call0_hidden_states"].float(),
                encoder_hidden_states=data["qwenimage/call0_encoder_hidden_states"].float(),
                timestep=data["qwenimage/call0_timestep"].float(),
                img_shapes=[[(1, 16, 16)]],
            ).sample
        ),
    )
    np.testing.assert_allclose(found[0][0], data["qwenimage/call0_out"], atol=1e-4)
    np.testing.assert_allclose(joint.outputs[0], data["qwenimage/block1_o_x"], atol=1e-4)
    words = shares_of_text(joint, 0, 14, layer.scale).mean(0).T
    np.testing.assert_allclose(words, data["qwenimage/block1_I2T_mean_heads"], atol=3e-6)


@torch.inference_mode()
def test_z_image_is_read_as_it_computes(reference: Path) -> None:
    """Two texts of unlike length, both padded to 32 rows by learned tokens, which are attended to."""
    backbone, data = model(reference / "dit" / "tiny_zimage"), golden(reference, "pipelines")
    layer = backbone.layers[1]
    found: list[torch.Tensor] = []
    captions = [data["zimage/call0_cap0"].float(), data["zimage/call0_cap1"].float()]
    images = list(data["zimage/call0_x"].float())
    joint = heard(
        layer, lambda: found.extend(backbone.network(images, data["zimage/call0_t"].float(), captions).sample)
    )
    np.testing.assert_allclose(found[0], data["zimage/call0_out0"], atol=1e-4)
    np.testing.assert_allclose(joint.outputs[0], data["zimage/layer1_o_rows"][0, :256], atol=1e-4)
    words = shares_of_text(joint, 0, 17, layer.scale).mean(0).T
    np.testing.assert_allclose(words, data["zimage/layer1_I2T_mean_heads"], atol=3e-6)


@pytest.mark.parametrize(
    ("name", "guidance", "negative"),
    [
        ("flux", 3.5, None),
        ("sd3", 4.0, ""),
        ("pixart", 4.0, ""),
        ("zimage", 3.0, "sky"),
        ("qwenimage", 3.0, "sky"),
    ],
)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@torch.inference_mode()
def test_pipelines_draw_what_their_own_classes_draw(
    reference: Path, name: str, guidance: float, negative: str | None
) -> None:
    backbone, data = model(reference / "dit" / f"tiny_{name}"), golden(reference, "pipelines")
    noise = data[f"{name}/in_latents"].float()
    own = backbone.family.arguments(
        backbone.pipe,
        noise if noise.ndim == 4 else unpacked(noise, 32, 32),
        [backbone.encoder.encode("a photo of a dog and a pot plant")],
        None if negative is None else [backbone.encoder.encode(negative or None, negative=True)],
        guidance=guidance,
        on_step=None,
    )
    drawn = backbone.pipe(**own, height=256, width=256, num_inference_steps=3, output_type="latent").images
    known = data[f"{name}/final_latents"]
    np.testing.assert_allclose(drawn, known, atol=1e-4 * float(known.abs().max()))
