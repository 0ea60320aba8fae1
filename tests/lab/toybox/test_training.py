"""The training script, two steps a stage, on a tiny plan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file

from lab.toybox import checkpoints, export, optim, oracle_training, train, unet
from lab.toybox.plan import OraclePlan, Phase, Plan, UnetPlan, VaePlan
from segmint.errors import TrainingError
from segmint.toybox import oracle
from segmint.toybox.worlds import WORLDS

VAE = VaePlan(channels=(16, 16, 16), steps=2, batch_size=2, log_every=1, save_every=1, bf16=False)
UNET = UnetPlan(
    channels=(16, 16, 16),
    heads=(2, 2, 2),
    text_width=32,
    batch_size=2,
    budget=1.2,
    phases=(Phase(until=0.2, close_ups=1.0), Phase(until=1.0, close_ups=0.0)),
    log_every=1,
    validate_every=2,
    bf16=False,
)
TINY = Plan(scenes=6, close_ups=6, val_scenes=4, vae=VAE, unet=UNET)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("toybox")
    train.run(TINY, folder, processes=1, device="cpu")
    return folder


def test_all_stages_end_in_a_pipeline_that_draws(work: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(work / "pipeline").to(torch.float32)
    pipe.set_progress_bar_config(disable=True)
    image = pipe("a red boat", num_inference_steps=1, output_type="np").images[0]
    assert image.shape == (128, 128, 3)
    assert np.isfinite(image).all()


def test_the_pipeline_is_in_half_precision_and_names_no_path(work: Path) -> None:
    for path in (work / "pipeline").rglob("*.safetensors"):
        assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}
    for path in (work / "pipeline").rglob("*.json"):
        assert "_name_or_path" not in path.read_text()


def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(
        TINY, unet=replace(UNET, budget=0.8, phases=(Phase(until=1.0, close_ups=1.0),), save_every_s=0.0)
    )
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
        for name in ("scenes.safetensors", "close_ups.safetensors", "val_scenes.safetensors", "vae"):
            (tmp_path / folder / name).symlink_to(work / name)

    def go(folder: str) -> Path:
        train.run(plan, tmp_path / folder, processes=1, device="cpu", stages=("unet",))
        return tmp_path / folder / "unet.safetensors"

    expected = load_file(go("whole"))
    keep = checkpoints.save

    def save_and_stop(path: Path, **state: Any) -> None:
        keep(path, **state)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        go("stopped")
    monkeypatch.setattr(checkpoints, "save", keep)
    found = load_file(go("stopped"))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-6, rtol=1e-5, msg=key)


def test_a_finished_training_changes_nothing(work: Path) -> None:
    before = (work / "vae.safetensors").read_bytes()
    train.run(TINY, work, processes=1, device="cpu", stages=("render", "vae", "encode"))
    assert (work / "vae.safetensors").read_bytes() == before


def test_a_foreign_checkpoint_is_refused(work: Path) -> None:
    other = replace(TINY, vae=replace(VAE, channels=(16, 16, 32)))
    with pytest.raises(TrainingError, match="another shape"):
        train.run(other, work, processes=1, device="cpu", stages=("vae",))


def test_unknown_stage_and_processes_on_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no stage 'bake'"):
        train.run(TINY, tmp_path, processes=1, device="cpu", stages=("bake",))
    with pytest.raises(TrainingError, match="takes one process"):
        train.run(TINY, tmp_path, processes=2, device="cuda")


def test_standardised_latents_mean_the_same_picture(work: Path) -> None:
    model = AutoencoderKL.from_pretrained(work / "vae")
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model.encode(images).latent_dist
        picture = model.decode(before.mean).sample
        mean, std = torch.tensor([1.0, -2.0, 0.5, 0.0]), torch.tensor([0.5, 2.0, 3.0, 1.0])
        export.standardise(model, mean, std)
        after = model.encode(images).latent_dist
        wanted = (before.mean - mean[:, None, None]) / std[:, None, None]
        torch.testing.assert_close(after.mean, wanted, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(after.std, before.std / std[:, None, None], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.decode(after.mean).sample, picture, atol=1e-5, rtol=1e-4)


def test_short_attention_is_the_default_attention() -> None:
    net = unet.build(UNET, latent_channels=4, side=8).eval()
    generator = torch.Generator().manual_seed(1)
    latents, text = (
        torch.randn(1, 4, 8, 8, generator=generator),
        torch.randn(1, 5, UNET.text_width, generator=generator),
    )
    with torch.no_grad():
        expected = net(latents, 10, text).sample
        net.set_attn_processor(unet.ShortAttention())
        torch.testing.assert_close(net(latents, 10, text).sample, expected, atol=1e-5, rtol=1e-4)


def test_the_unet_has_plain_modules_and_attention_everywhere() -> None:
    net = unet.build(UnetPlan(), latent_channels=4, side=32)
    assert type(net) is UNet2DConditionModel
    names = [name for name, _ in net.named_modules() if name.endswith("attn2")]
    for block in ("down_blocks.0", "down_blocks.1", "down_blocks.2", "mid_block", "up_blocks.2"):
        assert any(name.startswith(block) for name in names)


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrix = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(2))
    values = torch.linalg.svdvals(optim.orthogonalised(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_shared_orthogonalising_takes_the_same_step() -> None:
    def parameters() -> list[torch.nn.Parameter]:
        generator = torch.Generator().manual_seed(3)
        made = [torch.nn.Parameter(torch.randn(4, 6, generator=generator)) for _ in range(3)]
        for each in made:
            each.grad = torch.randn(4, 6, generator=generator)
        return made

    alone = parameters()
    optim.MuonAdam(alone, rate=0.1).step()
    parts: list[torch.Tensor] = []
    for rank in range(2):
        optim.MuonAdam(
            parameters(), rate=0.1, rank=rank, count=2, exchange=lambda t: parts.append(t.clone())
        ).step()
    total = parts[0] + parts[1]
    shared = parameters()
    optim.MuonAdam(shared, rate=0.1, rank=0, count=2, exchange=lambda t: t.copy_(total)).step()
    for one, other in zip(alone, shared, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_the_oracle_trains_and_writes_half_precision(tmp_path: Path) -> None:
    plan = OraclePlan(scenes=4, val_scenes=2, recoded=2, batch_size=2, steps=2, log_every=1, bf16=False)
    target = tmp_path / "oracle.safetensors"
    half = replace(plan, steps=1)
    oracle_training.train(half, world=WORLDS["toybox"], autoencoder=None, target=target)
    state = target.with_suffix(".state.safetensors")
    assert load_file(state)["optimiser/0/count"] == 1
    score = oracle_training.train(plan, world=WORLDS["toybox"], autoencoder=None, target=target)
    assert load_file(state)["optimiser/0/count"] == 2
    assert 0 <= score <= 1
    assert {tensor.dtype for tensor in load_file(target).values()} == {torch.float16}
    found = oracle.predict(oracle.load(target), np.zeros((1, 128, 128, 3), np.uint8))
    assert found.shape == (1, 128, 128)


def test_warping_moves_picture_and_mask_alike() -> None:
    mask = torch.zeros(4, 32, 32, dtype=torch.int64)
    mask[:, 8:24, 10:20] = 1
    images = (mask[:, None].float() * 2 - 1).repeat(1, 3, 1, 1)
    for seed in range(6):
        moved, truth = oracle_training.disturbed(images, mask, np.random.default_rng(seed))
        agree = ((moved.mean(dim=1) > 0) == (truth == 1)).float().mean()
        assert agree > 0.93
