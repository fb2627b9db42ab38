"""Tests that synthesize the same settings share one synthesis, and never another's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import synthesized_once

APP = 'echo app >>"{log}"; echo "$CDK_CONTEXT_JSON" >"$CDK_OUTDIR/template"; echo said; echo warned >&2; exit {code}'


def test_the_same_settings_are_synthesized_once_and_a_failure_each_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = {name: value for name, value in os.environ.items() if name != synthesized_once.FOLDER}
    environment = dict(before)
    (tmp_path / "app.py").touch()

    def run(out: str, context: str, code: int = 0) -> tuple[int, str, str, int]:
        folder = tmp_path / out
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, synthesized_once.__file__, APP.format(log=log, code=code)],
            cwd=tmp_path,
            env={**environment, "CDK_OUTDIR": str(folder), "CDK_HOME": out, "CDK_CONTEXT_JSON": context},
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == ("said\n", "warned\n")
        return done.returncode, (folder / "template").read_text(), log.read_text(), len(list(folder.iterdir()))

    with synthesized_once.synthesizing_once(environment):
        assert run("a", "{}") == (0, "{}\n", "app\n", 1)
        assert run("b", " {}") == (0, "{}\n", "app\n", 1)
        assert run("c", "[]") == (0, "[]\n", "app\n" * 2, 1)
        assert run("d", "{}", code=3)[0] == 3
        assert run("e", "{}", code=3) == (3, "{}\n", "app\n" * 4, 1)
        (tmp_path / "app.py").write_text("other\n")
        assert run("f", "{}") == (0, "{}\n", "app\n" * 5, 1)
        folder = Path(environment[synthesized_once.FOLDER])
        for kept in [one for one in folder.iterdir() if one.is_dir()]:
            kept.rename(f"{kept}.making")  # as a process leaves it that is killed while it copies
        assert run("g", "{}") == (0, "{}\n", "app\n" * 6, 1)
    assert not folder.exists()
    assert environment == before
