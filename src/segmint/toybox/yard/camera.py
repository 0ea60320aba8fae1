"""A pinhole camera that looks into the yard, and the rays of its pixels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from segmint.toybox.yard.solids import Points, turned

SAMPLES = 2
"""Samples along each side of a pixel, set askew so that upright and level edges get four shades."""
_ASKEW = np.asarray([[(0.125, 0.625), (0.375, 0.125)], [(0.625, 0.875), (0.875, 0.375)]], np.float32)
"""Column and row within a pixel of its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of the full picture that is rendered, in pixels."""

    row: int
    col: int
    side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Where the viewer stands: above x = z = 0, looking along z."""

    height: float
    pitch: float
    """Angle of the look downwards, in radians."""
    roll: float
    focal_px: float
    side_px: int
    distance: float
    """To what is looked at, in metres."""

    def position(self) -> Points:
        """The pinhole."""
        return np.asarray([[0], [self.height], [0]], np.float32)

    def rays(self, window: Window) -> Points:
        """Unit directions, one a sample, row by row of samples."""
        rows, cols = np.mgrid[: window.side, : window.side].astype(np.float32)
        samples = np.empty((2, window.side, SAMPLES, window.side, SAMPLES), np.float32)
        for i in range(SAMPLES):
            for j in range(SAMPLES):
                samples[0, :, i, :, j] = cols + window.col + _ASKEW[i, j, 0]
                samples[1, :, i, :, j] = rows + window.row + _ASKEW[i, j, 1]
        x, y = samples.reshape(2, -1) - self.side_px / 2
        rays = turned(self._axes().T, np.stack([x, -y, np.full_like(x, self.focal_px)]))
        rays /= np.sqrt((rays * rays).sum(0))
        return np.asarray(rays, np.float32)

    def project(self, p: Points) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows of points in the full picture."""
        x, y, z = self._axes() @ (p - self.position())
        z = np.maximum(z, 1e-3)
        return self.side_px / 2 + self.focal_px * x / z, self.side_px / 2 - self.focal_px * y / z

    def _axes(self) -> Float32[np.ndarray, "3 3"]:
        """Rows: the picture's right, its up, and the look."""
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        right, up, look = np.asarray([(1, 0, 0), (0, cos, sin), (0, -sin, cos)])
        turned = np.cos(self.roll) * right + np.sin(self.roll) * up
        return np.asarray([turned, np.cross(look, turned), look], np.float32)
