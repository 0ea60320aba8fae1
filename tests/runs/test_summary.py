import pytest

from segmint.runs.store import commit
from segmint.runs.summary import summarise_run
from small_runs import draft_of, plan_of


def test_numbers_of_a_run_can_be_checked_by_hand(make_run):
    run = make_run(planned=4, done=0)
    drafts = []
    for spec, boat, uncertain in zip(plan_of(2), (0.2, 0.0), (0.1, 0.3), strict=True):
        draft = draft_of(spec)
        record = draft.record.model_copy(
            update={
                "areas": {"background": 0.5, **({"boat": boat} if boat else {})},
                "uncertain_fraction": uncertain,
                "agreement": 0.8,
                "timings_s": {"sampling": 2.0},
                "prompt_truncated": spec.index == 1,
            }
        )
        drafts.append(type(draft)(record=record, blobs=draft.blobs))
    commit(run.files, drafts)
    summary = summarise_run(run)
    [boat] = summary.classes
    assert (summary.planned, summary.done, summary.failed, summary.truncated_prompts) == (4, 2, 0, 1)
    assert (boat.name, boat.named, boat.present) == ("boat", 2, 1)
    assert boat.mean_area == pytest.approx(0.1)
    assert summary.uncertain_fraction == pytest.approx(0.2)
    assert summary.agreement == pytest.approx(0.8)
    assert summary.seconds["sampling"] == pytest.approx(2.0)
    assert summary.seconds["writing"] > 0
