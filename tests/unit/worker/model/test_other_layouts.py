"""The layouts of XL and FLUX, only narrower: each weight arrives where it belongs, and the pipeline draws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import Unigram

from benchmarks.peers import xl_layout
from benchmarks.peers.random_model import narrow_bundle
from benchmarks.peers.works import NARROW
from userdata.boot.steps.model_folder import complete_model_folder
from userdata.contract.bundle import Bundle
from userdata.contract.catalogue import read_catalogue
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.job.run_error import RunError
from userdata.record.image_metadata import describe_image
from userdata.record.versions import library_versions
from userdata.worker.between.task import DrawnImage
from userdata.worker.by_hand.local_model import LocalModel
from userdata.worker.by_hand.replay import replay
from userdata.worker.drawing.generate import draw_batch, prepare_sampler
from userdata.worker.drawing.tell_of_prompts import tell_what_is_cut
from userdata.worker.drawing.weighted_prompts import encode_text, prompts_weighted
from userdata.worker.model import pipeline as pipeline_module
from userdata.worker.model.kept_linear import Int8Linear
from userdata.worker.model.large_encoder import LARGE_ENCODERS
from userdata.worker.model.memory_need import memory_need_gib
from userdata.worker.model.pipeline import LAYOUTS, for_image_to_image, load_pipeline
from userdata.worker.model.quantized import kept_as

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"model": "sdxl-base", "H": 64, "W": 64, "ddim_steps": 2, "n_iter": 1, "n_samples": 1}
MASKED = {**SMALL, "init_img": "inputs/a.png", "init_mask": "inputs/m.png"}


def component(layouts: Path, layout: str, name: str) -> Any:
    library, kind = json.loads((layouts / layout / "model_index.json").read_text())[name]
    torch.manual_seed(len(name))
    if library == "diffusers":
        cls = getattr(diffusers, kind)
        return cls.from_config(cls.load_config(layouts / layout / name))
    cls = getattr(transformers, kind)
    return cls(cls.config_class.from_pretrained(layouts / layout / name))


def xl_checkpoint(parts: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return xl_layout.xl_checkpoint({name: part.state_dict() for name, part in parts.items()})


def test_an_xl_checkpoint_is_recognised_loaded_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts = narrow_bundle(tmp_path).models
    parts = {name: component(layouts, "stable-diffusion-xl", name) for name in NARROW["stable-diffusion-xl"]}
    folder = tmp_path / "model"
    folder.mkdir()
    checkpoint = xl_checkpoint(parts)
    checkpoint["model_ema.decay"] = torch.zeros(())
    torch.save({"state_dict": checkpoint, "global_step": 3}, folder / "xl.ckpt")
    monkeypatch.setattr(pipeline_module, "LAYOUTS", layouts)

    pipeline = load_pipeline(folder, layout=None, device=CPU, from_image=False)

    has_the_weights_of(pipeline, parts)
    assert pipeline.tokenizer_2("a").input_ids[0] == 49406
    assert (pipeline.tokenizer.pad_token, pipeline.tokenizer_2.pad_token) == ("<|endoftext|>", "!")
    assert pipeline.watermark is for_image_to_image(pipeline).watermark is None, "nobody asked for diffusers' own"
    draw(pipeline, Job(model="sdxl-base", H=64, W=64, ddim_steps=2, n_iter=1, n_samples=1))
    reads_weights_too(pipeline)
    draw(pipeline, Job(**SMALL, upscale=2))
    masked = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    masked.putalpha(Image.linear_gradient("L").resize((64, 64)))
    draw(for_image_to_image(pipeline), Job(**MASKED), masked)


def has_the_weights_of(pipeline: Any, parts: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        loaded = getattr(pipeline, name).state_dict()
        for key, tensor in part.state_dict().items():
            torch.testing.assert_close(loaded[key], tensor, msg=f"{name}.{key}")


def reads_weights_too(pipeline: Any) -> None:
    """Both encoders weigh, each by itself, and the pooled state is that of the first chunk, without weights."""
    with torch.no_grad():
        plain, _, pooled, _ = pipeline.encode_prompt(["a horse"], device=CPU, do_classifier_free_guidance=False)
        encoded = encode_text(pipeline, "a horse")
        torch.testing.assert_close(encoded.states, plain)
        torch.testing.assert_close(encoded.pooled, pooled)
        with prompts_weighted(pipeline):
            ours, negative, ours_pooled, negative_pooled = pipeline.encode_prompt(
                prompt=["a (horse:1.5) BREAK a tree"],
                device=CPU,
                do_classifier_free_guidance=True,
                negative_prompt=[""],
            )
    assert ours.shape == negative.shape == (1, 2 * 77, plain.shape[-1])
    torch.testing.assert_close(ours_pooled, pooled)
    assert negative_pooled.shape == pooled.shape
    widths = [pipeline.text_encoder.config.hidden_size, pipeline.text_encoder_2.config.hidden_size]
    weights = torch.ones(77, 1)
    weights[2] = 1.5
    for before, after in zip(plain[0].split(widths, 1), ours[0, :77].split(widths, 1), strict=True):
        torch.testing.assert_close(after, before * weights * (before.mean() / (before * weights).mean()))
    draw(pipeline, Job(model="sdxl-base", prompt="a (horse)", H=64, W=64, ddim_steps=1, n_iter=1, n_samples=1))


def test_an_xl_autoencoder_in_half_precision_decodes_in_single(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: XL's autoencoder overflows in half precision, which its configuration says."""
    layouts = narrow_bundle(tmp_path).models
    parts = {name: component(layouts, "stable-diffusion-xl", name) for name in NARROW["stable-diffusion-xl"]}
    with torch.no_grad():
        parts["vae"].decoder.conv_in.weight.mul_(1e4)
        parts["vae"].decoder.mid_block.resnets[0].conv2.weight.mul_(1e6).clamp_(-6e4, 6e4)
    file = tmp_path / "xl.safetensors"
    save_file(xl_checkpoint(parts), file)
    monkeypatch.setattr(pipeline_module, "LAYOUTS", layouts)
    job = Job(model="sdxl-base", H=64, W=64, ddim_steps=1, n_iter=1, n_samples=1)

    pipeline = load_pipeline(file, layout=None, device=CPU, from_image=False)
    pipeline.to(torch.float16)
    for _ in range(2):  # the first image must not leave it behind in another precision
        draw(pipeline, job)
        assert pipeline.vae.dtype == torch.float16

    pipeline.vae.register_to_config(force_upcast=False)
    with pytest.raises(RunError, match="not a number"):
        draw(pipeline, job)


