"""SDXL-Lightning from the hub's two files to its image, only narrower: XL, a LoRA, and steps of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from benchmarks.peers.random_model import narrow_bundle
from benchmarks.peers.works import NARROW
from tests.unit.boot.given_machine import given_machine
from tests.unit.boot.loopback import reply_with_ranges, serving
from tests.unit.worker.model.test_other_layouts import component, has_the_weights_of, xl_checkpoint
from userdata.boot.fetch.request import Manner
from userdata.boot.steps.downloads import Downloads
from userdata.boot.steps.weights import provide_weights
from userdata.contract.bundle import BUNDLE
from userdata.contract.catalogue import find_model
from userdata.contract.patience import Patience
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.worker.between.task import DrawnImage, Task
from userdata.worker.loaded.make_drawing import load_model, make_drawing
from userdata.worker.loaded.model_ahead import ModelAhead
from userdata.worker.model import pipeline as pipeline_module
from userdata.worker.process.settings import Settings

NAME = "sdxl-lightning"
# With these of XL's layers, in half precision and of rank 64, the hub's file has its size, 393,854,592 bytes.
OF_THE_LORA = (
    *("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "time_emb_proj"),
    *("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv"),
)


def lora(unet: Any) -> dict[str, torch.Tensor]:
    """A LoRA of rank 2 with the layers and the names of the hub's. Changes `unet` as it should change ours."""
    tensors: dict[str, torch.Tensor] = {}
    for name, layer in unet.named_modules():
        if not name.endswith(OF_THE_LORA):
            continue
        outs, ins, *kernel = layer.weight.shape
        down = torch.randint(-4, 5, (2, ins, *kernel)) / 64
        up = torch.randint(-4, 5, (outs, 2, *[1] * len(kernel))) / 64
        key = "lora_unet_" + name.replace(".", "_")
        tensors |= {f"{key}.lora_down.weight": down.half(), f"{key}.lora_up.weight": up.half()}
        tensors[f"{key}.alpha"] = torch.tensor(1.0).half()
        layer.weight.data += (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape) / 2
    return tensors


def provided(tmp_path: Path, contents: dict[str, bytes]) -> Path:
    """The model's folder as the boot leaves it. `contents` are the hub's files by their paths."""
    entries = json.loads(BUNDLE.catalogue.read_text())
    for file in (*entries[NAME]["files"], *entries[NAME]["loras"]):
        content = contents[file["path"]]
        file.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    catalogue = tmp_path / "models.json"
    catalogue.write_text(json.dumps(entries))
    with serving(lambda handler: reply_with_ranges(handler, contents[handler.path.rpartition("/")[2]])) as server:
        machine = given_machine(tmp_path / "machine", {"SD_WEIGHTS_URL": server.url}, {"Model": NAME})
        downloads = Downloads(machine, manner=Manner(patience=Patience(attempts=1), margin_bytes=0))
        return provide_weights(machine, downloads, python=None, catalogue=catalogue)


def test_the_files_of_the_hub_draw_the_four_steps_that_they_were_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    layouts = narrow_bundle(tmp_path).models
    parts = {name: component(layouts, NAME, name) for name in NARROW[NAME]}
    model = find_model(NAME)
    (checkpoint,), (own,) = model.files, model.loras
    contents = {checkpoint.path: save(xl_checkpoint(parts)), own.path: save(lora(parts["unet"]))}
    monkeypatch.setattr(pipeline_module, "LAYOUTS", layouts)
    settings = dataclasses.replace(settings, model_folder=provided(tmp_path, contents))
    job = Job(model=NAME, prompt="a horse", H=64, W=64, n_iter=1, n_samples=1, safety_checker="off")
    requests = image_requests(job)
    images: list[DrawnImage] = []
    task = Task(
        job,
        requests,
        total=1,
        initial_image=None,
        ready=lambda: None,
        save=images.append,
        begin_batch=lambda: None,
        leave_if_asked=lambda: None,
        estimate=lambda seconds: None,
    )

    loaded = load_model(settings, job, ModelAhead(settings, job, requests), stays=False)

    pipeline = loaded.pipeline(from_image=False)
    has_the_weights_of(pipeline, parts)
    steps: list[tuple[int, float]] = []
    pipeline.unet.register_forward_pre_hook(lambda _, given: steps.append((len(given[0]), float(given[1]))))
    make_drawing(settings, task, loaded).do()
    assert steps == [(1, 999), (1, 749), (1, 499), (1, 249)], "one image at a time, because nothing guides it"
    assert [image.image.size for image in images] == [(64, 64)]
