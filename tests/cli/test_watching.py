import io
import signal

import pytest
from rich.console import Console

from segmint.cli.watching import watched
from segmint.listening import Listener, Stage, Step, Validated


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=100)


def test_a_training_is_shown(console):
    with watched(console) as watcher:
        assert isinstance(watcher, Listener)
        watcher.noted("warning: no image of voc shows boat")
        for done in (1, 2):
            watcher.finished(Stage(name="inspecting voc", done=done, total=2))
        watcher.finished(Step(iteration=1, iterations=2, loss=0.5, rate=1e-4, images_per_s=3.0))
        watcher.finished(Validated(iteration=1, mean_iou={"raw": 0.596, "ema": None}))
        [task] = watcher._progress.tasks  # the stage's line went when it ended
    said = console.file.getvalue()
    assert "warning: no image of voc shows boat" in said
    assert "iteration 1: mean IoU of the weights 59.6 %, running mean –" in said
    assert (task.description, task.completed, task.total) == ("training", 1, 2)
    assert task.fields["said"] == "loss 0.5000  lr 1.00e-04  3.0 images/s"


def test_the_first_interrupt_is_a_wish_and_the_second_an_order(console):
    before = signal.getsignal(signal.SIGINT)
    with watched(console) as watcher:
        assert not watcher.stop_asked()
        signal.raise_signal(signal.SIGINT)
        assert watcher.stop_asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "--resume goes on" in console.file.getvalue()
