"""The training script on a tiny plan, and its own forward pass against diffusers'."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusion3Pipeline, StableDiffusionPipeline

from lab.toybox.dataset import encode
from lab.toybox.plan import UnetPlan, VaePlan
from lab.toybox.workers import Worker
from lab.yard import dataset, diffusion, tokenizer, train, transformer
from lab.yard.plan import Plan, TransformerPlan
from segmint.errors import TrainingError
from segmint.toybox.yard import captions

TINY = TransformerPlan(
    layers=2,
    heads=2,
    head_width=16,
    text_widths=(32, 32),
    text_layers=(2, 2),
    pooled_width=4,
    merges=60,
    batch_close_up=4,
    batch_scene=2,
    minutes=1e-9,
    validate_every=1,
    log_every=1,
)
VAE = VaePlan(channels=(16, 16, 16), steps=2, batch_size=2, log_every=1, save_every=2)
UNET = UnetPlan(
    channels=(16, 16, 16),
    heads=(2, 2, 2),
    text_width=32,
    batch_size=2,
    minutes=1e-9,
    processor_time=True,
    validate_every=1,
    log_every=1,
)
PLAN = Plan(scenes=3, close_ups=4, val_scenes=2, vae_scenes=2, vae=VAE, transformer=TINY, unet=UNET)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    train.run(PLAN, folder, processes=1, device="cpu", stages=("render", "vae", "encode"))
    return folder


def _begin(work: Path) -> diffusion._Training:
    return diffusion.begin(Worker(rank=0, count=1, device=torch.device("cpu")), TINY, work)


def _stir(model: torch.nn.Module) -> None:
    """Give the layers that start at zero something to say."""
    with torch.no_grad():
        for p in filter(lambda each: each.requires_grad, model.parameters()):
            p.add_(0.05 * torch.randn_like(p))


def test_one_zero_row_counts_as_all_those_of_the_pipeline(work: Path) -> None:
    torch.manual_seed(0)
    model = _begin(work).models.average
    _stir(model)
    noisy, times = torch.randn(2, 4, 32, 32), torch.tensor([0.3, 0.8])
    text = torch.randn(2, tokenizer.MAX_TOKENS, 64)
    own = transformer.predict(model.net, noisy, times, text, torch.zeros(2, 2, dtype=torch.int64))
    stock = transformer.build(TINY, latent_channels=4, side=32)
    stock.load_state_dict(model.net.state_dict())
    rows = torch.cat([text, torch.zeros(2, transformer.ZERO_ROWS, 64)], dim=1)
    theirs = stock(noisy, rows, torch.zeros(2, 8), times * 1000).sample
    torch.testing.assert_close(own, theirs, atol=2e-5, rtol=1e-4)


def test_training_goes_on_where_it_stopped(work: Path) -> None:
    pipeline = train.run(PLAN, work, processes=1, device="cpu", stages=("train", "export"))
    first = _begin(work)
    assert first.step == 1
    longer = replace(TINY, minutes=2 * first.spent)
    train.run(replace(PLAN, transformer=longer), work, processes=1, device="cpu", stages=("train",))
    assert _begin(work).step > 1
    loaded = StableDiffusion3Pipeline.from_pretrained(pipeline).to(torch.float32)
    loaded.set_progress_bar_config(disable=True)
    made = loaded("a red ball on the grass", num_inference_steps=2, guidance_scale=2.0, output_type="np")
    assert made.images.shape == (1, 128, 128, 3)


def test_text_rows_are_those_that_the_pipeline_reads(work: Path) -> None:
    pipeline = train.run(PLAN, work, processes=1, device="cpu", stages=("train", "export"))
    loaded = StableDiffusion3Pipeline.from_pretrained(pipeline).to(torch.float32)
    texts = ["a duck", "two stepladders by a purple flowerpot"]
    theirs, _, pooled, _ = loaded.encode_prompt(texts, None, None, do_classifier_free_guidance=False)
    assert pooled.abs().max() == 0
    assert theirs[:, tokenizer.MAX_TOKENS :].abs().max() == 0
    tokens = torch.from_numpy(tokenizer.ids(tokenizer.build(TINY.merges), texts).astype(np.int64))
    own = transformer.encode_text((loaded.text_encoder, loaded.text_encoder_2), tokens)
    torch.testing.assert_close(own, theirs[:, : tokenizer.MAX_TOKENS])


def test_a_unet_learns_from_the_same_latents_in_the_same_words(work: Path) -> None:
    pipeline = train.run(PLAN, work, processes=1, device="cpu", stages=("train", "export"), kind="unet")
    assert pipeline == work / "unet" / "pipeline"
    loaded = StableDiffusionPipeline.from_pretrained(pipeline).to(torch.float32)
    loaded.set_progress_bar_config(disable=True)
    assert loaded.tokenizer("a parasol").input_ids == tokenizer.build(TINY.merges)("a parasol").input_ids
    made = loaded("a red ball on the grass", num_inference_steps=2, guidance_scale=2.0, output_type="np")
    assert made.images.shape == (1, 128, 128, 3)


def test_what_is_exported_must_be_small_enough_to_ship(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingError, match=r"holds no transformer\.safetensors"):
        train.write_pipeline(PLAN, tmp_path)
    train.run(PLAN, work, processes=1, device="cpu", stages=("train",))
    assert (train.write_pipeline(PLAN, work) / "model_index.json").is_file()
    monkeypatch.setattr(train, "LARGEST", 1000)
    with pytest.raises(TrainingError, match=r"MB; expected 0\.001 at most"):
        train.write_pipeline(PLAN, work)


def test_splicing_takes_words_from_one_and_the_end_from_another() -> None:
    words = torch.arange(5.0)[None, :, None]
    padding = 10 + torch.arange(5.0)[None, :, None]
    mixed = transformer.spliced(words, padding, torch.tensor([2]), torch.tensor([3]))
    assert mixed[0, :, 0].tolist() == [0, 1, 13, 13, 14]
    assert transformer.word_rows(torch.tensor([[7, 3, 9, 9]]), 9).tolist() == [2]


def test_words_are_one_token_or_several_and_come_back() -> None:
    words = tokenizer.build(TransformerPlan().merges)
    pieces = {word: len(words(word)["input_ids"]) - 2 for word in captions.words()}
    assert pieces["duck"] == 1
    assert sum(count > 1 for count in pieces.values()) > 20
    text = "two stepladders and a parasol"
    assert words.decode(words(text)["input_ids"], skip_special_tokens=True).strip() == text


def test_latents_on_disk_are_those_of_the_pictures(work: Path) -> None:
    model = AutoencoderKL.from_pretrained(work / "vae")
    pictures = dataset.images(work / "rendered", "scenes", count=3)
    kept = dataset.latents(work / "latents", "scenes")["latents"]
    encoded = encode(model, pictures, device=torch.device("cpu"), bf16=True)
    np.testing.assert_allclose(kept, encoded, atol=2e-3)


def test_close_ups_keep_their_place(work: Path) -> None:
    data = dataset.latents(work / "latents", "close_ups")
    assert data["latents"].shape == (4, 4, 16, 16)
    assert data["tokens"].shape == (4, dataset.CAPTIONS_EACH, tokenizer.MAX_TOKENS)
    assert ((data["windows"] >= 0) & (data["windows"] <= 64)).all()
    training = _begin(work)
    losses = [float(diffusion._loss(training, close_up=close_up).detach()) for close_up in (True, False)]
    assert losses == pytest.approx([2, 2], abs=1)


def test_exchanges_agree_where_nothing_is_read(work: Path) -> None:
    """A fresh transformer predicts zero whatever the caption: all exchanges cost the same."""
    training = _begin(work)
    training.models.average.net.proj_out.weight.data.zero_()
    found = diffusion.exchanges(training)
    assert set(found) == {"own", "other", "words", "padding", "blank", "none"}
    assert np.ptp(list(found.values())) < 1e-6


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no stage 'unet'"):
        train.run(PLAN, tmp_path, processes=1, device="cpu", stages=("unet",))
