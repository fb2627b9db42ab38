"""A process that draws one run after the other draws each as a new process does, bit for bit."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.unit.worker.model.lora_files import linear_layers, save_lora
from userdata.contract.lora_list import listed_loras
from userdata.contract.worker_environment import Paths
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import BetweenBatches, GaveWay, RunError
from userdata.worker.between.task import DrawnImage, Task
from userdata.worker.drawing import prepared
from userdata.worker.drawing.safety_classifier import SafetyClassifier
from userdata.worker.kernels import execution
from userdata.worker.loaded import make_drawing, pause
from userdata.worker.loaded.loaded import Loaded
from userdata.worker.model.device import choose_device
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.process.settings import Settings

FIRST, SECOND = "hf:somebody/styles/first.safetensors", "hf:somebody/styles/second.safetensors"
START = Image.linear_gradient("L").convert("RGB")
SMALL: dict[str, Any] = {"model": "tiny", "H": 64, "W": 64, "ddim_steps": 2, "n_iter": 1, "n_samples": 1}


class Machine:
    """A machine with its files, and the networks that were loaded there, the newest last."""

    def __init__(self, settings: Settings, loras: dict[str, Path], checker: Path) -> None:
        self.settings = settings
        self.loras = loras
        self.checker = checker
        self.networks: list[weakref.ref[Any]] = []
        self.in_memory: list[int] = []

    def draw(
        self,
        loaded: Loaded,
        job: Job,
        *,
        begin_batch: Callable[[], None] = lambda: None,
        leave_if_asked: Callable[[], None] = lambda: None,
    ) -> list[tuple[bytes, bool | None]]:
        """The pixels of the job's images, and the safety checker's answers."""
        images: list[DrawnImage] = []
        requests = image_requests(job)
        task = Task(
            job,
            requests,
            total=len(requests),
            initial_image=START if job.from_image else None,
            ready=lambda: None,
            save=images.append,
            begin_batch=begin_batch,
            leave_if_asked=leave_if_asked,
            estimate=lambda seconds: None,
        )
        files = [self.loras[lora.name] for lora in listed_loras(job.lora)]
        settings = dataclasses.replace(
            self.settings,
            lora_files=Paths(files) or None,
            safety_checker=self.checker if job.checked_for_safety else None,
        )
        loaded.draw(settings, task)
        images.sort(key=lambda image: image.index)
        return [(image.image.tobytes(), image.flagged) for image in images]


@pytest.fixture
def machine(
    settings: Settings,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept_loaded_ends_with_the_test: None,
) -> Iterator[Machine]:
    pipeline = load_pipeline(tiny_model, layout=None, device=choose_device("cpu"), from_image=False)
    loras = {name: tmp_path / f"{name}.safetensors" for name in ("first", "second")}
    for seed, file in enumerate(loras.values()):
        save_lora(pipeline, file, layers=linear_layers(pipeline), seed=seed)
    (tmp_path / "checker.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(SafetyClassifier, "__init__", lambda self, file, device: None)
    monkeypatch.setattr(SafetyClassifier, "flags", lambda self, colours: colours.flatten(1).mean(1) > 0)
    monkeypatch.setattr(Job, "checked_for_safety", property(lambda job: str(job.safety_checker) != "off"))
    machine = Machine(settings, loras, tmp_path / "checker.safetensors")
    load = load_pipeline

    def counted(*words: Any, **options: Any) -> Any:
        machine.in_memory.append(sum(network() is not None for network in machine.networks))
        loaded = load(*words, **options)
        machine.networks.append(weakref.ref(loaded.unet))
        return loaded

    monkeypatch.setattr(make_drawing, "load_pipeline", counted)
    yield machine
    gc.unfreeze()


def job(**given: Any) -> Job:
    return Job(**{**SMALL, "safety_checker": "off", **given})


JOBS = [
    job(),
    job(sampler="euler_a", seed=7, H=72),
    job(lora=f"{FIRST}:0.8,{SECOND}", prompt="a <lora:second:0.5> tree", scale=1),
    job(init_img="inputs/start.png", strength=0.7, lora=FIRST, sampler="euler"),
    job(safety_checker="mark", negative_prompt="rain", n_samples=2, ddim_eta=0.5),
    job(sampler="dpm_solver"),
]


def test_each_run_is_as_in_a_process_of_its_own(machine: Machine) -> None:
    alone = [machine.draw(Loaded(), one) for one in JOBS]
    assert len({pixels for images in alone for pixels, _ in images}) == len(JOBS) + 1
    machine.networks.clear()
    stays = Loaded(stays=True)
    there_and_back = [*range(len(JOBS)), *reversed(range(len(JOBS) - 1))]
    for number in there_and_back:
        assert machine.draw(stays, JOBS[number]) == alone[number], f"run {number}: {JOBS[number]}"
    assert len(machine.networks) == 1


def test_a_model_is_freed_before_another_one_is_loaded(machine: Machine, tiny_model: Path, tmp_path: Path) -> None:
    stays = Loaded(stays=True)
    machine.draw(stays, job(lora=FIRST))
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    machine.settings = dataclasses.replace(machine.settings, model_folder=other)
    machine.draw(stays, job(precision="full"))
    for file in other.rglob("*.safetensors"):
        os.utime(file)  # a person's own file, replaced
    machine.draw(stays, job(precision="full"))
    assert machine.in_memory == [0, 0, 0]


def test_what_a_failed_run_leaves_behind_is_not_drawn_with(machine: Machine) -> None:
    def fail() -> None:
        raise RuntimeError("in the middle of a batch")

    def give_way() -> None:
        raise GaveWay

    stays = Loaded(stays=True)
    whole = machine.draw(stays, job())
    with pytest.raises(GaveWay):
        machine.draw(stays, job(seed=7), begin_batch=give_way)
    assert machine.draw(stays, job()) == whole
    assert len(machine.networks) == 1
    with pytest.raises(RuntimeError):
        machine.draw(stays, job(lora=FIRST), leave_if_asked=fail)
    assert machine.draw(stays, job()) == whole
    machine.loras["first"].write_bytes(b"<html>")
    with pytest.raises(RunError):
        machine.draw(stays, job(lora=FIRST))
    assert machine.draw(stays, job()) == whole
    assert machine.in_memory == [0, 0, 0]


def test_without_room_for_the_own_weights_a_model_with_loras_is_loaded_anew(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "userdata.worker.model.lora.psutil.virtual_memory", lambda: type("Memory", (), {"available": 1000})
    )
    stays = Loaded(stays=True)
    whole = machine.draw(stays, job())
    machine.draw(stays, job(lora=FIRST))
    assert machine.draw(stays, job()) == whole
    assert machine.in_memory == [0, 0]


def test_what_is_recorded_stays_for_images_of_the_same_shape(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the number of images that fit is asked before anything is recorded."""
    told: list[str] = []

    class Executing:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> None:
            told.append("records")

        def __exit__(self, *_: Any) -> None:
            told.append("releases")

    def largest_batch(device: torch.device, **_: Any) -> int:
        told.append("asks")
        return 1

    monkeypatch.setattr(prepared, "executing", Executing)
    monkeypatch.setattr(prepared, "largest_batch", largest_batch)
    stays = Loaded(stays=True)
    for one in (job(), job(seed=7, prompt="a tree", sampler="euler")):
        machine.draw(stays, one)
    assert told == ["asks", "records"]
    machine.draw(stays, job(H=72))
    assert told == ["asks", "records", "releases", "asks", "records"]
    stays.release()
    assert told[5:] == ["releases"]


