import json
import os
from collections import namedtuple
from dataclasses import asdict

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from segmint.errors import ConfigError, ModelError, StorageError, TrainingError
from segmint.listening import Silent, Step, Validated
from segmint.training.data.datasets import match
from segmint.training.data.readers.voc import read_voc
from segmint.training.fit import checkpoint, session
from segmint.training.fit.log import read_log
from segmint.training.fit.model import build
from segmint.training.fit.train import train
from segmint.training.judge.inference import load_segmenter
from tiny_datasets import write_voc


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return [read_voc(write_voc(root / "train", 8, split="train"))], read_voc(
        write_voc(root / "val", 4, start=100)
    )


class Recorder(Silent):
    """Keeps what it is told; asks to stop after an iteration, and raises after another."""

    def __init__(self, *, stop_after=None, die_after=None):
        self.notes, self.steps, self.scores = [], [], []
        self.stop_after, self.die_after = stop_after, die_after

    def noted(self, text):
        self.notes.append(text)

    def finished(self, what):
        if isinstance(what, Validated):
            self.scores.append((what.iteration, dict(what.mean_iou)))
        if isinstance(what, Step):
            self.steps.append(what)
            if what.iteration == self.die_after:
                raise SystemExit("killed")

    def stop_asked(self):
        return bool(self.steps) and self.steps[-1].iteration == self.stop_after


def losses(folder):
    return [(entry["iteration"], entry["loss"]) for entry in read_log(folder) if "loss" in entry]


@pytest.fixture(scope="module")
def whole(sets, tmp_path_factory):
    """An uninterrupted training to hold others against."""
    out = tmp_path_factory.mktemp("whole")
    return out, train(*sets, out, tiny(), device="cpu", workers=0)


def tiny(**changes):
    from segmint.training.settings import TrainSettings

    return TrainSettings().merged(
        {
            "network.architecture": "toynet",
            "network.backbone": "none",
            "augment.crop_px": 32,
            "optimiser.learning_rate": 0.01,
            "optimiser.backbone_factor": 1.0,
            "schedule.iterations": 6,
            "schedule.batch_size": 2,
            "schedule.validate_every": 3,
            "schedule.checkpoint_every": 2,
            "schedule.ema_decay": 0.5,
            **changes,
        }
    )


def test_a_training_learns_and_leaves_its_files(sets, tmp_path):
    recorder = Recorder()
    schedule = {"schedule.iterations": 30, "schedule.validate_every": 15, "schedule.ema_decay": 0.9}
    settings = tiny(**schedule, **{"augment.photometric": False, "augment.scale": False})
    result = train(*sets, tmp_path, settings, device="cpu", workers=0, listener=recorder)
    assert result.mean_iou > 0.5
    values = [value for _, value in losses(tmp_path)]
    assert np.mean(values[-5:]) < 0.6 * np.mean(values[:5])
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {
        "best.safetensors",
        "best.json",
        "last.safetensors",
        "train.toml",
        "loss.png",
        "tensorboard",
    }
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert [iteration for iteration, _ in recorder.scores] == [15, 30]
    assert set(recorder.scores[0][1]) == {"raw", "ema"}
    assert "training on 8 images of train:train; skipped none" in recorder.notes
    assert not [name for name in names if name.endswith(".part")]


def test_the_checksum_is_that_of_the_best_checkpoint(whole):
    out, result = whole
    assert result.best == out / "best.safetensors"
    assert (out / "best.safetensors.sha256").read_text() == f"{result.sha256}  best.safetensors\n"
    assert checkpoint.sha256(result.best) == result.sha256


def test_the_best_checkpoint_loads_as_a_plain_state_dict(whole):
    model = build("toynet", num_labels=3, auxiliary=False)
    model.load_state_dict(load_file(whole[1].best))
    facts = checkpoint.read_facts(whole[1].best)
    assert facts.classes == ("boat", "tree")
    assert facts.mean_iou == whole[1].mean_iou
    assert json.loads((whole[0] / "best.json").read_text())["digest"] == facts.digest


@pytest.mark.parametrize("killed_after", [1, 4])
def test_killed_anywhere_it_ends_as_if_it_had_not_been(sets, whole, tmp_path, killed_after):
    with pytest.raises(SystemExit):
        train(*sets, tmp_path, tiny(), device="cpu", workers=0, listener=Recorder(die_after=killed_after))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"iteration": 5, "lo')  # a line that the kill cut off
    torch.manual_seed(99)  # whatever the state of the second process
    result = train(*sets, tmp_path, tiny(), resume=True, device="cpu", workers=2)
    assert losses(tmp_path) == losses(whole[0])
    assert result.sha256 == whole[1].sha256
    assert result.iteration == whole[1].iteration
    assert_same_tensors(tmp_path, whole[0])


