"""Stands before the CDK app in the tests: what is synthesized once for some settings is copied the next time.

A synthesis takes six seconds of a processor, most of them for checks whose answer stays the same, and tests ask for the
same settings dozens of times. The template depends on the sources, which stay as they are while tests run, and on what
the CDK CLI says in variables named CDK_*. Those are the key, with the command, the folder and its `app.py`, because
tests write apps of their own. A synthesis that fails is not kept.

A program of the standard library alone: `synthesized_once.py COMMAND` runs the shell's COMMAND in this folder, or gives
what it left in CDK_OUTDIR and printed before. `synthesized_once.cjs` puts it before the app that the CDK CLI starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path

# Where what was synthesized is kept for one run of the tests.
FOLDER = "SD_TESTS_SYNTHESIZED"
# Where the CLI has or wants things, which changes nothing in them. Each local cloud has a home of its own.
PLACES = ("CDK_OUTDIR", "CDK_ERROR_FILE", "CDK_PERF_COUNTERS_FILE", "CDK_HOME")


@contextlib.contextmanager
def synthesizing_once(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Tells all that is started with `environment` to synthesize once.

    Who started this process may have told it already: `scripts/test` makes the folder for all of its runs of pytest.
    """
    with contextlib.ExitStack() as undone:
        hook = f'--require "{Path(__file__).with_suffix(".cjs")}"'
        if FOLDER not in environment:
            _set(
                undone, environment, FOLDER, undone.enter_context(tempfile.TemporaryDirectory(prefix="sd-synthesized-"))
            )
        if hook not in environment.get("NODE_OPTIONS", ""):
            _set(undone, environment, "NODE_OPTIONS", f"{environment.get('NODE_OPTIONS', '')} {hook}".strip())
        yield


def _set(undone: contextlib.ExitStack, environment: MutableMapping[str, str], name: str, value: str) -> None:
    before = environment.get(name)
    undone.callback(environment.pop if before is None else environment.__setitem__, name, before or "")
    environment[name] = value


def main(command: str) -> int:
    told: dict[str, object] = {
        name: value for name, value in os.environ.items() if name.startswith("CDK_") and name not in PLACES
    }
    # The CLI writes them in the order in which they were given.
    told["CDK_CONTEXT_JSON"] = json.loads(os.environ.get("CDK_CONTEXT_JSON", "null"))
    app = Path("app.py").read_text("utf-8")
    key = hashlib.sha256(json.dumps([command, told, os.getcwd(), app], sort_keys=True).encode()).hexdigest()
    kept, out = Path(os.environ[FOLDER]) / key, Path(os.environ["CDK_OUTDIR"])
    with Path(f"{kept}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            done = subprocess.run(command, shell=True, capture_output=True, check=False)  # noqa: S602  # as the CLI does
            if done.returncode:
                sys.stdout.buffer.write(done.stdout)
                sys.stderr.buffer.write(done.stderr)
                return done.returncode
            making = Path(f"{kept}.making")
            shutil.rmtree(making, ignore_errors=True)  # of a process that was killed meanwhile
            # The CLI's own locks lie there too.
            shutil.copytree(out, making / "assembly", ignore=shutil.ignore_patterns("*.lock"))
            (making / "stdout").write_bytes(done.stdout)
            (making / "stderr").write_bytes(done.stderr)
            making.rename(kept)
        else:
            shutil.copytree(kept / "assembly", out, dirs_exist_ok=True)
    sys.stdout.buffer.write((kept / "stdout").read_bytes())
    sys.stderr.buffer.write((kept / "stderr").read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
