from __future__ import annotations

import dataclasses
import socket
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from tests.finished_command import run_to_end
from tests.unit.worker.model.narrow_model import checkpoint_of, make_narrow
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.worker.loaded.make_drawing import load_model
from userdata.worker.loaded.model_ahead import ModelAhead
from userdata.worker.model import pipeline as pipeline_module
from userdata.worker.model.device import choose_device
from userdata.worker.model.pipeline import LAYOUTS, load_pipeline
from userdata.worker.model.tensor_file import tensors_in_pickle
from userdata.worker.process.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The parts of a model that `load_pipeline` knows as the layout `narrow`."""
    parts = make_narrow(tmp_path / "layouts")
    monkeypatch.setattr(pipeline_module, "LAYOUTS", tmp_path / "layouts")
    return parts


def test_original_checkpoint_loads_with_the_layouts_configuration(tmp_path: Path, narrow: dict[str, Any]) -> None:
    """The same names of weights, each arriving where it belongs."""
    save_file(checkpoint_of(narrow), tmp_path / "v1.safetensors")

    pipeline = load_pipeline(tmp_path / "v1.safetensors", layout="narrow", device=CPU, from_image=False)

    for name, part in narrow.items():
        loaded = getattr(pipeline, name).state_dict()
        saved = part.state_dict()
        assert loaded.keys() == saved.keys()
        assert all(torch.equal(loaded[key], saved[key]) for key in saved), name
    assert pipeline.safety_checker is None
    assert pipeline.scheduler.config.beta_schedule == "scaled_linear"


def test_a_checkpoint_is_loaded_without_sympy_which_takes_half_a_second_to_import(
    tmp_path: Path, narrow: dict[str, Any]
) -> None:
    """In a process of its own, because an import cannot be taken back."""
    save_file(checkpoint_of(narrow), tmp_path / "v1.safetensors")
    load = f"""
