import numpy as np

from lab.instances import Case, quality, scenes, seen, touching, ways
from segmint.artifacts import AttentionSummary
from segmint.backbone.fake import FakeBackbone
from segmint.masks.instances import Instances, part
from segmint.toybox.world import CLASSES
from segmint.toybox.worlds import WORLDS


def test_quality_is_one_for_the_truth_and_counts_what_is_missed():
    cases = [case_of(each.mask, each.instances) for each in touching(3)]
    truth, borders = quality(cases, lambda case: numbered(case.instances))
    assert truth.pq == borders.pq == 1
    merged, borders = quality(cases, lambda case: part(case.mask))
    assert merged.missed > 0
    assert borders.pq <= merged.pq < 1


def test_borders_judge_more_strictly_than_areas():
    true, found = np.zeros((2, 100, 100), np.uint8)
    true[20:80, 20:80], found[23:83, 20:80] = 1, 1
    plain, borders = quality([case_of(true, true)], lambda case: numbered(found))
    assert plain.pq == 57 / 63
    assert (plain.matched, borders.matched, borders.missed, borders.invented) == (1, 0, 1, 1)


def test_scenes_of_both_worlds_have_things_and_no_stuff():
    for world in WORLDS.values():
        [case] = scenes(world, 1)
        stuff = [world.classes.index(name) + 1 for name in world.stuff]
        assert case.instances.max() >= 1
        assert not np.isin(case.mask, stuff).any()
        np.testing.assert_array_equal(case.mask > 0, case.instances > 0)


def test_every_way_is_given_what_the_model_sees():
    cases = list(seen(touching(2), CLASSES, FakeBackbone()))
    for way in ways([0.7]).values():
        assert quality(cases, way)[0].matched + quality(cases, way)[0].missed >= 4


def case_of(mask, instances):
    return Case(
        mask=mask, instances=instances, attention=AttentionSummary(grid=(4, 4), components=(), maps={})
    )


def numbered(instances):
    count = int(instances.max())
    return Instances(numbers=instances.astype(np.int32), label_ids=(1,) * count, dropped=0)
