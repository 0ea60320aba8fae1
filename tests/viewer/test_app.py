"""The viewer's interface, asked without a browser."""

import io
import os
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segmint.errors import StorageError
from segmint.runs import layout
from segmint.runs.curation.decisions import decide, read_states
from segmint.viewer.app import create_app
from segmint.viewer.catalog import Catalog
from segmint.viewer.guard import Guard
from synthetic_runs import scene, write_mask_set, write_record, write_run

PORT = 8321
WRITES = {"x-segmint": "1"}


def client_of(run, cache, token=None, host="127.0.0.1"):
    catalog = Catalog(run)
    catalog.refresh()
    app = Guard(create_app(catalog, cache), port=PORT, token=token)
    return TestClient(app, base_url=f"http://{host}:{PORT}"), catalog


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A client of a run that no test changes."""
    folder = tmp_path_factory.mktemp("still")
    return client_of(write_run(folder / "run", 24), folder / "cache")[0]


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", 24)


@pytest.fixture
def client(run, tmp_path):
    return client_of(run, tmp_path / "cache")[0]


def ids(answer):
    return [item["id"] for item in answer.json()["items"]]


def attribute_names(html):
    found = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda _, attributes: found.update(name for name, _ in attributes)
    parser.feed(html)
    return found


def picture(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_the_page_and_its_parts_come_from_here_alone(still):
    page = still.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("app.css", "figures.css", "main.js", "grid.js", "item.js", "icon.svg"):
        answer = still.get(f"/{name}")
        assert answer.status_code == 200
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in answer.text
    assert still.get("/docs").status_code == still.get("/openapi.json").status_code == 404


def test_pages_follow_each_other_in_one_order(still):
    first = still.get("/api/items", params={"limit": 10})
    second = still.get("/api/items", params={"limit": 10, "offset": 10, "order": first.json()["order"]})
    assert first.json()["total"] == 24
    assert ids(first) + ids(second) == [f"{i:06d}" for i in range(20)]
    assert second.json()["order"] == first.json()["order"]


def test_a_frozen_order_does_not_move_when_states_change(client):
    query = {"state": "undecided", "limit": 3}
    first = client.get("/api/items", params=query)
    client.post("/api/decisions", json={"item": "000000", "state": "rejected", "by": "me"}, headers=WRITES)
    again = client.get("/api/items", params={**query, "order": first.json()["order"]})
    assert ids(again) == ids(first)
    assert ids(client.get("/api/items", params=query)) == ["000001", "000002", "000003"]


def test_filters_and_sorting(still):
    everything = still.get("/api/items").json()["items"]
    trees = still.get("/api/items", params={"classes": "tree\nstar"}).json()["items"]
    assert trees
    assert all({"tree", "star"} <= set(item["areas"]) for item in trees)
    wide = still.get(
        "/api/items", params={"area_class": "tree", "area_min": 0.1, "sort": "area", "descending": 1}
    )
    areas = [item["areas"]["tree"] for item in wide.json()["items"]]
    assert areas == sorted(areas, reverse=True)
    assert min(areas) >= 0.1
    assert len(areas) == sum(item["areas"].get("tree", 0) >= 0.1 for item in everything)
    sure = still.get("/api/items", params={"uncertain_max": 0.05, "sort": "uncertain"}).json()["items"]
    shares = [item["uncertain"] for item in sure]
    assert shares == sorted(shares)
    assert max(shares) <= 0.05
    assert ids(still.get("/api/items", params={"text": "<B>bold 000003"})) == ["000003"]
    assert still.get("/api/items", params={"text": "🦊"}).json()["total"] == 4
    assert still.get("/api/items", params={"classes": "no such"}).json()["total"] == 0
    assert still.get("/api/items", params={"method": "pcc"}).json()["total"] == 24
    assert still.get("/api/items", params={"method": "ovam"}).json()["total"] == 0
    assert still.get("/api/items", params={"sort": "nonsense"}).json()["total"] == 24


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "offset=-1", "offset=x", "area_min=2", "uncertain_max=nan", "state=x"]
)
def test_malformed_queries_are_refused_in_one_line(still, query):
    answer = still.get(f"/api/items?{query}")
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json()["error"]


def test_item_pictures_hold_what_the_run_holds(client, run):
    detail = client.get("/api/item/000004").json()
    assert detail["record"]["prompt"] == "a boat 🦊 in the snow ❄️"
    assert detail["problem"] is None
    assert detail["has_agreement"]
    assert not detail["has_features"]
    assert client.get("/api/item/000004/image").content == (run / layout.image("000004", "jpg")).read_bytes()
    assert (picture(client.get("/api/item/000004/labels")) == scene(4).labels).all()
    assert picture(client.get("/api/item/000004/agreement")).max() == 255


@pytest.mark.parametrize("look", ["image", "overlay", "mask"])
def test_thumbnails_are_drawn_once_and_kept(client, tmp_path, look):
    first = client.get("/api/thumbnail/000001", params={"look": look})
    assert picture(first).shape == (64, 64, 3)
    [kept] = (tmp_path / "cache").glob("*/*/*.jpg")
    kept.write_bytes(b"from the cache")
    again = client.get("/api/thumbnail/000001", params={"look": look})
    assert again.content == b"from the cache"
    tag = {"if-none-match": again.headers["etag"]}
    assert client.get("/api/thumbnail/000001", params={"look": look}, headers=tag).status_code == 304


def test_the_run_folder_stays_as_it_is(client, run):
    before = sorted((str(p), p.stat().st_mtime_ns) for p in run.rglob("*"))
    for path in (
        "/",
        "/api/items",
        "/api/status",
        "/api/item/000001",
        "/api/thumbnail/000001",
        "/api/statistics",
        "/api/run",
    ):
        assert client.get(path).status_code == 200
    assert sorted((str(p), p.stat().st_mtime_ns) for p in run.rglob("*")) == before


def test_broken_items_are_shown_as_broken_and_others_are_not(client, run):
    (run / layout.image("000001", "jpg")).unlink()
    data = (run / layout.image("000002", "jpg")).read_bytes()
    (run / layout.image("000002", "jpg")).unlink()
    (run / layout.image("000002", "jpg")).write_bytes(data[: len(data) // 2])
    (run / layout.mask("000003")).unlink()
    (run / layout.mask("000003")).write_bytes(b"no png")
    for item in ("000001", "000002", "000003"):
        drawn = client.get(f"/api/thumbnail/{item}")
        assert picture(drawn).shape == (256, 256, 3)
        assert drawn.headers["cache-control"] == "no-store"
        assert client.get(f"/api/item/{item}").json()["problem"]
    assert "missing" in client.get("/api/item/000001").json()["problem"]
    assert client.get("/api/item/000001/image").status_code == 404
    assert client.get("/api/item/000003/labels").status_code == 404
    assert client.get("/api/item/000004").json()["problem"] is None
    (run / layout.mask("000004")).write_bytes(scene(4, (32, 32)).mask)
    assert client.get("/api/item/000004").json()["problem"] == "the image is 64 × 64 px, the mask 32 × 32"


def test_a_damaged_record_is_a_broken_tile(tmp_path):
    run = write_run(tmp_path / "run", 3)
    (run / layout.record("000001")).write_text("{")
    client, _ = client_of(run, tmp_path / "cache")
    item = client.get("/api/items").json()["items"][1]
    assert "damaged" in item["problem"]
    assert client.get("/api/item/000001").status_code == 404
    assert client.get("/api/statistics").status_code == 200


STRANGERS = [
    "nope",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "000001%00",
    "000001.json",
    "a" * 5000,
    "<script>",
    "🦊",
]


@pytest.mark.parametrize("item", STRANGERS)
@pytest.mark.parametrize("rest", ["", "/image", "/labels", "/agreement", "/stages", "/stage/voted"])
def test_items_that_are_not_in_the_run(still, item, rest):
    assert still.get(f"/api/item/{item}{rest}").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/../../../../etc/passwd", "/..%2f..%2fapp.py", "/%2e%2e/app.py", "/static/../app.py", "//etc/passwd"],
)
def test_nothing_above_the_static_folder_is_served(still, path):
    answer = still.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


@pytest.mark.parametrize("name", ["../..", "none", "a/b"])
def test_mask_sets_that_are_not_there(still, name):
    assert still.get("/api/items", params={"mask_set": name}).status_code == 404
    assert still.get("/api/thumbnail/000001", params={"mask_set": name}).status_code == 404


def test_a_second_mask_set_has_its_own_numbers(tmp_path):
    run = write_run(tmp_path / "run", 6)
    write_mask_set(run, "other", 1, 4)
    client, _ = client_of(run, tmp_path / "cache")
    assert client.get("/api/run").json()["mask_sets"] == ["", "other"]
    status = client.get("/api/status", params={"mask_set": "other"}).json()
    assert status["items"] == 4
    assert status["methods"] == ["ovam"]
    assert (
        picture(client.get("/api/item/000001/labels", params={"mask_set": "other"})) == scene(2).labels
    ).all()
    assert client.get("/api/item/000001").json()["mask_sets"] == ["", "other"]
    assert client.get("/api/item/000005").json()["mask_sets"] == [""]
    assert client.get("/api/item/000005", params={"mask_set": "other"}).status_code == 404


def test_decisions_are_written_at_once_and_undone(client, run):
    for item, state in (("000001", "kept"), ("000002", "rejected"), ("000001", "rejected")):
        answer = client.post(
            "/api/decisions", json={"item": item, "state": state, "by": "me"}, headers=WRITES
        )
        assert answer.json()["state"] == state
        assert read_states(run)[item] == state
    assert ids(client.get("/api/items", params={"state": "rejected"})) == ["000001", "000002"]
    assert client.post("/api/undo", json={"by": "you"}, headers=WRITES).json()["states"] == {}
    assert client.post("/api/undo", json={"by": "me"}, headers=WRITES).json()["states"] == {"000001": "kept"}
    assert client.get("/api/item/000001").json()["state"] == "kept"


@pytest.mark.parametrize(
    "body",
    [{"item": "nope", "state": "kept", "by": "me"}, {"item": "000001", "state": "gone", "by": "me"},
     {"item": "000001", "state": "kept", "by": "a\nb"}, {"item": "000001"}, []],
)  # fmt: skip
def test_decisions_that_make_no_sense_change_nothing(client, run, body):
    assert client.post("/api/decisions", json=body, headers=WRITES).status_code in (404, 422)
    assert not (run / layout.CURATION).exists()


def test_lists_follow_decisions_when_the_viewer_ends(tmp_path):
    run = write_run(tmp_path / "run", 5)
    client, catalog = client_of(run, tmp_path / "cache")
    with catalog.watching():
        client.post(
            "/api/decisions", json={"item": "000002", "state": "rejected", "by": "me"}, headers=WRITES
        )
    assert (run / layout.image_set("train")).read_text().split() == ["000000", "000001", "000003", "000004"]


def test_two_viewers_see_each_other(tmp_path):
    run = write_run(tmp_path / "run", 5)
    (one, _), (two, other) = client_of(run, tmp_path / "a"), client_of(run, tmp_path / "b")
    one.post("/api/decisions", json={"item": "000002", "state": "rejected", "by": "one"}, headers=WRITES)
    two.post("/api/decisions", json={"item": "000003", "state": "kept", "by": "two"}, headers=WRITES)
    other.refresh()
    status = two.get("/api/status").json()
    assert status["states"] == {"undecided": 3, "kept": 1, "rejected": 1}


def test_a_run_that_is_being_written_grows_before_the_eyes(tmp_path):
    run = write_run(tmp_path / "run", 4)
    client, catalog = client_of(run, tmp_path / "cache")
    with catalog.watching():
        before = client.get("/api/status").json()
        write_run(run, 3, start=4)
        deadline = time.monotonic() + 20
        while client.get("/api/status").json()["items"] < 7:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.get("/api/status").json()["version"] > before["version"]
        assert ids(client.get("/api/items"))[-1] == "000006"


def test_an_item_is_found_even_before_the_folder_is_looked_at_again(tmp_path):
    run = write_run(tmp_path / "run", 2)
    client, _ = client_of(run, tmp_path / "cache")
    write_run(run, 1, start=2)
    assert client.get("/api/item/000002").status_code == 200


def test_prompts_are_data(tmp_path):
    run = write_run(tmp_path / "run", 2, classes=("<img src=x onerror=alert(1)>", "a&b"))
    nasty = "</script><script>alert(1)</script>\"'&\u202e🦊" + "x" * 10_000
    write_record(run, "000001", 1, scene(1, classes=("<img src=x onerror=alert(1)>", "a&b")), prompt=nasty)
    client, _ = client_of(run, tmp_path / "cache")
    assert client.get("/api/item/000001").json()["record"]["prompt"] == nasty
    assert len(client.get("/api/items").json()["items"][1]["prompt"]) == 200
    html = client.get("/api/statistics").json()["html"]
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "onerror" not in attribute_names(html)
    assert client.get("/api/items").headers["content-type"] == "application/json"


def test_failed_items_are_counted(client, run):
    (run / layout.FAILURES).mkdir()
    (run / layout.failure("000099")).write_text("{}")
    assert client.get("/api/status").json()["failed"] == 1


def test_first_page_of_twenty_thousand_items(tmp_path):
    """Under 300 ms from a cold start: the page does not wait for the whole folder to be read."""
    run = tmp_path / "run"
    write_run(run, 12)
    for index in range(12, 20_000):
        os.link(run / layout.record("000003"), run / layout.record(f"{index:06d}"))
    catalog = Catalog(run)
    client = TestClient(
        Guard(create_app(catalog, tmp_path / "cache"), port=PORT), base_url=f"http://127.0.0.1:{PORT}"
    )
    client.get("/api/run")
    start = time.process_time()
    cold = client.get("/api/items", params={"limit": 100})
    cold_s = time.process_time() - start
    assert len(ids(cold)) == 100
    assert cold_s < 0.3
    catalog.refresh()
    start = time.process_time()
    warm = client.get(
        "/api/items", params={"limit": 100, "text": "bold", "sort": "uncertain", "offset": 15_000}
    )
    assert time.process_time() - start < 0.3
    assert warm.json()["total"] > 19_000


def test_the_worst_come_first_and_what_has_no_value_last(tmp_path):
    run = write_run(tmp_path / "run", 4)
    for index, presence in enumerate((0.9, 0.2, None, 0.5)):
        said = {"presence": {"boat": presence, "tree": 1.0}, "helped": {"boat": -0.1}}
        write_record(run, f"{index:06d}", index, scene(index), **({} if presence is None else said))
    client, _ = client_of(run, tmp_path / "cache")
    for by, values in (("presence", [0.2, 0.5, 0.9, None]), ("consistency", [0.1, 0.4, 0.8, None])):
        answer = client.get("/api/items", params={"sort": by})
        assert ids(answer) == ["000001", "000003", "000000", "000002"]
        assert [item[by] for item in answer.json()["items"]] == pytest.approx(values)


def alike(client, **asked):
    """The pairs once every item is read."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = client.get("/api/alike", params=asked)
        page = answer.json()
        if answer.status_code != 200 or page["done"] == page["total"]:
            return page
        time.sleep(0.05)
    raise AssertionError(page)


