"""The formats, a row each, and what a format says of itself.

A new one is a module of this room with a `Format` in it, and its row in FORMATS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from segmint.errors import ConfigError, MissingDependency

if TYPE_CHECKING:
    from segmint.export.source import Source

FORMATS: Mapping[str, str] = {
    "voc": "voc.VOC",
    "coco": "coco.POLYGONS",
    "coco-rle": "coco.RLE",
    "yolo": "yolo.YOLO",
    "huggingface": "huggingface.HUGGINGFACE",
    "webdataset": "webdataset.WEBDATASET",
    "cvat": "cvat.CVAT",
    "label-studio": "labelstudio.LABEL_STUDIO",
    "labelme": "labelme.LABELME",
    "fiftyone": "fiftyone.FIFTYONE",
    "mmsegmentation": "mmsegmentation.MMSEGMENTATION",
}
"""Where each format says what it is; imported only when it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A layout: its writer, what it puts into the folder, what it needs and what it cannot hold."""

    write: "Callable[[Source, Path], list[str]]"
    """Writes every item into an empty folder; gives back what was lost on the way, for the user."""
    own_names: tuple[str, ...]
    """Files and folders that it makes."""
    layout: str
    """For the card: how the files lie and how to load them, in Markdown."""
    library: str | None = None
    """A library of the extra `export` that it needs."""
    objects: str | None = None
    """Its name in the notes, where it knows objects only: uncertain pixels are background then."""
    front_matter: "Callable[[Source, Mapping[str, int]], str]" = lambda source, sizes: ""
    """What goes before the card, from the items written by split."""

    def notes(self, source: "Source") -> list[str]:
        """What every export to this format loses."""
        if self.objects is None:
            return []
        notes = [
            "objects are the connected regions of a class, cut where the model saw that things of it touch"
        ]
        written, dropped = source.tally.objects
        if dropped:
            notes.append(
                f"{dropped} of {written + dropped} regions are specks (--min-area) and no objects here"
            )
        uncertain, pixels = source.tally.uncertain
        if uncertain:
            notes.append(
                f"{self.objects} has no uncertain label: {100 * uncertain / pixels:.1f} % of the pixels, "
                "uncertain in the run, are background"
            )
        return notes


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1)
        meant = f", did you mean {near[0]}?" if near else ";"
        raise ConfigError(f"unknown format {name!r}{meant} known are {', '.join(FORMATS)}")
    module, _, row = FORMATS[name].partition(".")
    found: Format = getattr(import_module(f"segmint.export.{module}"), row)
    return found


def check_library(name: str, library: str | None) -> None:
    """Make sure that what a format needs is there, before anything is written.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        if library:
            import_module(library)
    except ImportError:
        raise MissingDependency(
            f"the format {name} needs {library}; install it with: pip install 'segmint[export]'"
        ) from None
