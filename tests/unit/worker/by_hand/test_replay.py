"""An image is made again bit for bit from what it carries: alone, from an image, from a prompt file, in any batch."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import replace as replaced
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import boto3
import pytest
import torch
from PIL import Image
from rich.console import Console

from scripts.command_line.results.replay import find_initial_image, parameters_for, read_record, replay_here
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith, Execution
from userdata.record.image_metadata import ImageRecord, describe_image, png_with_record, record_in_png
from userdata.record.versions import library_versions
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.by_hand.local_model import LocalModel
from userdata.worker.by_hand.replay import differences, replay
from userdata.worker.process.settings import Settings
from userdata.worker.run.run import Outcome, do_run
from userdata.worker.run.run_request import read_job

Deploy = Callable[..., dict[str, str]]
PROMPTS = b"a (horse:1.3)\na tree --seed 7 --W 104 --steps 3\na house --sampler_name 'Euler a'\na castle\n"


def _image_of_a_run(bucket: Bucket, settings: Settings, deployed: dict[str, str], index: int, folder: Path) -> Path:
    assert do_run(settings, deployed, threading.Event()) is Outcome.DONE
    keys = RunKeys(run_name(deployed), from_image=bool(deployed["InitImage"]))
    file = folder / f"{index:05}.png"
    file.write_bytes(bucket.get(keys.image(index)) or b"")
    return file


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ({"Iterations": "1", "Samples": "3"}, 1),
        ({"Iterations": "1", "Samples": "2", "Eta": "0.7", "Seed": "9"}, 1),
        ({"Iterations": "1", "Samples": "2", "InitImage": "inputs/start.png", "Strength": "0.6"}, 1),
        ({"Iterations": "1", "Samples": "2", "InitImage": "inputs/start.png", "InitMask": "inputs/mask.png"}, 1),
        ({"Iterations": "1", "Samples": "2", "Upscale": "2", "Strength": "0.5"}, 1),
        ({"Iterations": "1", "Samples": "2", "PromptFile": "inputs/prompts.txt"}, 3),
        ({"Iterations": "1", "Samples": "2", "PromptFile": "inputs/prompts.txt"}, 2),
    ],
    ids=["batch", "noise", "image", "mask", "upscaled", "prompt-file", "sampler-of-its-own"],
)
def test_the_same_bits(
    bucket: Bucket, settings: Settings, parameters: Deploy, tmp_path: Path, given: dict[str, str], index: int
) -> None:
    bucket.put("inputs/prompts.txt", PROMPTS)
    start = io.BytesIO()
    Image.effect_noise((90, 80), 90).save(start, format="PNG")
    bucket.put("inputs/start.png", start.getvalue())
    (tmp_path / "start.png").write_bytes(start.getvalue())
    Image.radial_gradient("L").resize((90, 80)).save(tmp_path / "mask.png")
    bucket.put("inputs/mask.png", (tmp_path / "mask.png").read_bytes())
    file = _image_of_a_run(bucket, settings, parameters(**given), index, tmp_path)
    record = read_record(file)
    assert record.drawn_with
    assert len(record.drawn_with.indices) == (1 if index == 2 else 2 if "PromptFile" in given else len(record.batch))
    console = Console(file=io.StringIO(), width=500)
    initial_image = find_initial_image(record, tmp_path / "start.png", None, _no_session, tmp_path / "mask.png")
    assert replay_here(
        file, record, model=str(settings.model_folder), initial_image=initial_image, loras=[],
        to=tmp_path / "again.png", console=console,
    )  # fmt: skip
    assert "identical to" in console.file.getvalue()  # type: ignore[attr-defined]
    again = record_in_png((tmp_path / "again.png").read_bytes())
    assert again.request == record.request


def test_other_pixels_are_told_with_what_is_different(
    bucket: Bucket, settings: Settings, parameters: Deploy, tmp_path: Path
) -> None:
    file = _image_of_a_run(bucket, settings, parameters(Iterations="1", Samples="1", Steps="1"), 0, tmp_path)
    record = read_record(file)
    other = record.model_copy(update={"versions": {**record.versions, "torch": "1.0"}})
    file.write_bytes(png_with_record(Image.new("RGB", (72, 64)), other))
    console = Console(file=io.StringIO(), width=500)
    assert not replay_here(
        file, read_record(file), model=str(settings.model_folder), initial_image=None, loras=[],
        to=tmp_path / "again.png", console=console,
    )  # fmt: skip
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "not identical" in told
    assert "torch was 1.0, is " in told


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("fused", "cuda_graph", ["execution was fused, is cuda_graph"]),
        ("fused", "eager", ["execution was fused, is eager"]),
        ("compvis", "eager", ["execution was compvis, is eager"]),
        ("cuda_graph", "eager", []),
        ("fused", "fused", []),
    ],
)
def test_other_kernels_are_told(before: Execution, now: Execution, told: list[str]) -> None:
    record = _record_of(Job(model="tiny"))
    assert record.drawn_with
    record = record.model_copy(
        update={
            "versions": library_versions(),
            "drawn_with": record.drawn_with.model_copy(update={"execution": before}),
        }
    )
    assert record.drawn_with
    assert differences(record, record.drawn_with.model_copy(update={"execution": now})) == told


@pytest.mark.parametrize(
    ("execution", "device", "network", "kernels_work", "here"),
    [
        ("fused", "cuda", "unet", False, "cuda_graph"),
        ("fused", "cuda", "unet", True, "fused"),
        ("fused", "cuda", "transformer", False, "eager"),
        ("fused", "cpu", "unet", True, "eager"),
        ("cuda_graph", "cuda", "unet", False, "cuda_graph"),
        ("eager", "cuda", "unet", True, "eager"),
    ],
)
def test_a_machine_without_the_kernels_draws_without_them(
    monkeypatch: pytest.MonkeyPatch, execution: Execution, device: str, network: str, kernels_work: bool, here: str
) -> None:
    asked: list[str] = []

    class DrawnError(Exception):
        """Ends the replay where it would draw."""

    def draw(*_: object, execution: str, **__: object) -> None:
        asked.append(execution)
        raise DrawnError

    scheduler = SimpleNamespace(config={})
    pipeline = SimpleNamespace(device=torch.device(device), scheduler=scheduler, components={network: None})
    model = SimpleNamespace(load=lambda **_: pipeline)
    monkeypatch.setattr("userdata.worker.drawing.generate.draw_batch", draw)
    monkeypatch.setattr("userdata.worker.drawing.generate.prepare_sampler", lambda *_, **__: None)
    monkeypatch.setattr("userdata.worker.kernels.kernel_check.fused_kernels_work", lambda *_, **__: kernels_work)
    record = _record_of(Job(model="tiny"))
    assert record.drawn_with
    drawn_with = record.drawn_with.model_copy(update={"execution": execution})
    with pytest.raises(DrawnError):
        replay(record.model_copy(update={"drawn_with": drawn_with}), cast(LocalModel, model), None)
    assert asked == [here]


def test_an_image_that_says_nothing_is_refused_unless_its_json_is_there(tmp_path: Path) -> None:
    file = tmp_path / "00000.png"
    Image.new("RGB", (64, 64)).save(file)
    with pytest.raises(CommandError, match=r"does not say what it was made from .* no 00000\.json beside it"):
        read_record(file)
    (tmp_path / "00000.json").write_bytes(_record_of(Job(model="tiny")).to_json())
    assert read_record(file).job["model"] == "tiny"
    (tmp_path / "00000.json").write_text("{}")
    with pytest.raises(CommandError, match="is no record of an image"):
        read_record(file)


def test_a_missing_or_another_initial_image_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    record = _record_of(Job(model="tiny", init_img="inputs/horse.png")).model_copy(
        update={"initial_image_sha256": "0" * 64}
    )
    Image.new("RGB", (640, 512)).save(tmp_path / "other.png")
    Image.radial_gradient("L").resize((640, 512)).save(tmp_path / "mask.png")
    with_a_mask = record.model_copy(
        update={
            "job": {**record.job, "init_mask": "inputs/mask.png"},
            "initial_image_sha256": hashlib.sha256((tmp_path / "other.png").read_bytes()).hexdigest(),
            "mask_sha256": "0" * 64,
        }
    )
    for one, given, mask, why in (
        (record, None, None, "Give that file: --init-img FILE"),
        (record, tmp_path / "other.png", None, "from another initial image"),
        (with_a_mask, tmp_path / "other.png", None, "with the mask inputs/mask.png. Give that file, too: --init-mask"),
        (with_a_mask, tmp_path / "other.png", tmp_path / "mask.png", "with another mask"),
    ):
        with pytest.raises(CommandError, match=why):
            replay_here(
                tmp_path / "x.png", one, model="no-such-model", loras=[], to=tmp_path / "y.png", console=Console(),
                initial_image=find_initial_image(one, given, None, _no_session, mask),
            )  # fmt: skip


@pytest.mark.parametrize("seed", [10, 2**63 - 1, 2**63 - 5, 2**53])
def test_a_deploy_asks_for_the_same_batch_where_it_can(seed: int) -> None:
    record = _record_of(Job(seed=seed, n_iter=4, n_samples=3), index=4, batch=[3, 4, 5])
    parameters, position = parameters_for(record)
    job = read_job(parameters)
    assert position == 1
    again = image_requests(job)
    assert [(r.seed, r.prompt) for r in again] == [(r.seed, r.prompt) for r in record.batch]
    assert run_name(parameters) != record.run_id


def test_a_deploy_asks_for_one_image_where_the_batch_had_other_prompts() -> None:
    record = _record_of(Job(seed=10), index=1, batch=[0, 1])
    batch = [record.batch[0], replaced(record.batch[1], prompt="a tree", W=128)]
    parameters, position = parameters_for(record.model_copy(update={"batch": batch}))
    job = read_job(parameters)
    (request,) = image_requests(job)
    assert (position, request.prompt, request.W, request.seed) == (0, "a tree", 128, 11)


def _record_of(job: Job, index: int = 0, batch: list[int] | None = None) -> ImageRecord:
    drawn_with = DrawnWith(indices=batch or [index], execution="eager", precision="float32", device="cpu")
    versions = {"diffusers": "0.42.1"}
    requests = image_requests(job)
    return describe_image(job, requests, index, run_id=job.name, seconds=1, drawn_with=drawn_with, versions=versions)


def _no_session() -> boto3.Session:
    raise AssertionError("nothing of AWS is asked")