def test_a_folder_of_flux_is_completed_loaded_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layouts = narrow_bundle(tmp_path).models
    folder = tmp_path / "model"
    parts = {name: component(layouts, "flux-schnell", name) for name in NARROW["flux-schnell"]}
    for name, part in parts.items():
        part.save_pretrained(folder / name, max_shard_size="40KB" if name != "vae" else "5GB")
    for left_out in (*folder.glob("*/*.index.json"), *folder.glob("*/config.json")):
        left_out.unlink()
    assert len(list((folder / "transformer").glob("*-of-*.safetensors"))) > 1
    (folder / "tokenizer_2").mkdir()
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁horse", -2.0), ("▁", -3.0)]
    Tokenizer(Unigram(words, unk_id=2)).save(str(folder / "tokenizer_2/tokenizer.json"))

    complete_model_folder(folder, Bundle(tmp_path), "flux-schnell")
    pipeline = load_pipeline(folder, layout="flux-schnell", device=CPU, from_image=False)

    for name, part in parts.items():
        loaded = getattr(pipeline, name).state_dict()
        assert all(torch.equal(loaded[key], tensor) for key, tensor in part.state_dict().items()), name
    job = Job(model="flux-schnell", H=64, W=64, n_iter=1, n_samples=1, prompt="a (horse:99)" + " a" * 300)
    tell_what_is_cut(pipeline, image_requests(job))
    (message,) = caplog.messages
    assert message.startswith("Prompt is longer than the model reads (256 tokens); cut off: a a a")
    draw(pipeline, job)
    quantized = load_pipeline(folder, layout="flux-schnell", device=CPU, from_image=False, kept="int8")
    drawn = draw(quantized, job)
    assert drawn.drawn_with.quantized == "int8"
    (request,) = image_requests(job)
    record = describe_image(
        job, [request], 0, run_id="a", seconds=1, drawn_with=drawn.drawn_with, versions=library_versions()
    )
    again, drawn_with = replay(record, LocalModel(folder, "flux-schnell", "flux-schnell"), None)
    assert drawn_with.quantized == "int8", "whatever auto would take here"
    assert again.tobytes() == drawn.image.tobytes()
    assert isinstance(quantized.transformer.transformer_blocks[0].attn.to_q, Int8Linear)


