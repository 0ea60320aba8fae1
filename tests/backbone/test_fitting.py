"""Sound parts that do not fit one another are refused at loading; odd sizes and small VAEs are taken."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    DDPMScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UnCLIPScheduler,
    VQModel,
)
from tiny_models import EVERYTHING, NOISE, build_unet, build_vae

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import NOTHING
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, ObserveSettings, SamplingSettings
from segmint.errors import ConfigError, ModelError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array:DeprecationWarning"
)  # schedulers of diffusers with numpy 2

Tiny = Callable[[str], Path]
Make = Callable[..., PromptSpec]


@pytest.fixture
def model(tiny: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("sd1"), tmp_path / "model"))


def put(model: Path, part: str, module: Any) -> None:
    shutil.rmtree(model / part)
    module.save_pretrained(model / part)
    index = json.loads((model / "model_index.json").read_text())
    index[part] = ["diffusers", type(module).__name__]
    (model / "model_index.json").write_text(json.dumps(index))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("part", "module", "message"),
    [
        ("unet", lambda: build_unet(in_channels=9), r"'unet' takes 9 channels.*inpainting"),
        ("unet", lambda: build_unet(in_channels=8), r"'unet' takes 8 channels.*editing"),
        ("unet", lambda: build_unet(in_channels=7), r"'unet' takes 7 channels.*upscaling"),
        ("unet", lambda: build_unet(out_channels=8), "'unet' gives 8 channels"),
        ("unet", lambda: build_unet(num_class_embeds=3), "no text-to-image model"),
        ("unet", lambda: build_unet(cross_attention_dim=24), "reads text 24 numbers wide.*write 16"),
        ("unet", lambda: build_unet(sample_size="16"), "sample_size '16'"),
        ("unet", lambda: build_unet(sample_size=(16, 16, 16)), "sample_size"),
        (
            "vae",
            lambda: VQModel(latent_channels=4, norm_num_groups=4, block_out_channels=(8,)),
            "'vae' is a VQModel",
        ),
        ("vae", lambda: build_vae(scaling_factor=None), "scaling_factor None"),
        ("vae", lambda: build_vae(scaling_factor=0), "scaling_factor 0"),
        ("scheduler", UnCLIPScheduler, "models of another kind"),
        ("scheduler", FlowMatchEulerDiscreteScheduler, "flow matching"),
        ("scheduler", EDMEulerScheduler, "EDM"),
        (
            "scheduler",
            lambda: EulerDiscreteScheduler(**NOISE, steps_offset=1, timestep_type="continuous"),
            "continuous timesteps",
        ),
        (
            "scheduler",
            lambda: PNDMScheduler(**NOISE, steps_offset=1, prediction_type="flow_prediction"),
            "predicts flow_prediction",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(
    model: Path, part: str, module: Callable[[], Any], message: str
) -> None:
    put(model, part, module())
    with pytest.raises(ModelError, match=message) as caught:
        load(ModelSettings(id=str(model)), "cpu")
    assert f"part '{part}'" in str(caught.value)


def test_a_vae_of_other_channels_is_refused(model: Path) -> None:
    vae = build_vae()
    put(model, "vae", type(vae)(**{**vae.config, "latent_channels": 8}))
    with pytest.raises(ModelError, match="part 'unet' takes 4 channels, part 'vae' makes 8"):
        load(ModelSettings(id=str(model)), "cpu")


def test_more_words_than_embeddings_are_refused(model: Path) -> None:
    from transformers import CLIPTokenizer

    words = CLIPTokenizer.from_pretrained(model / "tokenizer")
    words.add_tokens(["<toy>"])
    words.save_pretrained(model / "tokenizer")
    with pytest.raises(ModelError, match="part 'tokenizer' knows"):
        load(ModelSettings(id=str(model)), "cpu")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((None, 64), (64, 64)), (([8, 16], 64), (32, 64)), ((16, 64), (64, 64))],
)
def test_the_model_s_own_size(model: Path, sizes: tuple[Any, Any], expected: tuple[int, int]) -> None:
    edit(model / "unet/config.json", sample_size=sizes[0])
    edit(model / "vae/config.json", sample_size=sizes[1])
    info = load(ModelSettings(id=str(model)), "cpu").info
    assert (info.height_px, info.width_px) == expected


@pytest.mark.parametrize("size", [0, "32", [32], 10**9, [16, 10**9]])
def test_a_size_that_no_image_has(model: Path, size: Any) -> None:
    edit(model / "unet/config.json", sample_size=size)
    with pytest.raises(ModelError, match=r"^model .*sample_size") as told:
        load(ModelSettings(id=str(model)), "cpu")
    assert "\n" not in str(told.value)


def test_a_tiny_autoencoder_draws_and_looks(model: Path, make_spec: Make) -> None:
    torch.manual_seed(0)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    )
    put(model, "vae", tiny)
    backbone = load(ModelSettings(id=str(model)), "cpu")
    (item,) = backbone.generate([make_spec()], SamplingSettings(steps=1), NOTHING)
    assert isinstance(item, Generation)
    (seen,) = backbone.observe([item.image], [make_spec()], ObserveSettings(), EVERYTHING)
    assert isinstance(seen, Generation)


def test_a_single_file_is_said_to_be_one(model: Path) -> None:
    path = model / "unet/diffusion_pytorch_model.safetensors"
    with pytest.raises(ModelError, match=r"is a single file; expected a folder.*from_single_file"):
        load(ModelSettings(id=str(path)), "cpu")


@pytest.mark.parametrize("entry", [[], None, ["diffusers"], "UNet2DConditionModel", {}, [None, None], [1, 2]])
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "scheduler"])
def test_odd_entries_of_the_index(model: Path, part: str, entry: Any) -> None:
    edit(model / "model_index.json", **{part: entry})
    with pytest.raises(ModelError):
        load(ModelSettings(id=str(model)), "cpu")


@pytest.mark.parametrize(
    "listed", [[], None, "x", {"a": 1}, {"a": None}, {"a": "../b.safetensors"}, {"a": "/etc/passwd"}]
)
def test_odd_lists_of_shards(model: Path, listed: Any) -> None:
    path = model / "unet/diffusion_pytorch_model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": listed}))
    with pytest.raises(ModelError, match="part 'unet' has a corrupt"):
        load(ModelSettings(id=str(model)), "cpu")


@pytest.mark.parametrize(
    ("scheduler", "steps"), [("ddim", 1000), ("ddpm", 1000), ("pndm", 1000), ("lcm", 51), ("tcd", 51)]
)
def test_steps_beyond_the_schedule_are_refused_before_drawing(
    tiny: Tiny, make_spec: Make, scheduler: str, steps: int
) -> None:
    backbone = load(ModelSettings(id=str(tiny("sd1")), scheduler=scheduler), "cpu")
    with pytest.raises(ConfigError, match=rf"{steps} steps do not fit the scheduler \w+Scheduler"):
        backbone.check([make_spec()], SamplingSettings(steps=steps), NOTHING)
    backbone.check([make_spec()], SamplingSettings(steps=50), NOTHING)


@pytest.mark.parametrize("scheduler", [DDIMScheduler, DDPMScheduler, PNDMScheduler])
def test_steps_are_counted_on_what_the_pipeline_made_of_an_old_scheduler(
    model: Path, make_spec: Make, scheduler: Any
) -> None:
    put(model, "scheduler", scheduler(**NOISE))  # without the offset that pipelines add, with a warning
    backbone = load(ModelSettings(id=str(model)), "cpu")
    with pytest.raises(ConfigError, match="1000 steps do not fit"):
        backbone.check([make_spec()], SamplingSettings(steps=1000), NOTHING)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("text_encoder", "num_hidden_layers", 10**6),
        ("unet", "layers_per_block", [2, 10**6]),
        ("vae", "layers_per_block", 1e9),
    ],
)
def test_layers_beyond_number(model: Path, part: str, field: str, value: Any) -> None:
    edit(model / part / "config.json", **{field: value})
    with pytest.raises(ModelError, match=rf"part '{part}' has .* {field} in .*config.json"):
        load(ModelSettings(id=str(model)), "cpu")


def test_too_few_steps_for_a_scheduler_that_warms_up(model: Path, make_spec: Make) -> None:
    put(model, "scheduler", PNDMScheduler(**NOISE, steps_offset=1, skip_prk_steps=False))
    backbone = load(ModelSettings(id=str(model)), "cpu")
    with pytest.raises(ConfigError, match="3 steps do not fit the scheduler PNDMScheduler"):
        backbone.check([make_spec()], SamplingSettings(steps=3), NOTHING)


def test_trying_the_steps_changes_no_random_state(tiny: Tiny, make_spec: Make) -> None:
    backbone = load(ModelSettings(id=str(tiny("sd1")), scheduler="euler-a"), "cpu")
    before = torch.get_rng_state()
    backbone.check([make_spec()], SamplingSettings(steps=5), NOTHING)
    assert torch.equal(before, torch.get_rng_state())


def test_a_few_step_model_is_looked_at_where_it_was_trained(tiny: Tiny) -> None:
    backbone = load(ModelSettings(id=str(tiny("lcm"))), "cpu")
    assert backbone._noise_levels(ObserveSettings(timesteps=(100, 0, 990, 101))) == (99, 19, 999)
    plain = load(ModelSettings(id=str(tiny("sd1"))), "cpu")
    assert plain._noise_levels(ObserveSettings(timesteps=(100, 0))) == (100, 0)


USUAL = {**NOISE, "steps_offset": 1}
TRAILING = {"timestep_spacing": "trailing"}


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("scheduler", [EulerDiscreteScheduler, EulerAncestralDiscreteScheduler])
def test_a_turbo_in_a_folder_is_known_by_its_scheduler(
    tiny: Tiny, make_spec: Make, tmp_path: Path, family: str, scheduler: Any
) -> None:
    folder = Path(shutil.copytree(tiny(family), tmp_path / "turbo"))
    put(folder, "scheduler", scheduler(**USUAL, **TRAILING))
    backbone = load(ModelSettings(id=str(folder)), "cpu")
    assert (backbone.info.default_steps, backbone.info.default_guidance) == (4, 0.0)
    assert backbone._noise_levels(ObserveSettings(timesteps=(100, 990))) == (249, 999)
    assert "4 steps without guidance" in backbone.info.notes[0]
    (item,) = backbone.generate([make_spec()], SamplingSettings(), EVERYTHING)
    assert isinstance(item, Generation)
    assert {len(head.values) for head in item.heads} == {1}  # no guidance: one half
    other = load(ModelSettings(id=str(folder), scheduler="ddim"), "cpu").info
    assert (other.default_steps, other.trained_timesteps) == (4, (249, 499, 749, 999))


@pytest.mark.parametrize(
    "scheduler",
    [
        EulerDiscreteScheduler(**USUAL),
        EulerDiscreteScheduler(**USUAL, **TRAILING, rescale_betas_zero_snr=True),
        EulerDiscreteScheduler(**USUAL, **TRAILING, prediction_type="v_prediction"),
        DDIMScheduler(**USUAL, **TRAILING, clip_sample=False),
    ],
)
def test_other_schedulers_are_of_models_trained_for_every_step(model: Path, scheduler: Any) -> None:
    put(model, "scheduler", scheduler)
    info = load(ModelSettings(id=str(model)), "cpu").info
    assert (info.default_steps, info.default_guidance, info.trained_timesteps, info.notes) == (
        50,
        7.5,
        (),
        (),
    )


def test_a_network_with_a_consistency_adapter_fused_in_takes_few_steps(model: Path) -> None:
    put(model, "scheduler", LCMScheduler(**USUAL))
    info = load(ModelSettings(id=str(model)), "cpu").info
    assert (info.default_steps, info.default_guidance, len(info.trained_timesteps)) == (4, 0.0, 50)


@pytest.fixture
def taught(model: Path) -> Path:
    """A model that has learnt <toy> as two vectors and <hat> as one, as textual inversion stores them."""
    backbone = load(ModelSettings(id=str(model)), "cpu")
    pipe = backbone.pipe
    width = pipe.text_encoder.config.hidden_size
    pipe.load_textual_inversion(torch.randn(2, width), token="<toy>")
    pipe.load_textual_inversion(torch.randn(1, width), token="<hat>")
    pipe.save_pretrained(model)
    return model


def test_words_of_several_vectors_have_the_rows_that_reach_the_encoder(taught: Path, make_spec: Make) -> None:
    spec = make_spec(0, ("<toy>", "dog", "<hat>", "car"), prompt="a <toy> dog <hat> car")
    backbone = load(ModelSettings(id=str(taught)), "cpu")
    (item,) = backbone.generate([spec], SamplingSettings(steps=1), EVERYTHING)
    assert isinstance(item, Generation)
    asked = item.maps["prompt"]
    assert asked.tokens == ("<SoT>", "a", "<toy>", "<toy>_1", "dog", "<hat>", "car", "<EoT>")
    assert asked.phrase_tokens == ((2, 3), (4,), (5,), (6,))
    classes = item.maps["classes"]
    assert classes.tokens == ("<SoT>", "<toy>", "<toy>_1", "dog", "<hat>", "car", "<EoT>")
    assert classes.phrase_tokens == ((1, 2), (3,), (4,), (5,))
    assert np.isfinite(classes.values).all()
