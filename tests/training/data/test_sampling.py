"""Orders: every sample is seen as often as it should be, from any position on."""

from collections import Counter

import numpy as np
import pytest

from segmint.training.data.loading import (
    BalancedOrder,
    Portions,
    ShuffledOrder,
    StepSampler,
    augmentation_seed,
    usual_workers,
)


def test_every_sample_once_an_epoch_and_another_order_each():
    order = ShuffledOrder(7, seed=1)
    epochs = [[order[7 * epoch + place] for place in range(7)] for epoch in range(3)]
    assert all(sorted(each) == list(range(7)) for each in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_an_order_can_be_asked_anywhere():
    forwards = [ShuffledOrder(5, seed=3)[position] for position in range(40)]
    order = ShuffledOrder(5, seed=3)
    assert [order[position] for position in reversed(range(40))] == forwards[::-1]
    assert forwards != [ShuffledOrder(5, seed=4)[position] for position in range(40)]


def test_classes_are_drawn_as_often_as_each_other():
    present = [(0, 1)] * 90 + [(0, 2)] * 9 + [(0, 2, 3)]
    order = BalancedOrder(present, seed=0)
    drawn = Counter(order[position] for position in range(3000))
    assert drawn[99] == pytest.approx(1000 * (1 + 0.1), rel=0.15)  # a third for class 3, a tenth of class 2's
    assert sum(drawn[index] for index in range(90)) == pytest.approx(1000, rel=0.15)


def test_devices_and_passes_share_one_batch():
    whole = StepSampler(ShuffledOrder(20, seed=0), Portions(batch_size=8), first=0, last=5)
    parts = [
        StepSampler(
            ShuffledOrder(20, seed=0),
            Portions(batch_size=8, accumulate=2, rank=rank, world=2),
            first=0,
            last=5,
        )
        for rank in range(2)
    ]
    dealt = [[*a, *b] for a, b in zip(*parts, strict=True)]
    assert sorted(place for each in dealt for place in each) == sorted(
        place for each in whole for place in each
    )
    assert len(parts[0]) == 10
    assert all(len(each) == 2 for part in parts for each in part)


def test_a_sampler_goes_on_where_it_stopped():
    portions, order = Portions(batch_size=3), ShuffledOrder(7, seed=5)
    whole = list(StepSampler(order, portions, first=0, last=6))
    assert list(StepSampler(order, portions, first=4, last=6)) == whole[4:]


def test_seeds_of_neighbours_differ():
    seeds = {augmentation_seed(seed, position) for seed in range(3) for position in range(50)}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert np.log2(max(seeds)) > 60


@pytest.mark.parametrize(("cores", "devices", "expected"), [(1, 1, 1), (4, 1, 3), (64, 1, 8), (16, 4, 3)])
def test_loader_workers_take_what_the_training_leaves_of_the_cores(monkeypatch, cores, devices, expected):
    monkeypatch.setattr("segmint.training.data.loading.cores", lambda: cores)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(devices))
    assert usual_workers() == expected
