"""Find the images that a user points at, give each an item name that nothing else has, and plan the items."""

import glob
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.errors import ImageError, VocabularyError
from segmint.plan.settings import CLASSES_FIELD
from segmint.specs import is_item_id
from segmint.textfile import parse_json, read_text, shown
from segmint.vocabulary import Vocabulary

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".avif")
)
"""Files with these endings count as images when a folder is searched (upper or lower case)."""
_KEYS = frozenset(("image", "file_name", "path", "classes", "caption"))
_GLOB_SIGNS = "*?["
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
MAX_ID = 100
"""Longest item name; see `specs.ITEM_ID_RULE`."""
_MAX_FOLDER = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One image to label: its file, its name in the run, and what its list says about it."""

    path: Path
    item_id: str
    classes: tuple[str, ...] | None = None
    """Classes to look for in this image; None takes the run's list."""
    caption: str | None = None


def find_sources(inputs: Iterable[str | Path]) -> tuple[Source, ...]:
    """All images named by files, folders, globs and lists, in a fixed order, each once.

    A folder is searched to its depth, in sorted order, leaving out hidden entries. A `.txt` list names a path
    a line (blank lines and lines that start with # are skipped); a `.jsonl` list holds objects with `image`
    (or `file_name`, `path`), and if wished `classes` and `caption`. Paths in a list are relative to the list.
    A file that does not exist, or is a pipe or a device, stays among the sources: it is named when its turn
    comes, and nothing else is lost.

    The item's name is the file's own, without its ending, with `_` for what is not A–Z a–z 0–9 _ or -. Where
    several files share one (in any case of letters), each of them takes `__FOLDER` behind it, the folder
    relative to what all sources have in common; files that still share one take their ending (`a_png`), and
    failing that the start of their path's SHA-256.

    Args:
        inputs: paths or glob patterns; `**` searches through folders.

    Raises:
        ImageError: nothing was named or found, an input does not exist, or a list line cannot be understood.
    """
    found = [source for each in inputs for source in _from_input(str(each))]
    unique: dict[tuple[Path, tuple[str, ...] | None, str | None], Source] = {}
    for source in found:
        unique.setdefault((_plain(source.path), source.classes, source.caption), source)
    if not unique:
        raise ImageError("no image was found; give image files, folders, globs, a .txt list or a .jsonl list")
    return tuple(_named(list(unique.values())))


def _from_input(text: str) -> list[Source]:
    path = Path(text)
    if _is(path, Path.is_dir):
        return _from_folder(path)
    if _is(path, Path.is_file):
        reader = {".txt": _from_text_list, ".jsonl": _from_json_list}.get(path.suffix.lower())
        return reader(path) if reader else [_source(path)]
    if any(sign in text for sign in _GLOB_SIGNS):
        return _from_glob(text)
    raise ImageError(
        f"{text}: no such file or folder; give images, folders, globs, a .txt list or a .jsonl list"
    )


def _is(path: Path, test: Callable[[Path], bool]) -> bool:
    try:
        return test(path)
    except (OSError, ValueError):  # longer than the file system takes, or with a NUL
        return False


def _from_folder(folder: Path) -> list[Source]:
    files = sorted(
        each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES and not each.is_dir()
    )
    shown = [
        each for each in files if not any(part.startswith(".") for part in each.relative_to(folder).parts)
    ]
    if not shown:
        raise ImageError(f"{folder}: no image in this folder; known endings are {' '.join(sorted(SUFFIXES))}")
    return [_source(each) for each in shown]


def _from_glob(pattern: str) -> list[Source]:
    files = [Path(each) for each in sorted(glob.glob(pattern, recursive=True))]
    images = [each for each in files if each.suffix.lower() in SUFFIXES and not each.is_dir()]
    if not images:
        raise ImageError(f"{pattern}: no image matches this pattern")
    return [_source(each) for each in images]


def _from_text_list(path: Path) -> list[Source]:
    lines = [line.strip() for line in _lines(path)]
    return [_source(_listed(path, line)) for line in lines if line and not line.startswith("#")]


def _listed(path: Path, name: str) -> Path:
    """Where a listed image lies; backslashes divide folders unless a file is called so."""
    plain = path.parent / name
    return plain if "\\" not in name or _is(plain, Path.is_file) else path.parent / name.replace("\\", "/")


def _from_json_list(path: Path) -> list[Source]:
    return [
        _from_json(line, path, number) for number, line in enumerate(_lines(path), start=1) if line.strip()
    ]


