"""Fixtures that every room's tests share."""

import os
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from s3_server import KEYS, s3_server

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of golden data made with the published code, kept beside the checkout."""
    return _shared("reference", "golden data")


@pytest.fixture(scope="session")
def family_folder(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny pipeline, by name: the reference's, or one that is built once."""

    @cache
    def find(name: str) -> Path:
        from tiny_transformers import BUILDERS

        if name == "sd2":
            return reference / "tiny_sd2_a"
        if name not in BUILDERS:
            return reference / "dit" / f"tiny_{name}"
        folder = tmp_path_factory.mktemp("models") / name
        BUILDERS[name](reference).save_pretrained(folder)
        return folder

    return find


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of small datasets with trouble in them and right values, kept beside the checkout."""
    return _shared("cases", "small datasets with trouble")


def _shared(name: str, what: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        message = f"{what} not found at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of one S3 server for the session."""
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a new, empty bucket, with the environment by which segmint reaches it."""
    from segmint.runs.files.objects import file_system

    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_address}.items():
        monkeypatch.setenv(name, value)
    url = f"s3://test-{uuid.uuid4().hex}"
    file_system(url).mkdir(url)
    return url
