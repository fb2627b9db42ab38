from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.local.machines.init import OWN_FOLDER, check_own_commands
from scripts.local.machines.ordinary_user import NoOrdinaryUserError, ordinary_user

ROOT = Path(__file__).parents[4]

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root runs the machines as someone else"
)


def test_an_ordinary_user_stays_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ordinary_user(ROOT).command_prefix == ()


@as_root
def test_root_s_machines_find_but_do_not_change_what_lies_below_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    folder = closed / "bin"
    folder.mkdir(parents=True)
    closed.chmod(0o700)
    tool = folder / "shutdown"
    tool.write_text("#!/bin/sh\necho ours\n")
    tool.chmod(0o755)
    prefix = ordinary_user(ROOT).command_prefix
    look = f'id -u; command -v shutdown; test -x "{tool}" && "{tool}"; touch "{folder}/new" 2>/dev/null || echo no'
    done = subprocess.run(
        [*prefix, "bash", "-c", look],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    uid, found, said, written = done.stdout.splitlines()
    assert uid != "0"
    assert (found, said, written) == (str(tool), "ours", "no")


@as_root
def test_without_setpriv_root_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NoOrdinaryUserError, match="Start it as an ordinary user"):
        ordinary_user(ROOT)


def test_a_machine_does_not_boot_where_it_would_find_the_host_s_commands(tmp_path: Path) -> None:
    check_own_commands(f"{OWN_FOLDER}:/usr/sbin:/usr/bin")
    other = tmp_path / "shutdown"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    for path in (f"{tmp_path}:{OWN_FOLDER}", "/usr/sbin:/usr/bin", ""):
        with pytest.raises(RuntimeError, match="and not the machine's own"):
            check_own_commands(path)
