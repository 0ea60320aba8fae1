import json
import shutil
from pathlib import Path

import pytest

from run_contents import contents
from segmint.backbone.fake import FakeBackbone
from segmint.errors import ConfigError, PromptError, RunError, VocabularyError
from segmint.jobs.additions import standing_request, with_addition
from segmint.jobs.job import Job
from segmint.jobs.merge import merge
from segmint.jobs.request import whole_plan
from segmint.listening import Silent
from segmint.recipe import load_recipe
from segmint.runs import layout
from segmint.runs.files.remote import files_at
from segmint.runs.store import open_run
from segmint.runs.verify import verify
from segmint.vocabulary import Vocabulary
from small_jobs import Heard, job_at, mint


def added(folder: Path, *, repair: bool = False, heard: Heard | None = None, **asked):
    """The run with an addition, minted."""
    request = with_addition(open_run(folder), **{"count": 4, **asked})
    return mint(Job(files=files_at(folder), request=request, repair=repair), heard=heard)


@pytest.fixture(scope="module")
def grown(tmp_path_factory) -> Path:
    """4 items of boat and tree, then 4 of tree and star, then 3 prompts of one's own."""
    folder = tmp_path_factory.mktemp("runs") / "grown"
    mint(job_at(folder, count=4))
    added(folder, classes="tree, star")
    added(folder, prompts_file=prompts(folder.parent), count=None)
    return folder


def prompts(folder: Path) -> Path:
    lines = [
        {"prompt": f"a moon and boat {at}", "classes": ["moon", "boat"], "id": f"own{at}"} for at in range(3)
    ]
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return folder / "own.jsonl"


@pytest.fixture
def folder(grown, tmp_path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "run", symlinks=True))


def test_what_was_there_keeps_its_bytes_and_ids_never_change(grown, tmp_path):
    alone = mint(job_at(tmp_path / "alone", count=4))
    run = open_run(grown)
    for item_id in alone.done_ids():
        for path in (layout.image(item_id, "jpg"), layout.mask(item_id)):
            assert run.files.read(path) == alone.files.read(path)
    assert {each.name: each.label_id for each in run.header.classes} == {
        "boat": 1, "tree": 2, "star": 3, "moon": 4,
    }  # fmt: skip
    assert [spec.index for spec in run.plan()] == list(range(11))
    assert {name for spec in run.plan()[4:8] for name in spec.classes} == {"tree", "star"}
    assert run.record("own0").label_ids == (4, 1)
    assert verify(run.files).problems == ()
    assert [each.items for each in run.header.additions] == [4, 3]


def test_each_addition_has_a_recipe_of_its_own(grown):
    header = open_run(grown).header
    recipes = [load_recipe(grown / layout.added_recipe(number)) for number in (1, 2)]
    assert [recipe.digest() for recipe in recipes] == [each.digest for each in header.additions]
    assert recipes[0].vocabulary.to_vocabulary().names == ("tree", "star")
    assert recipes[1].prompts.source == "file"


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_stopped_addition_goes_on_to_the_same_bytes(grown, tmp_path, stop_after):
    folder = tmp_path / "run"
    mint(job_at(folder, count=4))
    with pytest.raises(KeyboardInterrupt):
        added(folder, classes="tree, star", heard=Heard(stop_after=stop_after))
    added(folder, classes="tree, star")
    added(folder, prompts_file=prompts(tmp_path), count=None)
    assert contents(folder) == contents(grown)


@pytest.mark.parametrize("item_id", ["000001", "000006", "own2"])
def test_an_item_of_any_part_is_made_again_by_the_run_alone(grown, folder, item_id):
    image = folder / layout.image(item_id, "jpg")
    image.write_bytes(image.read_bytes()[:-9])
    mint(Job(files=files_at(folder), request=standing_request(open_run(folder)), repair=True))
    assert contents(folder) == contents(grown)


def test_the_command_of_the_first_part_goes_on_with_every_part(grown, folder):
    (folder / "items/own1.json").unlink()
    mint(job_at(folder, count=4))
    assert contents(folder) == contents(grown)
    with pytest.raises(RunError, match="was added to after its first 4 items; give --add"):
        mint(job_at(folder, count=5))


@pytest.mark.parametrize("path", [layout.HEADER, layout.PLAN, layout.RECIPE, layout.LABELS])
def test_a_damaged_file_of_the_run_is_mended_with_its_additions(grown, folder, path):
    (folder / path).write_text("damaged", encoding="utf-8")
    mint(job_at(folder, count=4, repair=True))
    before, now = open_run(grown).header, open_run(folder).header
    assert [each.digest for each in now.additions] == [each.digest for each in before.additions]
    assert now.classes == before.classes
    assert verify(files_at(folder)).problems == ()


