from pathlib import Path

import pytest

from segmint.errors import ConfigError
from segmint.training.courses import load_course, names, plan, require_prompts, training_memory
from segmint.training.settings import TrainSettings


@pytest.mark.parametrize("name", names())
def test_every_course_can_be_planned(name, tmp_path):
    steps = plan(load_course(name), tmp_path)
    assert steps[0].words[0] == "generate"
    assert steps[-1].words[0] == "evaluate"
    assert steps[0].items > 0
    assert steps[0].denoising_steps % steps[0].items == 0
    assert all("{" not in word for step in steps for word in step.words)
    trainings = [step for step in steps if step.words[0] == "train"]
    assert all(step.memory_bytes > 0 and step.disk_bytes > 0 and step.iterations > 0 for step in trainings)
    assert all("--resume" in step.words for step in trainings)


def test_syntagen_keeps_the_rules_of_the_challenge(tmp_path):
    minting, training, _ = plan(load_course("syntagen"), tmp_path)
    assert minting.items <= 10_000
    assert minting.words[minting.words.index("--method") + 1] == "pcc"
    assert training.settings.network.architecture == "deeplabv3_resnet50"
    assert training.settings.schedule.batch_size == 8
    assert training.settings.schedule.iterations <= 10_000
    assert training.settings.schedule.validate_every == 1000
    assert training.settings.schedule.ema is False  # one candidate at each validation


def test_syntagen_asks_for_the_reports_prompts_and_says_where_they_are():
    course = load_course("syntagen")
    with pytest.raises(ConfigError, match=r"datadif_prompts_voc\.json.*https://.*--prompts") as refused:
        require_prompts(course, None, templates=False)
    assert "\n" not in str(refused.value)
    require_prompts(course, Path("mine.json"), templates=False)
    require_prompts(course, None, templates=True)
    require_prompts(load_course("toybox"), None, templates=False)
    with pytest.raises(ConfigError, match="exclude each other"):
        require_prompts(course, Path("mine.json"), templates=True)


def test_a_plan_takes_data_prompts_and_weights_of_ones_own(tmp_path):
    steps = plan(
        load_course("syntagen"),
        tmp_path,
        data="voc:/data@val",
        prompts=Path("mine.jsonl"),
        backbone="r50.safetensors",
    )
    assert steps[0].words[steps[0].words.index("--prompts") + 1] == "mine.jsonl"
    assert "--download" not in steps[1].words
    assert {"voc:/data@val", "r50.safetensors"} <= set(steps[1].words)


def test_the_settings_of_a_step_are_a_file_that_can_be_read(tmp_path):
    step = plan(load_course("toybox"), tmp_path)[1]
    step.settings_file.write_text(step.settings.to_toml())
    assert TrainSettings.load(step.settings_file) == step.settings
    assert str(step.settings_file) in step.words


def test_memory_grows_with_what_a_pass_holds():
    small = TrainSettings().merged({"network.architecture": "toynet", "augment.crop_px": 64})
    large = small.merged({"augment.crop_px": 128})
    halved = large.merged({"schedule.accumulate": 2})
    sizes = [training_memory(each, num_labels=9) for each in (small, large, halved)]
    assert sizes[0] < sizes[2] < sizes[1]


def test_no_such_course(tmp_path):
    with pytest.raises(ConfigError, match="there are dataset-diffusion, syntagen, toybox"):
        load_course("imagenet")
    (tmp_path / "bad.toml").write_text("title = 3")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_course(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"title = '\xe9'\n", "line 1: not UTF-8"),
        (b"\xff\xfet\0", "UTF-16"),
        (b"title = 1\n\0", "line 2: a NUL byte"),
        (b"[" * 100_000, "not"),
        (b".".join([b"a"] * 30_000) + b" = 1", "a key of more than 50 parts"),
    ],
)
def test_bytes_that_are_no_recipe(tmp_path, data, said):
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    for load in (load_course, TrainSettings.load):
        with pytest.raises(ConfigError, match=said) as caught:
            load(str(path) if load is load_course else path)
        assert "\n" not in str(caught.value)


def test_settings_that_are_not_right(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown setting 'schedule\.itertions'"):
        TrainSettings().merged({"schedule.itertions": 3})
    with pytest.raises(ConfigError, match=r"schedule\.iterations: .* found 0"):
        TrainSettings().merged({"schedule.iterations": 0})
    with pytest.raises(ConfigError, match="scale_range"):
        TrainSettings.parse({"augment": {"scale_range": (2.0, 0.5)}})
    (tmp_path / "bad.toml").write_text("[")
    with pytest.raises(ConfigError, match="not TOML"):
        TrainSettings.load(tmp_path / "bad.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        TrainSettings.load(tmp_path / "gone.toml")
