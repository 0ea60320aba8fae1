"""A real S3 server for tests: moto's, in a process of its own, on a free port of this machine."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
PAGE = 10
"""Names in one answer to a listing, instead of S3's thousand: so that a test can pass it."""
START_S = 60


@contextmanager
def s3_server() -> Iterator[str]:
    """The server's address, while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **KEYS, "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _await(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def _await(address: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"moto's server ended with {process.returncode}; is 'moto[server]' installed?")
        try:
            with urlopen(f"{address}/moto-api/", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"moto's server did not answer within {START_S} s")
