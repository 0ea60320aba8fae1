from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from lab.toybox import tokenizer
from segmint.plan.prompts.templates import load_templates
from segmint.toybox import captions, world


@pytest.fixture(scope="module")
def words() -> CLIPTokenizer:
    return tokenizer.build()


def test_every_caption_word_is_one_token(words: CLIPTokenizer) -> None:
    for word in captions.words():
        assert len(words(word).input_ids) == 3, word


def test_captions_fit(words: CLIPTokenizer) -> None:
    for seed in range(200):
        caption = world.render(seed, split="train").caption
        assert len(words(caption).input_ids) <= tokenizer.MAX_TOKENS, caption


def test_the_shipped_templates_hold_only_known_words(words: CLIPTokenizer) -> None:
    templates = load_templates("toybox")
    texts = [text for group in templates.prompts for text in group] + [*templates.things, *templates.links]
    texts += [
        choice for lists in templates.lists.values() for choices in lists.values() for choice in choices
    ]
    plain = " ".join(texts).replace("a(n)", "a")
    for word in plain.split():
        if "{" not in word:
            assert len(words(word.strip(",")).input_ids) == 3, word


def test_unknown_words_become_several_tokens_and_none_is_lost(words: CLIPTokenizer) -> None:
    parts = words.tokenize("zeppelin")
    assert len(parts) > 1
    assert "".join(parts) == "zeppelin</w>"


def test_merges_rebuild_words_that_share_pieces() -> None:
    assert tokenizer.merges_for(["at", "boat"]) == [("a", "t</w>"), ("b", "o"), ("bo", "at</w>")]


def test_older_files_are_written_beside_the_new_one(words: CLIPTokenizer, tmp_path: Path) -> None:
    tokenizer.save(words, tmp_path)
    assert {"tokenizer.json", "vocab.json", "merges.txt"} <= {path.name for path in tmp_path.iterdir()}
    text = "a red boat, a blue tree; boat"
    assert CLIPTokenizer.from_pretrained(tmp_path)(text).input_ids == words(text).input_ids
