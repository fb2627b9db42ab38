"""The engine of the original scripts: what is asked of them, what they are given, and what becomes of their images."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import MaxSpendReached, RunError, Stopped
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.compvis.command import command
from userdata.worker.compvis.drawing import CompvisDrawing
from userdata.worker.compvis.folder import prepare_folder
from userdata.worker.drawing.drawing_hooks import DrawingHooks
from userdata.worker.process.settings import Settings
from userdata.worker.run.run import Outcome, do_run

# Parses as the original's head does, and numbers and saves as it does; its pictures are plain.
STAND_IN = """
import argparse, io, os, pathlib, sys, time
from PIL import Image
parser = argparse.ArgumentParser()
parser.add_argument("--prompt", type=str, nargs="?")
parser.add_argument("--precision", choices=["full", "autocast"])
for name in ("outdir", "config", "ckpt", "init-img", "from-file"):
    parser.add_argument(f"--{name}", type=str)
for name in ("ddim_steps", "n_iter", "n_samples", "seed", "H", "W"):
    parser.add_argument(f"--{name}", type=int)
for name in ("scale", "strength", "ddim_eta"):
    parser.add_argument(f"--{name}", type=float)
for name in ("skip_grid", "skip_save", "plms", "dpm_solver", "fixed_code"):
    parser.add_argument(f"--{name}", action="store_true")
opt = parser.parse_args()
assert pathlib.Path("openai/clip-vit-large-patch14/pytorch_model.bin").exists()
assert pathlib.Path("CompVis/stable-diffusion-safety-checker/config.json").exists()
assert os.environ["TRANSFORMERS_OFFLINE"] == "1"
samples = pathlib.Path(opt.outdir) / "samples"
samples.mkdir(parents=True, exist_ok=True)
size = Image.open(opt.init_img).size if opt.init_img else (opt.W, opt.H)
print("Sampling:   0%\\rSampling: 100%\\x1b[A\\x1b[A")
for index in range(opt.n_iter * opt.n_samples):
    if opt.prompt == "CUDA" and index == 1:
        sys.exit("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB")
    while opt.prompt == f"wait before {index}":
        time.sleep(0.01)
    base = len(list(samples.iterdir()))
    png = io.BytesIO()
    Image.new("RGB", size, (40 * index, opt.seed % 256, 7)).save(png, "PNG")
    is_half = opt.prompt == f"half of {index}"
    # Never whole at first: whoever looks at that moment would be right to hand it on.
    (samples / f"{base:05}.png").write_bytes(png.getvalue()[: -7 if is_half else None])
    if is_half:
        time.sleep(60)
