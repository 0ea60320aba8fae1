"""Where published codes err (the traps 6 to 28 of the reference's README), and the tests that hold us off.

Trap 10 is code that no longer runs. Of 28, what reads true masks or fits an offset to them has no place here.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_models import concepts, golden, model

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import AgreementRequest, CaptureRequest, MapRequest
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.family import select
from segmint.backbone.settings import ObserveSettings, SamplingSettings
from segmint.backbone.taps import MapTap
from segmint.masks.settings import profile

TESTS = Path(__file__).parents[2]
GOLDEN, ALL = "backbone/families/test_golden.py", "backbone/families/test_transformers.py"
AGREED, RIVALS = "backbone/test_agreement.py", "masks/test_transformer_rivals.py"
HERE = "backbone/families/test_traps.py"
COVERED: dict[int, tuple[tuple[str, str], ...]] = {
    6: ((GOLDEN, "test_concepts_pass_flux_as_published"),),
    7: (
        (HERE, "test_photographs_are_seen_with_their_prompts_vector_at_the_level_asked_for"),
        (ALL, "test_capture_changes_no_pixel_and_batches_hardly_any"),
    ),
    8: ((GOLDEN, "test_all_tokens_of_a_phrase_are_one_concept"),),
    9: ((GOLDEN, "test_the_prompts_words_in_flux_are_seg4diffs"),),
    11: ((HERE, "test_sd3s_concepts_are_held_against_the_images_own_pass_step_by_step"),),
    12: ((HERE, "test_sd3s_concepts_are_encoded_each_by_itself"),),
    13: ((HERE, "test_sd3s_concepts_are_held_against_the_images_own_pass_step_by_step"),),
    14: ((ALL, "test_the_conditional_half_is_the_prompts_own"),),
    15: (
        (GOLDEN, "test_concepts_pass_sd3_as_published"),
        (ALL, "test_the_second_attention_of_sd35_is_read_where_named"),
    ),
    16: ((ALL, "test_what_is_read_has_the_grids_shape"),),
    17: (
        (RIVALS, "test_seg4diff_is_the_published_one"),
        (HERE, "test_a_name_is_read_whole_and_never_within_another_word"),
    ),
    18: ((GOLDEN, "test_the_prompts_words_in_sd3_are_seg4diffs"),),
    19: ((HERE, "test_photographs_are_scaled_alike_for_flux_and_sd3"),),
    20: ((ALL, "test_phrases_of_several_tokens_are_read_whole"),),
    21: (
        (AGREED, "test_the_first_channel_alone_is_another_weight"),
        (HERE, "test_goca_is_the_papers_by_default"),
    ),
    22: ((AGREED, "test_a_coarse_layer_weighs_more_once_enlarged"),),
    23: ((AGREED, "test_layers_are_weighed_by_all_channels_and_as_published"),),
    24: (
        (AGREED, "test_each_layers_map_is_the_published_one"),
        (HERE, "test_weighed_maps_of_a_batch_are_each_items_own"),
    ),
    25: ((AGREED, "test_all_stages_are_the_published_ones"),),
    26: (
        (AGREED, "test_all_stages_are_the_published_ones"),
        (AGREED, "test_maps_that_are_zero_all_over_stay_so"),
    ),
    27: (
        (AGREED, "test_refining_does_not_make_rows_sum_to_one"),
        (AGREED, "test_maps_that_are_zero_all_over_stay_so"),
    ),
    28: (
        (HERE, "test_a_name_is_read_whole_and_never_within_another_word"),
        ("masks/test_goca.py", "test_classes_that_the_prompt_does_not_name_are_nowhere"),
    ),
}
"""Trap, and the tests that would fail were it reproduced."""
Make = Callable[..., PromptSpec]


def test_each_trap_has_its_tests() -> None:
    named = {each for tests in COVERED.values() for each in tests}
    there = {
        (file, each.name)
        for file in {file for file, _ in named}
        for each in ast.parse((TESTS / file).read_text(encoding="utf-8")).body
        if isinstance(each, ast.FunctionDef)
    }
    assert named <= there
    assert set(range(6, 29)) - {10} == set(COVERED)


def test_photographs_are_seen_with_their_prompts_vector_at_the_level_asked_for(
    reference: Path, make_spec: Make
) -> None:
    """Trap 7: zeros instead of the vector reach the image too, and values of the schedule are cut to 0."""
    backbone, spec = model(reference / "dit" / "tiny_flux"), make_spec(0)
    told: list[Any] = []
    hook = backbone.network.register_forward_pre_hook(
        lambda _, __, kwargs: told.append(kwargs), with_kwargs=True
    )
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with hook:
        backbone.observe([image], [spec], ObserveSettings(timesteps=(300,)), CaptureRequest())
    assert [float(each["timestep"][0]) for each in told] == pytest.approx([0.3])
    known = backbone.encoder.encode(spec.prompt).pooled
    np.testing.assert_array_equal(told[0]["pooled_projections"], known)
    assert known is not None
    assert known.abs().max() > 0


@torch.inference_mode()
def test_sd3s_concepts_are_held_against_the_images_own_pass_step_by_step(reference: Path) -> None:
    """Traps 11 and 13: a second pass sees the concepts; means are taken before the product, of unit length.

    The published concepts' and the ordinary pass's outputs, by FLUX's rule, are what is expected.
    """
    backbone, data = model(reference / "dit" / "tiny_sd3"), golden(reference, "concept_attention_sd3")
    request = MapRequest(layers=("transformer_blocks.*.attn",))
    layers = select(backbone.layers, "cross", request)
    tap = MapTap(request=request, layers=layers, texts=concepts(data["in_concepts"].float()), items=1)
    capture = Capture(layers=backbone.layers, items=1, latent=(32, 32), maps=[tap])
    with capturing(backbone.network, capture):
        tap.meant[:, 0] = False  # the start token goes along as it does there, and is no concept
        for place in (1, 2):
            backbone.network(
                hidden_states=data["step_inputs"][place].float(),
                encoder_hidden_states=data["in_prompt_embeds"].float(),
                pooled_projections=data["in_pooled"].float(),
                timestep=data["in_timesteps"][place].reshape(1).float(),
            )
    image, told = data["o_x_ordinary_steps_1_2"].float(), data["o_c"][1:3, :, :, 1:].float()
    known = (told @ image.mT).softmax(3).mean((0, 1))[0]
    found = capture.token_maps()[0]["classes"].values[1:5].reshape(4, -1) / (2 * len(layers))
    np.testing.assert_allclose(found, known, atol=1e-5)


@torch.inference_mode()
def test_sd3s_concepts_are_encoded_each_by_itself(reference: Path) -> None:
    """Trap 12: of "dog pot plant sky" three rows are kept: pot is a concept, plant another, and sky none."""
    backbone = model(reference / "dit" / "tiny_sd3")
    (text,) = backbone.reader.class_texts(("dog", "pot plant", "sky"))
    assert [len(rows) for _, rows in text.pieces] == [1, 1, 2, 1]  # background first
    last = backbone.encoder.batch([(text,)]).embeds[0, -1]
    np.testing.assert_array_equal(last, backbone.encoder.encode("sky").tokens[0, 1])


@pytest.mark.parametrize("family", ["flux", "sd3"])
@torch.inference_mode()
def test_photographs_are_scaled_alike_for_flux_and_sd3(reference: Path, family: str) -> None:
    """Trap 19: FLUX's VAE was given pixels that had not been brought to [-1, 1]."""
    backbone = model(reference / "dit" / f"tiny_{family}")
    vae, image = backbone.pipe.vae, np.full((32, 32, 3), 255, np.uint8)
    image[:16] = 0
    pixels = torch.from_numpy(image).movedim(-1, 0)[None].float() / 127.5 - 1
    known = (vae.encode(pixels).latent_dist.mode() - vae.config.shift_factor) * vae.config.scaling_factor
    np.testing.assert_allclose(backbone.family.clean(backbone.pipe, [image]), known, atol=1e-5)


