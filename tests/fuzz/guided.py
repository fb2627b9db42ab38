"""`python -m tests.fuzz.guided SECONDS FOLDER TARGET...`: targets under atheris, which follows what the program does.

Its changed files go to FOLDER. A target's name and its counts are a line of the output. Each one has a process of its
own, because atheris ends the process; what the targets import is imported, and followed, once before.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any


def main() -> None:
    """Runs the targets one after the other."""
    import atheris

    seconds, folder, *names = sys.argv[1:]
    with atheris.instrument_imports(include=["userdata", "scripts.command_line", "PIL"]):
        from tests.fuzz import run
    for name in names:
        child = os.fork()
        if child == 0:
            _fuzz(atheris, run, name, float(seconds), Path(folder, name))
        _, status = os.waitpid(child, 0)
        if status:
            ended = {"others": 1, "faults": {f"the process ended with {status}": ""}}
            print(json.dumps([name, ended]), flush=True)  # noqa: T201


def _fuzz(atheris: Any, run: Any, name: str, seconds: float, folder: Path) -> None:
    counts = run.Counts()
    end = time.monotonic() + seconds

    def one(content: bytes) -> None:
        run.execute(run.TARGETS[name], content, counts)
        if time.monotonic() > end:
            found = {fault: content.hex() for fault, content in counts.faults.items()}
            print("\n" + json.dumps([name, {**asdict(counts), "faults": found}]), flush=True)  # noqa: T201
            os._exit(0)

    folder.mkdir(parents=True, exist_ok=True)
    atheris.Setup(["fuzz", "-max_len=20000", "-seed=1", str(folder), str(run.CORPUS / name)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
