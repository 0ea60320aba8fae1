import pytest
import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.models import mobilenet_v3_large

from segmint.errors import ConfigError, ModelError
from segmint.training.fit.model import build, load_backbone, loss, normalise, parameter_groups
from segmint.training.fit.optim import RunningMean, make_optimiser, rate_at, set_rate
from segmint.training.settings import NetworkSettings, OptimiserSettings, TrainSettings


@pytest.mark.parametrize("architecture", ["deeplabv3_mobilenet_v3_large", "toynet"])
def test_logits_have_the_size_of_the_image(architecture):
    model = build(architecture, num_labels=3, auxiliary=True).eval()
    with torch.no_grad():
        outputs = model(torch.zeros(1, 3, 70, 53))
    assert outputs["out"].shape == (1, 3, 70, 53)
    assert ("aux" in outputs) == (architecture != "toynet")


@pytest.mark.parametrize("architecture", ["deeplabv3_resnet50", "deeplabv3_resnet101"])
def test_resnets_are_torchvisions_at_output_stride_8(architecture):
    with torch.device("meta"):
        model = build(architecture, num_labels=21, auxiliary=True).eval()
        features = model.backbone(torch.zeros(1, 3, 64, 96))
    assert features["out"].shape[-2:] == (8, 12)
    assert model.aux_classifier is not None
    assert set(dict(model.named_children())) == {"backbone", "classifier", "aux_classifier"}


@pytest.mark.parametrize("prefix", ["features.", "backbone."])
def test_backbone_weights_from_a_file(tmp_path, prefix):
    source = mobilenet_v3_large(weights=None).features
    state = {f"{prefix}{key}": value for key, value in source.state_dict().items()}
    save_file({**state, "classifier.0.weight": torch.zeros(1)}, tmp_path / "m.safetensors")
    settings = NetworkSettings(
        architecture="deeplabv3_mobilenet_v3_large", backbone=str(tmp_path / "m.safetensors")
    )
    model = build(settings.architecture, num_labels=3, auxiliary=False)
    load_backbone(model, settings)
    assert torch.equal(model.backbone["3"].block[0][0].weight, source[3].block[0][0].weight)


def test_weights_of_another_network(tmp_path):
    save_file({"conv1.weight": torch.zeros(2)}, tmp_path / "x.safetensors")
    settings = NetworkSettings(architecture="toynet", backbone=str(tmp_path / "x.safetensors"))
    with pytest.raises(ModelError, match=r"does not fit the backbone: .* missing"):
        load_backbone(build("toynet", num_labels=2, auxiliary=False), settings)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.safetensors", "no such file"),
        ("old.pth", r"is a pickle.*save_file\(torch.load\('old.pth', weights_only=True\)"),
        ("bad.safetensors", "cannot be read"),
    ],
)
def test_backbone_files_that_cannot_be_used(tmp_path, name, message):
    (tmp_path / "bad.safetensors").write_bytes(b"\x00" * 20)
    settings = NetworkSettings(architecture="toynet", backbone=str(tmp_path / name))
    with pytest.raises(ModelError, match=message):
        load_backbone(build("toynet", num_labels=2, auxiliary=False), settings)


def test_imagenet_without_a_network_says_what_to_pass(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(ModelError, match=r"no route to host.*--backbone FILE\.safetensors.*--backbone none"):
        load_backbone(torch.nn.Module(), NetworkSettings())


def test_toynet_begins_at_random_without_being_told():
    assert NetworkSettings(architecture="toynet").backbone == "none"
    assert TrainSettings().merged({"network.architecture": "toynet"}).network.backbone == "none"
    with pytest.raises(ConfigError, match="no ImageNet weights for toynet"):
        NetworkSettings.parse({"architecture": "toynet", "backbone": "imagenet"})


def test_ignored_pixels_have_no_part_in_the_loss():
    logits = torch.randn(2, 3, 4, 4)
    labels = torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8)
    labels[:, 2:] = 255
    expected = torch.nn.functional.cross_entropy(logits[:, :, :2], labels[:, :2].long())
    assert loss({"out": logits}, labels, auxiliary_weight=0.4).item() == pytest.approx(expected.item())
    both = loss({"out": logits, "aux": logits}, labels, auxiliary_weight=0.4)
    assert both.item() == pytest.approx(1.4 * expected.item())


def test_a_batch_without_a_label_costs_nothing():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    value = loss({"out": logits}, torch.full((1, 2, 2), 255, dtype=torch.uint8), auxiliary_weight=0.4)
    value.backward()
    assert value.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_pixels_are_normalised_as_imagenets():
    grey = normalise(torch.full((1, 3, 1, 1), 128, dtype=torch.uint8)).ravel()
    assert grey.tolist() == pytest.approx(
        [(128 / 255 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (128 / 255 - 0.406) / 0.225], abs=1e-5
    )


def test_the_rate_decays_polynomially_after_a_rise():
    settings = OptimiserSettings(learning_rate=1.0, warmup_iterations=10, power=0.9)
    rates = [rate_at(each, settings, iterations=100) for each in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[50] == pytest.approx(0.5**0.9)
    assert rates[99] == pytest.approx(0.01**0.9)
    assert max(rates) == rates[9] or max(rates) == rates[10]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_backbone_has_a_rate_of_its_own(name):
    model = build("toynet", num_labels=2, auxiliary=False)
    optimiser = make_optimiser(model, OptimiserSettings(name=name, backbone_factor=0.1))
    set_rate(optimiser, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [0.05, 0.5]
    backbone, heads = parameter_groups(model)
    assert len(backbone) + len(heads) == len(list(model.parameters()))


def test_the_running_mean_is_the_published_formula_to_the_bit():
    """lerp by one minus the decay, counters copied; the decay rises from 2/11 to its final value."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    mean = RunningMean(model, decay=0.5)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    for iteration, decay in enumerate((2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5)):
        model(torch.randn(2, 3, 8, 8))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        mean.update(model, iteration=iteration)
        for name, value in model.state_dict().items():
            ours = expected[name]
            expected[name] = torch.lerp(ours, value, 1 - decay) if ours.is_floating_point() else value.clone()
    assert all(torch.equal(mean.values[name], expected[name]) for name in expected)


def test_torch_averages_a_weight_likewise_and_a_counter_otherwise():
    """Why the running mean is our own: see its docstring."""
    ours, theirs = (torch.nn.BatchNorm1d(4) for _ in range(2))
    mean = RunningMean(ours, decay=0.5)
    average = AveragedModel(theirs, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    average.update_parameters(theirs)
    for model in (ours, theirs):
        model.weight.data = torch.tensor([0.1, 0.7, 1.3, 2.9])
        model.num_batches_tracked.fill_(7)
    mean.update(ours, iteration=100)
    average.update_parameters(theirs)
    assert torch.equal(mean.values["weight"], average.module.weight)
    assert mean.values["num_batches_tracked"] == 7
    assert average.module.num_batches_tracked == 3
