"""What a request must pass before the viewer answers it; a server on the loopback where waiting matters."""

import http.client
import socket
import threading
import time

import pytest
from fastapi.testclient import TestClient

from segmint.runs import layout
from segmint.viewer import guard
from segmint.viewer.app import create_app
from segmint.viewer.catalog import Catalog
from segmint.viewer.guard import Guard
from segmint.viewer.serve import bind, server_of
from synthetic_runs import write_run

PORT = 8321
WRITES = {"x-segmint": "1"}
DECISION = {"item": "000001", "state": "kept", "by": "me"}


def client_of(run, cache, token=None, host="127.0.0.1"):
    app = Guard(create_app(Catalog(run), cache), port=PORT, token=token)
    return TestClient(app, base_url=f"http://{host}:{PORT}")


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", 3)


@pytest.fixture
def client(run, tmp_path):
    return client_of(run, tmp_path / "cache")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8321",
        "127.0.0.1.evil.example",
        "localhost.",
        "",
        "[::2]:1",
        "10.0.0.1",
        "[::1].evil.example",
        "[::1]evil",
        "[::1",
        "::1",
        "localhost:80@evil.example",
        "localhost:x",
        "[::1]:8321,a",
        "127.0.0.1 evil.example",
        "localhost\t.evil.example",
    ],
)
def test_foreign_host_headers_are_refused(client, host):
    assert client.get("/api/items", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "[::1]:8321", "LOCALHOST"])
def test_own_host_headers_pass(client, host):
    assert client.get("/api/run", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"x-segmint": "1", "origin": "http://evil.example"}, 403),
        ({"x-segmint": "1", "origin": "null"}, 403),
        ({"x-segmint": "1", "origin": "http://[evil"}, 403),
        ({"x-segmint": "1", "origin": "http://[::1]evil]"}, 403),
        ({"x-segmint": "1", "origin": f"http://me@127.0.0.1:{PORT}"}, 403),
        ({"x-segmint": "1", "origin": ""}, 403),
        ({"x-segmint": "1", "origin": f"https://127.0.0.1:{PORT}"}, 200),
        ({"x-segmint": "1", "origin": f"http://127.0.0.1:{PORT}"}, 200),
        ({"x-segmint": "1", "content-length": "9999999"}, 413),
    ],
)
def test_changes_come_from_the_own_page_only(client, headers, status):
    answer = client.post("/api/decisions", json=DECISION, headers=headers)
    assert answer.status_code == status


def test_nothing_is_changed_by_get_and_other_verbs_are_unknown(client, run):
    assert client.get("/api/decisions").status_code == 404
    assert client.get("/api/undo?by=me").status_code == 404
    assert client.put("/api/decisions", headers=WRITES).status_code == 405
    assert client.delete("/api/item/000001", headers=WRITES).status_code == 405
    assert not (run / layout.CURATION).exists()


def test_a_remote_viewer_asks_for_its_token_everywhere(run, tmp_path):
    client = client_of(run, tmp_path / "cache", token="right", host="box.local")
    for path in ("/", "/main.js", "/api/items", "/api/item/000001/image", "/?token=wrong"):
        assert client.get(path).status_code == 401
    assert client.post("/api/undo", json={"by": "me"}, headers=WRITES).status_code == 401
    assert client.get("/api/items", headers={"authorization": "Bearer right"}).status_code == 200
    welcome = client.get("/?token=right")
    cookie = welcome.headers["set-cookie"]
    assert f"segmint_{PORT}=right" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "right" not in welcome.text
    assert client.get("/api/items").status_code == 200
    client.cookies.clear()
    assert client.get("/api/items", headers={"cookie": f"segmint_{PORT}=wrong; ;;="}).status_code == 401


@pytest.mark.parametrize("length", [{}, {"content-length": "10"}])
def test_long_bodies_are_refused_however_they_are_sent(client, run, length):
    """HTTP takes a chunked body whole, whatever a Content-Length beside it says."""
    pieces = (b"[" * 1000 for _ in range(guard.MAX_BODY_BYTES // 1000 + 1))
    headers = {**WRITES, "content-type": "application/json", "transfer-encoding": "chunked", **length}
    assert client.post("/api/decisions", content=pieces, headers=headers).status_code == 413
    short = client.post("/api/undo", content=iter([b'{"by":', b'"me"}']), headers=headers)
    assert short.status_code == 200
    assert not (run / layout.CURATION).exists()


@pytest.fixture
def address(client, monkeypatch):
    """Where a server of little patience listens."""
    monkeypatch.setattr(guard, "PATIENCE_S", 0.3)
    server = server_of(client.app)
    with bind("127.0.0.1", 0) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join(20)


def lasts_s(address, *pieces):
    """How long a connection is held after these pieces are sent, the last of them again and again."""
    with socket.create_connection(address, timeout=20) as one:
        start = time.monotonic()
        for piece in pieces[:-1]:
            one.sendall(piece)
        one.settimeout(0.05)
        while time.monotonic() - start < 20:
            try:
                if pieces:
                    one.sendall(pieces[-1])
                if not one.recv(65_536):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        return time.monotonic() - start


HEAD = b"POST /api/undo HTTP/1.1\r\nHost: localhost\r\nX-Segmint: 1\r\nContent-Length: 60000\r\n"


@pytest.mark.parametrize(
    "pieces",
    [(), (b"G", b""), (HEAD, b"X-A: b\r\n"), (HEAD + b"\r\n", b"{")],
    ids=["none", "word", "head", "body"],
)
def test_requests_that_never_become_whole_are_cut(address, pieces):
    assert 0.2 < lasts_s(address, *pieces) < 10


def test_a_reader_that_takes_nothing_is_cut(address):
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(10)
        one.connect(address)
        one.sendall(b"GET /app.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60)
        time.sleep(2)
        with pytest.raises(ConnectionError):  # noqa: PT012 - the first byte may still go
            for _ in range(20):
                one.sendall(b"G")
                time.sleep(0.2)


def test_a_connection_serves_one_request_after_the_other(address):
    one = http.client.HTTPConnection(*address, timeout=10)
    for _ in range(2):
        one.request("GET", "/icon.svg", headers={"Host": "localhost"})
        answer = one.getresponse()
        assert (answer.status, answer.read()[:4]) == (200, b"<svg")
        time.sleep(0.5)
    one.close()