def test_duplicates_are_paired_and_rejected_together(client, run):
    page = alike(client, by="hash", distance=0)
    twins = {item["id"]: pair["items"][0]["id"] for pair in page["taken"] for item in pair["items"][1:]}
    assert twins["000012"] == "000000"
    assert sorted(page["duplicates"]) == sorted(twins)
    assert all(pair["distance"] > 0 for pair in page["left"])
    body = {"items": page["duplicates"], "state": "rejected", "by": "me", "why": "duplicates"}
    told = client.post("/api/decisions/together", json=body, headers=WRITES).json()
    assert told["states"] == dict.fromkeys(page["duplicates"], "rejected") == read_states(run)
    assert alike(client, by="hash", distance=0)["taken"] == []
    client.post("/api/undo", json={"by": "me"}, headers=WRITES)
    assert read_states(run) == {}


def test_duplicates_that_cannot_be_asked_for(client):
    assert alike(client, by="features")["without"] == 24
    assert "expected hash or features" in alike(client, by="beauty")["error"]
    assert "expected 0 to 31" in alike(client, by="hash", distance=32)["error"]
    body = {"items": ["000001", "nope"], "state": "rejected", "by": "me", "why": ""}
    assert client.post("/api/decisions/together", json=body, headers=WRITES).status_code == 404


