"""Looking at existing images: one noised pass gives the same kinds of captures as drawing does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import CaptureRequest, FeatureRequest, MapRequest
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.latents import add_noise, draw_noise, encode_images, item_generators
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, ObserveSettings
from segmint.errors import ConfigError

Make = Callable[..., PromptSpec]


@pytest.fixture(scope="module")
def backbone(tiny: Callable[[str], Path]) -> DiffusersBackbone:
    return load(ModelSettings(id=str(tiny("sd1"))), "cpu")


def picture(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def seen(backbone: DiffusersBackbone, *args: object, **kwargs: object) -> list[Generation]:
    outcomes = backbone.observe(*args, **kwargs)  # type: ignore[arg-type]
    assert all(isinstance(each, Generation) for each in outcomes)
    return outcomes  # type: ignore[return-value]


def test_equals_one_pass_of_the_unet(backbone: DiffusersBackbone, make_spec: Make) -> None:
    image, spec = picture(0), make_spec()
    (item,) = seen(
        backbone, [image], [spec], ObserveSettings(timesteps=(200,), guidance=False), CaptureRequest()
    )
    pipe = backbone.pipe
    name = item.heads[-1].layer
    kept = []
    with torch.inference_mode():
        clean = encode_images(pipe, [image])
        noise = draw_noise(item_generators([spec]), tuple(clean.shape[1:]))
        noisy = add_noise(clean, noise, pipe.scheduler.alphas_cumprod[200])
        text = pipe.encode_prompt(spec.prompt, "cpu", 1, False)[0]
        module = dict(pipe.unet.named_modules())[name]
        with module.to_out[0].register_forward_hook(lambda _, inputs, __: kept.append(inputs[0])):
            pipe.unet(noisy, 200, encoder_hidden_states=text)
    expected = kept[0].unflatten(-1, (2, 8)).transpose(1, 2)
    np.testing.assert_allclose(item.heads[-1].values, expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(item.image, image)


def test_scheduler_does_not_matter_and_is_put_back(
    backbone: DiffusersBackbone, make_spec: Make, tiny: Callable[[str], Path]
) -> None:
    euler = load(ModelSettings(id=str(tiny("sd1")), scheduler="euler"), "cpu")
    one, other = (
        seen(each, [picture(0)], [make_spec()], ObserveSettings(), CaptureRequest())[0]
        for each in (backbone, euler)
    )
    np.testing.assert_allclose(one.heads[0].values, other.heads[0].values, atol=1e-5)
    assert type(euler.pipe.scheduler).__name__ == "EulerDiscreteScheduler"


def test_sizes_may_differ_and_order_is_kept(backbone: DiffusersBackbone, make_spec: Make) -> None:
    images = [picture(0), picture(1, 48, 80), picture(2)]
    specs = [make_spec(index) for index in range(3)]
    together = seen(backbone, images, specs, ObserveSettings(), CaptureRequest())
    for image, spec, item in zip(images, specs, together, strict=True):
        (alone,) = seen(backbone, [image], [spec], ObserveSettings(), CaptureRequest())
        assert item.spec is spec
        assert item.maps["classes"].values.shape[1:] == (image.shape[0] // 4, image.shape[1] // 4)
        np.testing.assert_allclose(item.heads[0].values, alone.heads[0].values, atol=1e-4)


def test_passes_are_summed_averaged_or_kept_apart(backbone: DiffusersBackbone, make_spec: Make) -> None:
    several = ObserveSettings(timesteps=(50, 300), noise_draws=2)
    progress: list[tuple[int, int]] = []
    request = CaptureRequest(
        features=FeatureRequest(merge="each"),
        maps=(MapRequest(), MapRequest(name="by step", group_by=("step",))),
    )
    args = ([picture(0)], [make_spec()], several)
    (apart,) = seen(backbone, *args, request, lambda done, of: progress.append((done, of)))
    (merged,) = seen(backbone, *args, CaptureRequest())
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    parts = [maps.values for key, maps in apart.maps.items() if key.startswith("by step/")]
    assert len(parts) == 4
    np.testing.assert_allclose(np.sum(parts, axis=0), merged.maps["classes"].values, rtol=1e-4)
    by_name = {head.layer: head.values for head in apart.heads}
    for head in merged.heads:
        passes = [by_name[f"{head.layer}@-{back}"] for back in range(4, 0, -1)]
        np.testing.assert_allclose(np.mean(passes, axis=0), head.values, atol=1e-5)
        assert not np.allclose(passes[0], passes[1])


def test_bad_images_are_refused(backbone: DiffusersBackbone, make_spec: Make) -> None:
    with pytest.raises(ConfigError, match="2 images were given for 1 items"):
        backbone.observe([picture(0), picture(1)], [make_spec()], ObserveSettings(), CaptureRequest())
    with pytest.raises(ConfigError, match="60×64"):
        backbone.observe([picture(0, 60)], [make_spec()], ObserveSettings(), CaptureRequest())
