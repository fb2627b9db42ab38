from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.boot.given_machine import given_machine
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps.room import ENVIRONMENT_BYTES, check_room
from userdata.contract.catalogue import find_model, safety_checker
from userdata.contract.layout import Folders

MODEL = "stable-diffusion-v1-5"
WEIGHTS = find_model(MODEL).bytes
CHECKER = safety_checker().bytes


def check(root: Path, free: int, *, found: Path | None = None, **parameters: str) -> None:
    settings: dict[str, str] = {}
    machine: Any = given_machine(root, settings, {"Model": MODEL, **parameters})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        check_room(machine, found=found)


@pytest.mark.parametrize(
    ("needed", "given"),
    [
        (ENVIRONMENT_BYTES + WEIGHTS, {}),
        (ENVIRONMENT_BYTES + WEIGHTS + CHECKER, {"SafetyChecker": "mark"}),
        (WEIGHTS, {"found": Path("/opt/python")}),
    ],
)
def test_a_disk_that_holds_only_one_of_them_is_told_before_either_begins(
    tmp_path: Path, needed: int, given: dict[str, Any]
) -> None:
    check(tmp_path, needed, **given)
    with pytest.raises(StepError, match="Deploy again with a larger VolumeSize"):
        check(tmp_path, needed - 1, **given)


def test_what_is_there_or_cannot_be_known_takes_no_room(tmp_path: Path) -> None:
    check(tmp_path, 0, Model="tiny")
    check(tmp_path, 0, Model="hf:owner/name/file.safetensors")
    check(tmp_path, 0, Model="no such model")
    folders = Folders(str(tmp_path))
    (folders.conda / "envs/ldm").mkdir(parents=True)
    (file,) = find_model(MODEL).files
    place = folders.models / MODEL / file.path
    place.parent.mkdir(parents=True)
    part = place.with_name(place.name + ".part")
    with part.open("wb") as beginning:
        beginning.truncate(WEIGHTS)  # a file that comes in ranges has its length at once
    with pytest.raises(StepError):
        check(tmp_path, WEIGHTS - 1)
    place.touch()
    check(tmp_path, 0)
