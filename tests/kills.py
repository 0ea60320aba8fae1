"""Kill a run at random moments until it is done, and compare it with one that was never disturbed."""

import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from faked_command import end, start_command
from run_contents import contents
from segmint.runs.files.remote import files_at
from segmint.runs.store import open_run
from segmint.runs.verify import verify

COMMAND = [
    *("generate", "--model", "toybox", "--steps", "2", "--height", "32", "--width", "32"),
    *("--classes", "boat, tree, star", "--batch-size", "3", "--keep-features", "--quiet"),
]


@dataclass(frozen=True)
class Exam:
    """What a kill exam saw."""

    kills: int
    starts: int
    items: int
    same: bool
    problems: int


def undisturbed(out: Path, items: int) -> Path:
    """The run to compare with."""
    process = start_command([*COMMAND, "--count", str(items), "--out", str(out)])
    said = end(process)
    assert process.returncode == 0, said
    return out


def kill_exam(whole: Path, out: Path, *, items: int, kills: int, seed: int) -> Exam:
    """SIGKILL `kills` times at random moments while `items` are made, then let the command finish.

    Moments are drawn over the first few items of each start, so that kills fall into creation, drawing,
    writing and the tidying-up at the end.
    """
    luck = random.Random(seed)
    done, starts = 0, 0
    words = [*COMMAND, "--count", str(items), "--out", str(out)]
    while done < kills:
        starts += 1
        process = start_command(words, delay_s=0.02)
        before = len(list(out.glob("items/*.json")))
        wait_for_more(process, out, before + luck.choice([0, 0, 1, 2]), luck.uniform(0.0, 0.2))
        killed = process.poll() is None
        process.kill()
        said = end(process)
        assert killed or process.returncode == 0, said
        done += killed
        check_in_between(out)
        if not killed:  # it was faster: take items away again
            for path in sorted(out.glob("items/*.json"))[: items // 2]:
                path.unlink()
    process = start_command(words)
    said = end(process)
    assert process.returncode == 0, said
    return Exam(
        kills=done,
        starts=starts + 1,
        items=len(open_run(out).done_ids()),
        same=contents(out) == contents(whole),
        problems=len(verify(files_at(out)).problems),
    )


def wait_for_more(process: subprocess.Popen[str], out: Path, count: int, extra_s: float) -> None:
    """Until so many items are there, and a moment longer; or the process has ended."""
    while process.poll() is None and len(list(out.glob("items/*.json"))) < count:
        time.sleep(0.005)
    time.sleep(extra_s)


def check_in_between(out: Path) -> None:
    """After any kill a run that stands has no damaged item."""
    if (out / "run.json").is_file():
        problems = verify(files_at(out)).problems
        assert [each for each in problems if not each.path.startswith("ImageSets/")] == []
