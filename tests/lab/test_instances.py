import numpy as np

from lab.instances import Case, cut_at_necks, quality, touching
from segmint.masks.instances import Instances, part


def test_quality_is_one_for_the_truth_and_counts_what_is_missed():
    cases = list(touching(3))
    truth = quality(cases, lambda case: numbered(case.instances))
    assert truth.pq == 1
    merged = quality(cases, lambda case: part(case.mask))
    assert merged.missed > 0
    assert merged.pq < 1


def test_a_dumbbell_is_cut_at_its_neck():
    mask = np.zeros((20, 44), np.uint8)
    mask[2:18, 2:18], mask[2:18, 26:42], mask[9:11, 18:26] = 1, 1, 1
    case = Case(image=np.zeros((20, 44, 3), np.uint8), mask=mask, instances=mask)
    assert cut_at_necks(case, 0.5, 1).label_ids == (1, 1)
    assert cut_at_necks(case, 0.05, 1).label_ids == (1,)


def numbered(instances):
    count = int(instances.max())
    return Instances(numbers=instances.astype(np.int32), label_ids=(1,) * count, dropped=0)