import sys
from pathlib import Path
from userdata.worker.imports_ahead import import_libraries
import_libraries()
import torch
from userdata.worker.model import pipeline
pipeline.LAYOUTS = Path({str(tmp_path / "layouts")!r})
checkpoint = Path({str(tmp_path / "v1.safetensors")!r})
pipeline.load_pipeline(checkpoint, layout="narrow", device=torch.device("cpu"), from_image=False)
assert "sympy" not in sys.modules
"""
    run_to_end(sys.executable, "-c", load, seconds=300)


@pytest.mark.parametrize(
    ("gone", "why"),
    [
        ("model.diffusion_model.out.2.bias", "some of its model's weights are missing"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", "some of its model's weights are missing"),
        ("first_stage_model.decoder.conv_out.bias", "some of its model's weights are missing"),
    ],
)
def test_a_checkpoint_that_lacks_weights_is_refused_by_what_it_is(
    tmp_path: Path, narrow: dict[str, Any], gone: str, why: str
) -> None:
    checkpoint = {name: tensor for name, tensor in checkpoint_of(narrow).items() if not name.startswith(gone)}
    save_file(checkpoint, tmp_path / "v1.safetensors")
    with pytest.raises(RunError, match=f"v1.safetensors is no checkpoint that can be used: {why}.* Name a whole"):
        load_pipeline(tmp_path / "v1.safetensors", layout="narrow", device=CPU, from_image=False)


def test_a_checkpoint_with_a_weight_of_another_shape_is_refused_by_what_it_is(
    tmp_path: Path, narrow: dict[str, Any]
) -> None:
    checkpoint = {**checkpoint_of(narrow), "model.diffusion_model.out.2.bias": torch.zeros(7)}
    save_file(checkpoint, tmp_path / "v1.safetensors")
    with pytest.raises(RunError, match=r"v1.safetensors is no checkpoint .* expected shape .*\[4\].* Name a whole"):
        load_pipeline(tmp_path / "v1.safetensors", layout="narrow", device=CPU, from_image=False)


def test_a_checkpoint_that_was_read_ahead_is_not_read_again(
    tmp_path: Path, narrow: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise AssertionError("read again")

    file = tmp_path / "v1.safetensors"
    save_file(checkpoint_of(narrow), file)
    (tmp_path / "layouts/narrow").rename(tmp_path / "layouts/stable-diffusion-v1")
    monkeypatch.setattr(pipeline_module, "read_tensors", fails)
    job, here = (
        Job(model="s3://bucket/v1.safetensors", safety_checker="off"),
        dataclasses.replace(settings, model_folder=file),
    )
    pipeline = load_model(here, job, ModelAhead(here, job, image_requests(job)), stays=False).pipeline(from_image=False)
    assert torch.equal(pipeline.unet.conv_in.weight, narrow["unet"].conv_in.weight)


def test_too_little_memory_is_no_fault_of_the_checkpoint(
    tmp_path: Path, narrow: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError

    save_file(checkpoint_of(narrow), tmp_path / "v1.safetensors")
    monkeypatch.setattr(pipeline_module, "load_single_file", fails)
    with pytest.raises(RunError, match=r"^The memory does not suffice to load .* Deploy again with an InstanceType"):
        load_pipeline(tmp_path / "v1.safetensors", layout="narrow", device=CPU, from_image=False)


def test_layout_is_stable_diffusion_v1() -> None:
    """The sizes that are known of it: parameters of UNet and decoder, vocabulary, and the tokens of a sentence."""
    layout = LAYOUTS / "stable-diffusion-v1"
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(layout / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(layout / "vae"))
        text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(layout / "text_encoder"))
    sizes = [sum(weight.numel() for weight in part.parameters()) for part in (unet, vae, text_encoder)]
    assert sizes == [859_520_964, 83_653_863, 123_060_480]


def test_tokenizer_is_clips(tiny_model: Path) -> None:
    tokenizer = load_pipeline(tiny_model, layout="", device=CPU, from_image=False).tokenizer
    assert len(tokenizer) == 49408
    # the tokens of the CLIP paper's own example, as its notebook prints them
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_image_to_image_has_the_same_weights(tiny_model: Path) -> None:
    pipeline = load_pipeline(tiny_model, layout="", device=CPU, from_image=True)
    assert "Img2Img" in type(pipeline).__name__
    assert pipeline.unet.dtype == torch.float32


def test_a_pickle_that_runs_something_is_refused_before_it_does(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trace,))

    folder = tmp_path / "model"
    folder.mkdir()
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "more": Harmful()}, folder / "model.ckpt")
    with pytest.raises(RunError, match=r"model\.ckpt is no checkpoint .* any code; nothing of it was run"):
        load_pipeline(folder, layout=None, device=CPU, from_image=False)
    assert not trace.exists()


def test_a_trainers_class_in_a_checkpoint_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original checkpoints name a class of PyTorch Lightning among their callbacks."""
    names = ["pytorch_lightning", "callbacks", "model_checkpoint"]
    for count in range(1, len(names) + 1):
        monkeypatch.setitem(sys.modules, ".".join(names[:count]), types.ModuleType(".".join(names[:count])))
    callback = type("ModelCheckpoint", (), {"__module__": ".".join(names)})
    sys.modules[".".join(names)].ModelCheckpoint = callback  # type: ignore[attr-defined]
    torch.save({"state_dict": {"a": torch.ones(2)}, "callbacks": {callback: {"epoch": 1}}}, tmp_path / "v1.ckpt")
    for count in range(1, len(names) + 1):
        monkeypatch.delitem(sys.modules, ".".join(names[:count]))
    assert tensors_in_pickle(tmp_path / "v1.ckpt")["a"].tolist() == [1, 1]


@pytest.mark.parametrize("content", [b"", b"<html>Log in</html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_broken_checkpoint_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v1.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"v1\.safetensors is no checkpoint that can be used: .*Name a whole"):
        load_pipeline(tmp_path, layout="stable-diffusion-v1", device=CPU, from_image=False)


def test_cpu_is_never_taken_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("cpu") == CPU
    with pytest.raises(RunError, match="g5.xlarge"):
        choose_device(None)
