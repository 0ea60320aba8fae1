"""Binary morphology with squares, by doubling shifts: a square of any radius costs a few passes."""

import numpy as np
from jaxtyping import Bool

Pixels = Bool[np.ndarray, "image_h image_w"]


def dilate(mask: Pixels, radius_px: int) -> Pixels:
    """Pixels within `radius_px` of the mask in rows and columns (a 3×3 square, `radius_px` times)."""
    return _spread(_spread(mask, radius_px, 0), radius_px, 1)


def erode(mask: Pixels, radius_px: int) -> Pixels:
    """Pixels whose whole square of `radius_px` lies in the mask; beyond the image's edge counts as mask."""
    return ~dilate(~mask, radius_px)


def _spread(mask: Pixels, radius: int, axis: int) -> Pixels:
    """True wherever a True lies within `radius` along one axis."""
    before, after = mask.copy(), mask.copy()
    reach = 0
    while reach < radius:
        step = min(reach + 1, radius - reach)
        ahead, behind = _along(axis, slice(step, None)), _along(axis, slice(None, -step))
        before[ahead] |= before[behind].copy()
        after[behind] |= after[ahead].copy()
        reach += step
    reached: Pixels = before | after
    return reached


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)
