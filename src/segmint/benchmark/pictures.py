"""A picture of images, their true masks and what each method made of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw

from segmint.artifacts import AnyImage, Mask

TILE_PX = 128
GAP_PX = 4
HEAD_PX = 16
PAPER = (255, 255, 255)
INK = (30, 30, 30)


def side_by_side(
    images: Sequence[AnyImage], columns: Mapping[str, Sequence[Mask]], palette: Sequence[int]
) -> PilImage.Image:
    """One row an image: the image, then each column's mask in the palette's colours, headed by its name."""
    width = GAP_PX + (1 + len(columns)) * (TILE_PX + GAP_PX)
    sheet = PilImage.new("RGB", (width, HEAD_PX + len(images) * (TILE_PX + GAP_PX)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for at, name in enumerate(["image", *columns]):
        pen.text((GAP_PX + at * (TILE_PX + GAP_PX) + 2, 2), name, fill=INK)
    for row, image in enumerate(images):
        tiles = [PilImage.fromarray(image), *(_coloured(masks[row], palette) for masks in columns.values())]
        for at, tile in enumerate(tiles):
            place = (GAP_PX + at * (TILE_PX + GAP_PX), HEAD_PX + row * (TILE_PX + GAP_PX))
            sheet.paste(_fitted(tile, smooth=at == 0), place)
    return sheet


def _coloured(mask: Mask, palette: Sequence[int]) -> PilImage.Image:
    colours = np.array(palette, np.uint8).reshape(256, 3)
    return PilImage.fromarray(colours[mask])


def _fitted(tile: PilImage.Image, *, smooth: bool) -> PilImage.Image:
    scale = TILE_PX / max(tile.size)
    size = (max(1, round(tile.width * scale)), max(1, round(tile.height * scale)))
    return tile.resize(size, PilImage.Resampling.LANCZOS if smooth else PilImage.Resampling.NEAREST)
