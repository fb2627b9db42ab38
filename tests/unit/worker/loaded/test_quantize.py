"""The type that weights are kept in, chosen on the machine as before the deploy; and when a loaded model is another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.model_refusal import kept_words, ways_of
from userdata.contract.catalogue import find_model
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.loaded import make_drawing
from userdata.worker.loaded.loaded import _identity
from userdata.worker.process.settings import Settings


def kept_on(monkeypatch: pytest.MonkeyPatch, instance_type: str, job: Job) -> str:
    card = INSTANCE_TYPES[instance_type].gpu
    major, minor = card.capability
    has = SimpleNamespace(total_memory=int(card.memory_gib * 2**30), major=major, minor=minor)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: has)
    monkeypatch.setattr(make_drawing, "device_name", lambda _: card.name)
    return make_drawing._kept_in(find_model(job.model), job, torch.device("cuda"))


@pytest.mark.parametrize("given", [{}, {"lora": "inputs/a.safetensors"}, {"quantize": "nf4"}, {"quantize": "off"}])
@pytest.mark.parametrize("instance_type", ["g6.xlarge", "g5.xlarge", "g6e.xlarge", "p5.4xlarge"])
def test_the_machine_chooses_what_the_deploy_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, instance_type: str, given: dict[str, Any]
) -> None:
    caplog.set_level("INFO")
    job = Job(model="flux-schnell", **given)
    kept = kept_on(monkeypatch, instance_type, job)
    assert kept == ways_of(job).kept_on(find_model(job.model), INSTANCE_TYPES[instance_type].gpu)
    said = kept_words(find_model(job.model), instance_type, ways_of(job))
    assert caplog.messages == ([] if kept == "off" else [said])


def test_a_machine_that_cannot_do_what_a_queued_job_asks_for_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="cannot be kept in fp8, because the A10G .* take Quantize=int8"):
        kept_on(monkeypatch, "g5.xlarge", Job(model="flux-schnell", quantize="fp8"))


def test_a_cpu_keeps_what_is_asked_for_and_else_the_own_weights() -> None:
    model, cpu = find_model("chroma"), torch.device("cpu")
    assert make_drawing._kept_in(model, Job(model="chroma"), cpu) == "off"
    assert make_drawing._kept_in(model, Job(model="chroma", quantize="fp8"), cpu) == "fp8"


def test_another_type_is_another_model_and_a_lora_only_where_it_decides_the_type(settings: Settings) -> None:
    def identity(model: str, **fields: Any) -> object:
        return _identity(settings, Job(model=model, **fields))

    lora = {"lora": "inputs/a.safetensors"}
    assert identity("chroma") != identity("chroma", quantize="int8") != identity("chroma", quantize="off")
    assert identity("chroma") != identity("chroma", **lora)
    assert identity("sdxl-base") == identity("sdxl-base", quantize="off") == identity("sdxl-base", **lora)
