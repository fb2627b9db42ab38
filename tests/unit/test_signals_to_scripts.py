"""A signal to a script of the checkout leaves no program, no temporary folder and no half file behind.

Each runs as it is in a scratch folder, beside programs that only wait: where a set-up, a test or a compiler of locks
would be at work, a signal arrives.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds, on a computer with much else to do
# Says that it is there, works on beyond the signal as whoever lets none cut it off, and says that it has ended.
WORKS = """#!/bin/bash
trap '' INT TERM
echo $$ >"{0}/at-work"
until [[ -e "{0}/signalled" ]]; do sleep 0.02; done
sleep 0.1
echo ended >"{0}/ended"
"""
# As `python3`: an environment has a pip, and an uv that writes a half lock first.
MAKES = """#!/bin/bash
mkdir -p "${@: -1}/bin"
cp "{0}/nothing" "${@: -1}/bin/pip"
cp "{0}/halves" "${@: -1}/bin/uv"
"""
HALVES = '#!/bin/bash\necho half >"${@: -1}"\n' + WORKS.partition("\n")[2]
KINDS = {
    "sd": ["scripts/sd"],
    "demo": ["scripts/demo"],
    "local cloud": ["scripts/local/cloud", "true"],
    "soak": ["scripts/soak"],
    "bench": ["scripts/bench"],
    "bench-boot": ["scripts/bench-boot"],
    "fuzz": ["scripts/fuzz", "all"],
    "audit": ["scripts/audit", "licences"],
    "lock": ["scripts/lock"],
    "setup": ["scripts/setup"],
    "test": ["scripts/test", "--machine"],
}
# Where it is cut off, if not in its set-up.
WORKERS = {"fuzz": ".venv/bin/python", "audit": "bin/python3", "setup": "bin/python3", "test": ".venv/bin/pytest"}
LOCKS = ("scripts/audit-tools", "scripts/fuzz-tools", "requirements", "requirements-torch", "requirements-torch-cpu")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for script in {words[0] for words in KINDS.values()} | {"scripts/environment.sh"}:
        (tmp_path / script).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / script, tmp_path / script)
    write(tmp_path / "nothing", "#!/bin/bash\n")
    write(tmp_path / "halves", HALVES.replace("{0}", str(tmp_path)))
    write(tmp_path / "bin/python3", MAKES.replace("{0}", str(tmp_path)))
    for program in ("scripts/setup", ".venv/bin/python", ".venv/bin/pytest"):
        write(tmp_path / program, "#!/bin/bash\n")
    for lock in (*(f"{name}.txt" for name in LOCKS), "package-lock.json"):
        (tmp_path / lock).write_text("whole\n")
    return tmp_path


def write(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(script)
    file.chmod(0o755)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("number", "sent", "status"), [(signal.SIGTERM, os.kill, 143), (signal.SIGINT, os.killpg, 130)]
)
def test_a_signal_leaves_nothing(
    checkout: Path, kind: str, number: int, sent: Callable[[int, int], None], status: int
) -> None:
    """A person's Ctrl-C reaches every program of the terminal, a `kill` the script alone."""
    if kind == "setup":
        shutil.copy(ROOT / "scripts/setup", checkout / "scripts/setup")
    if kind != "lock":
        write(checkout / WORKERS.get(kind, "scripts/setup"), WORKS.format(checkout))
    temporary = checkout / "temporary"
    temporary.mkdir()
    path = f"{checkout / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        KINDS[kind],
        cwd=checkout,
        env={"PATH": path, "HOME": str(checkout), "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(checkout / "at-work")
    sent(process.pid, number)
    (checkout / "signalled").touch()
    assert process.wait(PATIENCE) == status
    assert (checkout / "ended").exists(), "what it has started goes on without it"
    assert list(temporary.iterdir()) == []
    assert (checkout / "requirements.txt").read_text() == "whole\n"


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline, f"{file.name} did not come"
        time.sleep(0.01)
