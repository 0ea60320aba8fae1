import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmint.errors import ConfigError
from segmint.runs.splits import deal


@given(st.lists(st.integers(0, 8), min_size=20, max_size=60), st.integers(0, 5))
def test_groups_stay_whole_and_nothing_is_lost(groups: list[int], seed: int) -> None:
    ids = [f"{at:03d}" for at in range(len(groups))]
    of = {each: f"prompt {group}" for each, group in zip(ids, groups, strict=True)}
    try:
        parts = deal(ids, {"train": 0.8, "val": 0.2}, seed, groups=of)
    except ConfigError:
        return
    assert sorted(each for part in parts.values() for each in part) == ids
    assert not {of[each] for each in parts["train"]} & {of[each] for each in parts["val"]}
    assert parts["train"]
    assert parts["val"]


def test_proportions_hold_where_groups_allow() -> None:
    ids = [f"{at:03d}" for at in range(100)]
    parts = deal(ids, {"train": 0.9, "val": 0.1}, 0, groups={each: str(int(each) // 5) for each in ids})
    assert {name: len(part) for name, part in parts.items()} == {"train": 90, "val": 10}


def test_a_group_larger_than_a_share_is_refused() -> None:
    ids = [f"{at:03d}" for at in range(10)]
    with pytest.raises(ConfigError, match="10 of 10 items have the prompt 'a boat'; change the shares"):
        deal(ids, {"train": 0.8, "val": 0.2}, 0, groups=dict.fromkeys(ids, "a boat"))
