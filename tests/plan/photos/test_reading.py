"""Any image becomes upright 8-bit RGB; what cannot be read is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmint.errors import ImageError
from segmint.plan.photos.reading import read_photo

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def row(*colours: tuple[int, ...]) -> np.ndarray:
    return np.array([colours], np.uint8)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90° clockwise to show
    path = saved(Image.fromarray(row(RED, GREEN, BLUE)), tmp_path / "turned.png", exif=exif)
    rgb = read_photo(path).rgb
    assert rgb.shape == (3, 1, 3)
    assert [tuple(pixel) for pixel in rgb[:, 0].tolist()] == [RED, GREEN, BLUE]


def test_a_plain_file_can_be_kept_as_it_is(tmp_path: Path) -> None:
    plain = saved(Image.new("RGB", (4, 3), RED), tmp_path / "plain.jpg")
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = saved(Image.new("RGB", (4, 3), RED), tmp_path / "turned.jpg", exif=exif)
    grey = saved(Image.new("L", (4, 3)), tmp_path / "grey.png")
    assert read_photo(plain).original == plain.read_bytes()
    assert read_photo(turned).original is None
    assert read_photo(grey).original is None


def test_transparency_is_laid_on_white_and_said(tmp_path: Path) -> None:
    pixels = row((255, 0, 0, 255), (255, 0, 0, 0))
    photo = read_photo(saved(Image.fromarray(pixels), tmp_path / "glass.png"))
    assert [tuple(pixel) for pixel in photo.rgb[0].tolist()] == [RED, WHITE]
    assert photo.notes == ("has transparency; it was laid on white",)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    deep = np.array([[0, 257 * 100, 65_535]], np.uint16)
    rgb = read_photo(saved(Image.fromarray(deep), tmp_path / "deep.png")).rgb
    assert rgb[0, :, 0].tolist() == [0, 100, 255]
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


def test_float_pixels_in_unit_range_are_scaled(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    rgb = read_photo(saved(Image.fromarray(values), tmp_path / "depth.tiff")).rgb
    assert rgb[0, :, 1].tolist() == [0, 128, 255, 0]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    rgb = read_photo(saved(image, tmp_path / "print.jpg", quality=95)).rgb
    assert np.abs(rgb.astype(int) - RED).max() <= 3


def test_of_an_animation_the_first_frame_is_read_and_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in (RED, GREEN, BLUE)]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    photo = read_photo(path)
    assert np.array_equal(photo.rgb, np.full((3, 4, 3), RED, np.uint8))
    assert photo.notes == ("has 3 frames; the first was read",)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 200)])
def test_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    path = saved(Image.new("L", size, 7), tmp_path / "size.png")
    assert read_photo(path).rgb.shape == (size[1], size[0], 3)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    whole = saved(Image.effect_noise((64, 64), 90), tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    for name, reason in (
        ("cut.jpg", "truncated"),
        ("text.png", "not an image"),
        ("gone.png", "no such file"),
    ):
        with pytest.raises(ImageError, match=reason) as caught:
            read_photo(tmp_path / name)
        assert name in str(caught.value)


def test_a_pixel_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.new("L", (64, 64)), tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match=r"bomb\.png"):
        read_photo(path)
