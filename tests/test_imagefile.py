import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segmint.errors import ImageError
from segmint.plan.photos.reading import read_photo


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


BAD = {
    "nothing": b"",
    "text": b"hello",
    "a bomb": png(40_000, 40_000),
    "cut short": png(64, 64),
    "dds": b"DDS |\0\0\0" + bytes(120),
    "dds of an odd kind": b"DDS "
    + struct.pack("<7I", 124, 0x1007, 8, 8, 0, 0, 0)
    + bytes(44)
    + struct.pack("<2I4s", 32, 4, b"ODD!")
    + bytes(60),
    "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64),
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(64),
    "tiff of no page": b"II*\0\x08\0\0\0\0\0\0\0\0\0",
    "tiff that points to itself": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "gif of no frame": b"GIF89a\x10\0\x10\0\0\0\0;",
    "psd": b"8BPS\0\1" + bytes(20),
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    "jpeg of a header": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
    "webp": b"RIFF\x24\0\0\0WEBPVP8 " + bytes(32),
}


@pytest.mark.filterwarnings("ignore")  # what Pillow says of damaged files is not under test
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_bad_photograph_is_one_line_that_names_it(tmp_path, kind, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(BAD[kind])
    with pytest.raises(ImageError, match=rf"a\.{suffix}: ") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "pipe.png", tmp_path / "folder.png"):
        with pytest.raises(ImageError, match="not a regular file"):
            read_photo(path)
    for path in ("gone.png", "a" * 5000 + ".png", "nul\0.png"):
        with pytest.raises(ImageError, match="no such file"):
            read_photo(tmp_path / path)


def small(kind: str) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(buffer, kind)
    return buffer.getvalue()


SMALL = {kind: small(kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP")}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(SMALL)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.floats(0.1, 1),
)
def test_any_damage_is_read_or_refused(tmp_path_factory, kind, changes, end):
    data = bytearray(SMALL[kind])
    for place, value in changes:
        data[int(place * len(data))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data[: int(end * len(data))])
    try:
        photo = read_photo(path)
    except ImageError as error:
        told = str(error)
    else:
        told, shape = "", photo.rgb.shape
        assert len(shape) == 3
    assert "\n" not in told
