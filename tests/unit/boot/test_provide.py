"""The files of a queued job, fetched by the boot's own code for the worker, which may write to its own folder alone."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.boot.conftest import PARAMETERS, Machine
from tests.unit.boot.loopback import reply, serving
from userdata.boot import provide
from userdata.boot.machine.step_error import NoRoomError, PassingStepError, StepError
from userdata.boot.provide import FAILED_AND_REPORTED
from userdata.boot.steps.job_files import provide_job_files
from userdata.contract.environment_file import parse_environment
from userdata.contract.worker_environment import FAILED_FOR_NOW, ModelEnvironment

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the program as the worker does; its exit status and its standard output come back."""

    def calls(*, settings: dict[str, str] | None = None, **given: str) -> tuple[int, str]:
        for name, value in {**machine.environment, **machine.worker_environment(), **(settings or {})}.items():
            monkeypatch.setenv(name, value)
        parameters = {**PARAMETERS, "Cache": "off", "SafetyChecker": "off", **given}
        monkeypatch.setattr("sys.argv", ["provide", str(tmp_path / "own")])
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(parameters)))
        capsys.readouterr()
        return provide.main(), capsys.readouterr().out

    return calls


def test_what_is_missing_is_made_in_the_workers_folder(machine: Machine, call: Call, tmp_path: Path) -> None:
    status, told = call(Model="tiny")
    assert status == 0
    found = ModelEnvironment.read(parse_environment(told))
    assert (found.model_folder, found.lora_files, found.safety_checker) == (tmp_path / "own/tiny", None, None)
    assert (tmp_path / "own/tiny/made").exists()
    assert not machine.folders.models.exists()


def test_what_the_boot_has_is_neither_fetched_again_nor_written_to(
    machine: Machine, call: Call, tmp_path: Path
) -> None:
    reference = "hf:somebody/models/horses.safetensors"
    name = "own-" + hashlib.sha256(reference.encode()).hexdigest()[:16]
    boots = machine.folders.models / name
    boots.mkdir(parents=True)
    (boots / "horses.safetensors").write_bytes(b"weights")
    (boots / "origin.json").write_text(json.dumps({"reference": reference}))
    (boots / "other.safetensors.part").write_bytes(b"half")
    status, told = call(Model=reference, settings={"SD_WEIGHTS_URL": "http://127.0.0.1:9"})
    own = tmp_path / "own" / name
    assert (status, ModelEnvironment.read(parse_environment(told)).model_folder) == (0, own)
    assert (own / "horses.safetensors").resolve() == boots / "horses.safetensors"
    assert not (own / "origin.json").is_symlink()
    assert sorted(file.name for file in own.iterdir()) == ["horses.safetensors", "origin.json"]
    (boots / "horses.safetensors").unlink()  # by a later boot
    (boots / "horses.safetensors").write_bytes(b"weights")
    assert call(Model=reference, settings={"SD_WEIGHTS_URL": "http://127.0.0.1:9"})[0] == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"Model": "hf:somebody/models/horses.safetensors"}, "behind an agreement or a login"),
        ({"Model": "dall-e"}, "Model dall-e is neither in the catalogue nor the place of a checkpoint."),
    ],
)
def test_what_cannot_be_had_is_one_sentence(call: Call, given: dict[str, str], said: str) -> None:
    with serving(lambda handler: reply(handler, 401)) as hub:
        status, told = call(**given, settings={"SD_WEIGHTS_URL": hub.url})
    assert (status, said in told) == (FAILED_AND_REPORTED, True), told
    assert len(told.splitlines()) == 1


def test_on_a_full_disk_what_earlier_jobs_were_drawn_with_makes_room(
    machine: Machine, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = tmp_path / "own/own-0123/large.safetensors"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"weights")

    def needs_room(*given: Any, **more: Any) -> ModelEnvironment:
        if earlier.exists():
            raise NoRoomError("The disk is full.")
        return provide_job_files(*given, **more)

    monkeypatch.setattr(provide, "provide_job_files", needs_room)
    status, told = call(Model="tiny")
    assert (status, ModelEnvironment.read(parse_environment(told)).model_folder) == (0, tmp_path / "own/tiny")
    assert not earlier.parent.exists()


@pytest.mark.parametrize(("kind", "expected"), [(StepError, FAILED_AND_REPORTED), (PassingStepError, FAILED_FOR_NOW)])
def test_the_exit_status_says_whether_another_attempt_may_help(
    call: Call, monkeypatch: pytest.MonkeyPatch, kind: type[StepError], expected: int
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise kind("The hub is away.")

    monkeypatch.setattr(provide, "provide_job_files", fails)
    assert call(Model="tiny") == (expected, "The hub is away.\n")