def test_goca_is_the_papers_by_default() -> None:
    """Trap 21: the published features have lost all channels but the first."""
    assert profile("goca").goca.reference == AgreementRequest().reference == "paper"
    assert profile("goca-published").goca.reference == "published"


def test_weighed_maps_of_a_batch_are_each_items_own(reference: Path, make_spec: Make) -> None:
    """Trap 24: the published code takes a batch for heads."""
    backbone = model(reference / "dit" / "tiny_flux")
    sampling, wanted = (
        SamplingSettings(steps=1, height_px=64, width_px=64),
        AgreementRequest(heads="projected"),
    )
    capture = CaptureRequest(maps=(), features=None, agreements=(wanted,))
    specs = [make_spec(0), make_spec(1, classes=("car", "sofa", "skyscraper"))]
    several = backbone.generate(specs, sampling, capture)
    for spec, item in zip(specs, several, strict=True):
        (alone,) = backbone.generate([spec], sampling, capture)
        assert isinstance(alone, Generation)
        assert isinstance(item, Generation)
        for one, other in zip(alone.maps.values(), item.maps.values(), strict=True):
            np.testing.assert_allclose(one.values, other.values[: len(one.values)], atol=1e-4)


@pytest.mark.parametrize("family", ["sd2", "flux", "sd3", "qwenimage", "zimage", "lumina2"])
def test_a_name_is_read_whole_and_never_within_another_word(
    family: str, family_folder: Callable[[str], Path]
) -> None:
    """Trap 17: names are cut at their hyphen; trap 28: objects are matched by substring."""
    reader = model(family_folder(family)).reader
    text = reader.prompt_text("a carpet, a pot-plant and a car", ("car", "pot-plant"))
    read = ["".join(text.tokens[row] for row in rows) for rows in text.phrase_rows]
    assert [each.lower().replace("</w>", "").strip("▁Ġ") for each in read] == ["car", "pot-plant"]
