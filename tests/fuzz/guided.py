"""`python -m tests.fuzz.guided TARGET SECONDS FOLDER`: one target under atheris, which follows what the program does.

Its changed files go to FOLDER. The counts are the last line of the output, because atheris ends the process itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path


def main() -> None:
    """Never returns."""
    import atheris

    name, seconds, folder = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    with atheris.instrument_imports(include=["userdata", "scripts.command_line", "PIL"]):
        from tests.fuzz.run import CORPUS, TARGETS, Counts, execute
    counts = Counts()
    end = time.monotonic() + seconds

    def one(content: bytes) -> None:
        execute(TARGETS[name], content, counts)
        if time.monotonic() > end:
            found = {fault: content.hex() for fault, content in counts.faults.items()}
            print("\n" + json.dumps({**asdict(counts), "faults": found}), flush=True)  # noqa: T201
            os._exit(0)

    folder.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / name
    atheris.Setup([sys.argv[0], "-max_len=20000", "-seed=1", str(folder), *([str(kept)] if kept.is_dir() else [])], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
