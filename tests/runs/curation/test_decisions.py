import errno
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmint.errors import RunError, StorageError
from segmint.runs import layout
from segmint.runs.curation import decisions
from segmint.runs.curation.decisions import CurationLog, accepted, decide, decide_all, read_states, undo


def test_last_decision_of_an_item_counts(tmp_path):
    decide(tmp_path, {"a": "kept", "b": "rejected"}, by="me")
    decide(tmp_path, {"a": "rejected", "b": "undecided"}, by="me")
    assert read_states(tmp_path) == {"a": "rejected"}


def test_nothing_decided_is_an_empty_record(tmp_path):
    assert read_states(tmp_path) == {}
    assert undo(tmp_path) is None


def test_undo_takes_back_group_by_group(tmp_path):
    decide(tmp_path, {"a": "kept"}, by="me")
    decide(tmp_path, {"a": "rejected", "b": "rejected"}, by="me", why="uncertain > 0.4")
    undone = undo(tmp_path)
    assert undone.event.why == "uncertain > 0.4"
    assert undone.states == {"a": "kept", "b": "undecided"}
    assert undo(tmp_path).states == {"a": "undecided"}
    assert undo(tmp_path) is None
    assert read_states(tmp_path) == {}


def test_undo_of_one_author_leaves_the_other(tmp_path):
    decide(tmp_path, {"a": "kept"}, by="ann")
    decide(tmp_path, {"b": "rejected"}, by="bob")
    assert undo(tmp_path, by="ann").states == {"a": "undecided"}
    assert undo(tmp_path, by="ann") is None
    assert read_states(tmp_path) == {"b": "rejected"}


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_torn_line_loses_only_itself(tmp_path, cut):
    decide(tmp_path, {"a": "kept"}, by="me")
    decide(tmp_path, {"b": "kept"}, by="me")
    path = tmp_path / layout.CURATION
    os.truncate(path, path.stat().st_size - cut)
    assert read_states(tmp_path) == {"a": "kept"}
    decide(tmp_path, {"c": "rejected"}, by="me")
    log = CurationLog(tmp_path)
    assert log.states == {"a": "kept", "c": "rejected"}
    assert log.damaged_lines == 1


UNKNOWN_STATE = b'{"event":"x","time":"","by":"","decisions":{"a":"gone"}}\n'


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"event": 1}\n', b"[]\n", UNKNOWN_STATE])
def test_lines_that_say_nothing_are_counted_and_skipped(tmp_path, line):
    (tmp_path / layout.CURATION).write_bytes(line)
    decide(tmp_path, {"a": "kept"}, by="me")
    log = CurationLog(tmp_path)
    assert log.states == {"a": "kept"}
    assert log.damaged_lines == 1


def test_a_reader_sees_what_another_appends(tmp_path):
    log = CurationLog(tmp_path)
    assert not log.refresh()
    decide(tmp_path, {"a": "kept"}, by="other")
    assert log.refresh()
    assert log.state("a") == "kept"
    undo(tmp_path)
    assert log.refresh()
    assert log.state("a") == "undecided"
    (tmp_path / layout.CURATION).unlink()
    assert log.refresh()
    assert not log.refresh()


def test_many_writers_lose_nothing(tmp_path):
    def write(name):
        for index in range(20):
            decide(tmp_path, {f"{name}{index}": "rejected"}, by=name)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_states(tmp_path)) == 80


def test_accepted_leaves_out_the_rejected():
    states = {"a": "kept", "b": "rejected"}
    assert accepted("abc", states) == ["a", "c"]
    assert accepted("abc", states, kept_only=True) == ["a"]


def test_no_folder_and_a_folder_in_the_way(tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        decide(tmp_path / "nowhere", {"a": "kept"}, by="me")
    (tmp_path / layout.CURATION).mkdir()
    with pytest.raises(StorageError, match="cannot"):
        decide(tmp_path, {"a": "kept"}, by="me")


STATES = st.sampled_from(["kept", "rejected", "undecided"])
GROUPS = st.dictionaries(st.sampled_from("abcd"), STATES, min_size=1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), GROUPS), max_size=12))
def test_replay_equals_a_stack_of_states(tmp_path_factory, actions):
    """Undo pops: what is left is what the remaining decisions say, to a reader that follows too."""
    run = tmp_path_factory.mktemp("run")
    log, stack = CurationLog(run), []
    for action in actions:
        if action is None:
            undone = undo(run)
            assert (undone is None) == (not stack)
            stack = stack[:-1]
        else:
            decide(run, action, by="me")
            stack.append(action)
        log.refresh()
        expected = {}
        for group in stack:
            expected.update(group)
        assert log.states == {k: v for k, v in expected.items() if v != "undecided"}
        assert read_states(run) == log.states


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("where", ["write", "flush", "lists"])
def test_a_refused_decision_leaves_the_record_as_it_was(tmp_path, monkeypatch, code, groups, where):
    decide(tmp_path, {"z": "kept"}, by="me")
    before = (tmp_path / layout.CURATION).read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        if where == "flush":
            patched.setattr(os, "fsync", refuse)
        if where == "write":
            patched.setattr(decisions, "_encode", refuse)
        with pytest.raises(StorageError, match=r"nothing is decided|no space left"):
            decide_all(
                tmp_path,
                [({f"{n}": "rejected"}, None) for n in range(groups)],
                by="me",
                then=refuse if where == "lists" else None,
            )
    assert (tmp_path / layout.CURATION).read_bytes() == before
    assert read_states(tmp_path) == {"z": "kept"}


def test_a_reader_follows_a_record_that_was_taken_back(tmp_path):
    decide(tmp_path, {"a": "kept"}, by="me")
    log = CurationLog(tmp_path)

    def seen_then_refused() -> None:
        log.refresh()
        assert log.state("b") == "rejected"
        raise StorageError("full")

    with pytest.raises(StorageError, match="full"):
        decide(tmp_path, {"b": "rejected"}, by="me", then=seen_then_refused)
    log.refresh()
    assert log.states == {"a": "kept"}


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_share_without_locks_is_told_with_what_to_do(tmp_path, monkeypatch, code):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StorageError, match=r"keeps no locks .*write to a disk of this machine"):
        decide(tmp_path, {"a": "kept"}, by="me")
