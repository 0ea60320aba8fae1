"""Arrays to pictures: label colours, overlays, heat maps, clusters, sizes, letters. Pure functions."""

import io
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, Float32, Integer, UInt8
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from segmint.artifacts import Grid, Image, LayerComponents, Mask
from segmint.vocabulary import BACKGROUND, IGNORE, Colour, Vocabulary, voc_colour

Picture = UInt8[np.ndarray, "h w 3"]
Resized = UInt8[np.ndarray, "new_h new_w 3"]
AnyPicture = UInt8[np.ndarray, "_h _w 3"]
"""One of several pictures that need not agree in size."""
Palette = UInt8[np.ndarray, "256 3"]

OVERLAY_OPACITY = 0.55
"""Of class colours over an image, where nobody chose another."""
THUMBNAIL_PX = 256
"""Longest side of a thumbnail."""
GOLDEN_ANGLE = 0.381966
"""Steps of the hue circle that keep any number of neighbours apart."""
DARKEST_LUMA = 95
"""Luma (0–255) that a shown class colour has at least."""
SLATE = (28, 34, 43)
"""The background's colour where labels are shown without their image."""
INK, PAPER = (96, 104, 120), (232, 234, 240)


def palette_of(vocabulary: Vocabulary) -> Palette:
    """RGB of every label id on a screen: the vocabulary's, dark ones lightened, the background a slate."""
    red_green_blue = file_palette(vocabulary).tolist()
    palette = np.asarray([shown_colour((r, g, b)) for r, g, b in red_green_blue], dtype=np.uint8)
    palette[BACKGROUND] = SLATE
    return palette


def file_palette(vocabulary: Vocabulary | None = None) -> Palette:
    """RGB of every label id in mask files and on paper: the vocabulary's colours, or VOC's own."""
    flat = vocabulary.palette() if vocabulary else [voc_colour(label) for label in range(256)]
    return np.asarray(flat, np.uint8).reshape(256, 3)


def shown_colour(colour: Colour) -> Colour:
    """The colour, mixed with white until it stands out from a dark image (files keep the colour itself)."""
    red, green, blue = colour
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    white = max(0.0, (DARKEST_LUMA - luma) / (255 - luma)) if luma < 255 else 0.0
    mixed = [round(channel + (255 - channel) * white) for channel in colour]
    return mixed[0], mixed[1], mixed[2]


def colourise(labels: Integer[np.ndarray, "h w"], palette: Palette) -> Picture:
    """Each label in its colour."""
    picture: Picture = palette[labels]
    return picture


def overlay(image: Image, labels: Mask, palette: Palette, opacity: float = OVERLAY_OPACITY) -> Image:
    """Class colours over the image; the background stays as it is, uncertain pixels turn pale."""
    alpha = np.where(labels == BACKGROUND, 0.0, opacity).astype(np.float32)[..., None]
    mixed = image * (1 - alpha) + palette[labels] * alpha
    return _rounded(mixed)


def outlined_overlay(image: Image, labels: Mask, palette: Palette) -> Image:
    """The overlay with a white line of one pixel around every class, none of it on uncertain pixels."""
    drawn = overlay(image, labels, palette)
    drawn[borders(labels) & (labels != IGNORE)] = 255
    return drawn


