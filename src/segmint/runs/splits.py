"""Items dealt out to splits: exact proportions, by the seed and the items alone."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from segmint.errors import ConfigError

DEFAULT_SPLITS: Mapping[str, int | float] = {"train": 0.9, "val": 0.1}
"""Nine of ten to train on, the rest to watch over the training."""
SplitBy = Literal["item", "prompt"]
"""What stays together: nothing, or all items of one prompt."""

_SPLIT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


def parse_splits(text: str) -> dict[str, int | float]:
    """Splits from text such as `train=0.8,val=0.2`.

    Raises:
        ConfigError: a name or share cannot be read, a name is doubled, or no share is above 0.
    """
    splits: dict[str, int | float] = {}
    for word in text.split(","):
        name, _, share = (each.strip() for each in word.partition("="))
        if not _SPLIT_NAME.fullmatch(name) or name in splits:
            raise ConfigError(
                f"--split {text!r}: {name!r} cannot name a split; write it as train=0.8,val=0.2"
            )
        try:
            splits[name] = float(share)
        except ValueError:
            splits[name] = math.nan
        if not 0 <= splits[name] < math.inf:
            raise ConfigError(
                f"--split {text!r}: expected a share such as 0.8 after {name}=, found {share!r}"
            )
    if not sum(splits.values()) > 0:
        raise ConfigError(f"--split {text!r}: every share is 0")
    return splits


def shares_note(splits: Mapping[str, int | float]) -> str | None:
    """What to say of shares that are written as parts of one and sum to something else; None of others."""
    whole = sum(splits.values())
    if all(float(share).is_integer() for share in splits.values()) or math.isclose(whole, 1, abs_tol=1e-6):
        return None
    meant = ", ".join(f"{name} {100 * share / whole:.0f} %" for name, share in splits.items())
    return f"the shares of --split sum to {whole:g}, not to 1; taken as proportions: {meant}"


def deal(
    ids: Sequence[str],
    splits: Mapping[str, int | float],
    seed: int,
    *,
    groups: Mapping[str, str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Ids by split: exact proportions, in an order that depends on the seed and each id alone.

    Every split of a share above 0 gets an item where there are enough of them.

    Args:
        ids: the items.
        splits: share of each split; only their proportions count.
        seed: another one deals the items out differently.
        groups: what each item belongs to; all items of a group go to one split, and proportions are then kept
            as well as whole groups allow. Items without a group go alone.

    Raises:
        ConfigError: a group is larger than any split may be, or leaves a split without an item.
    """
    counts = _counts(len(ids), splits)
    if groups:
        return _deal_groups(ids, counts, seed, groups)
    shuffled = sorted(ids, key=lambda each: _place(seed, each))
    parts, start = {}, 0
    for name, count in counts.items():
        parts[name] = tuple(sorted(shuffled[start : start + count]))
        start += count
    return parts


def _deal_groups(
    ids: Sequence[str], counts: Mapping[str, int], seed: int, groups: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Largest group first, each to the split that lacks most."""
    members: dict[str, list[str]] = {}
    for each in ids:
        members.setdefault(groups.get(each, f"\0{each}"), []).append(each)
    parts: dict[str, list[str]] = {name: [] for name in counts}
    for group in sorted(members, key=lambda group: (-len(members[group]), _place(seed, group))):
        lacking = max(counts, key=lambda name: counts[name] - len(parts[name]))
        parts[lacking] += members[group]
    largest = max(members, key=lambda group: len(members[group]))
    empty = [name for name, count in counts.items() if count and not parts[name]]
    if empty or len(members[largest]) > max(counts.values()):
        what = (
            f"split {empty[0]} would be empty" if empty else f"a split takes {max(counts.values())} at most"
        )
        raise ConfigError(
            f"items of one prompt stay together, and {what}: {len(members[largest])} of {len(ids)} items "
            f"have the prompt {largest.strip(chr(0))[:60]!r}; change the shares, or split by item"
        )
    return {name: tuple(sorted(part)) for name, part in parts.items()}


def _place(seed: int, word: str) -> bytes:
    return hashlib.sha256(f"{seed}/{word}".encode()).digest()


def _counts(total: int, splits: Mapping[str, int | float]) -> dict[str, int]:
    whole = sum(splits.values())
    exact = {name: total * share / whole for name, share in splits.items()}
    counts = {name: int(each) for name, each in exact.items()}
    for name in sorted(splits, key=lambda name: counts[name] - exact[name])[: total - sum(counts.values())]:
        counts[name] += 1
    wanted = [name for name, share in splits.items() if share > 0]
    for name in wanted:
        largest = max(counts, key=lambda each: counts[each])
        if counts[name] == 0 and counts[largest] > 1:
            counts[name], counts[largest] = 1, counts[largest] - 1
    return counts