def test_a_damaged_recipe_of_an_addition_is_found(folder):
    (folder / layout.added_recipe(1)).write_text("x = 1", encoding="utf-8")
    assert [each.path for each in verify(files_at(folder)).problems] == ["recipes/added-1.toml"]
    with pytest.raises(ConfigError, match=r"added-1\.toml: unknown setting 'x'"):
        standing_request(open_run(folder))


def test_a_larger_count_makes_the_last_addition_longer(tmp_path):
    folder = tmp_path / "run"
    mint(job_at(folder, count=2))
    added(folder, classes="star", count=2)
    assert len(added(folder, classes="star", count=3).done_ids()) == 5
    assert [each.items for each in open_run(folder).header.additions] == [3]
    with pytest.raises(ConfigError, match="just so, with 3 items; give --count 3 or more"):
        added(folder, classes="star", count=1)
    added(folder, classes="star", count=1, changes={"sampling.seed": 7})
    assert [each.items for each in open_run(folder).header.additions] == [3, 1]


def test_another_addition_waits_for_the_last(tmp_path):
    folder = tmp_path / "run"
    mint(job_at(folder, count=2))
    added(folder, classes="star")
    (folder / "items/000003.json").unlink()
    with pytest.raises(RunError, match=r"1 items of the last addition .* still to be made; finish it first"):
        added(folder, classes="tree")


def test_weights_of_classes(tmp_path):
    folder = tmp_path / "run"
    mint(job_at(folder, count=2))
    changes = {"prompts.weights": "boat=3, tree=1", "prompts.class_counts": (1, 0, 0)}
    request = with_addition(open_run(folder), count=60, changes=changes)
    drawn = [name for spec in request.added[0].plan for name in spec.classes]
    assert drawn.count("boat") / len(drawn) == pytest.approx(0.75, abs=0.05)


CLASH = Vocabulary.of(["tree", "boat"])


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"classes": CLASH}, VocabularyError, "the id 1 of class 'tree' is 'boat' in"),
        ({"classes": "voc: cat, boat"}, VocabularyError, "class 'boat' has the id 1 in .*, and here 4"),
        ({"classes": "star", "changes": {"masks.method": "pcc"}}, RunError, "cannot change .*masks.method"),
        ({"classes": "star", "changes": {"model.revision": "b"}}, RunError, "cannot change model.revision"),
        ({"changes": {"prompts.weights": "moon=2"}}, VocabularyError, "unknown class 'moon'"),
        ({"changes": {"prompts.weights": "boat=x"}}, ConfigError, "expected each class once"),
        ({"changes": {"prompts.weights": "boat=0,tree=0"}}, VocabularyError, "every class has weight 0"),
        ({"count": 0}, ConfigError, "--count is 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_changes_nothing(tmp_path, asked, error, said):
    folder = tmp_path / "run"
    mint(job_at(folder, count=2))
    before = contents(folder)
    with pytest.raises(error, match=said) as told:
        added(folder, **asked)
    assert "\n" not in str(told.value)
    assert contents(folder) == before


def test_an_item_id_that_is_taken_is_refused(grown, tmp_path):
    own = prompts(tmp_path)
    own.write_text(own.read_text().replace("boat 0", "boat 7"), encoding="utf-8")
    with pytest.raises(PromptError, match="the run has an item 'own0' already"):
        with_addition(open_run(grown), prompts_file=own)


def test_a_plan_that_was_written_and_its_header_not_does_not_hinder(grown, tmp_path):
    folder = tmp_path / "run"
    mint(job_at(folder, count=4))
    for path in (layout.PLAN, layout.added_recipe(1), layout.added_plan(1)):
        (folder / path.parent).mkdir(exist_ok=True)
        shutil.copy(grown / path, folder / path)
    mint(Job(files=files_at(folder), request=standing_request(open_run(folder))))
    assert open_run(folder).header.items == 4
    assert verify(files_at(folder)).problems == ()


def test_a_run_that_was_added_to_is_merged_with_all_its_recipes(grown, tmp_path):
    other = mint(job_at(tmp_path / "other", count=2))
    merged = merge([open_run(grown), other], tmp_path / "both", Silent())
    assert len(merged.done_ids()) == 13
    assert merged.header.additions == ()
    assert (tmp_path / "both/recipes/grown-added-1.toml").is_file()
    assert verify(merged.files).problems == ()
    with pytest.raises(RunError, match="only minted runs"):
        with_addition(merged, classes="star", count=1)


def test_a_run_without_additions_is_written_as_before(tmp_path):
    run = mint(job_at(tmp_path / "run", count=1), FakeBackbone())
    assert "additions" not in (tmp_path / "run" / "run.json").read_text()
    assert "weights" not in (tmp_path / "run" / "recipe.toml").read_text()
    assert whole_plan(standing_request(run)) == run.plan()
