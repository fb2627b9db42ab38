"""A scan for vulnerabilities that could ask nobody says so, and is no scan that found nothing."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
LOCKS = ("requirements.txt", "userdata/requirements.txt", "userdata/compvis/requirements.txt")
FOUND = '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "GHSA-1", "fix_versions": []}]}]}'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose tools are there, with a `pip-audit` that does what the file `answer` says."""
    for file in (*(f"scripts/{name}" for name in ("audit", "audit-tools.txt")), *LOCKS, ".cache/audit/bin/pip-audit"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    shutil.copy(SCRIPTS / "audit", tmp_path / "scripts/audit")
    (tmp_path / ".cache/audit/.whole").write_text("4294967295 0\n")  # of an empty file
    tool = tmp_path / ".cache/audit/bin/pip-audit"
    answer = shlex.quote(f"{tmp_path}/answer")
    tool.write_text(f'#!/bin/bash\nwhile [[ $1 != --output ]]; do shift; done\n. {answer} "$2"\n')
    tool.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("echo no route to host >&2; exit 1", 2, "no database of vulnerabilities could be asked"),
        (f"echo '{FOUND}' >$1; exit 1", 1, "requirements.txt a 1 GHSA-1 mended in no release"),
        ("echo '{\"dependencies\": []}' >$1", 0, ""),
    ],
)
def test_a_scan_tells_what_it_found_or_that_it_could_not_look(
    checkout: Path, answer: str, status: int, said: str
) -> None:
    (checkout / "answer").write_text(answer + "\n")
    done = subprocess.run([checkout / "scripts/audit", "vulnerabilities"], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
    assert bool(said) or done.stdout + done.stderr == ""
