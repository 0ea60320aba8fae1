"""Small datasets that show kinds of trouble which people report, each with its right value."""

import numpy as np
import pytest

from segmint.errors import DatasetError
from segmint.plan.photos.reading import read_photo
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.inspection import inspect
from segmint.training.data.readers.opening import Address, open_set

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


def pixels(path):
    """Pixels of each class by its name, over all images."""
    found = open_set(Address(path=path))
    data = match(found, list(found.classes.values()))
    counts = sum(np.bincount(read_pair(each)[1].ravel(), minlength=256) for each in data.samples)
    names = {label: data.label_names[label] for label in range(len(data.label_names))}
    return {names.get(label, label): int(counts[label]) for label in np.flatnonzero(counts)}


def case(cases, pattern):
    (found,) = cases.glob(pattern)
    return found


@pytest.mark.parametrize(
    ("pattern", "leaf"),
    [("01-*/cvat_last", 2048), ("03-*/bom", 2048), ("04-*/blank", 2048), ("06-*/mode_1", 2048)],
)
def test_voc_folders(cases, pattern, leaf):
    assert pixels(case(cases, pattern)) == {"background": 4096 - leaf, "leaf": leaf}


def test_a_byte_order_mark_in_a_label_map(cases):
    assert open_set(Address(path=case(cases, "03-*/lbom"))).classes == {1: "leaf", 2: "tree"}


def test_0_and_255_masks_are_refused(cases):
    found = open_set(Address(path=case(cases, "06-*/mode_255")))
    with pytest.raises(DatasetError, match="0/255"):
        inspect(match(found, ["leaf"]))


def test_deep_grey_images_are_read_alike_everywhere(cases):
    folder = case(cases, "07-*/img_16grey")
    (sample,) = match(open_set(Address(path=folder)), ["leaf"]).samples
    image, _ = read_pair(sample)
    assert image.mean() == pytest.approx(127.5, abs=0.5)
    assert (image == read_photo(sample.image).rgb).all()


def test_rotated_images_stand_upright(cases):
    (sample,) = match(open_set(Address(path=case(cases, "08-*/img_exif3"))), ["leaf"]).samples
    image, _ = read_pair(sample)
    assert image[:24].mean() < 8
    assert image[40:].mean() > 247


def test_a_mask_fits_the_upright_image(cases):
    (sample,) = match(open_set(Address(path=case(cases, "08-*/img_exif6"))), ["leaf"]).samples
    image, labels = read_pair(sample)
    assert image.shape[:2] == labels.shape == (64, 48)


@pytest.mark.parametrize("name", ["c_area", "c_area0", "c_noarea"])
def test_what_the_file_says_of_areas_does_not_count(cases, name):
    found = pixels(case(cases, f"09-*/{name}") / "instances.json")
    assert (found["cat"], found["dog"]) == (1500, 100)


def test_a_polygon_of_two_points_encloses_nothing(cases):
    assert pixels(case(cases, "10-*/c_deg") / "instances.json")["cat"] == 1600


def test_an_image_id_that_is_text(cases):
    assert pixels(case(cases, "12-*/c_str") / "instances.json")["cat"] == 1600


def test_a_corner_that_is_no_number(cases):
    with pytest.raises(DatasetError, match=r"instances\.json: annotation 0 \(id 1\): its polygon holds nan"):
        open_set(Address(path=case(cases, "13-*/c_nan") / "instances.json"))
