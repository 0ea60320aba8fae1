"""Heat maps on paper: overlays as a PNG, arrays as an npz."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from matplotlib import colormaps
from matplotlib.figure import Figure

from segmint.artifacts import Image
from segmint.attention import shared_parts
from segmint.errors import StorageError
from segmint.masks.resample import bicubic
from segmint.pictures import paint
from segmint.pictures.heatmaps import WHOLE, HeatMaps

MOST_ROWS = 64
"""Groups that a figure shows; the arrays hold all of them."""
_PANEL_IN, _DPI = 2.2, 110
_TITLE_IN, _LINE_IN = 0.28, 0.11
_COLOURS = "turbo"


def overlay(
    image: Image,
    heat: Float32[np.ndarray, "grid_h grid_w"],
    *,
    strength: float = 0.6,
    cubic: bool = False,
) -> UInt8[np.ndarray, "image_h image_w 3"]:
    """The image in grey under a map in colour: blue where least, red where most.

    Args:
        image: RGB.
        heat: one map; bilinear to the image's size, and min-max scaled.
        strength: share of the colour, from 0 (the image) to 1 (the map).
        cubic: bicubic to the image's size, as DAAM.
    """
    size = image.shape[0], image.shape[1]
    smooth = bicubic(heat[None], size)[0] if cubic else paint.upsampled(heat, size)
    low, high = float(heat.min()), float(heat.max())
    if cubic and high > low:
        low, high = float(smooth.min()), float(smooth.max())
    scaled = (smooth - low) / (high - low) if high > low else np.zeros_like(smooth)
    colour = colormaps[_COLOURS](scaled)[..., :3] * 255
    grey = image.mean(-1, keepdims=True)
    mixed: UInt8[np.ndarray, "image_h image_w 3"] = (
        ((1 - strength) * grey + strength * colour).round().astype(np.uint8)
    )
    return mixed


def save_figure(heat: HeatMaps, path: Path) -> tuple[str, ...]:
    """Write the image and each word's overlay side by side, one row a group; the file's suffix names its
    kind.

    Args:
        heat: what to show.
        path: such as `maps.png`; also .jpg, .pdf, .svg.

    Returns:
        Notes for a person: groups that found no room.

    Raises:
        StorageError: the file cannot be written.
    """
    shown = list(heat.maps)[:MOST_ROWS]
    columns = 1 + len(heat.words)
    title_in = _TITLE_IN + _LINE_IN * max(group.count("/") for group in shown)
    panel_in = _PANEL_IN * heat.image.shape[0] / heat.image.shape[1]
    height_in = len(shown) * (panel_in + title_in)
    figure = Figure((columns * _PANEL_IN, height_in))
    figure.subplots_adjust(0, 0, 1, 1 - title_in / height_in, wspace=0.04, hspace=title_in / panel_in)
    panels: Any = figure.subplots(len(shown), columns, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    shared = shared_parts(
        [each for group in heat.maps for each in group.split("/") if each.startswith("layer=")]
    )
    for row, group in enumerate(shown):
        panels[row, 0].imshow(heat.image)
        panels[row, 0].set_title(_title(heat, group, shared), fontsize=7)
        for column, (word, values) in enumerate(zip(heat.words, heat.maps[group], strict=True), start=1):
            panels[row, column].imshow(overlay(heat.image, values, cubic=heat.kind == "daam"))
            panels[row, column].set_title(word, fontsize=10, parse_math=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=_DPI)
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot write {path}: {error}") from None
    left = len(heat.maps) - len(shown)
    return (f"{left} of {len(heat.maps)} groups are not in the figure; arrays hold them all",) if left else ()


def _title(heat: HeatMaps, group: str, shared: frozenset[str]) -> str:
    """A group's name without the parts that all layers share."""
    if group == WHOLE:
        return heat.kind.upper()
    kept = (".".join(part for part in each.split(".") if part not in shared) for each in group.split("/"))
    return "\n".join(kept)


def save_arrays(heat: HeatMaps, path: Path) -> None:
    """Write `image`, one array `maps` (or `maps/GROUP`) of shape (word, row, column) each, and `about`
    (JSON).

    Args:
        heat: what to write.
        path: the npz file.

    Raises:
        StorageError: the file cannot be written.
    """
    about = {"kind": heat.kind, "prompt": heat.prompt, "words": heat.words, "notes": heat.notes}
    arrays: dict[str, Any] = {f"maps/{group}" if group else "maps": each for group, each in heat.maps.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez_compressed(file, image=heat.image, about=np.array(json.dumps(about)), **arrays)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}") from None
