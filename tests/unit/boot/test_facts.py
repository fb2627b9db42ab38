from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from userdata.boot.machine.commands import answer_of
from userdata.boot.telling import facts
from userdata.boot.telling.facts import FIRST, Facts

NO_HUB = "SD_WEIGHTS_URL=http://127.0.0.1:9\n"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "machine.env"
    file.write_text(NO_HUB)
    return file


def test_what_a_first_use_of_cuda_changes_is_read_before_anything_else_can_happen(
    settings: Path, tmp_path: Path
) -> None:
    found = Facts(settings, first=[f"ls {tmp_path}"], later=())
    (tmp_path / "nvidia-uvm").touch()
    assert "nvidia-uvm" not in found.text(seconds=30)
    assert {"/dev/nvidia*", "/proc/modules"} <= set(" ".join(FIRST).replace(";", "").split())


def test_a_command_that_is_missing_fails_or_hangs_is_a_fact_and_no_failure(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(words: Sequence[str], *, seconds: float) -> str:
        return answer_of(words, seconds=0.5 if "sleep" in words[-1] else seconds)

    monkeypatch.setattr(facts, "answer_of", impatient)
    later = ["no-such-command", "echo why >&2; exit 3", "sleep 60", "printf '\\377'", "echo last"]
    text = Facts(settings, first=(), later=later).text(seconds=5 * facts.COMMAND_SECONDS)
    assert "$ no-such-command\nsh: " in text
    assert "$ echo why >&2; exit 3\nwhy" in text
    assert "$ sleep 60\nnice did not end within 0.5 s" in text
    assert "$ echo last\nlast" in text


def test_a_boot_waits_for_the_rest_no_longer_than_it_was_told(settings: Path) -> None:
    began = time.monotonic()
    found = Facts(settings, first=["echo first"], later=["sleep 15", "echo late"])
    text = found.text(seconds=0.2)
    assert time.monotonic() - began < 10
    assert text.startswith("$ echo first\nfirst\n")
    assert text.endswith("(the rest was not there in time)\n")


@pytest.mark.parametrize(
    ("setting", "asked"), [("SD_WEIGHTS_URL=http://127.0.0.1:9", False), ("SD_DEVICE=cpu", False), ("A=b", True)]
)
def test_the_hub_is_asked_for_its_headers_unless_the_image_has_a_mirror_or_no_gpu(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, asked: bool
) -> None:
    settings.write_text(f"{setting}\n")
    curl = tmp_path / "curl"
    curl.write_text(
        "#!/bin/sh\nprintf 'HTTP/1.1 302 Found\\r\\nLocation: https://cdn/?Signature=x\\r\\nx-linked-etag: 1\\r\\n'\n"
    )
    curl.chmod(0o755)
    setpriv = tmp_path / "setpriv"
    setpriv.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/rights\nwhile [ "$1" != -- ]; do shift; done\nshift\n"$@"\n')
    setpriv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    text = Facts(settings, first=(), later=()).text(seconds=30)
    assert ("x-linked-etag: 1" in text) == asked
    if asked:
        assert (tmp_path / "rights").read_text().startswith("--reuid=65534 --regid=65534 --clear-groups ")
    assert "Signature" not in text
