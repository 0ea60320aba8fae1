import json
from dataclasses import replace
from pathlib import Path

import pytest

from segmint.errors import ConfigError
from segmint.jobs.additions import with_addition
from segmint.jobs.balance import LEAST_WEIGHT, settings_against, weights_for
from segmint.runs import layout
from segmint.runs.curation.decisions import decide
from segmint.runs.records import encode_record
from segmint.runs.store import Run, open_run
from small_jobs import job_at, mint


def found(run: Run, areas: dict[str, dict[str, float]]) -> Run:
    """The run with other classes and areas in its records: what an item names, and how much of it is seen."""
    for item_id, shown in areas.items():
        record = run.record(item_id).model_copy(
            update={
                "classes": tuple(shown),
                "label_ids": tuple(run.vocabulary().entry(name).label_id for name in shown),
                "phrases": tuple((name,) for name in shown),
                "areas": {name: area for name, area in shown.items() if area},
            }
        )
        run.files.write(layout.record(item_id), encode_record(record))
    return run


@pytest.fixture
def run(tmp_path) -> Run:
    """Three items of boats of a tenth each, one of a tree of a tenth."""
    made = mint(job_at(tmp_path / "run", count=4))
    boats = {f"00000{at}": {"boat": 0.1} for at in range(3)}
    return found(made, {**boats, "000003": {"tree": 0.1}})


def test_the_class_that_is_found_less_is_asked_for_more(run):
    few = weights_for(run, "images", 1)
    assert few == {"boat": 0.0, "tree": 2.0}
    many = weights_for(run, "images", 1000)
    assert many["tree"] == pytest.approx(many["boat"], rel=0.01)


def test_a_class_that_comes_out_small_needs_more_items_for_its_pixels(run):
    found(run, {"000003": {"tree": 0.01}})
    pixels, images = weights_for(run, "pixels", 100), weights_for(run, "images", 100)
    assert pixels["tree"] > 1.3 > images["tree"] > 1.0


def test_a_class_that_was_never_found_does_not_take_everything(run):
    found(run, {"000003": {"tree": 0.0}})
    weights = weights_for(run, "images", 100)
    assert 1.0 < weights["tree"] < 2.0


def test_what_was_rejected_is_not_counted(run):
    decide(run.folder, {"000000": "rejected", "000001": "rejected"}, by="test")
    weights = weights_for(run, "images", 10)
    assert weights["boat"] == weights["tree"]


def test_a_balanced_addition_brings_the_classes_to_one_level(run):
    weights = weights_for(run, "images", 20)
    plan = with_addition(run, count=20, weigh=weights).added[0].plan
    drawn = {name: sum(name in spec.classes for spec in plan) for name in ("boat", "tree")}
    assert abs(drawn["tree"] + 1 - drawn["boat"] - 3) <= 3


def test_an_addition_goes_on_by_the_weights_that_it_began_with(run):
    first = with_addition(run, count=6, weigh=weights_for(run, "images", 6))
    job = replace(job_at(run.folder, count=4), request=first)
    begun = mint(job)
    (run.folder / layout.record(first.added[0].plan[0].item_id)).unlink()
    again = with_addition(open_run(run.folder), count=6, weigh=weights_for(begun, "images", 6))
    assert again.added == first.added
    mint(replace(job, request=again))
    assert len(with_addition(open_run(run.folder), count=6, weigh={"boat": 1.5, "tree": 0.5}).added) == 2


def test_only_classes_of_the_run_are_weighed(run):
    assert weights_for(run, "images", 2, only="tree") == {"tree": 1.0}
    with pytest.raises(ConfigError, match="has no 'star'; add that first"):
        weights_for(run, "images", 2, only="tree, star")
    decide(run.folder, dict.fromkeys(run.done_ids(), "rejected"), by="test")
    with pytest.raises(ConfigError, match="no item to balance by"):
        weights_for(run, "images", 2)


def judged(path: Path, **iou: float | None) -> Path:
    """What an evaluation says of classes; a tenth of what is wrong is one class taken for another."""
    said = {
        "classes": {"background": {"iou": 0.9}, **{name: {"iou": value} for name, value in iou.items()}},
        "confusion": [[100, 30, 30], [15, 100, 5], [15, 5, 100]],
    }
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def test_a_class_is_asked_for_by_what_a_segmenter_lacks(run, tmp_path):
    asked = settings_against(run, judged(tmp_path / "metrics.json", boat=1.0, tree=0.25, other=0.1))
    assert asked["prompts.weights"] == {"boat": LEAST_WEIGHT, "tree": 0.75}
    assert asked["prompts.class_counts"] == pytest.approx((0.9, 0.0667, 0.0333))
    plan = with_addition(run, count=40, changes=asked).added[0].plan
    drawn = [name for spec in plan for name in spec.classes]
    assert drawn.count("tree") > 3 * drawn.count("boat")
    unseen = settings_against(run, judged(tmp_path / "metrics.json", tree=0.25, boat=None))
    assert unseen["prompts.weights"] == {"boat": 0.75, "tree": 0.75}


def test_a_file_that_is_no_evaluation_is_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="judges none of the classes"):
        settings_against(run, judged(tmp_path / "metrics.json", zebra=0.5))
    (tmp_path / "metrics.json").write_text('{"classes": {}}')
    with pytest.raises(ConfigError, match=r"is no metrics\.json of segmint evaluate"):
        settings_against(run, tmp_path)
    with pytest.raises(ConfigError, match="cannot read evaluation"):
        settings_against(run, tmp_path / "none.json")
