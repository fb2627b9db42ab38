"""A scan for vulnerabilities that could ask nobody says so, and is no scan that found nothing."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
LOCKS = ("requirements.txt", "requirements-torch.txt", "userdata/requirements.txt", "userdata/compvis/requirements.txt")
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


def test_the_licences_are_one_line_each_and_what_is_not_here_is_named(checkout: Path) -> None:
    stated = [{"Name": "A.b", "Version": "1", "License": "Copyright\n\nPermission is granted"}]
    tool = checkout / ".cache/audit/bin/pip-licenses"
    tool.write_text(f'#!/bin/bash\necho {shlex.quote(json.dumps(stated))} >"${{@: -1}}"\n')
    tool.chmod(0o755)
    (checkout / "userdata/requirements.txt").write_text("a-b==1 \\\n  --hash=x\nnvidia-c[x]==2\n")
    npm = {"": {}, "node_modules/htmx.org": {"version": "2", "license": "0BSD"}}
    (checkout / "package-lock.json").write_text(json.dumps({"packages": npm}))
    done = subprocess.run([checkout / "scripts/audit", "licences"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[2:] == [
        "| 0BSD | npm:htmx.org | 2 |",
        "| Copyright | a-b | 1 |",
        "",
        "Of userdata/requirements.txt these are not installed here, so their licences are not in the list: nvidia-c",
    ]