def test_objects_are_listed_and_numbered(still):
    told = still.get("/api/item/000001/objects").json()
    numbers = picture(still.get("/api/item/000001/numbers"))
    numbers = numbers[..., 0] + 256 * numbers[..., 1].astype(int)
    labels = scene(1).labels
    assert sorted(each["class"] for each in told["objects"]) == ["star", "tree"]
    for each in told["objects"]:
        inside = numbers == each["number"]
        assert each["pixels"] == inside.sum() == (labels == (2 if each["class"] == "tree" else 3)).sum()
        assert inside[int(each["y"] * 64), int(each["x"] * 64)]


def test_an_import_is_told_and_taken_back(client, run):
    assert client.get("/api/status").json()["corrections"] is None
    write_mask_set(run, "fixed", 1, 24)
    write_record(run, "000003", 3, scene(3))
    record = run / layout.record("000002", "fixed")
    record.write_text(record.read_text().replace('"method": "ovam"', '"method": "corrected"'))
    decide(run, {"000002": "kept"}, by="import", why="masks fixed from a.zip", masks="fixed")
    fresh, _ = client_of(run, run.parent / "other")
    told = fresh.get("/api/status").json()["corrections"]
    assert (told["masks"], told["items"]) == ("fixed", 1)
    assert fresh.get("/api/item/000002").json()["corrected_in"] == "fixed"
    assert fresh.get("/api/item/000003").json()["corrected_in"] is None
    changed = fresh.get("/api/items", params={"mask_set": "fixed", "method": "corrected"}).json()["items"]
    assert [(item["id"], item["corrected"]) for item in changed] == [("000002", True)]
    fresh.post("/api/undo", json={"by": "me", "imported": True}, headers=WRITES)
    assert fresh.get("/api/status").json()["corrections"] is None
    assert read_states(run) == {}


def test_decisions_on_a_copy_are_handed_on_before_they_count(run, tmp_path):
    handed = []
    catalog = Catalog(run, handed.append)
    catalog.decide(["000001", "000002"], "rejected", by="me")
    catalog.undo(by="me")
    assert handed == [
        {"000001": "rejected", "000002": "rejected"},
        {"000001": "undecided", "000002": "undecided"},
    ]

    def refuse(_):
        raise StorageError("no space left")

    with pytest.raises(StorageError):
        Catalog(run, refuse).decide(["000003"], "kept", by="me")
    assert read_states(run) == {}
