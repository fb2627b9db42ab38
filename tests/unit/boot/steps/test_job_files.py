from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.unit.boot.given_machine import given_machine
from userdata.boot.fetch.bucket import Bucket
from userdata.boot.fetch.cache import Cache
from userdata.boot.machine.step_error import StepError
from userdata.boot.steps import job_files
from userdata.boot.steps.job_files import SERVED_BY_CACHE, provide_job_files_apart
from userdata.boot.steps.machine import Machine

REFERENCES = {"Model": "hf:o/n/mine.safetensors", "Lora": "inputs/a.safetensors", "Vae": "s3://buc/vae.pt"}


def given(folder: Path, model: str = REFERENCES["Model"]) -> Machine:
    parameters = {**REFERENCES, "Model": model, "SafetyChecker": "blur", "ResultsBucket": "results"}
    return given_machine(folder, parameters=parameters, cache=Cache(Bucket("results"), folder / "notes"))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (REFERENCES["Model"], "opt/sd-on-ec2/models/own-*"),
        ("stable-diffusion-v1-5", "opt/sd-on-ec2/models/stable-diffusion-v1-5"),
        ("flux-schnell", "opt/sd-on-ec2/models/flux-schnell"),
        ("demo", "opt/sd-on-ec2/current/userdata/models/demo"),
    ],
)
@pytest.mark.parametrize("status", [0, SERVED_BY_CACHE])
def test_root_takes_nothing_from_who_fetches_but_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, expected: str, status: int
) -> None:
    machine = given(tmp_path, model)

    def somebody_who_was_taken_over(*_: object, **__: object) -> int:
        for folder in machine.folders.models.iterdir():
            for name in ("origin.json", "mine.safetensors", "mine.safetensors.sha256", "model_index.json"):
                os.mkfifo(folder / name)  # on which whoever opens it waits for ever
        return status

    own = "own-" + hashlib.sha256(model.encode()).hexdigest()[:16]
    for name in (own, "flux-schnell"):
        (machine.folders.models / name).mkdir(parents=True)
    monkeypatch.setattr(job_files, "run_apart", somebody_who_was_taken_over)
    found = provide_job_files_apart(machine, python=None)
    assert found.model_folder.relative_to(tmp_path).match(expected)
    assert [path.name for path in found.lora_files or ()] == ["a.safetensors"]
    assert found.vae_file and found.vae_file.name == "vae.pt"
    assert machine.cache and machine.cache.has_served() == (status == SERVED_BY_CACHE)


def test_a_fetching_process_that_breaks_off_fails_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "run_apart", lambda *_, **__: 1)
    with pytest.raises(StepError, match="weights could not be provided; the log says why"):
        provide_job_files_apart(given(tmp_path), python=None)
