"""The trained model as a pipeline folder of diffusers, in half precision."""

import copy
import json
import os
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from lab.toybox import tokenizer, unet

LICENCE = "apache-2.0"


def save(
    folder: Path,
    autoencoder: AutoencoderKL,
    net: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    *,
    words: CLIPTokenizer,
) -> None:
    """Write the pipeline beside `folder` and put it in its place when it is whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    net = _plain_copy(net)
    pipeline = StableDiffusionPipeline(
        vae=copy.deepcopy(autoencoder).half(),
        text_encoder=copy.deepcopy(text_encoder).half(),
        tokenizer=words,
        unet=net,
        scheduler=unet.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(partial, safe_serialization=True)
    tokenizer.save(words, partial / "tokenizer")
    _tidy(partial)
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        os.replace(partial, folder)
        shutil.rmtree(old)
    else:
        os.replace(partial, folder)


@torch.no_grad()
def standardise(
    model: AutoencoderKL, mean: Float[Tensor, " channel"], std: Float[Tensor, " channel"]
) -> None:
    """Rewrite the 1 × 1 convolutions so that latents of the same pictures have mean 0 and deviation 1."""
    into, back = model.quant_conv, model.post_quant_conv
    count = len(mean)
    into.weight[:count] /= std[:, None, None, None]
    into.bias[:count] = (into.bias[:count] - mean) / std
    into.bias[count:] -= 2 * std.log()
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= std[None, :, None, None]
    model.register_to_config(scaling_factor=1.0)


def _plain_copy(net: UNet2DConditionModel) -> UNet2DConditionModel:
    fresh = UNet2DConditionModel.from_config(net.config)
    fresh.load_state_dict(net.state_dict())
    return fresh.half()


def _tidy(folder: Path) -> None:
    """Let everybody read the weights, and take the training machine's paths out of the configuration."""
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "_name_or_path" in content:
            del content["_name_or_path"]
            path.write_text(json.dumps(content, indent=2) + "\n")
