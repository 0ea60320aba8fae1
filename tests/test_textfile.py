import os
import subprocess
import sys
from pathlib import Path

import pytest

from segmint.errors import DatasetError
from segmint.textfile import read_plain, read_text, stands

NO_NAMES = ("x" * 5000, "a\0b", "\ud800", "a/" + "b" * 300)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.skipif(sys.platform != "linux", reason="pipes and devices")
@pytest.mark.parametrize("make", [pipe, link_to_zero, link_to_nothing, Path.mkdir])
def test_what_could_be_read_for_ever_or_waited_for_is_refused(tmp_path, make):
    path = tmp_path / "odd"
    make(path)
    with pytest.raises(OSError, match=r"not a plain file|directory"):
        read_plain(path, 100)
    with pytest.raises(DatasetError, match=r"list '.*odd': (it is not a plain file|Is a directory)"):
        read_text(path, what="list", error=DatasetError)


def test_no_more_than_the_limit_is_read(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"x" * 101)
    assert len(read_plain(path, 101)) == 101
    with pytest.raises(OSError, match="larger than 100 bytes"):
        read_plain(path, 100)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/stdin")
def test_what_a_shell_hands_over_is_taken():
    script = "from segmint.textfile import Path, read_plain; print(read_plain(Path('/dev/stdin'), 99))"
    done = subprocess.run(
        [sys.executable, "-c", script], input=b"a boat\n", capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"b'a boat\\n'\n"


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_can_be_no_path_does_not_stand(name):
    for test in (Path.exists, Path.is_file, Path.is_dir):
        assert not stands(name, test)
