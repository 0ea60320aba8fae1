"""Labels given as regions (COCO polygons and run-length codes) and drawn when they are needed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from segmint.errors import DatasetError, MissingDependency
from segmint.vocabulary import IGNORE

Outline = Any
"""A COCO segmentation: polygons as lists of x, y, …, or run lengths as {"counts": …, "size": [h, w]}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One annotated object."""

    label_id: int
    outline: Outline
    area_px: float
    crowd: bool = False
    """A crowd's outline is coarse: its pixels are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """All objects of one image."""

    item_id: str
    regions: tuple[Region, ...]

    def draw(self, *, height_px: int, width_px: int) -> UInt8[np.ndarray, "image_h image_w"]:
        """Paint the regions on the background, the largest first, so that small objects stay in sight.

        Raises:
            MissingDependency: pycocotools is not installed.
            DatasetError: an outline cannot be read, or was made for an image of another size.
        """
        mask = np.zeros((height_px, width_px), np.uint8)
        for region in sorted(self.regions, key=lambda each: (not each.crowd, -each.area_px)):
            inside = self._inside(region, height_px, width_px)
            mask[inside] = IGNORE if region.crowd else region.label_id
        return mask

    def _inside(self, region: Region, height_px: int, width_px: int) -> np.ndarray:
        try:
            from pycocotools import mask as coco
        except ImportError:
            raise MissingDependency("COCO files need pycocotools: pip install 'segmint[export]'") from None
        try:
            outline = region.outline
            if isinstance(outline, list):
                code = coco.merge(coco.frPyObjects(outline, height_px, width_px))
            elif isinstance(outline["counts"], list):
                code = coco.frPyObjects(outline, *outline["size"])
            else:
                code = outline
            inside = coco.decode(code).astype(bool)
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise DatasetError(
                f"item {self.item_id}: an annotation's outline cannot be read: {error}"
            ) from None
        if inside.shape != (height_px, width_px):
            raise DatasetError(
                f"item {self.item_id}: an annotation was made for {inside.shape[1]}×{inside.shape[0]} px, "
                f"the image is {width_px}×{height_px}"
            )
        return np.asarray(inside)
