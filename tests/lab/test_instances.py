import numpy as np

from lab.instances import Case, cut_at_necks, quality, scenes, touching
from segmint.masks.instances import Instances, part
from segmint.toybox.worlds import WORLDS


def test_quality_is_one_for_the_truth_and_counts_what_is_missed():
    cases = list(touching(3))
    truth, borders = quality(cases, lambda case: numbered(case.instances))
    assert truth.pq == borders.pq == 1
    merged, borders = quality(cases, lambda case: part(case.mask))
    assert merged.missed > 0
    assert borders.pq <= merged.pq < 1


def test_borders_judge_more_strictly_than_areas():
    true, found = np.zeros((2, 100, 100), np.uint8)
    true[20:80, 20:80], found[23:83, 20:80] = 1, 1
    image = np.zeros((100, 100, 3), np.uint8)
    plain, borders = quality([Case(image=image, mask=true, instances=true)], lambda case: numbered(found))
    assert plain.pq == 57 / 63
    assert (plain.matched, borders.matched, borders.missed, borders.invented) == (1, 0, 1, 1)


def test_scenes_of_both_worlds_have_things_and_no_stuff():
    for world in WORLDS.values():
        [case] = scenes(world, 1)
        stuff = [world.classes.index(name) + 1 for name in world.stuff]
        assert case.instances.max() >= 1
        assert not np.isin(case.mask, stuff).any()
        np.testing.assert_array_equal(case.mask > 0, case.instances > 0)


def test_a_dumbbell_is_cut_at_its_neck():
    mask = np.zeros((20, 44), np.uint8)
    mask[2:18, 2:18], mask[2:18, 26:42], mask[9:11, 18:26] = 1, 1, 1
    case = Case(image=np.zeros((20, 44, 3), np.uint8), mask=mask, instances=mask)
    assert cut_at_necks(case, 0.5, 1).label_ids == (1, 1)
    assert cut_at_necks(case, 0.05, 1).label_ids == (1,)


def numbered(instances):
    count = int(instances.max())
    return Instances(numbers=instances.astype(np.int32), label_ids=(1,) * count, dropped=0)