def draw(pipeline: Any, job: Job, initial_image: Image.Image | None = None) -> DrawnImage:
    (request,) = image_requests(job)
    own = pipeline.scheduler
    prepare_sampler(pipeline, request, own.config, from_image=job.from_image)
    drawn = draw_batch(pipeline, job, [request], initial_image=initial_image, on_step=lambda _: None)
    pipeline.scheduler = own
    assert [one.image.size for one in drawn] == [request.size]
    return drawn[0]


def kept_bytes(network: torch.nn.Module, kept: str) -> int:
    """The bytes of a network's weights: a number each, and a scale for each row or for each 64 of NF4."""
    total = 0
    for name, weight in network.named_parameters():
        owner, _, attribute = name.rpartition(".")
        in_a_layer = attribute == "weight" and isinstance(network.get_submodule(owner), torch.nn.Linear)
        match kept_as(owner, kept) if in_a_layer else None:
            case None:
                total += 2 * weight.numel()
            case "nf4":
                total += weight.numel() // 2 + 2 * weight.numel() // 64
            case eight_bits:
                total += weight.numel() + (2 if eight_bits == "int8" else 4) * len(weight)
    return total


@pytest.mark.parametrize("precision", ["autocast", "full"])
@pytest.mark.parametrize("name", [name for name, model in read_catalogue().items() if model.bundled_sha256 is None])
def test_the_catalogues_memory_is_what_the_configuration_makes_of_it(name: str, precision: str) -> None:
    model = read_catalogue()[name]
    stated = model.memory_need(precision)
    assert model.layout and stated
    layout = "tiny" if name == "tiny" else model.layout
    index = json.loads((LAYOUTS / layout / "model_index.json").read_text())
    usual_bytes = 4 if precision == "full" else 2
    decoder_bytes = 4 if model.pipeline == "StableDiffusionXLPipeline" else usual_bytes
    leaves = LARGE_ENCODERS.get(model.pipeline or "") if precision != "full" else None
    weights = leaving = 0
    for part, entry in index.items():
        if (LAYOUTS / layout / part / "config.json").exists() and isinstance(entry, list):
            with torch.device("meta"):
                numbers = sum(tensor.numel() for tensor in component(LAYOUTS, layout, part).parameters())
            weights += numbers * (decoder_bytes if part == "vae" else usual_bytes)
            leaving += numbers * usual_bytes * (part == leaves)
    exact = memory_need_gib(
        weights_bytes=weights, native_size=model.native_size, decoder_bytes=decoder_bytes, leaving_bytes=leaving
    )
    assert exact <= stated < exact + 0.1
    for kept, stated in model.quantized_gib.items() if precision != "full" else ():
        with torch.device("meta"):
            network = component(LAYOUTS, layout, "transformer")
        saved = sum(2 * one.numel() for one in network.parameters()) - kept_bytes(network, kept)
        smaller = memory_need_gib(
            weights_bytes=weights - saved, native_size=model.native_size, decoder_bytes=2, leaving_bytes=leaving
        )
        assert smaller <= stated < smaller + 0.1
    if precision != "full" and any(
        file.about_bytes for file in model.files
    ):  # as much as the hub keeps, in the type that it is drawn in
        assert model.bytes == pytest.approx(weights, rel=0.001)