@pytest.mark.parametrize("a_job_comes", [False, True])
def test_a_pause_prepares_the_next_job_like_the_last(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, a_job_comes: bool
) -> None:
    """It draws for nobody, gives way to a job, and changes no image."""
    opened: list[str] = []
    stands_in = {"fused": "eager", "cuda_graph": "eager"}
    executing = execution.executing

    def told(pipeline: Any, chosen: str, **options: Any) -> Any:
        opened.append(chosen)
        return executing(pipeline, stands_in[chosen], **options)  # type: ignore[arg-type]

    def leave() -> None:
        if a_job_comes:
            raise BetweenBatches

    monkeypatch.setattr(prepared, "executing", told)

    def texts(_pipeline: Any) -> Any:
        opened.append("texts")
        return contextlib.nullcontext()

    monkeypatch.setattr(prepared, "texts_recorded", texts)
    monkeypatch.setattr(prepared, "choose_execution", lambda *_, prepared, **__: prepared or "cuda_graph")
    monkeypatch.setattr("userdata.worker.drawing.drawing.can_be_fused", lambda _: True)
    monkeypatch.setattr(pause, "fused_kernels_work", lambda *_, **__: True)
    stays = Loaded(stays=True)
    assert not stays.has_use_for_a_pause
    images = machine.draw(stays, job())
    assert stays.has_use_for_a_pause
    while stays.has_use_for_a_pause:
        stays.use_pause(leave)
    assert opened == ["cuda_graph", "fused", "texts"]
    assert machine.draw(stays, job()) == images
    assert opened == ["cuda_graph", "fused", "texts"], "what the pause has prepared is used"
    assert not stays.has_use_for_a_pause


def test_a_pause_that_fails_frees_everything_and_the_next_job_is_drawn(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr("userdata.worker.drawing.drawing.can_be_fused", lambda _: True)
    monkeypatch.setattr(pause, "fused_kernels_work", lambda *_, **__: True)
    stays = Loaded(stays=True)
    images = machine.draw(stays, job())
    with monkeypatch.context() as patched:
        patched.setattr("userdata.worker.drawing.drawing.begin_batch", fail)
        while stays.has_use_for_a_pause:
            stays.use_pause(lambda: None)
    assert "Nothing could be prepared" in caplog.text
    assert machine.draw(stays, job()) == images
    assert not stays.has_use_for_a_pause, "else the model were loaded anew after every pause"
