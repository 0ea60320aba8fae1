"""From the recipe's settings to a plan, and back from the recipe alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segmint.errors import PromptError, VocabularyError
from segmint.plan.classes import preset_vocabulary
from segmint.plan.prompts.readers import PromptEntry, read_prompts
from segmint.plan.prompts.sources import make_plan, settle, specs_from, vocabulary_of
from segmint.plan.settings import PromptSettings
from segmint.specs import spec_from_json, spec_to_json
from segmint.vocabulary import Vocabulary

VOC = preset_vocabulary("voc")
TOYBOX = preset_vocabulary("toybox")


def entry(prompt: str, *classes: str, item_id: str | None = None, seed: int | None = None) -> PromptEntry:
    return PromptEntry(place="line 1", prompt=prompt, classes=classes, item_id=item_id, seed=seed)


@pytest.fixture
def prompts_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"prompt": "a cat", "id": "first", "seed": 5}\n{"prompt": "a dog", "negative_prompt": "x"}\n'
    )
    return path


@pytest.mark.parametrize(("model", "templates"), [("toybox", "toybox"), ("hub/model", "photo")])
def test_templates_follow_the_model(model: str, templates: str) -> None:
    settled = settle(PromptSettings(), model=model)
    assert settled.templates == templates
    assert settled.templates_sha256 is not None
    assert settle(settled, model="any") == settled
    assert settle(PromptSettings(templates="plain"), model=model).templates == "plain"


def test_a_settled_plan_is_repeated_from_its_recipe() -> None:
    settled = settle(PromptSettings(), model="toybox")
    again = PromptSettings.model_validate(settled.model_dump(mode="json"))
    assert make_plan(again, TOYBOX, count=5, seed=1) == make_plan(settled, TOYBOX, count=5, seed=1)


def test_templates_of_ones_own_are_known_by_their_digest(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("prompt = ['just {things}']")
    settled = settle(PromptSettings(), model="toybox", templates_file=path)
    assert settled.templates == "mine.toml"
    plan = make_plan(settled, TOYBOX, count=2, seed=0, templates_file=path)
    assert all(spec.prompt.startswith("just a ") for spec in plan)
    path.write_text("prompt = ['only {things}']")
    with pytest.raises(PromptError, match="not those of the recipe"):
        make_plan(settled, TOYBOX, count=2, seed=0, templates_file=path)
    assert settle(settled, model="x", templates_file=path) != settled
    with pytest.raises(PromptError, match="cannot read template file"):
        settle(settled, model="x")


def test_a_file_is_known_by_its_name_digest_and_form(
    prompts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = settle(PromptSettings(), model="toybox", prompts_file=prompts_file)
    assert (settled.source, settled.file, settled.format) == ("file", "mine.jsonl", "jsonl")
    plan = make_plan(settled, VOC, count=None, seed=100, prompts_file=prompts_file)
    assert [(spec.item_id, spec.seed, spec.negative_prompt) for spec in plan] == [
        ("first", 5, None),
        ("000001", 101, "x"),
    ]
    monkeypatch.chdir(prompts_file.parent)
    assert settle(settled, model="toybox") == settled
    assert make_plan(settled, VOC, count=1, seed=100) == plan[:1]
    prompts_file.write_text(prompts_file.read_text() + '{"prompt": "a bird"}\n')
    for repeat in (
        lambda: make_plan(settled, VOC, count=1, seed=100, prompts_file=prompts_file),
        lambda: settle(settled, model="toybox"),
    ):
        with pytest.raises(PromptError, match="not the prompts file of the recipe"):
            repeat()
    assert settle(settled, model="toybox", prompts_file=prompts_file).file_sha256 != settled.file_sha256


def test_what_cannot_be_made(prompts_file: Path) -> None:
    planned = settle(PromptSettings(), model="toybox")
    with pytest.raises(PromptError, match="say how many"):
        make_plan(planned, TOYBOX, count=None, seed=0)
    with pytest.raises(PromptError, match="ask for 1 or more"):
        make_plan(planned, TOYBOX, count=0, seed=0)
    with pytest.raises(PromptError, match="no file is named"):
        settle(PromptSettings(source="file"), model="toybox")
    read = settle(PromptSettings(), model="toybox", prompts_file=prompts_file)
    with pytest.raises(PromptError, match="gives 2 items, fewer than the 3 asked for"):
        make_plan(read, VOC, count=3, seed=0, prompts_file=prompts_file)


def test_several_images_a_prompt() -> None:
    settings = PromptSettings(source="file", images_per_prompt=2)
    entries = [entry("a cat", "cat", item_id="x", seed=2**63 - 1), entry("a dog", "dog")]
    specs = specs_from(entries, VOC, settings, 10)
    assert [(spec.item_id, spec.index, spec.seed) for spec in specs] == [
        ("x-1", 0, 2**63 - 1),
        ("x-2", 1, 0),
        ("000002", 2, 12),
        ("000003", 3, 13),
    ]


def test_ids_that_meet_are_refused() -> None:
    entries = [
        PromptEntry(place="line 1", prompt="a cat", classes=("cat",)),
        PromptEntry(place="line 2", prompt="a cat", classes=("cat",), item_id="000000"),
    ]
    with pytest.raises(PromptError, match="line 2: the item id '000000' is already that of line 1"):
        specs_from(entries, VOC, PromptSettings(), 0)
    with pytest.raises(PromptError, match="too long"):
        specs_from([entry("a cat", "cat", item_id="x" * 99)], VOC, PromptSettings(images_per_prompt=2), 0)


def test_class_names_are_appended_once() -> None:
    settings = PromptSettings(source="file", append_class_names=True)
    entries = [
        entry("a cat at a table", "cat", "diningtable"),
        entry("a cat; cat", "cat"),
        entry("a cat; in bed", "cat"),
    ]
    assert [spec.prompt for spec in specs_from(entries, VOC, settings, 0)] == [
        "a cat at a table; cat table",
        "a cat; cat",
        "a cat; in bed; cat",
    ]


def test_classes_that_a_file_lists_make_its_vocabulary() -> None:
    assert vocabulary_of([entry("x", *reversed(VOC.names))]) is VOC
    own = vocabulary_of([entry("x", "pallet", "boat"), entry("x", "boat", "apple")])
    assert [(each.name, each.label_id) for each in own.entries] == [("pallet", 1), ("boat", 2), ("apple", 3)]
    with pytest.raises(VocabularyError, match="named twice"):
        vocabulary_of([entry("x", "boat"), entry("x", "Boat")])


def test_an_entry_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(VocabularyError, match="unknown class 'zebra'"):
        specs_from([entry("a zebra", "zebra")], Vocabulary.of(["cat"]), PromptSettings(), 0)


def test_a_plan_survives_its_lines() -> None:
    plan = make_plan(settle(PromptSettings(), model="x"), VOC, count=20, seed=3)
    assert [spec_from_json(spec_to_json(spec)) for spec in plan] == plan


WHOLE = """
import json, sys, time
from pathlib import Path
from segmint.plan.classes import preset_vocabulary
from segmint.plan.prompts.readers import read_prompts
from segmint.plan.settings import PromptSettings
from segmint.plan.prompts.sources import specs_from, vocabulary_of
from segmint.plan.prompts.words import find_classes, word_table

