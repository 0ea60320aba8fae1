import pytest
import torch

from segmint.devices import find_device
from segmint.errors import DeviceError
from segmint.training.judge.inference import load_segmenter


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_what_is_there():
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
def test_a_numbered_device_that_is_there():
    assert find_device("auto") == torch.device("cuda")
    assert find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="'cuda:2' was asked for, but this machine's CUDA devices number 2"):
        find_device("cuda:2")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "unknown device 'gpu'; expected auto"),
        ("cuda:7", "CUDA devices number 0"),
        ("cuda:99999999999", "CUDA devices number 0"),
        ("cpu:0", "unknown device"),
        ("mps", "has none"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(name, message):
    with pytest.raises(DeviceError, match=message) as refused:
        find_device(name)
    assert "\n" not in str(refused.value)


def test_a_segmenter_is_not_read_for_a_device_that_is_not_there(tmp_path):
    with pytest.raises(DeviceError, match="cuda:99"):
        load_segmenter(tmp_path, device="cuda:99")