"""

Deploy = Callable[..., dict[str, str]]


def checkpoint(folder: Path, *markers: str) -> None:
    folder.mkdir()
    tensors = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.ones(2, 4, 3, 3),
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": torch.ones(3, 2),
        "first_stage_model.decoder.conv_in.bias": torch.ones(1),
        "first_stage_model.encoder.conv_in.bias": torch.ones(1),
        **dict.fromkeys(markers, torch.ones(0)),
    }
    save_file(tensors, folder / "v1.safetensors")


@pytest.fixture
def machine(settings: Settings, tmp_path: Path) -> Settings:
    """A machine whose boot has fetched the original: here, two scripts that stand in for it."""
    repository = tmp_path / "stable-diffusion"
    (repository / "scripts").mkdir(parents=True)
    for name in ("txt2img", "img2img"):
        (repository / f"scripts/{name}.py").write_text(STAND_IN)
    checkpoint(tmp_path / "model")
    return dataclasses.replace(
        settings, model_folder=tmp_path / "model", compvis_repository=repository, compvis_python=Path(sys.executable)
    )


def deployed(parameters: Deploy, **given: str) -> dict[str, str]:
    usual = {
        "Model": "stable-diffusion-v1-5",
        "Engine": "compvis",
        "Height": "256",
        "Width": "256",
        "SafetyChecker": "off",
    }
    return parameters(**{**usual, **given})


def test_a_run_of_the_original_ends_in_the_same_places(bucket: Bucket, machine: Settings, parameters: Deploy) -> None:
    asked = deployed(parameters, Prompt="--skip_save $(id) é", Seed="77")
    assert do_run(machine, asked, threading.Event()) is Outcome.DONE
    keys = RunKeys(run_name(asked))
    there = bucket.keys(keys.prefix)
    assert {keys.image(index) for index in range(6)} < there
    assert {keys.grid(0), keys.job, keys.report} < there
    status = json.loads(bucket.get(keys.status) or b"")
    assert (status["phase"], status["images_done"]) == ("done", 6)
    log = (bucket.get(keys.log) or b"").decode()
    assert "  Sampling: 100%\n" in log, "the last of what a progress bar shows, and no terminal's control sequence"
    records = [json.loads(bucket.get(keys.image_metadata(index)) or b"") for index in range(6)]
    assert {record["seed"] for record in records} == {77}
    assert {record["drawn_with"]["execution"] for record in records} == {"compvis"}
    assert records[0]["job"]["prompt"] == "--skip_save $(id) é"


def test_images_that_are_there_are_not_sent_again(bucket: Bucket, machine: Settings, parameters: Deploy) -> None:
    asked = deployed(parameters)
    keys = RunKeys(run_name(asked))
    bucket.put(keys.image(0), b"an image of an earlier attempt")
    bucket.put(keys.image_metadata(0), b"{}")
    stop = threading.Event()
    do_run(machine, asked, stop)
    assert bucket.get(keys.image(0)) == b"an image of an earlier attempt"
    assert {keys.image(index) for index in range(6)} < bucket.keys(keys.prefix)


def test_an_initial_image_goes_to_the_other_script_in_the_jobs_size(
    bucket: Bucket, machine: Settings, parameters: Deploy
) -> None:
    from PIL import Image

    file = machine.state_directory / "horse.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (300, 200), (1, 2, 3)).save(file)
    bucket.put("inputs/horse.png", file.read_bytes())
    size = {"Width": "64", "Height": "128", "Seed": "-1"}
    asked = deployed(parameters, InitImage="inputs/horse.png", Steps="50", **size, Iterations="1", Samples="1")
    assert do_run(machine, asked, threading.Event()) is Outcome.DONE
    keys = RunKeys(run_name(asked), from_image=True)
    image = machine.state_directory / keys.image(0)
    with Image.open(image) as drawn:
        assert drawn.size == (64, 128)
        drawn_seed = json.loads(bucket.get(keys.job) or b"")["drawn_seed"]
        assert drawn.getpixel((0, 0)) == (0, drawn_seed % 256, 7), "the script gets the seed that was drawn"


def test_full_memory_is_told_and_what_was_drawn_before_is_kept(
    bucket: Bucket, machine: Settings, parameters: Deploy
) -> None:
    asked = deployed(parameters, Prompt="CUDA")
    assert do_run(machine, asked, threading.Event()) is Outcome.FAILED
    keys = RunKeys(run_name(asked))
    assert "memory does not suffice for the original script" in (bucket.get(keys.status) or b"").decode()
    assert keys.image(0) in bucket.keys(keys.prefix)


def test_asked_to_stop_it_ends_the_script(bucket: Bucket, machine: Settings, parameters: Deploy) -> None:
    stop = threading.Event()
    timer = threading.Timer(3, stop.set)
    timer.start()
    assert do_run(machine, deployed(parameters, Prompt="wait before 1"), stop) is Outcome.STOPPED
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(machine.compvis_repository) not in running


def draw(machine: Settings, job: Job, hooks: DrawingHooks) -> None:
    requests = image_requests(job)
    CompvisDrawing(machine, job, requests, initial_image=None, device=torch.device("cpu"), hooks=hooks).do()


def test_at_a_limit_no_further_batch_is_drawn_and_the_last_one_is_kept_whole(machine: Settings) -> None:
    """The script goes on by itself, and writes nothing more before it has drawn the next batch."""
    saved: list[int] = []

    def not_a_second_one() -> None:
        if saved:
            raise MaxSpendReached(1, 0.9, next_usd=1.1)

    job = Job(engine="compvis", prompt="wait before 3", H=256, W=256, n_iter=2, n_samples=3)
    hooks = DrawingHooks(lambda drawn: saved.append(drawn.index), begin_batch=not_a_second_one)
    with pytest.raises(MaxSpendReached):
        draw(machine, job, hooks)
    assert saved == [0, 1, 2]


def test_a_file_that_is_being_written_is_not_handed_on(machine: Settings) -> None:
    saved: list[int] = []
    half = machine.state_directory / "compvis-outputs/samples/00001.png"
    looks = itertools.count()

    def leave_after_some_looks() -> None:
        if half.exists() and next(looks) == 2:
            raise Stopped

    job = Job(engine="compvis", prompt="half of 1", H=256, W=256)
    hooks = DrawingHooks(lambda drawn: saved.append(drawn.index), leave_if_asked=leave_after_some_looks)
    with pytest.raises(Stopped):
        draw(machine, job, hooks)
    assert saved == [0]


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "xl"
    folder.mkdir()
    tensors = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.ones(2, 4, 3, 3),
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": torch.ones(2),
        "conditioner.embedders.1.model.ln_final.weight": torch.ones(2),
    }
    save_file(tensors, folder / "xl.safetensors")
    with pytest.raises(RunError, match=r"xl\.safetensors is no checkpoint of Stable Diffusion v1"):
        prepare_folder(tmp_path / "work", folder)


def test_what_the_scripts_would_draw_as_noise_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "v", "v_pred")
    with pytest.raises(RunError, match=r"predicts the velocity .* Engine=diffusers"):
        prepare_folder(tmp_path / "work", tmp_path / "v")


def test_the_scripts_get_a_checkpoint_of_nothing_but_tensors(tmp_path: Path) -> None:
    checkpoint(tmp_path / "model")
    file = prepare_folder(tmp_path / "work", tmp_path / "model")
    state = torch.load(file, weights_only=True)["state_dict"]
    assert sorted(state) == sorted(
        [
            "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
            "first_stage_model.decoder.conv_in.bias",
            "first_stage_model.encoder.conv_in.bias",
            "model.diffusion_model.input_blocks.0.0.weight",
        ]
    )
    clip = torch.load(tmp_path / "work/openai/clip-vit-large-patch14/pytorch_model.bin", weights_only=True)
    assert list(clip) == ["text_model.embeddings.token_embedding.weight"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"model": "sdxl-base"}, "Model is sdxl-base"),
        ({"model": "tiny"}, "Model is tiny"),
        ({"sampler": "euler"}, "Sampler is euler, .* ddim, plms, dpm_solver only"),
        ({"sampler": "plms", "init_img": "inputs/a.png"}, "Sampler is plms, .* ddim only"),
        ({"from_file": "inputs/prompts.txt"}, "PromptFile is given"),
        ({"H": 520}, "Images are 640 x 520"),
        ({"H": 256, "W": 192}, "Images are 192 x 256, too small .* watermark"),
        ({"sampler": "dpm_solver", "ddim_steps": 1}, "Steps is 1, .* at least 2"),
        ({"negative_prompt": "blurry"}, "NegativePrompt is given"),
        ({"lora": "inputs/a.safetensors"}, "Lora is given"),
        ({"seed": 2**32}, "Seed is 4294967296, but the original scripts take up to 4294967295"),
        ({"init_img": "inputs/a.png", "strength": 1.0}, "Strength is 1"),
        *(({"ddim_steps": steps}, f"Steps is {steps}") for steps in (3, 9, 27, 36, 37, 101, 111, 251, 333, 501, 1000)),
    ],
)
def test_what_would_crash_the_original_is_refused(asked: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Job(engine="compvis", **asked)


@pytest.mark.parametrize("steps", [1, 2, 20, 50, 75, 100, 112, 250, 334, 500])
def test_what_the_original_can_do_is_left_to_it(steps: int) -> None:
    assert Job(engine="compvis", ddim_steps=steps).ddim_steps == steps


def test_from_an_image_the_original_draws_small_ones_too() -> None:
    assert Job(engine="compvis", init_img="inputs/a.png", H=64, W=64).W == 64


def test_the_command_is_the_originals_spelling() -> None:
    job = Job(engine="compvis", prompt="-a horse", sampler="plms", seed=-1)
    words = command(
        job,
        seed=5,
        python=Path("/env/bin/python"),
        repository=Path("/original"),
        checkpoint=Path("/weights/model.ckpt"),
        outdir=Path("/out"),
        initial_image=None,
    )
    assert words[:3] == ["/env/bin/python", "/original/scripts/txt2img.py", "--prompt=-a horse"]
    assert " ".join(words[3:]) == (
        "--outdir /out --config /original/configs/stable-diffusion/v1-inference.yaml --ckpt /weights/model.ckpt "
        "--ddim_steps 75 --scale 7.5 --seed 5 --n_iter 2 --n_samples 3 --skip_grid --ddim_eta 0.0 "
        "--precision autocast --H 512 --W 640 --plms"
    )
