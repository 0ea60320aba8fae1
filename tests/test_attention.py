"""Requests by role, and layer names for people."""

import pytest

from segmint.attention import group_key, layer_in_words, shared_parts


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("up_blocks.1.attentions.0.transformer_blocks.0.attn1", "up block 1, attention 0"),
        ("up_blocks.1.attentions.0.transformer_blocks.0.attn1@-2", "up block 1, attention 0"),
        ("mid_block.attentions.0.transformer_blocks.0.attn1", "mid block, attention 0"),
        ("single_transformer_blocks.12.attn", "single transformer block 12, attn"),
        ("", ""),
    ],
)
def test_layers_are_named_for_people(name: str, words: str) -> None:
    assert layer_in_words(name) == words


def test_what_all_layers_share_is_left_out_of_titles() -> None:
    names = ["layer=down.0.attn.1.cross", "layer=up.1.attn.0.cross"]
    assert shared_parts(names) == {"attn", "cross"}
    assert shared_parts([]) == frozenset()


def test_groups_have_keys() -> None:
    assert group_key("prompt", layer="one.2", step=3, head=0) == "prompt/layer=one.2/step=3/head=0"
