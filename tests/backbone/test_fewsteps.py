"""Few-step models: told by what the model says of itself, and where it says nothing by what it is called."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from diffusers import LCMScheduler
from golden_models import model

from segmint.backbone.fewsteps import FEW, is_few_step, names_of, told_by_name
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings

Find = Callable[[str], Path]


@pytest.mark.parametrize(
    "name", ["Z-Image-Turbo", "my_turbo.v2", "sd3.5-LCM", "models--ByteDance--SDXL-Lightning", "x (dmd2)"]
)
def test_names_of_few_step_models(name: str) -> None:
    assert is_few_step(name)


@pytest.mark.parametrize("name", ["Z-Image", "z-image-de-turbo", "deturbo", "hyperreal", "turbocharged", ""])
def test_other_names(name: str) -> None:
    assert not is_few_step(name)


def test_a_folder_of_any_name_is_known_by_where_it_came_from(tmp_path: Path) -> None:
    assert list(names_of(tmp_path, "/models/mine", "transformer")) == ["mine"]
    (tmp_path / "transformer").mkdir()
    came_from = {"_name_or_path": "/home/x/.cache/models--Tongyi-MAI--Z-Image-Turbo/snapshots/0123"}
    (tmp_path / "transformer" / "config.json").write_text(json.dumps(came_from))
    (tmp_path / "model_index.json").write_text('{"_name_or_path": 3}')
    card = "---\nbase_model: Tongyi-MAI/Z-Image-Turbo\n---\n# Mine\nNot for Lightning.\n# b\n"
    (tmp_path / "README.md").write_text(card)
    assert list(names_of(tmp_path, "mine", "transformer")) == [
        "mine",
        "models--Tongyi-MAI--Z-Image-Turbo",
        "Tongyi-MAI/Z-Image-Turbo",
        "Mine",
    ]


@pytest.mark.parametrize(("family", "name"), [("zimage", "Z-Image-Turbo"), ("sd3", "large_turbo")])
def test_a_folders_name_gives_steps_and_guidance_and_says_so(
    family: str, name: str, family_folder: Find, tmp_path: Path
) -> None:
    (tmp_path / name).symlink_to(family_folder(family))
    info = load(ModelSettings(id=str(tmp_path / name)), "cpu").info
    assert (info.default_steps, info.default_guidance) == FEW[info.family]
    (note,) = info.notes
    assert f"{name!r} is the name of a few-step model" in note
    assert f"{info.default_steps} steps without guidance unless --steps" in note
    plain = model(family_folder(family)).info
    assert plain.default_steps > info.default_steps
    assert not plain.notes


def test_what_a_model_says_of_itself_needs_no_name(
    family_folder: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    klein, flux, pixart = (model(family_folder(each)) for each in ("flux2-klein", "flux", "pixart"))
    for backbone, changes, few in (
        (klein, {"is_distilled": True}, (4, 1.0)),
        (flux, {"guidance_embeds": False}, (4, 0.0)),
    ):
        config = backbone.pipe.config if backbone is klein else backbone.network.config
        owner = backbone.pipe if backbone is klein else backbone.network
        before = {name: config[name] for name in changes}
        assert backbone.family.describe(backbone.pipe).steps > 4
        owner.register_to_config(**changes)
        try:
            facts = backbone.family.describe(backbone.pipe)
        finally:
            owner.register_to_config(**before)
        assert (facts.steps, facts.guidance, facts.guided) == (*few, False)
        assert told_by_name(facts, ["turbo"]) == facts
    monkeypatch.setattr(pixart.pipe, "scheduler", LCMScheduler())
    facts = pixart.family.describe(pixart.pipe)
    assert (facts.steps, facts.guidance, len(facts.timesteps)) == (4, 0.0, 50)
