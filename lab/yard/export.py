"""The trained model as a stock pipeline folder of diffusers, in half precision."""

import copy
import os
import shutil
from pathlib import Path

from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline
from transformers import CLIPTokenizer

from lab.toybox.export import _tidy
from lab.toybox.tokenizer import save as save_tokenizer
from lab.yard import tokenizer, transformer
from lab.yard.plan import TransformerPlan
from lab.yard.transformer import Encoders


def save(
    folder: Path,
    autoencoder: AutoencoderKL,
    net: SD3Transformer2DModel,
    encoders: Encoders,
    *,
    words: CLIPTokenizer,
    plan: TransformerPlan,
) -> None:
    """Write the pipeline beside `folder` and put it in its place when it is whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    first, second = (copy.deepcopy(encoder).half() for encoder in encoders)
    pipeline = StableDiffusion3Pipeline(
        transformer=_plain_copy(net),
        scheduler=transformer.scheduler(),
        vae=copy.deepcopy(autoencoder).half(),
        text_encoder=first,
        tokenizer=words,
        text_encoder_2=second,
        tokenizer_2=words,
        text_encoder_3=transformer.silent_encoder(plan).half(),
        tokenizer_3=tokenizer.silent(),
    )
    pipeline.save_pretrained(partial, safe_serialization=True)
    for name in ("tokenizer", "tokenizer_2"):
        save_tokenizer(words, partial / name)
    _tidy(partial)
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)


def _plain_copy(net: SD3Transformer2DModel) -> SD3Transformer2DModel:
    fresh = SD3Transformer2DModel.from_config(net.config)
    fresh.load_state_dict(net.state_dict())
    return fresh.half()
