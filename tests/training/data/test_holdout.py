from dataclasses import replace
from pathlib import Path

import pytest

from segmint.errors import ConfigError, DatasetError
from segmint.training.data.datasets import LabelledSet, Sample
from segmint.training.data.holdout import hold_out


def made(name: str, prompts: list[str | None]) -> LabelledSet:
    samples = tuple(
        Sample(item_id=str(at), image=Path(f"{at}.jpg"), mask=Path(f"{at}.png"), group=prompt)
        for at, prompt in enumerate(prompts)
    )
    return LabelledSet(name=name, classes={1: "boat"}, samples=samples)


def test_no_prompt_is_on_both_sides_not_even_of_two_runs() -> None:
    prompts = [f"boat {at // 3}" for at in range(30)]
    sets = [made("a", prompts), made("b", prompts[:9])]
    left, held = hold_out(sets, 0.2)
    inside = {sample.group for each in left for sample in each.samples}
    outside = {sample.group for sample in held.samples}
    assert not inside & outside
    assert inside | outside == set(prompts)
    assert sum(len(each.samples) for each in left) + len(held.samples) == 39
    assert 6 <= len(held.samples) <= 12
    assert len({sample.item_id for sample in held.samples}) == len(held.samples)
    assert hold_out(sets, 0.2)[1] == held


def test_images_without_a_prompt_go_one_by_one() -> None:
    [left], held = hold_out([made("photos", [None] * 10)], 0.3)
    assert (len(left.samples), len(held.samples)) == (7, 3)


def test_what_cannot_be_parted_is_refused() -> None:
    with pytest.raises(ConfigError, match="9 of 10 items have the prompt 'a boat'"):
        hold_out([made("a", ["a boat"] * 9 + ["a tree"])], 0.5)
    with pytest.raises(DatasetError, match="too few"):
        hold_out([made("a", ["a boat"])], 0.1)
    other = replace(made("b", ["x"]), classes={2: "boat"})
    with pytest.raises(DatasetError, match="a and b number their classes differently"):
        hold_out([made("a", ["x", "y"]), other], 0.1)
