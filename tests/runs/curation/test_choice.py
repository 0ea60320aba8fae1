"""Choosing items by hand-made runs whose answers can be checked by eye."""

import pytest

from segmint.api import Model, generate
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings
from segmint.errors import ConfigError
from segmint.runs.curation.choice import extreme, sampled
from segmint.runs.store import Run, open_run


@pytest.fixture
def minted(tmp_path) -> Run:
    model = Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())
    settings = {"sampling.height_px": 32, "sampling.width_px": 32, "output.keep_features": True}
    generate(model, classes="boat, tree", count=8, out=tmp_path / "run", settings=settings)
    return open_run(tmp_path / "run")


def test_worst_and_best_are_the_ends_of_one_order(minted):
    ids = sorted(minted.done_ids())
    worst, unknown = extreme(minted, ids, 8, by="agreement", worst=True)
    best, _ = extreme(minted, ids, 3, by="agreement", worst=False)
    assert unknown == []
    values = [each.value for each in worst]
    assert values == sorted(minted.record(each).agreement for each in ids)
    assert [each.value for each in best] == values[::-1][:3]
    fullest, _ = extreme(minted, ids, 1, by="uncertain", worst=True)
    assert fullest[0].value == max(minted.record(each).uncertain_fraction for each in ids)
    emptiest, _ = extreme(minted, ids, 1, by="area(boat)", worst=True)
    assert emptiest[0].value == min(minted.record(each).areas.get("boat", 0.0) for each in ids)


def test_presence_is_told_where_two_classes_compete(minted):
    ids = sorted(minted.done_ids())
    chosen, unknown = extreme(minted, ids, 8, by="presence", worst=True)
    lone = [each for each in ids if len(minted.record(each).classes) < 2]
    assert sorted(unknown) == lone
    assert len(chosen) == len(ids) - len(lone) > 0
    assert all(0 <= each.value <= 1 for each in chosen)
    assert [each.value for each in chosen] == sorted(each.value for each in chosen)


def test_there_is_no_such_measure(minted):
    with pytest.raises(ConfigError, match="expected a number or one of uncertain, agreement"):
        extreme(minted, [], 1, by="beauty", worst=True)
    with pytest.raises(ConfigError, match="no class 'bot' in this run"):
        extreme(minted, [], 1, by="area(bot)", worst=True)


def test_a_sample_depends_on_seed_and_ids_alone():
    ids = [f"{at:03d}" for at in range(50)]
    first = sampled(ids, 5, 0)
    assert first == sampled(ids[::-1], 5, 0)
    assert first != sampled(ids, 5, 1)
    assert [each.id for each in first] == sorted(each.id for each in first)
