"""The published profile of PCC restated plainly with scikit-learn and scipy.

Written to be read beside method.md, the way a researcher would write it: one PCA a head, upsampled copies,
scikit-learn's K-means, one `scipy.ndimage.label` a cluster, one loop over components. Features pass through
float16 once, as segmint's do, so that both see the same numbers.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

Array = NDArray[Any]
EIGHT = np.ones((3, 3), dtype=bool)
COUNTS = (4, 7, 10)
THRESHOLDS = (0.3, 0.5, 0.8)


def principal_features(heads: Sequence[Array], side: int) -> Array:
    """(side², columns): three components of each head, min-max scaled, upsampled, with positions."""
    columns = []
    for layer in heads:
        for head in layer.reshape(-1, *layer.shape[2:]):
            components = PCA(n_components=3).fit_transform(head)
            low, high = components.min(axis=0), components.max(axis=0)
            scaled = ((components - low) / (high - low)).astype(np.float16).astype(np.float32)
            own = int(len(scaled) ** 0.5)
            square = scaled.reshape(own, own, 3)
            columns.append(
                np.repeat(np.repeat(square, side // own, axis=0), side // own, axis=1).reshape(-1, 3)
            )
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    return np.concatenate([*columns, x.reshape(-1, 1), y.reshape(-1, 1)], axis=1)


def split(labels: Array) -> Array:
    """8-connected components of equal label, numbered from 0."""
    components = np.zeros(labels.shape, dtype=np.int64)
    found = 0
    for label in np.unique(labels):
        part, count = ndimage.label(labels == label, structure=EIGHT)
        components[part > 0] = part[part > 0] + found - 1
        found += count
    return components


def class_maps(token_maps: Array, rows: Sequence[Sequence[int]], side: int, size: int) -> Array:
    """(labels, side, side): maps through the image's size and back, scaled to [0, 1]; background first."""
    maps = []
    for tokens in ((0,), *rows):
        large = np.stack([_bilinear(token_maps[token], size) for token in tokens])
        small = large.reshape(-1, side, size // side, side, size // side).sum(axis=(2, 4)).max(axis=0)
        maps.append((small - small.min()) / (small.max() - small.min()))
    return np.stack(maps).astype(np.float32)


def blocky_mask(features: Array, maps: Array, label_ids: Sequence[int], side: int) -> Array:
    """(side, side) labels by the vote of nine labelings; 255 under six votes."""
    ballots = []
    for count in COUNTS:
        clusters = KMeans(count, random_state=0).fit(features).labels_.reshape(side, side)
        components = split(clusters)
        for threshold in THRESHOLDS:
            binary = [m > (1.2 * threshold if i == 0 else threshold) for i, m in enumerate(maps)]
            ballot = np.zeros((side, side), dtype=np.uint8)
            for component in range(components.max() + 1):
                where = components == component
                iou = [np.float32((where & b).sum() / (where | b).sum()) for b in binary]
                ballot[where] = label_ids[int(np.argmax(iou))] if max(iou) > 0 else 0
            ballots.append(ballot)
    counts = np.stack([(np.stack(ballots) == label).sum(axis=0) for label in label_ids])
    mode = np.array(label_ids, dtype=np.uint8)[counts.argmax(axis=0)]
    return np.where(counts.max(axis=0) / len(ballots) < 0.56, np.uint8(255), mode)


def refined_mask(blocky: Array, image: Array) -> Array:
    """(size, size) labels: the blocky mask voted over regions of like colour, then smoothed."""
    size = len(image)
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=75)
    colours = np.array(Image.open(buffer)).reshape(-1, 3).astype(np.float64)
    y, x = np.mgrid[0:size, 0:size] / size * 255
    points = np.concatenate([colours, x.reshape(-1, 1), y.reshape(-1, 1)], axis=1)
    components = split(KMeans(20, random_state=0).fit(points).labels_.reshape(size, size))
    sizes = np.bincount(components.ravel())
    components[sizes[components] < 10] = len(sizes)
    large = np.repeat(np.repeat(blocky, size // len(blocky), axis=0), size // len(blocky), axis=1)
    assigned = np.zeros((size, size), dtype=np.uint8)
    for component in np.unique(components):
        where = components == component
        counts = np.bincount(large[where], minlength=256)
        second, first = np.argsort(counts, kind="stable")[-2:]
        assigned[where] = counts.argmax() if counts[first] > 2 * counts[second] else 255
    return _smoothed(assigned)


def _smoothed(assigned: Array) -> Array:
    out = np.zeros_like(assigned)
    for label in np.unique(assigned):
        if label == 255:
            out[assigned == 255] = 255
        elif label:
            shape = ndimage.binary_erosion(assigned == label, EIGHT, border_value=1)
            shape = ndimage.binary_dilation(shape, EIGHT, iterations=5)
            shape = ndimage.binary_erosion(shape, EIGHT, iterations=4, border_value=1)
            out[ndimage.binary_dilation(shape, EIGHT, iterations=2)] = 255
            out[shape] = label
    return out


def _bilinear(values: Array, size: int) -> Array:
    side = len(values)
    places = (np.arange(size) + 0.5) * side / size - 0.5
    y, x = np.meshgrid(places, places, indexing="ij")
    found: Array = ndimage.map_coordinates(values.astype(np.float64), [y, x], order=1, mode="nearest")
    return found
