"""Images with LoRAs, a VAE and an embedding: a whole run, what each image says, and each image made again."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import replace as replaced
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file

from scripts.command_line.results.replay import parameters_for, read_record, replay_here
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.worker.model.lora_files import linear_layers, save_lora
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.contract.worker_environment import Paths
from userdata.job.image_request import image_requests
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.process.settings import Settings
from userdata.worker.run.run import Outcome, do_run
from userdata.worker.run.run_request import read_job

PROMPTS = b"a horse in style\na tree <lora:first:-0.5>\na house <lora:first:0> <lora:second:0>\n"
LISTED = "inputs/first-0123abcd.safetensors:0.5,s3://somebodys/second.safetensors:0.25"


@pytest.fixture
def run(bucket: Bucket, settings: Settings, parameters: Callable[..., dict[str, str]], tmp_path: Path) -> list[Path]:
    """The images of a run whose lines want different LoRAs; the files of these lie beside them."""
    pipeline = load_pipeline(settings.model_folder, layout=None, device=torch.device("cpu"), from_image=False)
    files = [tmp_path / "first-0123abcd.safetensors", tmp_path / "second.safetensors"]
    for seed, file in enumerate(files):
        save_lora(pipeline, file, layers=linear_layers(pipeline), seed=seed)
    vae = {name: tensor * 1.01 for name, tensor in pipeline.vae.state_dict().items()}
    save_file(vae, tmp_path / "vae.safetensors")
    width = pipeline.text_encoder.config.hidden_size
    torch.save({"string_to_param": {"*": torch.linspace(-1, 1, 2 * width).reshape(2, width)}}, tmp_path / "style.pt")
    bucket.put("inputs/prompts.txt", PROMPTS)
    deployed = parameters(
        Iterations="1", PromptFile="inputs/prompts.txt", Lora=LISTED, Prediction="v",
        Vae="inputs/vae.safetensors", Embeddings="inputs/style.pt",
    )  # fmt: skip
    here = replaced(
        settings,
        lora_files=Paths(files),
        vae_file=tmp_path / "vae.safetensors",
        embedding_files=Paths([tmp_path / "style.pt"]),
    )
    assert do_run(here, deployed, threading.Event()) is Outcome.DONE
    keys = RunKeys(run_name(deployed), from_image=False)
    images = [tmp_path / f"{index:05}.png" for index in range(3)]
    for index, image in enumerate(images):
        image.write_bytes(bucket.get(keys.image(index)) or b"")
    return images


def replays(image: Path, settings: Settings, loras: list[Path], *, vae: bool = True, style: bool = True) -> bool:
    return replay_here(
        image, read_record(image), model=str(settings.model_folder), initial_image=None, loras=loras,
        vae=image.with_name("vae.safetensors") if vae else None, embeddings=[image.with_name("style.pt")] * style,
        to=image.with_name("again.png"), console=Console(file=io.StringIO()),
    )  # fmt: skip


def test_each_image_says_its_loras_and_is_made_again_with_them(
    run: list[Path], settings: Settings, tmp_path: Path
) -> None:
    assert [read_record(image).request.loras for image in run] == [
        {"first": 0.5, "second": 0.25},
        {"first": -0.5, "second": 0.25},
        {},
    ]
    files = [tmp_path / "second.safetensors", tmp_path / "first-0123abcd.safetensors"]
    for image, given in zip(run, (files, files, []), strict=True):
        assert replays(image, settings, given), image
    job = read_record(run[0]).job
    assert (job["vae"], job["embeddings"], job["prediction"]) == ("inputs/vae.safetensors", "inputs/style.pt", "v")
    text = Image.open(run[0]).text["parameters"]  # type: ignore[attr-defined]  # only a PNG has it
    assert "VAE: vae.safetensors, TI: style, " in text
    asked, _ = parameters_for(read_record(run[0]))
    assert (asked["Vae"], asked["Embeddings"], asked["Prediction"]) == (job["vae"], job["embeddings"], "v")
    with pytest.raises(CommandError, match=r"was made with the LoRA first of inputs/first.*Give that file"):
        replays(run[0], settings, files[:1])
    with pytest.raises(CommandError, match=r"with the VAE inputs/vae.safetensors\. Give that file: --vae-file FILE"):
        replays(run[2], settings, [], vae=False)
    with pytest.raises(CommandError, match=r"with the embedding style of inputs/style.pt\. .* --embedding-file FILE"):
        replays(run[2], settings, [], style=False)


def test_a_deploy_asks_for_the_same_weights(run: list[Path]) -> None:
    expected = [LISTED, LISTED.replace(":0.5", ":-0.5"), ""]
    for image, loras in zip(run, expected, strict=True):
        record = read_record(image)
        parameters, position = parameters_for(record)
        assert parameters["Lora"] == loras
        again = image_requests(read_job(parameters))[position]
        assert (again.prompt, again.loras) == (record.request.prompt, record.request.loras)


@pytest.mark.parametrize("loras", [{"third": 1.0}, {"first": 1e6}, {"first": float("nan")}])
def test_a_record_with_loras_that_its_job_cannot_have_is_refused(
    run: list[Path], settings: Settings, loras: dict[str, float]
) -> None:
    record = read_record(run[0])
    hostile = record.model_copy(update={"batch": [replaced(record.request, loras=loras)]})
    with pytest.raises(CommandError, match="is none that its job could have"):
        replay_here(
            run[0], hostile, model=str(settings.model_folder), initial_image=None, loras=[],
            to=run[0].with_name("again.png"), console=Console(),
        )  # fmt: skip


def test_files_that_the_boot_has_not_fetched_are_told(
    bucket: Bucket, settings: Settings, parameters: Callable[..., dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    assert do_run(settings, parameters(Lora=LISTED), threading.Event()) is Outcome.FAILED
    assert f"The LoRAs {LISTED} were not all fetched by the boot. Start the instance again." in caplog.text
