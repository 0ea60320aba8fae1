"""Lines by what brought them, on a history of three commits."""

import subprocess
from pathlib import Path

import pytest

from lab import size


def _committed(folder: Path, **modules: int | None) -> str:
    """Write modules of so many lines, or take them away, and commit."""
    for name, lines in modules.items():
        path = folder / "src" / "segmint" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        if lines is None:
            path.unlink()
        else:
            path.write_text(f"{name} = 1\n" * lines, encoding="utf-8")
    for words in (["add", "-A"], ["commit", "-qm", "Change"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=folder, check=True)
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()


def test_the_house_is_what_no_issue_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    _committed(tmp_path, one=10, two=5)
    brought = _committed(tmp_path, one=12, two=None, three=7, four=1)
    _committed(tmp_path, one=9)
    monkeypatch.setattr(size, "ROOT", tmp_path)
    monkeypatch.setattr(size, "BROUGHT", {12: brought})
    assert size.change_of(brought) == (12 - 10 - 5 + 7 + 1, 2 - 1)
    assert size.brought_by(tmp_path / "src" / "segmint" / "three.py") == ["issue 12"] * 7
    assert size.brought_by(tmp_path / "src" / "segmint" / "one.py") == ["house"] * 9
    assert size.sizes() == [("all", 9 + 7 + 1, 3), ("issue 12", 5, 1), ("house", 12, 2)]
