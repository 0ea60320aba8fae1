"""Phrases and their tokens: by the tokenizer's own output, never by blanks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import TOKENS, WORDS, build_tokenizer
from transformers import CLIPTokenizer

from segmint.backbone.text import class_texts, prompt_text
from segmint.errors import PromptError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return build_tokenizer(tmp_path_factory.mktemp("words"))


def test_words_of_several_tokens_keep_their_rows(tokenizer: CLIPTokenizer) -> None:
    (text,) = class_texts(tokenizer, ["dog", "pot plant", "cat", "car"], TOKENS)
    assert text.text == "dog pot plant cat car"
    assert text.tokens == ("<SoT>", "dog", "pot", "plant", "ca", "t", "car", "<EoT>")
    assert text.phrase_rows == ((1,), (2, 3), (4, 5), (6,))
    assert not text.padded


def test_hyphens_apostrophes_and_case_are_the_tokenizers_matter(tokenizer: CLIPTokenizer) -> None:
    (text,) = class_texts(tokenizer, ["Dog's", "pot-plant"], TOKENS)
    assert text.tokens == ("<SoT>", "dog", "'", "s", "pot", "-", "plant", "<EoT>")
    assert text.phrase_rows == ((1, 2, 3), (4, 5, 6))


def test_doubles_are_asked_once_and_no_phrase_is_a_text_too(tokenizer: CLIPTokenizer) -> None:
    (text,) = class_texts(tokenizer, ["dog", "tree", "dog"], TOKENS)
    assert text.phrases == ("dog", "tree")
    (text,) = class_texts(tokenizer, [], TOKENS)
    assert text.tokens == ("<SoT>", "<EoT>")


def test_many_phrases_take_several_texts(tokenizer: CLIPTokenizer) -> None:
    phrases = [
        f"{first} {second}" for first in ("red", "pot") for second in ("dog", "tree", "car", "sofa", "boat")
    ]
    first, second = class_texts(tokenizer, phrases, TOKENS)
    assert first.phrases == tuple(phrases[:7])
    assert len(first.tokens) == TOKENS
    assert second.phrases == tuple(phrases[7:])


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        (["dog", ""], "'' is empty to the model's tokenizer"),
        (["dog", " \u200b"], "empty to the model's tokenizer|tokens"),
        (["unpronounceable"], "has 15 tokens, but the model's text encoder reads 14"),
    ],
)
def test_phrases_that_cannot_be_looked_for(
    tokenizer: CLIPTokenizer, phrases: list[str], message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        class_texts(tokenizer, phrases, TOKENS if phrases[1:] != [" \u200b"] else 3)


def test_phrases_are_found_wherever_the_prompt_has_them(tokenizer: CLIPTokenizer) -> None:
    text = prompt_text(
        tokenizer, "A red dog, a pot plant and a dog", ["dog", "pot plant", "tree", "plant and"], TOKENS
    )
    assert text.tokens == ("<SoT>", "a", "red", "dog", ",", "a", "pot", "plant", "and", "a", "dog", "<EoT>")
    assert text.phrase_rows == ((3, 10), (6, 7), (), (7, 8))
    assert text.padded
    assert not text.truncated


def test_a_word_is_not_found_inside_another(tokenizer: CLIPTokenizer) -> None:
    assert prompt_text(tokenizer, "a xdog and dogs", ["dog"], TOKENS).phrase_rows == ((),)


def test_what_is_beyond_the_limit_is_not_there(tokenizer: CLIPTokenizer) -> None:
    text = prompt_text(tokenizer, "a " * 13 + "dog tree", ["dog", "tree"], TOKENS)
    assert text.truncated
    assert text.phrase_rows == ((14,), ())
    assert len(text.tokens) == TOKENS


@given(
    phrases=st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_any_phrases_are_mapped_or_refused(phrases: list[str], words: CLIPTokenizer) -> None:
    try:
        texts = class_texts(words, phrases, TOKENS)
    except PromptError:
        return
    rows = [(text, row) for text in texts for rows in text.phrase_rows for row in rows]
    assert len(rows) == sum(len(text.tokens) - 2 for text in texts)
    for text in texts:
        assert len(words(text.text).input_ids) == len(text.tokens) <= TOKENS
    assert [phrase for text in texts for phrase in text.phrases] == list(dict.fromkeys(phrases))


@pytest.fixture(scope="module")
def words(tokenizer: CLIPTokenizer) -> CLIPTokenizer:
    return tokenizer


@given(chosen=st.lists(st.sampled_from(WORDS), min_size=1, max_size=14))
@settings(max_examples=60, deadline=None)
def test_known_words_are_one_row_each(chosen: list[str], words: CLIPTokenizer) -> None:
    text = prompt_text(words, " ".join(chosen), chosen, TOKENS)
    for phrase, rows in zip(text.phrases, text.phrase_rows, strict=True):
        assert rows == tuple(place for place, word in enumerate(chosen, start=1) if word == phrase)
