"""Classes renamed, merged or left out: a table from label id to label id, and the vocabulary after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from segmint.artifacts import Mask
from segmint.errors import ConfigError
from segmint.labels.legend import Legend
from segmint.vocabulary import BACKGROUND, Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relabelling:
    """What becomes of a vocabulary's classes."""

    vocabulary: Vocabulary
    """The classes afterwards; those that stay keep their ids."""
    table: UInt8[np.ndarray, "256"]
    """New label id of each old one."""

    def __call__(self, labels: Mask) -> Mask:
        """A mask's labels as they are afterwards."""
        found: Mask = self.table[labels]
        return found

    def legend(self, legend: Legend) -> Legend:
        """The same values and colours, with their new meaning."""
        return replace(
            legend,
            classes={entry.label_id: entry.name for entry in self.vocabulary.entries},
            values={value: int(self.table[label]) for value, label in legend.values.items()},
            colours={colour: int(self.table[label]) for colour, label in legend.colours.items()},
        )


def relabelling(
    vocabulary: Vocabulary,
    *,
    rename: Mapping[str, str] | None = None,
    merge: Mapping[str, Sequence[str]] | None = None,
    drop: Sequence[str] = (),
) -> Relabelling:
    """Classes renamed, merged and left out, all at once: every name given is one of the vocabulary's.

    Args:
        vocabulary: the classes before.
        rename: new name by old name.
        merge: by the new class's name, the classes that become it, with the id of the first.
        drop: classes whose pixels become background.

    Raises:
        VocabularyError: a class is unknown, or the classes afterwards share a name.
        ConfigError: a class is named twice, or none is left.
    """
    rename, merge = dict(rename or {}), dict(merge or {})
    groups = {**{new: [old] for old, new in rename.items()}, **merge}
    if len(groups) < len(rename) + len(merge):
        raise ConfigError("two changes of classes lead to one name; use --merge-classes for all of them")
    entries = {entry.label_id: entry for entry in vocabulary.entries}
    table = np.arange(256, dtype=np.uint8)
    touched: set[str] = set()
    for new, olds in [*groups.items(), *((None, [each]) for each in drop)]:
        ids = [vocabulary.entry(each).label_id for each in olds]
        _check_once(olds, touched)
        for label_id in ids:
            table[label_id] = BACKGROUND if new is None else ids[0]
        gone = [entries.pop(each) for each in ids]
        if new is not None:
            words = tuple(phrase for entry in gone for phrase in entry.phrases)
            entries[ids[0]] = replace(gone[0], name=new, phrases=words)
    if not entries:
        raise ConfigError("--drop-classes leaves no class; keep one at least")
    return Relabelling(vocabulary=Vocabulary.of_entries(entries.values(), name=vocabulary.name), table=table)


def parse_relabelling(
    vocabulary: Vocabulary,
    *,
    rename: str | None = None,
    merge: str | None = None,
    drop: str | None = None,
    known_only: bool = False,
) -> Relabelling | None:
    """As `relabelling`, from the words of a command line; None where nothing is asked for.

    Args:
        vocabulary: the classes before.
        rename: `"a=b, c=d"`.
        merge: `"cat, dog = pet; car, bus = vehicle"`.
        drop: `"x, y"`.
        known_only: pass over classes that the vocabulary does not have.

    Raises:
        ConfigError: an equals sign or a name is missing.
        VocabularyError: as `relabelling`.
    """
    if rename is None and merge is None and drop is None:
        return None
    renamed = _pairs(rename, ",", '--rename "old=new, other=another"')
    merged = _pairs(merge, ";", '--merge-classes "cat, dog=pet; car, bus=vehicle"')
    groups = {new: _names(olds) for olds, new in merged.items()}
    dropped = _names(drop or "")
    if known_only:
        known = set(vocabulary.names)
        renamed = {old: new for old, new in renamed.items() if old in known}
        groups = {
            new: kept for new, olds in groups.items() if (kept := [each for each in olds if each in known])
        }
        dropped = [each for each in dropped if each in known]
    return relabelling(vocabulary, rename=renamed, merge=groups, drop=dropped)


def _pairs(text: str | None, joint: str, example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in (text or "").split(joint):
        before, equals, after = (part.strip() for part in each.partition("="))
        if not each.strip():
            continue
        if not (before and equals and after):
            raise ConfigError(f"expected {example}, found {each.strip()!r}")
        pairs[before] = after
    return pairs


def _names(text: str) -> list[str]:
    return [name for each in text.split(",") if (name := each.strip())]


def _check_once(names: Sequence[str], touched: set[str]) -> None:
    for each in names:
        if each in touched:
            raise ConfigError(f"class {each!r} is renamed, merged or dropped twice; name it once")
        touched.add(each)
