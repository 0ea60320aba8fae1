"""Numbers and the cache behind the viewer's pages, by hand-made arrays."""

import numpy as np

from segmint.viewer.pictures import prune
from segmint.viewer.statistics import centres, heat_maps


def test_centres_of_mass():
    labels = np.zeros((80, 160), np.uint8)
    labels[:40, 80:] = 7
    labels[60:] = 255
    [centre] = centres(labels)
    assert (centre.label_id, centre.x, centre.y) == (7, 0.75, 0.25)
    [cells] = heat_maps([centre, centre]).values()
    assert cells.max() == 1
    assert cells[np.unravel_index(int(cells.argmax()), cells.shape)] == 1
    assert cells.sum() == 1


def test_pruning_takes_the_oldest(tmp_path):
    import os

    folder = tmp_path / "run" / "ab"
    folder.mkdir(parents=True)
    for age in range(4):
        path = folder / f"{age}.jpg"
        path.write_bytes(b"x" * 10)
        os.utime(path, (1000 - age, 1000 - age))
    assert prune(tmp_path, limit_bytes=25) == 2
    assert sorted(each.name for each in folder.iterdir()) == ["0.jpg", "1.jpg"]
    assert prune(tmp_path / "nothing") == 0
