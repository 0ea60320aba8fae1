"""Label Studio's run-length code for brush masks.

Source: thi.ng/rle-pack, whose stream Label Studio stores: 32 bits of length, 5 of word size − 1, four times 4
bits of size − 1; then runs, each a flag (1: one value repeated; 0: as many values), two bits that choose a
size, that many bits of length − 1, and the values. All bits from the highest. Four channels a pixel.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

_WORD = 8
_SIZES = (3, 4, 8, 16)
"""Bits of a run's length, as Label Studio itself writes them."""
_CHANNELS = 4
_LONGEST = 1 << _SIZES[-1]
_HEAD = 32 + 5 + 4 * len(_SIZES)


def encode_brush(inside: Bool[np.ndarray, "image_h image_w"]) -> list[int]:
    """The pixels as bytes of Label Studio's `rle`."""
    values = np.repeat(inside.ravel().astype(np.uint8) * 255, _CHANNELS)
    starts = np.flatnonzero(np.diff(values, prepend=np.uint8(1)))
    lengths = np.diff(np.append(starts, values.size))
    bits = [f"{values.size:032b}", f"{_WORD - 1:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        whole, rest = divmod(length, _LONGEST)
        for run in [_LONGEST] * whole + ([rest] if rest else []):
            choice = next(i for i, size in enumerate(_SIZES) if run <= 1 << size)
            bits.append(f"1{choice:02b}{run - 1:0{_SIZES[choice]}b}{values[start]:08b}")
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


def decode_brush(rle: Any, *, height_px: int, width_px: int) -> Bool[np.ndarray, "image_h image_w"]:
    """The pixels whose opacity is above 0.

    Raises:
        ValueError: the bytes are no such code, or of an image of another size.
    """
    if not isinstance(rle, list) or not all(type(each) is int and 0 <= each <= 255 for each in rle):
        raise ValueError("its rle is no list of bytes")  # of a number, bytes() would make so many zeros
    reader = _Bits(np.unpackbits(np.frombuffer(bytes(rle), np.uint8)))
    count, word = reader.read(32), reader.read(5) + 1
    sizes = [reader.read(4) + 1 for _ in range(4)]
    if count != height_px * width_px * _CHANNELS:
        raise ValueError(f"its rle holds {count // _CHANNELS} pixels; the image has {height_px * width_px}")
    values: Shaped[np.ndarray, "value"] = np.zeros(count, np.uint8)
    at = 0
    while at < count:
        repeated = reader.read(1)
        length = reader.read(sizes[reader.read(2)]) + 1
        if at + length > count:
            raise ValueError("its rle goes beyond the image")
        if repeated:
            values[at : at + length] = reader.read(word) & 255
        else:
            values[at : at + length] = [reader.read(word) & 255 for _ in range(length)]
        at += length
    inside: Bool[np.ndarray, "image_h image_w"] = values.reshape(height_px, width_px, _CHANNELS)[..., 3] > 0
    return inside


class _Bits:
    """A stream of bits."""

    def __init__(self, bits: Shaped[np.ndarray, "bit"]) -> None:
        self._text, self._at = "".join(map(str, bits.tolist())), 0

    def read(self, count: int) -> int:
        """The next bits as a number."""
        word = self._text[self._at : self._at + count]
        if len(word) < count:
            raise ValueError("its rle is cut short")
        self._at += count
        return int(word, 2)
