import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segmint.training.data.augment import augment
from segmint.training.data.loading import collate
from segmint.training.settings import AugmentSettings

OFF = AugmentSettings(scale=False, crop=False, flip=False, photometric=False)


def pair(height: int = 20, width: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels are 0, 1, 2 in thirds; the red channel is 40 × the label."""
    labels = torch.zeros(height, width, dtype=torch.uint8)
    labels[:, width // 3 : 2 * width // 3], labels[:, 2 * width // 3 :] = 1, 2
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[0] = 40 * labels
    return image, labels


def test_all_off_changes_nothing():
    image, labels = augment(*pair(), OFF, seed=1)
    assert torch.equal(image, pair()[0])
    assert torch.equal(labels, pair()[1])


def test_each_switch_alone():
    flips = [augment(*pair(), OFF.model_copy(update={"flip": True}), seed=seed)[1] for seed in range(20)]
    assert {int(labels[0, 0]) for labels in flips} == {0, 2}
    crops = [
        augment(*pair(), OFF.model_copy(update={"crop": True, "crop_px": 16}), seed=s) for s in range(20)
    ]
    assert all(image.shape == (3, 16, 16) and labels.shape == (16, 16) for image, labels in crops)
    assert len({tuple(labels[0].tolist()) for _, labels in crops}) > 1
    scales = [augment(*pair(), OFF.model_copy(update={"scale": True}), seed=seed)[1] for seed in range(20)]
    heights = {labels.shape[0] for labels in scales}
    assert 10 <= min(heights) < 20 < max(heights) <= 40
    distorted = [
        augment(*pair(), OFF.model_copy(update={"photometric": True}), seed=seed) for seed in range(20)
    ]
    assert any(not torch.equal(image, pair()[0]) for image, _ in distorted)
    assert all(torch.equal(labels, pair()[1]) for _, labels in distorted)


def test_the_seed_decides_and_the_global_state_is_left_alone():
    full = AugmentSettings(crop_px=24)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = augment(*pair(), full, seed=9)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = augment(*pair(), full, seed=9)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 2**63 - 1),
    low=st.floats(0.25, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_image_and_mask_stay_together(height, width, seed, low):
    chosen = AugmentSettings(crop_px=32, scale_range=(low, 2.0), photometric=False)
    image, labels = augment(*pair(height, width), chosen, seed=seed)
    assert image.shape == (3, 32, 32)
    assert image.dtype == labels.dtype == torch.uint8
    inside = labels != 255
    assert bool(inside.any())
    near = (image[0].int() - 40 * labels.int()).abs() <= 20  # to half a label, but for the blur of edges
    if height > 8 and width > 24:
        assert near[inside].float().mean() > 0.7
    outside = image[:, ~inside]
    assert torch.equal(outside, torch.tensor([[124], [116], [104]], dtype=torch.uint8).expand_as(outside))


def test_smaller_images_are_padded_to_the_largest_of_the_batch():
    batch = collate([(*pair(4, 6), "a"), (*pair(5, 3), "b")])
    assert batch.images.shape == (2, 3, 5, 6)
    assert batch.labels[0, 4].tolist() == [255] * 6
    assert batch.labels[1, :, 3:].unique().tolist() == [255]
    assert batch.item_ids == ("a", "b")
