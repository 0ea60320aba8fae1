"""What cannot be drawn with is refused in one line: what was expected, what was found, what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusers import DiffusionPipeline
from golden_models import model
from huggingface_hub.errors import GatedRepoError

from segmint.artifacts import PromptSpec
from segmint.attention import NOTHING, CaptureRequest
from segmint.backbone.families import family_of
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings
from segmint.errors import ConfigError, ModelError, PromptError, SegmintError

JOINT = ("sd3", "flux", "qwenimage", "zimage", "flux2-klein", "lumina2")
ONE_ENCODER = ("pixart", "qwenimage", "zimage", "flux2-klein", "sana", "lumina2")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
Find = Callable[[str], Path]


def refused(kind: type[SegmintError], match: str, action: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=match) as told:
        action()
    assert "\n" not in str(told.value)


def opened(folder: Path) -> Any:
    return load(ModelSettings(id=str(folder)), "cpu")


@pytest.mark.parametrize("name", ["Chroma", "CogView4", "HiDreamImage", "Krea2", "AuraFlow", "SanaVideo"])
def test_an_unknown_layout_is_told_what_is_known(name: str) -> None:
    index = {"_class_name": f"{name}Pipeline", "transformer": ["diffusers", f"{name}Transformer2DModel"]}
    known = r"FLUX\.1 .*FLUX\.2 .*Qwen-Image .*Z-Image .*Lumina 2"
    refused(
        ModelError, rf"is a {name}Pipeline, whose .* is not understood; .*{known}", lambda: family_of(index)
    )


@pytest.mark.parametrize("name", [*ONE_ENCODER, "flux", "sd3"])
def test_a_text_encoder_that_is_missing(name: str, family_folder: Find, tmp_path: Path) -> None:
    folder = shutil.copytree(family_folder(name), tmp_path / name)
    shutil.rmtree(folder / "text_encoder")
    refused(ModelError, r"part 'text_encoder' is missing .* fetch the model again", lambda: opened(folder))
    index = json.loads((folder / "model_index.json").read_text())
    index["text_encoder"] = [None, None]
    (folder / "model_index.json").write_text(json.dumps(index))
    refused(ModelError, r"lists no text_encoder in its model_index.json; supported", lambda: opened(folder))


@pytest.mark.parametrize(
    ("place", "other", "said"),
    [
        ("zimage/text_encoder", "lumina2", "part 'text_encoder': "),
        ("qwenimage/vae", "flux2-klein", "part 'vae': "),
        ("flux2-klein/vae", "flux", "part 'vae': "),
        ("flux/vae", "pixart", "part 'vae' tells no shift_factor, which this model's latents are moved by"),
        ("flux/text_encoder", "sd2", r"is given 24 numbers of the whole text, 'text_encoder' make \d+"),
        ("flux/tokenizer_2", "qwenimage/tokenizer", "part 'tokenizer_2' is not the T5Tokenizer"),
        ("flux/scheduler", "pixart", "a FlowMatchEuler.* in model_index.json and a DPMSolver.* in its own"),
        ("sana/scheduler", "flux", "a DPMSolver.* in model_index.json and a FlowMatchEuler.* in its own"),
    ],
)
def test_parts_of_another_model(
    place: str, other: str, said: str, family_folder: Find, tmp_path: Path
) -> None:
    name, _, part = place.partition("/")
    folder = shutil.copytree(family_folder(name), tmp_path / name)
    shutil.rmtree(folder / part)
    family, _, from_part = other.partition("/")
    shutil.copytree(family_folder(family) / (from_part or part), folder / part)
    refused(ModelError, rf"model {folder}.*{said}", lambda: opened(folder))


def test_a_text_of_another_width(family_folder: Find) -> None:
    backbone = opened(family_folder("zimage"))
    backbone.pipe.transformer.register_to_config(cap_feat_dim=24)
    said = "reads text 24 numbers wide, part 'text_encoder' writes 32"
    refused(ModelError, said, lambda: backbone.family.check(backbone.pipe))


@pytest.mark.parametrize("name", JOINT)
def test_a_phrase_that_cannot_be_placed(
    name: str, family_folder: Find, make_spec: Callable[..., PromptSpec]
) -> None:
    backbone = opened(family_folder(name))
    spec = make_spec(0, classes=("dog",), phrases=((" ",),), prompt="a dog")
    check = lambda: backbone.check([spec], SamplingSettings(), CaptureRequest())  # noqa: E731
    refused(PromptError, r"item item-0: phrase ' ' is empty to the model's tokenizer; give words", check)


def test_guidance_of_a_model_that_does_without(
    family_folder: Find, make_spec: Callable[..., PromptSpec]
) -> None:
    backbone = opened(family_folder("flux2-klein"))
    backbone.pipe.register_to_config(is_distilled=True)
    guided = SamplingSettings(guidance=3.0)
    said = r"takes no guidance \(it was trained to do without\); --guidance asks for 3: leave it out"
    refused(ConfigError, said, lambda: backbone.check([make_spec(0)], guided, NOTHING))


def test_a_negative_prompt_that_nothing_would_see(
    family_folder: Find, make_spec: Callable[..., PromptSpec]
) -> None:
    flux, sd3 = (model(family_folder(each)) for each in ("flux", "sd3"))
    wanted = SamplingSettings(negative_prompt="blurry")
    sd3.check([make_spec(0)], wanted, NOTHING)
    said = r"sees no negative prompt at guidance 3\.5; leave --negative-prompt out"
    refused(ConfigError, said, lambda: flux.check([make_spec(0)], wanted, NOTHING))
    unguided = SamplingSettings(negative_prompt="blurry", guidance=1.0)
    refused(
        ConfigError,
        "sees no negative prompt at guidance 1",
        lambda: sd3.check([make_spec(0)], unguided, NOTHING),
    )


def test_a_gated_model_says_what_to_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise OSError("403") from GatedRepoError.__new__(GatedRepoError)

    monkeypatch.setattr(DiffusionPipeline, "download", forbidden)
    said = r"FLUX\.2-dev' is not on this machine, .* only to those who accept its terms and log in"
    refused(ModelError, said, lambda: load(ModelSettings(id="black-forest-labs/FLUX.2-dev"), "cpu"))
