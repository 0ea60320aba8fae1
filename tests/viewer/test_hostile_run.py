"""The viewer over a run of a stranger: nothing from outside its folder is served, nothing waits."""

import os
import threading
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

from segmint.runs import layout
from segmint.viewer.app import create_app
from segmint.viewer.catalog import Catalog
from synthetic_runs import write_run

SECRET = b"root:x:0:0\n"
ITEM = "000002"
PLACES = {
    "image": layout.image(ITEM, "jpg"),
    "mask": layout.mask(ITEM),
    "agreement": layout.agreement(ITEM),
    "features": layout.features(ITEM),
    "record": layout.record(ITEM),
    "decisions": layout.CURATION,
}
ASKED = (
    *(
        f"/api/item/{ITEM}",
        f"/api/item/{ITEM}/image",
        f"/api/item/{ITEM}/labels",
        f"/api/item/{ITEM}/agreement",
    ),
    *(f"/api/thumbnail/{ITEM}?look={look}" for look in ("image", "overlay", "mask")),
    *(f"/api/item/{ITEM}/stages", "/api/items", "/api/status", "/api/run", "/api/statistics"),
)


def to_secret(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def ask_all(run: Path, cache: Path) -> list[bytes]:
    try:
        catalog = Catalog(run)
    except Exception as error:  # noqa: BLE001 - the type is looked at below
        return [type(error).__name__.encode()]
    client = TestClient(create_app(catalog, cache), raise_server_exceptions=True)
    answers = [client.get(each) for each in ASKED]
    assert all(each.status_code in (200, 404, 409) for each in answers)
    return [each.content for each in answers]


@pytest.mark.parametrize("put", [to_secret, pipe, zeros])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_plain_file_is_not_served(tmp_path, put, place):
    run, secret = write_run(tmp_path / "run", 4), tmp_path / "secret"
    secret.write_bytes(SECRET)
    target = run / PLACES[place]
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    put(target, secret)
    found: list[bytes] = []
    asking = threading.Thread(target=lambda: found.extend(ask_all(run, tmp_path / "cache")), daemon=True)
    asking.start()
    asking.join(timeout=60)
    assert found
    assert not any(SECRET in each for each in found)
    assert len(found) == len(ASKED) or (place == "decisions" and found == [b"StorageError"])
