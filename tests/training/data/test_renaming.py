from functools import partial

import numpy as np

from segmint.labels.relabelling import parse_relabelling
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.readers.run import read_run
from segmint.training.data.renaming import renamed
from synthetic_runs import CLASSES, scene, write_run


def test_a_run_is_read_with_its_classes_merged_and_dropped(tmp_path):
    found = read_run(write_run(tmp_path / "run", 4))
    change = partial(parse_relabelling, merge="boat, tree=thing", drop="star")
    told = renamed(found, change)
    assert told.classes == {1: "thing", 4: CLASSES[3]}
    data = match(told, ["thing", CLASSES[3]])
    for number, sample in enumerate(data.samples):
        was = scene(number).labels
        table = np.array([0, 1, 1, 0, 2, *[0] * 250, 255])
        assert (read_pair(sample)[1] == table[was]).all()
