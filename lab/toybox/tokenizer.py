"""The toybox tokenizer: a CLIP byte-pair vocabulary, grown until every word of the world is one token."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from segmint.toybox import captions

MAX_TOKENS = 24
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"


def merges_for(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, until every word is one symbol."""
    splits = {word: [*word[:-1], word[-1] + WORD_END] for word in words}
    merges: list[tuple[str, str]] = []
    while any(len(parts) > 1 for parts in splits.values()):
        pairs = Counter(pair for parts in splits.values() for pair in pairwise(parts))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        splits = {word: merged(parts, best) for word, parts in splits.items()}
    return merges


def build() -> CLIPTokenizer:
    """The tokenizer of the toybox model; ids: bytes, bytes at a word's end, merges, start, end."""
    vocabulary, merges = _tables()
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_TOKENS,
    )


def save(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the tokenizer, with `vocab.json` and `merges.txt` for readers that know no `tokenizer.json`."""
    tokenizer.save_pretrained(str(folder))
    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(told["vocab"], ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in told["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")


def _tables() -> tuple[dict[str, int], list[tuple[str, str]]]:
    symbols = list(printable_bytes().values())
    merges = merges_for(captions.words())
    tokens = [*symbols, *(s + WORD_END for s in symbols), *(a + b for a, b in merges), START, END]
    return {token: index for index, token in enumerate(tokens)}, merges


def printable_bytes() -> dict[int, str]:
    """Bytes as visible characters, the way byte-level BPE writes them: odd ones move beyond 255."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    odd = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(odd)}


def merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Parts of a word in which one pair has become one symbol."""
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out