def assert_same_tensors(one, other):
    left, right = (load_file(folder / "last.safetensors") for folder in (one, other))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_dropout_and_accumulation_survive_a_resume_too(sets, tmp_path):
    settings = tiny(
        **{
            "network.architecture": "deeplabv3_mobilenet_v3_large",
            "optimiser.name": "sgd",
            "optimiser.clip_norm": 1.0,
            "schedule.iterations": 2,
            "schedule.batch_size": 4,
            "schedule.accumulate": 2,
            "schedule.checkpoint_every": 1,
            "schedule.balanced": True,
            "schedule.ema": False,
        }
    )
    train(*sets, tmp_path / "whole", settings, device="cpu", workers=0)
    with pytest.raises(SystemExit):
        train(*sets, tmp_path / "cut", settings, device="cpu", workers=0, listener=Recorder(die_after=2))
    train(*sets, tmp_path / "cut", settings, resume=True, device="cpu", workers=0)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert_same_tensors(tmp_path / "cut", tmp_path / "whole")


def test_stopped_on_request_it_leaves_a_checkpoint(sets, tmp_path):
    stop = Recorder(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        train(*sets, tmp_path, tiny(), device="cpu", workers=0, listener=stop, stopping=stop.stop_asked)
    assert checkpoint.read_facts(tmp_path / "last.safetensors").iteration == 1


def test_a_finished_training_is_only_read_again(sets, whole):
    recorder = Recorder()
    again = train(*sets, whole[0], tiny(), resume=True, device="cpu", workers=0, listener=recorder)
    assert again == whole[1]
    assert recorder.steps == []


def test_the_callers_random_state_is_left_alone(sets, tmp_path):
    torch.manual_seed(1)  # Python's own generator is not looked at: beartype draws from it
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    train(*sets, tmp_path, tiny(**{"schedule.iterations": 1}), device="cpu", workers=0)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


def test_without_tensorboard_it_trains_and_says_so(sets, tmp_path, monkeypatch):
    monkeypatch.setattr("segmint.training.fit.log.find_spec", lambda _: None)
    recorder = Recorder()
    changes = {"schedule.iterations": 1}
    train(*sets, tmp_path, tiny(**changes), device="cpu", workers=0, listener=recorder)
    assert any("no TensorBoard logs" in note for note in recorder.notes)
    assert not (tmp_path / "tensorboard").exists()
    assert losses(tmp_path)


def test_a_folder_in_use_is_refused_without_resume(sets, whole):
    with pytest.raises(TrainingError, match="not empty; pass --resume"):
        train(*sets, whole[0], tiny(), device="cpu")


def test_out_is_a_file(sets, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="is a file"):
        train(*sets, tmp_path / "file", tiny(), device="cpu")


def test_other_settings_are_refused_by_name(sets, whole):
    changed = tiny(**{"optimiser.learning_rate": 0.02, "schedule.seed": 1})
    with pytest.raises(TrainingError, match=r"other settings \(optimiser\.learning_rate, schedule\.seed\)"):
        train(*sets, whole[0], changed, resume=True, device="cpu")


def test_other_data_are_refused(sets, whole, tmp_path):
    fewer = read_voc(write_voc(tmp_path / "train", 7, split="train"))
    with pytest.raises(TrainingError, match="on other items"):
        train([fewer], sets[1], whole[0], tiny(), resume=True, device="cpu")


def test_other_classes_are_refused(whole, tmp_path):
    named = [read_voc(write_voc(tmp_path / "other", 8, classes=("cat", "dog")))]
    with pytest.raises(TrainingError, match=r"classes \[boat, tree\]; the data have \[cat, dog\]"):
        train(named, named[0], whole[0], tiny(), resume=True, device="cpu")


def test_a_full_disk_leaves_the_checkpoint_before(sets, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")

    class Filling(Recorder):
        def finished(self, what):
            if isinstance(what, Step) and what.iteration == 4:
                monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _: usage(1, 1, 1000))

    with pytest.raises(StorageError, match=r"last\.safetensors could not be written.*MB are free.*--resume"):
        train(*sets, tmp_path, tiny(), device="cpu", workers=0, listener=Filling())
    assert checkpoint.read_facts(tmp_path / "last.safetensors").iteration == 3
    assert not list(tmp_path.glob(".*.part"))


def test_a_write_that_fails_leaves_the_checkpoint_before(tmp_path, monkeypatch, whole):
    facts = checkpoint.read_facts(whole[1].best)
    digest = checkpoint.save(tmp_path / "a.safetensors", {"x": torch.ones(3)}, facts)

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="the one before it is whole"):
        checkpoint.save(tmp_path / "a.safetensors", {"x": torch.zeros(3)}, facts)
    assert checkpoint.sha256(tmp_path / "a.safetensors") == digest
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".json"] == ["a.safetensors"]


