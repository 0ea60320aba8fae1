"""A stub stands for the server: it words prompts well, badly, or not at all."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from segmint.cli.main import run as run_command
from segmint.errors import PromptError
from segmint.plan.prompts.readers import read_prompts
from segmint.plan.prompts.writing import KEY, Writer, write_prompts
from segmint.plan.settings import PromptSettings
from segmint.vocabulary import Vocabulary

CLASSES = Vocabulary.of(["boat", "tree", "star"])
Reply = Callable[[dict[str, Any]], Any]


@contextmanager
def server(reply: Reply, code: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its address, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say({"data": [{"id": "small"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({**body, "key": self.headers["Authorization"]})
            self.say(reply(body))

        def say(self, said: Any) -> None:
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{stub.server_port}/v1", asked
        finally:
            stub.shutdown()
            thread.join()


def listed(body: dict[str, Any]) -> dict[int, str]:
    lines = body["messages"][1]["content"].splitlines()
    return {int(line.partition(":")[0]): line.partition(":")[2].strip() for line in lines}


def message(prompts: Any) -> dict[str, Any]:
    content = prompts if isinstance(prompts, str) else json.dumps({"prompts": prompts})
    return {"choices": [{"message": {"content": content}}]}


def good(body: dict[str, Any]) -> Any:
    return message(
        [
            {"number": n, "prompt": f"view {n} of a {names.replace(', ', ' and a ')}"}
            for n, names in listed(body).items()
        ]
    )


def written(url: str, count: int = 6, **how: Any) -> list[dict[str, Any]]:
    return write_prompts(Writer(url=url, **how), CLASSES, PromptSettings(), count)


def test_prompts_name_their_classes_and_the_plan_says_which(monkeypatch):
    monkeypatch.setenv(KEY, "secret")
    with server(good) as (url, asked):
        lines = written(url, 25, seed=3)
    assert len({line["prompt"] for line in lines}) == 25
    assert all(name in line["prompt"] for line in lines for name in line["classes"])
    assert [len(listed(body)) for body in asked] == [20, 5]
    assert (asked[0]["model"], asked[0]["seed"], asked[0]["key"]) == ("small", 3, "Bearer secret")
    assert asked[0]["response_format"]["json_schema"]["strict"] is True
    with server(good) as (url, _):
        assert written(url, 25, seed=3) == lines


def test_what_is_refused_is_asked_for_again():
    rounds: list[int] = []

    def bad_first(body: dict[str, Any]) -> Any:
        rounds.append(len(listed(body)))
        if len(rounds) > 1:
            return good(body)
        texts = ["a zebra", "a boat, a tree and a star", "", "a\tboat " * 100, "view of nothing", "a boat"]
        return message(
            [{"number": n, "prompt": text} for n, text in enumerate(texts)] + [{"number": 99, "prompt": "x"}]
        )

    with server(bad_first) as (url, _):
        assert len(written(url, 6)) == 6
    assert rounds[0] == 6 >= rounds[1] > 1


def test_two_that_are_alike_are_not_both_taken():
    def alike(body: dict[str, Any]) -> Any:
        return message([{"number": n, "prompt": f"A {names}"} for n, names in listed(body).items()])

    with server(alike) as (url, _), pytest.raises(PromptError, match=r"in 5 rounds; .* there twice"):
        written(url, 30)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda _: b"<html>", "answers with no JSON"),
        (lambda _: {"choices": []}, "something else than the prompts asked for"),
        (lambda _: message("I would love to help!"), "something else than the prompts asked for"),
        (lambda _: message([{"number": 0}]), "something else than the prompts asked for"),
        (lambda _: message([]), "wrote 0 of 6 prompts"),
    ],
)
def test_nonsense_is_told_in_a_line(reply, said):
    with server(reply) as (url, _), pytest.raises(PromptError, match=said) as told:
        written(url)
    assert "\n" not in str(told.value)


def test_a_server_that_refuses_or_is_not_there():
    with server(good, code=401) as (url, _), pytest.raises(PromptError, match="refuses: 401"):
        written(url)
    with pytest.raises(PromptError, match=r"gives no answer, .* is the server running there"):
        written(url)
    with pytest.raises(PromptError, match="no address of a server"):
        written("file:///etc/passwd")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "said"),
    [([], "timed out"), ([HEAD, *[b" "] * 20], "timed out"), ([b"SSH-2.0-OpenSSH\r\n"], "gives no answer")],
)
def test_a_server_that_is_silent_or_drips_or_speaks_otherwise_ends_in_a_line(monkeypatch, sent, said):
    monkeypatch.setattr("segmint.plan.prompts.writing.WAIT_S", 0.3)
    over = threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            for part in sent:
                connection.sendall(part)
                over.wait(0.05)
            over.wait(5)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with pytest.raises(PromptError, match=said) as told:
            written(f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
        over.set()
        thread.join()
    assert "\n" not in str(told.value)


def test_the_command_writes_a_file_that_generate_reads_or_none(tmp_path, capsys):
    out = tmp_path / "prompts.jsonl"
    words = ["prompts", "write", "--classes", "boat, tree, star", "-n", "4", "-o", str(out), "--llm"]
    with server(good) as (url, _), pytest.raises(SystemExit) as ended:
        run_command([*words, url])
    assert not ended.value.code, capsys.readouterr().err
    entries = read_prompts(out, CLASSES)
    assert len(entries) == 4
    assert all(entry.classes for entry in entries)
    with server(lambda _: b"?") as (url, _), pytest.raises(SystemExit) as ended:
        run_command([*words[:-2], str(tmp_path / "none.jsonl"), "--llm", url])
    assert ended.value.code == 2
    assert not (tmp_path / "none.jsonl").exists()
    with pytest.raises(SystemExit):
        run_command([*words, url])
    assert "is there already" in capsys.readouterr().err
