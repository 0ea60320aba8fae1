"""An item's attention ↔ bytes: an npz without objects, the same for the same content, read back exactly."""

import io
import json
import zipfile
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmint.artifacts import Affinity, AttentionSummary, DenoisingEvidence, LayerComponents, TokenMaps
from segmint.errors import ImageError
from segmint.imagefile import UNREADABLE
from segmint.runs.codec import EPOCH


def encode_summary(summary: AttentionSummary) -> bytes:
    """An attention summary as npz without objects, read back exactly.

    Arrays are stored in float16 where that loses nothing (components always), else in float32.
    """
    arrays: dict[str, NDArray[Any]] = {"header": np.frombuffer(_header(summary), dtype=np.uint8)}
    for index, layer in enumerate(summary.components):
        arrays[f"components.{index}"] = _shrink(layer.values)
    for name, maps in summary.maps.items():
        arrays[f"maps.{name}"] = _shrink(maps.values)
    if summary.affinity is not None:
        arrays["affinity"] = _shrink(summary.affinity.values)
    if summary.denoising is not None:
        arrays["denoising.gains"] = _shrink(summary.denoising.gains)
        arrays["denoising.change"] = _shrink(summary.denoising.change)
    if summary.guidance is not None:
        arrays["guidance"] = _shrink(summary.guidance)
    if summary.refining is not None:
        arrays["refining"] = _shrink(summary.refining.values)
    return _write_npz(arrays)


def decode_summary(data: bytes, *, source: str) -> AttentionSummary:
    """The attention summary that `encode_summary` wrote.

    Raises:
        ImageError: the bytes are damaged or of another kind, or their parts do not fit one another.
    """
    try:
        _refuse_bomb(data, source)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            summary = _read_summary(arrays)
        _check_summary(summary)
    except UNREADABLE as error:
        raise ImageError(f"{source} holds no readable features ({error}); mint the item again") from None
    return summary


def _header(summary: AttentionSummary) -> bytes:
    said: dict[str, Any] = {
        "grid": summary.grid,
        "layers": [layer.layer for layer in summary.components],
        "maps": {
            name: {"tokens": maps.tokens, "phrases": maps.phrases, "phrase_tokens": maps.phrase_tokens}
            for name, maps in summary.maps.items()
        },
        "affinity_grid": summary.affinity.grid if summary.affinity else None,
    }
    if summary.denoising is not None:
        said["denoised"] = summary.denoising.classes
    if summary.refining is not None:
        said["refining_grid"] = summary.refining.grid
    return json.dumps(said, ensure_ascii=False).encode()


def _read_summary(arrays: Mapping[str, NDArray[Any]]) -> AttentionSummary:
    said = json.loads(arrays["header"].tobytes())
    return AttentionSummary(
        grid=_grid(said["grid"]),
        components=tuple(
            LayerComponents(layer=layer, values=arrays[f"components.{index}"].astype(np.float32))
            for index, layer in enumerate(said["layers"])
        ),
        maps={
            name: TokenMaps(
                tokens=tuple(each["tokens"]),
                phrases=tuple(each["phrases"]),
                phrase_tokens=tuple(tuple(rows) for rows in each["phrase_tokens"]),
                values=arrays[f"maps.{name}"].astype(np.float32),
            )
            for name, each in said["maps"].items()
        },
        affinity=_read_affinity(said, arrays, "affinity"),
        denoising=DenoisingEvidence(
            classes=tuple(said["denoised"]),
            gains=arrays["denoising.gains"].astype(np.float32),
            change=arrays["denoising.change"].astype(np.float32),
        )
        if "denoised" in said
        else None,
        guidance=arrays["guidance"].astype(np.float32) if "guidance" in arrays else None,
        refining=_read_affinity(said, arrays, "refining"),
    )


def _read_affinity(said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], name: str) -> Affinity | None:
    grid = said.get(f"{name}_grid")
    return Affinity(grid=_grid(grid), values=arrays[name].astype(np.float32)) if grid else None


def _check_summary(summary: AttentionSummary) -> None:
    """Refuse what would be read beyond its ends, or not at all, when masks are made of it.

    Raises:
        ValueError: names the part.
    """
    denoised = summary.denoising
    near = [each for each in (summary.affinity, summary.refining) if each]
    for name, maps in summary.maps.items():
        _check_maps(name, maps)
    if any(each.values.shape != (prod(each.grid),) * 2 for each in near):
        raise ValueError("the affinity does not fit its grid")
    if denoised and denoised.gains.shape != (len(denoised.classes), *denoised.change.shape):
        raise ValueError("the denoising evidence does not fit its classes")
    if summary.guidance is not None and summary.guidance.shape != summary.grid:
        raise ValueError("what guidance changes does not fit the grid")
    arrays: list[NDArray[Any]] = [each.values for each in summary.components]
    arrays += [each.values for each in summary.maps.values()]
    arrays += [denoised.gains] if denoised else []
    if any(values.ndim != 3 or 0 in values.shape[1:] for values in arrays):
        raise ValueError("an array is no stack of maps")
    if not any(values.shape[1:] == summary.grid for values in arrays):
        raise ValueError(f"the grid {summary.grid} is that of none of its arrays")
    arrays += [each.values for each in near]
    arrays += [denoised.change] if denoised else []
    arrays += [summary.guidance] if summary.guidance is not None else []
    if not all(np.isfinite(values).all() for values in arrays):
        raise ValueError("an array holds NaN or infinity")
    if denoised and not all(isinstance(name, str) for name in denoised.classes):
        raise ValueError("a class is no text")


def _check_maps(name: str, maps: TokenMaps) -> None:
    rows = [row for each in maps.phrase_tokens for row in each]
    if len(maps.values) != len(maps.tokens) or len(maps.phrases) != len(maps.phrase_tokens):
        raise ValueError(f"the maps {name!r} do not fit their tokens")
    if not all(type(row) is int and 0 <= row < len(maps.tokens) for row in rows):
        raise ValueError(f"the maps {name!r} have rows that are not there")
    if not all(isinstance(each, str) for each in (*maps.tokens, *maps.phrases)):
        raise ValueError(f"the maps {name!r} have a token or phrase that is no text")


def _grid(pair: list[int]) -> tuple[int, int]:
    height, width = pair
    return int(height), int(width)


def _shrink(values: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values


def _write_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=EPOCH), member.getvalue())
    return buffer.getvalue()


def _refuse_bomb(data: bytes, source: str) -> None:
    """Refuse an archive that holds more than its length: ours are not compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = sum(max(each.file_size, 0) for each in archive.infolist())
    if held > len(data):
        raise ImageError(
            f"{source} is not of segmint: {len(data)} bytes that unpack to {held}; mint the item again"
        )
