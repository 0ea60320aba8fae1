"""The generated pages are up to date, and what the hand-written ones show can be used."""

import importlib.util
import re
import shlex
import tomllib
import types
from pathlib import Path

import pytest
from pydantic import BaseModel

from segmint.plan.classes import preset_vocabulary, read_classes
from segmint.plan.prompts.readers import read_prompts
from segmint.plan.prompts.templates import load_templates
from segmint.recipe import Recipe
from segmint.settings import meaning

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def generator() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "recipe.md", "scaling.md"])
def test_a_generated_page_is_up_to_date(generator: types.ModuleType, page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == generator.pages()[page], "run `make docs`"


def test_every_field_of_the_recipe_says_what_it_means() -> None:
    def silent(model: type[BaseModel], name: str) -> list[str]:
        found = []
        for key, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found += silent(inner, f"{name}{key}.")
            elif not meaning(model, key):
                found.append(name + key)
        return found

    assert silent(Recipe, "") == []


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S)


def test_the_examples_of_the_prompts_page_can_be_used(tmp_path: Path) -> None:
    classes_toml, recipe_toml, templates_toml = blocks("prompts.md", "toml")
    (classes_text,), (prompts_jsonl,) = blocks("prompts.md", "text"), blocks("prompts.md", "json")
    files = {
        "a.toml": classes_toml, "b.toml": templates_toml, "c.txt": classes_text, "d.jsonl": prompts_jsonl
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert read_classes(tmp_path / "a.toml").names == ("pallet", "vest", "forklift")
    assert load_templates(tmp_path / "b.toml").lists["place"]["*"] == ("in a warehouse",)
    assert read_classes(tmp_path / "c.txt").names == ("forklift", "pallet", "safety vest")
    assert Recipe.parse(tomllib.loads(recipe_toml)).vocabulary.name == "voc"
    entries = read_prompts(tmp_path / "d.jsonl", preset_vocabulary("voc"))
    assert [entry.classes for entry in entries] == [("cat", "sofa"), ("dog",)]


def test_readmes_five_lines_run(tmp_path, monkeypatch) -> None:
    """The Python of the README, as it stands there, on the stand-in model."""
    import segmint
    from segmint.api import Model
    from segmint.backbone.fake import FakeBackbone
    from segmint.backbone.settings import ModelSettings

    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "segmint.api.load", lambda name: Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())
    )
    exec(compile(code, "README.md", "exec"), {})
    assert len(segmint.open_run(tmp_path / "demo-run").done_ids()) == 12


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_readmes_quick_start_runs(tmp_path, monkeypatch) -> None:
    """As it stands there, with the stand-in model, a small network and few of everything."""
    from segmint.backbone import loading
    from segmint.backbone.fake import FakeBackbone
    from segmint.cli.main import run
    from segmint.viewer import serve

    def said(command: str) -> None:
        words = shlex.split(command.replace("--count 1000", "--count 6"), comments=True)[1:]
        small = shlex.split(
            "--arch toynet --crop 32 --iterations 1 --batch-size 2 --validate-every 1 --workers 0 -q"
        )
        with pytest.raises(SystemExit) as ended:
            run([*words, *(small if words[0] == "train" else ())])
        assert not ended.value.code, command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "load", lambda settings, device: FakeBackbone())
    monkeypatch.setattr(serve, "serve", lambda *_, **__: None)
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```\n(pip install .*?)```", readme, re.DOTALL)
    install, mint, *further = block.replace("\\\n", " ").splitlines()
    assert {"viewer", "export", "train"} == set(re.findall(r"\w+", install.partition("[")[2]))
    said(mint)
    said("segmint export runs/warehouse --format coco --split val=1 --out photos")  # what somebody labelled
    (tmp_path / "photos/annotations/instances_val.json").rename(tmp_path / "photos/labels.json")
    for image in (tmp_path / "photos/images/val").iterdir():
        image.rename(tmp_path / "photos" / image.name)
    for command in further:
        said(command)
    assert (tmp_path / "models/warehouse/best.safetensors").is_file()


def test_the_python_page_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said: dict[str, object] = {}
    exec("\n".join(blocks), said)
    image, mask = said["data"][3]  # type: ignore[index]
    assert (image.shape[0], mask.shape) == (3, image.shape[1:])
    assert (tmp_path / "python-coco" / "annotations" / "instances_val.json").exists()
