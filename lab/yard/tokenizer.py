"""The yard's tokenizer: a CLIP byte-pair vocabulary, small enough that rarer words are several tokens."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np
from jaxtyping import Int16
from transformers import CLIPTokenizer, T5TokenizerFast

from lab.toybox.tokenizer import END, START, WORD_END, merged, printable_bytes
from segmint.toybox.yard import captions, things
from segmint.toybox.yard.captions import Told
from segmint.toybox.yard.surroundings import BACKDROPS, GROUNDS

MAX_TOKENS = 48
_CAPTIONS = 6000
"""Captions in which pairs are counted."""


def build(merges: int) -> CLIPTokenizer:
    """The tokenizer; ids: bytes, bytes at a word's end, merges, start, end."""
    vocabulary, pairs = _tables(merges)
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=pairs,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_TOKENS,
    )


def silent() -> T5TokenizerFast:
    """The third tokenizer that the pipeline insists on; its encoder says nothing, see `silent_encoder`."""
    return T5TokenizerFast(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)], extra_ids=0, model_max_length=256
    )


def ids(words: CLIPTokenizer, texts: list[str]) -> Int16[np.ndarray, "text token"]:
    """Token ids, padded to the model's length."""
    encoded = words(texts, padding="max_length", truncation=True, max_length=MAX_TOKENS)
    return np.asarray(encoded["input_ids"], np.int16)


def most_frequent_pairs(counts: Counter[str], merges: int) -> list[tuple[str, str]]:
    """Byte-pair merges of words, the most frequent pair first. Source: Sennrich et al. 2016."""
    splits = {word: [*word[:-1], word[-1] + WORD_END] for word in counts}
    out: list[tuple[str, str]] = []
    for _ in range(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in splits.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        out.append(best)
        splits = {word: merged(parts, best) for word, parts in splits.items()}
    return out


def _tables(merges: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    symbols = list(printable_bytes().values())
    pairs = most_frequent_pairs(_word_counts(), merges)
    tokens = [*symbols, *(s + WORD_END for s in symbols), *(a + b for a, b in pairs), START, END]
    return {token: index for index, token in enumerate(tokens)}, pairs


def _word_counts() -> Counter[str]:
    """How often each word comes in captions of imagined scenes."""
    rng = np.random.default_rng(41)
    names, counts = list(captions.WORDS), Counter(captions.words())
    for _ in range(_CAPTIONS):
        chosen = [names[i] for i in rng.permutation(len(names))[: int(rng.integers(1, 5))]]
        told = [
            Told(
                name=name,
                colour=str(rng.choice(things.KINDS[name].colours)) if name in things.KINDS else "green",
                count=1 + int(rng.random() < 0.15),
            )
            for name in chosen
        ]
        ground, backdrop = str(rng.choice(list(GROUNDS))), str(rng.choice(list(BACKDROPS)))
        text = captions.write(told, ground=ground, backdrop=backdrop, rng=rng)
        counts.update(re.findall(r"[a-z]+", text))
    return counts
