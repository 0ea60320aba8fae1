"""The distortion of colours, held against torchvision's own."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from segmint.training.data.colours import distort, turn_hue


def picture() -> torch.Tensor:
    """Noise, with greys and pixels of two equal channels among it."""
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 48, 40), dtype=np.uint8))
    image[:, :8] = image[0, :8]
    for first, second, rows in ((0, 1, slice(8, 14)), (1, 2, slice(14, 20)), (2, 0, slice(20, 26))):
        image[first, rows] = image[second, rows]
    return image


@pytest.mark.parametrize("turn", [-1 / 6, -0.05, -0.001, 0.0, 0.02, 0.05, 1 / 6])
def test_hue_is_turned_as_by_way_of_hsv(turn: float) -> None:
    image = picture()
    expected = functional.adjust_hue(image, turn).numpy().astype(int)
    found = turn_hue(image.numpy(), turn).astype(int)
    assert np.abs(found - expected).max() <= 1
    assert abs((found - expected).mean()) < 0.01


def test_the_same_draws_give_the_same_image_but_for_a_level_or_three() -> None:
    theirs, changed = v2.RandomPhotometricDistort(p=0.5), 0
    for seed in range(40):
        torch.manual_seed(seed)
        expected = theirs(picture())
        torch.manual_seed(seed)
        found = distort(picture().permute(1, 2, 0).contiguous().permute(2, 0, 1))
        apart = (found.int() - expected.int()).abs()
        assert found.dtype == torch.uint8
        assert apart.max() <= 3  # a level of hue or saturation, half as much again by contrast
        assert apart.float().mean() < 0.15
        changed += not torch.equal(found, picture())
    assert changed > 20