def _from_json(line: str, path: Path, number: int) -> Source:
    where = f"{path}, line {number}"
    try:
        data: Any = parse_json(line)
    except ValueError as error:
        raise ImageError(f"{where}: {error}; expected one object a line") from None
    if not isinstance(data, dict) or not set(data) <= _KEYS:
        raise ImageError(f"{where}: expected an object with image, classes and caption; found {shown(data)}")
    image = next((data[key] for key in ("image", "file_name", "path") if key in data), None)
    if not isinstance(image, str) or not image.strip() or "\0" in image:
        raise ImageError(f"{where}: no image is named; expected {{'image': 'PATH', …}}")
    caption = data.get("caption")
    if caption is not None and not isinstance(caption, str):
        raise ImageError(f"{where}: caption is {caption!r}; expected a text")
    return replace(
        _source(_listed(path, image)), classes=_classes(data.get("classes"), where), caption=caption
    )


def _classes(value: object, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise ImageError(f"{where}: classes are {value!r}; expected a list of class names")
    return tuple(" ".join(each.split()) for each in value)


def _lines(path: Path) -> list[str]:
    text, _ = read_text(path, what="list of images", error=ImageError)
    return text.split("\n")


def _source(path: Path) -> Source:
    return Source(path=path, item_id=_clean(path.stem))


def _clean(stem: str) -> str:
    plain = _UNSAFE.sub("_", stem)[:MAX_ID]
    return plain if is_item_id(plain) else f"_{plain[1:]}" if plain.startswith("-") else f"_{plain}"[:MAX_ID]


def _named(sources: Sequence[Source]) -> list[Source]:
    for suffix in (_folder_suffix(sources), _ending_suffix, _hash_suffix):
        shared = _shared_ids(sources)
        if not shared:
            break
        sources = [
            _extended(each, suffix(each)) if each.item_id.casefold() in shared else each for each in sources
        ]
    return list(sources)


def _extended(source: Source, suffix: str) -> Source:
    return replace(source, item_id=source.item_id[: MAX_ID - len(suffix)] + suffix)


def _shared_ids(sources: Sequence[Source]) -> set[str]:
    counted = Counter(each.item_id.casefold() for each in sources)
    return {name for name, count in counted.items() if count > 1}


def _folder_suffix(sources: Sequence[Source]) -> Any:
    folders = [_plain(each.path).parent for each in sources]
    root = Path(commonpath(folders))

    def suffix(source: Source) -> str:
        relative = _plain(source.path).parent.relative_to(root)
        return f"__{_clean('_'.join(relative.parts))[:_MAX_FOLDER]}" if relative.parts else ""

    return suffix


def _ending_suffix(source: Source) -> str:
    return f"_{_clean(source.path.suffix.lower().lstrip('.'))}"


def _hash_suffix(source: Source) -> str:
    told = f"{source.path.as_posix()}\n{source.classes}\n{source.caption}"
    return f"_{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _plain(path: Path) -> Path:
    if path.root == "//":  # a root of its own to pathlib, the usual one to the system
        path = Path("/", *path.parts[1:])
    return path.absolute() if ".." not in path.parts else path.resolve()


def plan_photos(
    sources: Sequence[Source], vocabulary: Vocabulary, *, caption: str, seed: int
) -> list[PromptSpec]:
    """One item an image, in order.

    Args:
        sources: images; one that names classes is searched for those, the others for the whole vocabulary.
        vocabulary: the run's classes.
        caption: what an image shows that has no caption of its own; see `PhotoSettings.caption`.
        seed: image i draws its noise from seed + i.

    Raises:
        ImageError: an image names a class that the vocabulary lacks; the message names both.
    """
    return [
        _spec(source, vocabulary, index, caption=caption, seed=seed + index)
        for index, source in enumerate(sources)
    ]


def describe(phrases: Sequence[str], caption: str) -> str:
    """The caption with each phrase under its article: "a photo of a boat, an ape and a tree"."""
    things = [f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}" for phrase in phrases]
    listed = " and ".join(each for each in (", ".join(things[:-1]), things[-1]) if each)
    return caption.replace(CLASSES_FIELD, listed)


def fingerprint(sources: Sequence[Source]) -> str:
    """SHA-256 (hex) of what a list of images says: names, paths as given, classes and captions."""
    told = [[each.item_id, each.path.as_posix(), each.classes, each.caption] for each in sources]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _spec(source: Source, vocabulary: Vocabulary, index: int, *, caption: str, seed: int) -> PromptSpec:
    try:
        entries = vocabulary.entries if source.classes is None else vocabulary.subset(source.classes).entries
    except VocabularyError as error:
        raise ImageError(f"{source.path}: {error}") from None
    return PromptSpec(
        item_id=source.item_id,
        index=index,
        prompt=source.caption or describe([entry.phrases[0] for entry in entries], caption),
        classes=tuple(entry.name for entry in entries),
        label_ids=tuple(entry.label_id for entry in entries),
        phrases=tuple(entry.phrases for entry in entries),
        seed=seed,
    )