def borders(labels: Integer[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """True where the left or upper neighbour has another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return edge


def heat(values: Float[np.ndarray, "h w"], colours: str = "magma") -> Picture:
    """Values in [0, 1] by one of matplotlib's perceptual colour maps."""
    from matplotlib import colormaps

    table = _rounded(255 * colormaps[colours](np.linspace(0, 1, 256))[:, :3])
    picture: Picture = table[_rounded(255 * np.clip(values, 0, 1))]
    return picture


def partition(numbers: Integer[np.ndarray, "h w"]) -> Picture:
    """Clusters or segments, each number in a colour of its own."""
    count = int(numbers.max()) + 1
    picture: Picture = cluster_colours(count)[numbers]
    return picture


def cluster_colours(count: int) -> UInt8[np.ndarray, "count 3"]:
    """Colours far apart in hue, of two calm lightnesses."""
    import colorsys

    rows = [
        colorsys.hls_to_rgb((0.58 + i * GOLDEN_ANGLE) % 1, (0.62, 0.45)[i % 2], 0.5) for i in range(count)
    ]
    return _rounded(255 * np.asarray(rows, dtype=np.float64).reshape(-1, 3))


def features_rgb(components: tuple[LayerComponents, ...], grid: Grid) -> Picture:
    """The three main directions of all columns of all layers, as red, green and blue."""
    columns = np.concatenate([_to_grid(layer.values, grid) for layer in components])
    flat = rearrange(columns, "column h w -> (h w) column").astype(np.float64)
    flat = flat - flat.mean(axis=0)
    _, directions = np.linalg.eigh(flat.T @ flat)
    three = flat @ directions[:, ::-1][:, :3]
    three = np.pad(three, ((0, 0), (0, 3 - three.shape[1])))
    return rearrange(_stretched(three), "(h w) rgb -> h w rgb", h=grid[0])


def heads_rgb(
    components: tuple[LayerComponents, ...], count: int, per_head: int = 3
) -> list[tuple[str, AnyPicture]]:
    """Single heads, spread evenly over all layers: a head's first three components as red, green and blue."""
    heads = [
        (layer.layer, layer.values[start : start + 3])
        for layer in components
        for start in range(0, layer.values.shape[0] - per_head + 1, per_head)
    ]
    chosen = np.unique(np.linspace(0, len(heads) - 1, min(count, len(heads))).round().astype(int))
    return [(heads[i][0], _rgb(heads[i][1])) for i in chosen]


def resized(picture: Picture, size: Grid, *, smooth: bool = False) -> Resized:
    """The picture at another (height, width): nearest, or Lanczos where `smooth`."""
    method = PilImage.Resampling.LANCZOS if smooth else PilImage.Resampling.NEAREST
    return np.asarray(PilImage.fromarray(picture).resize((size[1], size[0]), method))


def fitted(picture: Picture, longest_px: int, *, smooth: bool = True) -> Resized:
    """The picture scaled, up or down, until its longest side is this."""
    scale = longest_px / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return resized(picture, (height, width), smooth=smooth)


def thumbnail(picture: Picture, longest_px: int = THUMBNAIL_PX) -> Resized:
    """The picture shrunk to fit a square; a smaller one stays as it is."""
    small = PilImage.fromarray(picture)
    small.thumbnail((longest_px, longest_px), PilImage.Resampling.LANCZOS, reducing_gap=2.0)
    return np.asarray(small)


def resized_labels(labels: Mask, palette: Palette, longest_px: int = THUMBNAIL_PX) -> Picture:
    """A mask's colours, shrunk to fit a square without mixing labels."""
    return fitted(colourise(labels, palette), min(longest_px, max(labels.shape)), smooth=False)


def broken(reason: str, size_px: int = THUMBNAIL_PX) -> Picture:
    """A card that stands for a picture that cannot be shown."""
    card = PilImage.new("RGB", (size_px, size_px), PAPER)
    draw = ImageDraw.Draw(card)
    third = size_px / 3
    draw.rounded_rectangle(
        (third, third * 0.8, 2 * third, 1.8 * third), radius=size_px / 32, outline=INK, width=3
    )
    zigzag = [
        (third * 1.5, third * 0.8),
        (third * 1.35, third * 1.15),
        (third * 1.65, third * 1.4),
        (third * 1.5, third * 1.8),
    ]
    draw.line(zigzag, fill=INK, width=3)
    draw.text((size_px / 2, third * 2.2), reason, fill=INK, font=font(size_px / 17, reason), anchor="mm")
    return np.asarray(card)


def font(size_px: int | float, text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own face for Western text, matplotlib's for the rest, which covers far more letters."""
    if all((ord(letter) < 0x250 and letter != "×") or letter in "“”–…" for letter in text):
        return ImageFont.load_default(size=size_px)
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size=size_px)


def shortened(text: str, size_px: int, room_px: int | float) -> str:
    """The text, cut and dotted where it is longer than its place."""
    face = font(size_px, text)
    if face.getlength(text) <= room_px:
        return text
    while text and face.getlength(text + "…") > room_px:
        text = text[:-1]
    return text + "…"


def jpeg(picture: Picture, quality: int = 85) -> bytes:
    """JPEG bytes of a picture."""
    return _encoded(PilImage.fromarray(picture), "JPEG", quality=quality)


def png(picture: Picture | UInt8[np.ndarray, "h w"]) -> bytes:
    """PNG bytes of a picture, or of plain 8-bit values."""
    return _encoded(PilImage.fromarray(picture), "PNG")


def upsampled(values: Float32[np.ndarray, "h w"], size: Grid) -> Float32[np.ndarray, "image_h image_w"]:
    """Values at another (height, width), bilinear."""
    method = PilImage.Resampling.BILINEAR
    return np.asarray(PilImage.fromarray(values).resize((size[1], size[0]), method), dtype=np.float32)


def _to_grid(
    values: Float32[np.ndarray, "column h w"], grid: Grid
) -> Float32[np.ndarray, "column grid_h grid_w"]:
    rows = np.arange(grid[0]) * values.shape[1] // grid[0]
    columns = np.arange(grid[1]) * values.shape[2] // grid[1]
    return values[:, rows[:, None], columns[None]]


def _rgb(values: Float32[np.ndarray, "column h w"]) -> Picture:
    three = np.zeros((3, *values.shape[1:]), dtype=np.float32)
    three[: values.shape[0]] = values
    return _rounded(255 * np.clip(rearrange(three, "rgb h w -> h w rgb"), 0, 1))


def _stretched(columns: Float[np.ndarray, "cell rgb"]) -> UInt8[np.ndarray, "cell rgb"]:
    low, high = np.percentile(columns, (1, 99), axis=0)
    scaled = (columns - low) / np.where(high > low, high - low, 1)
    return _rounded(255 * np.clip(scaled, 0, 1))


def _rounded(values: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    rounded: UInt8[np.ndarray, "..."] = np.rint(values).astype(np.uint8)
    return rounded


def _encoded(picture: PilImage.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
