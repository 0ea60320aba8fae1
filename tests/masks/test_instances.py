import numpy as np

from segmint.masks.instances import part


def labels_of(*rows):
    return np.array([[int(each) for each in row] for row in rows], np.uint8)


def test_regions_of_one_class_are_objects_in_the_order_of_their_first_pixels():
    found = part(labels_of("22011", "20011", "00000", "11002"))
    assert found.label_ids == (2, 1, 1, 2)
    assert found.numbers.tolist() == [[1, 1, 0, 2, 2], [1, 0, 0, 2, 2], [0] * 5, [3, 3, 0, 0, 4]]
    assert found.dropped == 0


def test_specks_are_dropped_and_counted():
    found = part(labels_of("11010", "11000", "00002"), min_area_px=2)
    assert (found.label_ids, found.dropped) == ((1,), 2)
    assert (found.numbers > 0).sum() == 4


def test_stuff_is_one_object_however_many_regions_it_has():
    found = part(labels_of("10101", "00000", "20002"), stuff=[1], min_area_px=2)
    assert (found.label_ids, found.dropped) == ((1,), 2)
    assert found.numbers.tolist()[0] == [1, 0, 1, 0, 1]


def test_uncertain_pixels_and_background_are_no_object():
    labels = np.full((4, 4), 255, np.uint8)
    labels[0] = 0
    found = part(labels)
    assert found.label_ids == ()
    assert not found.numbers.any()
