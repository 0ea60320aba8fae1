"""Files of a run as pictures for the browser, thumbnails kept in the user's cache folder."""

import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from segmint.artifacts import Image, Mask
from segmint.atomic import put
from segmint.errors import ImageError, StorageError
from segmint.pictures import paint
from segmint.runs import codec, layout
from segmint.runs.files.local import LocalFiles

Look = Literal["image", "overlay", "mask"]
LOOKS: tuple[str, ...] = ("image", "overlay", "mask")
CACHE_LIMIT_BYTES = 1_000_000_000
"""Thumbnails kept over all runs; the oldest go first when a viewer starts."""
RENDERERS = 4
"""Thumbnails drawn at a time; more would only hold more decoded images in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """JPEG bytes, a tag that changes when its files do, and why it is only a placeholder (or None)."""

    data: bytes
    tag: str
    problem: str | None = None


class Pictures:
    """Reads a run's images and masks by item id; draws and keeps thumbnails."""

    def __init__(self, run: Path, palette: paint.Palette, cache: Path) -> None:
        self.files, self.palette = LocalFiles(run), palette
        self.cache = cache / hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]
        self._colours = hashlib.sha256(palette.tobytes()).hexdigest()[:8]
        self._drawing = threading.Semaphore(RENDERERS)

    def image_path(self, item_id: str) -> PurePosixPath | None:
        """The item's image, JPEG or PNG, within the run; None where there is none."""
        candidates = (layout.image(item_id, suffix) for suffix in ("jpg", "png"))
        return next((path for path in candidates if self.files.exists(path)), None)

    def image_bytes(self, item_id: str) -> tuple[PurePosixPath, bytes]:
        """The image file as it is; ImageError where it is missing or no plain file."""
        path = self.image_path(item_id)
        if path is None:
            raise ImageError(f"the image of {item_id} is missing")
        return path, self._bytes(path)

    def image(self, item_id: str) -> Image:
        """RGB pixels; ImageError where the file is missing or damaged."""
        path, data = self.image_bytes(item_id)
        return codec.decode_image(data, source=path.name)

    def mask(self, item_id: str, mask_set: str) -> Mask:
        """Label ids; ImageError where the file is missing or damaged."""
        path = layout.mask(item_id, mask_set)
        return codec.decode_mask(self._bytes(path), source=path.name)

    def agreement(self, item_id: str, mask_set: str) -> UInt8[np.ndarray, "image_h image_w"]:
        """255 × the share of ballots behind each pixel; ImageError where the file is missing or damaged."""
        path = layout.agreement(item_id, mask_set)
        shares = codec.decode_agreement(self._bytes(path), source=path.name)
        grey: UInt8[np.ndarray, "image_h image_w"] = np.rint(255 * shares).astype(np.uint8)
        return grey

    def thumbnail(self, item_id: str, mask_set: str, look: Look) -> Thumbnail:
        """The thumbnail, from the cache unless its files changed; a placeholder where they are broken."""
        image_path = self.image_path(item_id)
        used = [
            self.files.facts(image_path) if image_path else None,
            self.files.facts(layout.mask(item_id, mask_set)),
        ]
        tag = _tag([look, mask_set, item_id, self._colours], used)
        kept = self.cache / tag[:2] / f"{tag}.jpg"
        with suppress(OSError):
            return Thumbnail(data=kept.read_bytes(), tag=tag)
        with self._drawing:
            try:
                data = paint.jpeg(self._draw(item_id, mask_set, look))
            except ImageError as error:
                card = paint.broken("image missing" if image_path is None else "image broken")
                return Thumbnail(data=paint.jpeg(card), tag=tag, problem=str(error))
        _keep(kept, data)
        return Thumbnail(data=data, tag=tag)

    def _bytes(self, path: PurePosixPath) -> bytes:
        try:
            return self.files.read(path)
        except StorageError as error:
            raise ImageError(str(error)) from None

    def _draw(self, item_id: str, mask_set: str, look: Look) -> paint.Picture:
        if look == "mask":
            return paint.resized_labels(self.mask(item_id, mask_set), self.palette)
        image = self.image(item_id)
        if look == "image":
            return paint.thumbnail(image)
        labels = self.mask(item_id, mask_set)
        if labels.shape != image.shape[:2]:
            raise ImageError(
                f"the mask of {item_id} is {labels.shape[::-1]} px, its image {image.shape[1::-1]}"
            )
        return paint.thumbnail(paint.overlay(image, labels, self.palette))


def cache_folder() -> Path:
    """Where thumbnails are kept: `$XDG_CACHE_HOME/segmint/thumbnails`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "segmint" / "thumbnails"


def prune(cache: Path, limit_bytes: int = CACHE_LIMIT_BYTES) -> int:
    """Delete the oldest thumbnails beyond the limit; returns how many went."""
    with suppress(OSError):
        files = [(path.stat().st_mtime_ns, path.stat().st_size, path) for path in cache.glob("*/*/*.jpg")]
        excess, gone = sum(size for _, size, _ in files) - limit_bytes, 0
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess, gone = excess - size, gone + 1
        return gone
    return 0


def _tag(parts: list[str], files: list[os.stat_result | None]) -> str:
    told = [f"{facts.st_mtime_ns}.{facts.st_size}" if facts else "-" for facts in files]
    return hashlib.sha256("/".join([*parts, str(paint.THUMBNAIL_PX), *told]).encode()).hexdigest()[:32]


def _keep(path: Path, data: bytes) -> None:
    draft = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    with suppress(OSError):  # a full or read-only cache costs speed, nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, data, draft=draft, flush=False)
