"""The counter of functions, files and rooms, on work whose road is known."""

import threading

from lab.passes import count, room
from segmint.plan import classes
from segmint.plan.classes import preset_vocabulary


def test_functions_are_counted_once_and_room_changes_by_call() -> None:
    known = preset_vocabulary("toybox")

    def walk() -> None:
        for _ in range(2):
            known.subset(["boat", "tree"])

    found = count("made up", walk)
    assert found.files == {"vocabulary.py"}
    assert found.functions["vocabulary.py:Vocabulary.subset"] == 2
    assert not any("<" in name for name in found.functions)
    assert found.changes == {}
    assert found.figures()["functions"] == len(found.functions)


def test_a_call_from_another_room_is_a_change_and_threads_count() -> None:
    thread = threading.Thread(target=classes.parse_classes, args=("boat, tree",))

    def walk() -> None:
        thread.start()
        thread.join()

    found = count("made up", walk)
    assert found.functions["plan/classes.py:parse_classes"] == 1
    assert all(room(name) == "plan" for change in found.changes for name in change.split(" > ")[:1])
    assert sum(found.changes.values()) == found.figures()["room changes"] > 0


def test_rooms_are_folders_or_modules_beside_them() -> None:
    assert room("jobs/engines/local.py:LocalEngine.run") == "jobs"
    assert room("pipeline.py:mint") == "pipeline"


def test_texts_are_counted_as_the_tokenizer_is_given_them() -> None:
    from lab.toybox import tokenizer

    words = tokenizer.build()
    found = count("made up", lambda: (words("boat"), words(["boat", "tree"])))
    assert found.tokenised == {"boat": 2, "tree": 1}