def test_a_loss_that_is_no_number_stops_with_step_and_items(sets, tmp_path):
    settings = tiny(**{"optimiser.learning_rate": 1e30, "schedule.ema": False})
    with pytest.raises(
        TrainingError, match=r"the loss is \w+ at iteration [23], items train00\d, train00\d;"
    ):
        train(*sets, tmp_path, settings, device="cpu", workers=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule.batch_size": 3, "schedule.accumulate": 2}, "choose a multiple of 2"),
        ({"schedule.batch_size": 1}, "batch norm needs at least 2"),
        ({"schedule.batch_size": 2, "schedule.accumulate": 2}, "batch of 4 or more"),
    ],
)
def test_batches_that_cannot_be_dealt_out(sets, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(*sets, tmp_path, tiny(**changes), device="cpu")


def test_imagenet_weights_are_never_replaced_silently(sets, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("offline")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    changes = {"network.architecture": "deeplabv3_mobilenet_v3_large", "network.backbone": "imagenet"}
    with pytest.raises(ModelError, match="--backbone none"):
        train(*sets, tmp_path, tiny(**changes), device="cpu")


def test_a_last_checkpoint_holds_both_kinds_of_weights(whole):
    last = whole[0] / "last.safetensors"
    raw, ema = (load_segmenter(last, device="cpu", weights=kind) for kind in ("raw", "ema"))
    assert not torch.equal(raw.model.classifier[3].weight, ema.model.classifier[3].weight)


def test_what_is_no_checkpoint(tmp_path, whole):
    from safetensors.torch import save_file

    with pytest.raises(TrainingError, match="neither best"):
        load_segmenter(tmp_path)
    with pytest.raises(TrainingError, match="there is no checkpoint"):
        load_segmenter(tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes(whole[1].best.read_bytes()[:500])
    with pytest.raises(TrainingError, match="cannot be read"):
        load_segmenter(tmp_path / "x.safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "y.safetensors")
    with pytest.raises(TrainingError, match="no checkpoint of `segmint train`"):
        load_segmenter(tmp_path / "y.safetensors")


@pytest.mark.parametrize("name", ["best", "last"])
@pytest.mark.parametrize("place", [0.02, 0.1, 0.4, 0.7, 0.99])
def test_a_flipped_bit_anywhere_is_named(whole, tmp_path, name, place):
    data = bytearray((whole[0] / f"{name}.safetensors").read_bytes())
    data[int(place * len(data))] ^= 4
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(data)
    with pytest.raises(TrainingError, match=rf"{name}\.safetensors"):
        load_segmenter(path, device="cpu")


def test_an_earlier_checkpoint_is_held_against_the_checksum_beside_it(whole, tmp_path):
    from safetensors.torch import load_file, save_file

    from segmint.training.fit.checkpoint import read_facts, sha256

    facts = json.dumps(asdict(read_facts(whole[1].best)))
    path = tmp_path / "best.safetensors"
    save_file(load_file(whole[1].best), path, metadata={"segmint": facts})
    beside = path.with_name("best.safetensors.sha256")
    beside.write_text(f"{sha256(path)}  best.safetensors\n")
    load_segmenter(path, device="cpu")
    beside.write_text(f"{'0' * 64}  best.safetensors\n")
    with pytest.raises(TrainingError, match="not as it was written"):
        load_segmenter(path, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet"}, "unknown architecture 'resnet'"),
        ({"architecture": 7}, "no checkpoint of"),
        ({"classes": [str(each) for each in range(255)]}, "no checkpoint of"),
        ({"classes": [1, 2]}, "no checkpoint of"),
        ({"iteration": None}, "no checkpoint of"),
        ({"classes": ["a", "b", "c"]}, "does not fit"),
    ],
)
def test_odd_facts_of_a_checkpoint(whole, tmp_path, changes, message):
    from safetensors.torch import load_file, save_file

    from segmint.training.fit.checkpoint import read_facts

    facts = json.dumps({**asdict(read_facts(whole[1].best)), **changes})
    path = tmp_path / "best.safetensors"
    save_file(load_file(whole[1].best), path, metadata={"segmint": facts})
    with pytest.raises(TrainingError, match=message):
        load_segmenter(path, device="cpu")


def test_a_class_that_no_image_shows_is_named(sets, tmp_path):
    only_boats = read_voc(write_voc(tmp_path / "boats", 1))
    recorder = Recorder()
    result = train(
        sets[0],
        only_boats,
        tmp_path / "out",
        tiny(**{"schedule.iterations": 1}),
        device="cpu",
        listener=recorder,
    )
    assert any(note.startswith("warning: no image of boats:val shows tree;") for note in recorder.notes)
    assert result.mean_iou is not None


def test_classes_of_a_training_come_from_its_first_set(sets):
    assert match(sets[1], ["tree", "boat"]).label_names == ("background", "tree", "boat")


def test_a_numbered_gpu_is_the_one_that_is_used(monkeypatch):
    chosen = []
    monkeypatch.setattr(session, "find_device", torch.device)
    monkeypatch.setattr(session, "Accelerator", lambda **_: Accelerator(cpu=True))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for name in ("cuda:1", "cuda", "cpu"):
        session._accelerator(tiny(**{"schedule.precision": "no"}), name)
    assert chosen == [torch.device("cuda:1")]
