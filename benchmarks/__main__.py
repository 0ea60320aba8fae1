"""Every benchmark of docs/benchmarks.md, one after the other: `python -m benchmarks [NAME…]`.

Each runs in a process of its own with one numeric thread, so that none warms or starves the next.
"""

import os
import subprocess
import sys
import typing

COMMANDS: typing.Final[dict[str, list[str]]] = {
    "masks": ["benchmarks.masks"],
    "overhead": ["benchmarks.overhead", "--model", "toybox"],
    "memory": ["benchmarks.memory"],
    "store": ["benchmarks.store"],
    "training": ["benchmarks.training"],
    "scaling": ["benchmarks.scaling"],
}
ONE_THREAD: typing.Final = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
}


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(COMMANDS))
    if unknown:
        print(
            f"no benchmark is called {', '.join(unknown)}; there are {', '.join(COMMANDS)}", file=sys.stderr
        )
        return 2
    failed = [name for name in names or COMMANDS if _run(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _run(name: str) -> int:
    print(f"\n== {name}", flush=True)
    return subprocess.run(
        [sys.executable, "-m", *COMMANDS[name]], env=os.environ | ONE_THREAD, check=False
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
