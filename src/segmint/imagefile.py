"""Open a picture file of anybody's: whatever is wrong with it becomes one ImageError that names it."""

import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from PIL import Image, UnidentifiedImageError

from segmint.errors import ImageError

UNREADABLE = (
    *(UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error, LookupError, RuntimeError, TypeError, AttributeError),
    *(ArithmeticError, AssertionError, tokenize.TokenError),
)
"""What Pillow, numpy and zipfile raise for bytes that are not what they should be."""
_RUN_BY_OTHERS = ("EPS", "WMF")
"""Formats that Pillow hands to another program to draw."""
_BOUNDED = ("PNG", "GIF", "TIFF", "BMP", "PPM", "JPEG", "TGA", "PCX", "SGI", "DDS", "ICO", "MPO")
"""Formats whose compression has a limit."""
_MOST_PIXELS_A_BYTE = 8 * 1032
"""One-bit pixels under deflate, which shrinks by 1032 at most (zlib's technical details); others less."""
_MOST_ELSEWHERE = 1 << 17
"""For formats that can hold one colour in next to nothing: beyond this it is a bomb, or a lie."""
_HEADERS = Lock()
"""Warning filters belong to the process: one thread at a time changes them."""


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The picture, not yet decoded; what goes wrong inside the block is told as an ImageError too.

    Raises:
        ImageError: no such file, not a regular file, no image, truncated, damaged, or over Pillow's safety
            limit; names the path.
    """
    try:
        with _opened(path) as picture:
            if picture.format in _RUN_BY_OTHERS:
                raise ImageError(f"{path}: a {picture.format} drawing; convert it to PNG or JPEG")
            _refuse_lies(picture, path)
            yield picture
    except FileNotFoundError:
        what = "not a regular file" if _is(path, Path.exists) else "no such file"
        raise ImageError(f"{path}: {what}; check the path or take it off the list") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that Pillow can read; convert it to PNG or JPEG") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}; scale the image down first") from None
    except UNREADABLE as error:
        said = str(error) or type(error).__name__
        raise ImageError(f"{path}: damaged or truncated image ({said}); get a whole copy") from None


def _opened(path: Path) -> Image.Image:
    if not _is(path, Path.is_file):  # a pipe would be waited for
        raise FileNotFoundError
    with _HEADERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large is fine; a bomb raises
        return Image.open(path)


def _refuse_lies(picture: Image.Image, path: Path) -> None:
    """Refuse a size that no file of this length can hold, before memory is taken for it."""
    width, height = picture.size
    length = path.stat().st_size
    most = _MOST_PIXELS_A_BYTE if picture.format in _BOUNDED else _MOST_ELSEWHERE
    if width * height > most * length:
        raise ImageError(f"{path}: claims {width}×{height} px in {length} bytes; get a whole copy")


def _is(path: Path, test: Callable[[Path], bool]) -> bool:
    try:
        return test(path)
    except PermissionError:
        raise
    except (OSError, ValueError):  # longer than the file system takes, or with a NUL
        return False
