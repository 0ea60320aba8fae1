"""What a training writes down as it goes: `log.jsonl`, TensorBoard's event files and `loss.png`."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from segmint.atomic import put_text
from segmint.errors import StorageError
from segmint.training.judge.figures import draw_loss

LOG = "log.jsonl"
TENSORBOARD = "tensorboard"
LOSS_FIGURE = "loss.png"


class TrainingLog:
    """The log of one training; a resumed training drops entries after `iteration` and makes them again."""

    def __init__(self, folder: Path, *, iteration: int, writes: bool = True) -> None:
        self._folder, self._writes = folder, writes
        self._entries = [entry for entry in read_log(folder) if entry["iteration"] <= iteration]
        if writes:
            put_text(folder / LOG, "".join(f"{json.dumps(entry)}\n" for entry in self._entries))
            self._file = (folder / LOG).open("a", encoding="utf-8", buffering=1)
            self._board = _open_board(folder / TENSORBOARD, purge_from=iteration + 1)

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writes:
            self._file.close()
            if self._board is not None:
                self._board.close()

    def add(self, iteration: int, values: Mapping[str, Any]) -> None:
        """Write one entry; numbers also go to TensorBoard under their names.

        Raises:
            StorageError: the disk refuses.
        """
        if not self._writes:
            return
        entry = {"iteration": iteration, **values}
        self._entries.append(entry)
        try:
            self._file.write(f"{json.dumps(entry)}\n")
            for name, value in values.items():
                if self._board is not None and isinstance(value, int | float):
                    self._board.add_scalar(name, value, iteration)
        except OSError as error:
            raise StorageError(f"the log in {self._folder} could not be written: {error.strerror}") from None

    def draw(self) -> None:
        """Draw `loss.png` anew."""
        if not self._writes:
            return
        losses = [(each["iteration"], each["loss"]) for each in self._entries if "loss" in each]
        checks = [
            (each["iteration"], each["mean_iou_raw"], each.get("mean_iou_ema"))
            for each in self._entries
            if "mean_iou_raw" in each
        ]
        draw_loss(self._folder / LOSS_FIGURE, losses, checks)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The entries of a training's log, up to a line that is none: a kill may cut the last one."""
    path = folder / LOG
    if not path.is_file():
        return []
    entries = []
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(entry, dict) or type(entry.get("iteration")) is not int:
            break
        entries.append(entry)
    return entries


def board_missing() -> bool:
    """Whether TensorBoard, an optional extra, is not installed; its event files are left out then."""
    return find_spec("tensorboard") is None


def _open_board(folder: Path, *, purge_from: int) -> Any:
    if board_missing():
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_from)