path = Path(sys.argv[1])
start = time.process_time()
entries = read_prompts(path, preset_vocabulary("voc"))
cpu_s = time.process_time() - start
raw = json.loads(path.read_text())
specs = specs_from(entries, preset_vocabulary("voc"), PromptSettings(source="file"), 2024)
exact = all(
    (spec.prompt, spec.classes, spec.item_id, spec.seed)
    == (each["prompt_sd"], tuple(dict.fromkeys(each["classes"])), str(each["id"]), 2024 + each["id"])
    for spec, each in zip(specs, raw, strict=True)
)
own = vocabulary_of(read_prompts(path)).name
table = word_table(preset_vocabulary("voc"))
pairs = [(set(each["classes"]), set(find_classes(each["prompt_sd"], table))) for each in raw]
both = sum(len(listed & found) for listed, found in pairs)
recall = both / sum(len(listed) for listed, _ in pairs)
precision = both / sum(len(found) for _, found in pairs)
shares = {"recall": round(recall, 3), "precision": round(precision, 3)}
print(json.dumps({"count": len(specs), "exact": exact, "cpu_s": cpu_s, "own": own, **shares}))
"""


def test_the_whole_published_set_is_read_exactly_and_quickly(reference: Path) -> None:
    """In a process of its own, without the runtime type checks of the tests."""
    path = reference / "prompts" / "voc_captions_id_prompt_sd_classes.json"
    ran = subprocess.run(
        [sys.executable, "-c", WHOLE, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    found = json.loads(ran.stdout)
    assert (found["count"], found["exact"], found["own"]) == (44_426, True, "voc")
    assert found["cpu_s"] < 1.5
    assert (found["recall"], found["precision"]) == (0.980, 0.997), "docs/prompts.md tells these shares"


def test_reading_is_the_same_through_a_file_of_lines(reference: Path, tmp_path: Path) -> None:
    path = reference / "prompts" / "voc_filename_caption_class_prompt.json"
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(json.dumps(each) for each in json.loads(path.read_text())))
    first, second = read_prompts(path, VOC), read_prompts(lines, VOC)
    assert [(e.prompt, e.classes, e.item_id) for e in first] == [
        (e.prompt, e.classes, e.item_id) for e in second
    ]
