import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segmint.cli.toybox import app
from segmint.errors import StorageError
from segmint.toybox.worlds import WORLDS

runner = CliRunner()


@pytest.mark.parametrize("world", ["toybox", "yard"])
def test_render_writes_pictures_masks_and_captions(tmp_path: Path, world: str) -> None:
    out = tmp_path / "scenes"
    result = runner.invoke(app, ["render", str(out), "--world", world, "--count", "2", "--first", "4"])
    assert result.exit_code == 0, result.output
    scene = WORLDS[world].render(5, split="val")
    np.testing.assert_array_equal(np.asarray(Image.open(out / "000005.png")), scene.image)
    mask = Image.open(out / "000005.mask.png")
    assert mask.mode == "P"
    np.testing.assert_array_equal(np.asarray(mask), scene.mask)
    instances = np.asarray(Image.open(out / "000005.instances.png"))
    np.testing.assert_array_equal(instances, scene.instances)
    assert int(instances.max()) == len(scene.things)
    lines = [json.loads(line) for line in (out / "captions.jsonl").read_text().splitlines()]
    assert lines[1] == {"seed": 5, "caption": scene.caption, "classes": list(scene.classes)}


def test_render_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write scenes there"):
        runner.invoke(app, ["render", str(tmp_path / "file")], catch_exceptions=False)


def test_help_names_the_commands() -> None:
    output = runner.invoke(app, ["--help"]).output
    assert all(name in output for name in ("render", "evaluate"))
