"""Files as people really have them: each is loaded to the very weights that it stands for, or named for what it is."""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import save, save_file

from tests.unit.worker.model.narrow_model import checkpoint_of, configure, make_narrow
from userdata.job.run_error import RunError
from userdata.worker.drawing.samplers import make_scheduler
from userdata.worker.model import pipeline as pipeline_module
from userdata.worker.model.checkpoint import layout_of, prediction_of, shapes_of
from userdata.worker.model.checkpoint_tensors import read_tensors
from userdata.worker.model.pipeline import load_pipeline
from userdata.worker.model.tensor_names import INPUT
from userdata.worker.model.vae_file import load_vae

CPU = torch.device("cpu")
Tensors = dict[str, torch.Tensor]
ATTENTION = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q"
V_METADATA = {"modelspec.prediction_type": "v"}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layouts")


@pytest.fixture(scope="module")
def parts(layouts: Path) -> dict[str, Any]:
    return make_narrow(layouts, "stable-diffusion-v1")


@pytest.fixture(scope="module")
def whole(parts: dict[str, Any]) -> Tensors:
    return checkpoint_of(parts)


@pytest.fixture(autouse=True)
def _narrow_layouts(layouts: Path, parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "LAYOUTS", layouts)


def load(place: Path, **options: Any) -> Any:
    return load_pipeline(place, layout=None, device=CPU, from_image=False, **options)


def in_pickle(content: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def with_objects(tensors: Tensors) -> bytes:
    """A checkpoint with what trainers leave beside the weights; the trainers' modules are gone when it is read."""
    made = {}
    for path, base in (
        ("pytorch_lightning.utilities.parsing.AttributeDict", dict),
        ("omegaconf.dictconfig.DictConfig", object),
    ):
        module, name = path.rsplit(".", 1)
        for count in range(1, module.count(".") + 2):
            part = ".".join(module.split(".")[:count])
            sys.modules.setdefault(part, types.ModuleType(part))
        made[name] = type(name, (base,), {"__module__": module})
        setattr(sys.modules[module], name, made[name])
    settings = made["DictConfig"]()
    settings.content = {"lr": 1e-4}
    beside = {
        "best": numpy.float64(0.5),
        "args": argparse.Namespace(lr=1e-4, out=Path("here")),
        "hyper_parameters": made["AttributeDict"](lr=1e-4),
        "config": settings,
        "array": numpy.zeros(3),
        "seen": {1, 2},
        "dtype": numpy.dtype("float32"),
    }
    try:
        return in_pickle({"state_dict": tensors, **beside})
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in ("pytorch_lightning", "omegaconf")]:
            del sys.modules[name]


def renamed(tensors: Tensors, change: Callable[[str], str]) -> Tensors:
    return {change(name): tensor for name, tensor in tensors.items()}


WORKS: dict[str, tuple[str, Callable[[Tensors], bytes]]] = {
    "safetensors called .ckpt": ("a.ckpt", save),
    ".SAFETENSORS": ("a.SAFETENSORS", save),
    "pickle called .safetensors": ("a.safetensors", in_pickle),
    ".pt": ("a.pt", lambda tensors: in_pickle({"state_dict": tensors})),
    ".pth": ("a.PTH", in_pickle),
    ".bin": ("a.bin", in_pickle),
    "a name without an ending": ("model", save),
    "torch before 1.6": ("a.ckpt", lambda tensors: in_pickle(tensors, _use_new_zipfile_serialization=False)),
    "bytes behind the archive": ("a.ckpt", lambda tensors: in_pickle(tensors) + bytes(777)),
    "trailing bytes": ("a.safetensors", lambda tensors: save(tensors) + bytes(777)),
    "trainers' objects": ("a.ckpt", with_objects),
    "text model one level higher": (
        "a.safetensors",
        lambda tensors: save(renamed(tensors, lambda name: name.replace("transformer.text_model.", "transformer."))),
    ),
    "saved by DataParallel": ("a.ckpt", lambda tensors: in_pickle(renamed(tensors, "module.{}".format))),
    "saved after torch.compile": (
        "a.safetensors",
        lambda tensors: save(renamed(tensors, lambda n: n.replace("diffusion_model.", "diffusion_model._orig_mod."))),
    ),
}


@pytest.mark.parametrize("kind", WORKS)
def test_a_file_is_what_its_content_says(kind: str, tmp_path: Path, whole: Tensors) -> None:
    name, make = WORKS[kind]
    (tmp_path / name).write_bytes(make(whole))
    assert layout_of(tmp_path / name, shapes_of(tmp_path / name)) == "stable-diffusion-v1"
    read = read_tensors(tmp_path / name, device=CPU, dtype=torch.float32)
    assert read.keys() == whole.keys()
    assert all(torch.equal(read[key], tensor) for key, tensor in whole.items())


def without(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def only(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}


def plus(**more: torch.Tensor) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, **{name.replace("__", "."): tensor for name, tensor in more.items()}}


def note(form: str) -> torch.Tensor:
    """What ComfyUI writes beside a layer of that form."""
    return torch.tensor(list(json.dumps({"format": form}).encode()), dtype=torch.uint8)


def wide(channels: int) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, INPUT: torch.zeros(32, channels, 3, 3)}


ONE = torch.ones(1)
REFINER = {INPUT: torch.zeros(8, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": ONE}
REFUSED: dict[str, tuple[Callable[[Tensors], Mapping[str, torch.Tensor]], str]] = {
    "InstructPix2Pix": (wide(8), "it wants 8 channels: .* edits images by instructions, such as InstructPix2Pix"),
    "inpainting": (wide(9), "it wants 9 channels: it is a model for inpainting"),
    "depth": (wide(5), "draws from a depth map"),
    "refiner": (lambda _: REFINER, "it is the refiner of Stable Diffusion XL"),
    "CosXL": (plus(edm_vpred__sigma_max=ONE), "noise levels of EDM"),
    "video": (plus(model__diffusion_model__x__time_stack__y=ONE), "it is a model for videos"),
    "no VAE": (without("first_stage_model."), "cannot draw by itself: it has no VAE: name one as Vae, for .*hf:stab"),
    "decoder alone": (without("first_stage_model.encoder."), "its VAE has no encoder: name one as Vae"),
    "no text encoder": (without("cond_stage_model."), "it has no text encoder"),
    "a VAE": (only("first_stage_model."), "it is a VAE alone, which is named as Vae"),
    "a network": (only("model."), "it is the denoising network alone"),
    "a text encoder": (only("cond_stage_model.transformer."), "it is a text encoder alone"),
    "a LoRA": (lambda _: {"lora_unet_x.lora_down.weight": ONE}, "it is a LoRA, which is named as Lora"),
    "an embedding": (lambda _: {"emb_params": torch.ones(2, 768)}, "it is an embedding, which is named as Embeddings"),
    "XL's embedding": (
        lambda _: {"clip_l": ONE, "clip_g": ONE.clone()},
        "it is an embedding, which is named as Embeddings",
    ),
    "a ControlNet": (lambda _: {"control_model.input_blocks.0.0.weight": ONE}, "it is a ControlNet"),
    "FLUX": (lambda _: {"double_blocks.0.img_mod.lin.weight": ONE}, "it is a network of FLUX"),
    "an average": (lambda _: {"model_ema.diffusion_modelout2bias": ONE}, "nothing but the running average"),
    "NaN": (plus(model__diffusion_model__out__2__bias=torch.full([4], torch.nan)), "1 of .* unet hold .* no number"),
    "NF4": (plus(**{f"{ATTENTION}.weight.absmax".replace(".", "__"): ONE}), "packed in a form that is not supported"),
    "int8": (plus(**{f"{ATTENTION}.weight".replace(".", "__"): torch.ones(32, 32, dtype=torch.int8)}), "torch.int8"),
    "NVFP4": (
        plus(**{f"{ATTENTION}.comfy_quant".replace(".", "__"): note("nvfp4")}),
        "packed as nvfp4",
    ),
    "a scale for each block": (
        plus(**{f"{ATTENTION}.weight_scale".replace(".", "__"): torch.ones(32, 2)}),
        "packed in a form that is not supported",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_draw_is_named_for_what_it_is(kind: str, tmp_path: Path, whole: Tensors) -> None:
    make, why = REFUSED[kind]
    save_file({name: tensor.contiguous() for name, tensor in make(whole).items()}, tmp_path / "a.safetensors")
    with pytest.raises(RunError, match=rf"^a\.safetensors [^\n]*{why}[^\n]*\.$"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("scale", [torch.tensor(0.003), torch.tensor([0.003]), torch.linspace(0.001, 0.01, 32)])
@pytest.mark.parametrize("ending", ["scale_weight", "weight_scale"])
def test_weights_in_eight_bits_are_multiplied_by_their_scales(
    ending: str, scale: torch.Tensor, tmp_path: Path, whole: Tensors
) -> None:
    rows = scale.reshape(-1, 1)
    small = (whole[f"{ATTENTION}.weight"] / rows).clamp(-448, 448).to(torch.float8_e4m3fn)
    beside = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn), f"{ATTENTION}.scale_input": torch.ones(1)}
    if ending == "weight_scale":
        beside = {f"{ATTENTION}.comfy_quant": note("float8_e4m3fn")}
    tensors = {**whole, f"{ATTENTION}.weight": small, f"{ATTENTION}.{ending}": scale, **beside}
    save_file(tensors, tmp_path / "a.safetensors")
    read = read_tensors(tmp_path / "a.safetensors", device=CPU, dtype=torch.float32)
    assert read.keys() == whole.keys()
    loaded = read[f"{ATTENTION}.weight"]
    torch.testing.assert_close(loaded, small.float() * rows, rtol=1e-6, atol=0)
    assert (loaded - whole[f"{ATTENTION}.weight"]).abs().max() < 0.1 * loaded.abs().max()


@pytest.mark.parametrize(
    ("markers", "metadata", "expected"),
    [
        ([], {}, "auto"),
        ([], {"modelspec.prediction_type": "epsilon"}, "epsilon"),
        (["v_pred"], {}, "v"),
        (["v_pred", "ztsnr"], {}, "v_ztsnr"),
        ([], V_METADATA, "v"),
        ([], {**V_METADATA, "ss_zero_terminal_snr": "True"}, "v_ztsnr"),
        ([], {"ss_v_parameterization": "True"}, "v"),
        (["v_pred"], {"modelspec.prediction_type": "epsilon"}, "v"),
    ],
)
def test_what_a_checkpoint_predicts_is_read(
    markers: list[str], metadata: dict[str, str], expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"x": ONE, **dict.fromkeys(markers, torch.tensor([]))}, file, metadata=metadata)
    assert prediction_of(file) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("auto", ("v_prediction", True)), ("v", ("v_prediction", False)), ("epsilon", ("epsilon", False))],
)
def test_the_sampler_is_one_for_what_is_predicted(
    asked: str, expected: tuple[str, bool], tmp_path: Path, whole: Tensors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    save_file({**whole, "v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}, tmp_path / "a.safetensors")
    pipeline = load(tmp_path / "a.safetensors", prediction=asked)
    scheduler = make_scheduler("euler", pipeline.scheduler.config, 10).config
    assert (scheduler.prediction_type, scheduler.rescale_betas_zero_snr) == expected
    assert (scheduler.timestep_spacing == "trailing") == expected[1]
    assert "The model predicts" in caplog.text


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_model, tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_with_another_variant_alone_is_loaded(folder: Path, tiny_model: Path) -> None:
    for licence in folder.glob("*/LICENSE"):
        licence.unlink()  # diffusers wants a dot in every name
    for file in folder.glob("*/*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    assert _same_unet(load(folder), load(tiny_model))


def test_a_folder_with_pickles_alone_is_loaded_with_weights_only(
    folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    wanted = load(tiny_model)
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.unlink()
    torch.save(wanted.unet.state_dict(), weights.with_suffix(".bin"))
    assert _same_unet(load(folder), wanted)

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "it-ran",))

    torch.save({"weight": Harmful()}, weights.with_suffix(".bin"))
    with pytest.raises(RunError, match=r"cannot be loaded .* Complete that model, or name another\.$"):
        load(folder)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("file", "changes", "why"),
    [
        (
            "model_index.json",
            {"_class_name": "StableDiffusionInpaintPipeline"},
            "made for .*InpaintPipeline",
        ),
        ("model_index.json", {"_class_name": "StableDiffusionXLPipeline", "text_encoder": [None, None]}, "the refiner"),
        (
            "model_index.json",
            {"_class_name": "ZImagePipeline", "text_encoder": ["transformers", "Trainer"]},
            r"its text_encoder is none that is known for this kind \(Qwen3Model\)",
        ),
        (
            "model_index.json",
            {
                "_class_name": "ZImagePipeline",
                "text_encoder": ["transformers", "Qwen3Model"],
                "transformer": ["diffusers", "DiffusionPipeline"],
            },
            r"its transformer is none that is known for this kind \(ZImageTransformer2DModel\)",
        ),
        ("unet/config.json", {"in_channels": 8}, "wants 8 channels"),
    ],
)
def test_a_folder_of_another_kind_is_named(folder: Path, file: str, changes: dict[str, Any], why: str) -> None:
    configure(folder / file, **changes)
    with pytest.raises(RunError, match=f"cannot be used: .*{why}"):
        load(folder)


def test_a_folder_that_is_not_whole_is_left_to_its_owner(folder: Path) -> None:
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(RunError, match="cannot be loaded") as refused:
        load(folder)
    assert "elete" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_with_several_checkpoints_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.CKPT"):
        (tmp_path / name).touch()
    with pytest.raises(RunError, match=r"2 of them \(a.safetensors, b.CKPT\). Name the checkpoint itself") as refused:
        load(tmp_path)
    assert "elete" not in str(refused.value)


def _same_unet(one: Any, other: Any) -> bool:
    there = other.unet.state_dict()
    return all(torch.equal(tensor, there[name]) for name, tensor in one.unet.state_dict().items())


@pytest.fixture(scope="module")
def other_vae(parts: dict[str, Any]) -> Any:
    """A VAE like the model's own, with other weights."""
    torch.manual_seed(7)
    return type(parts["vae"]).from_config(parts["vae"].config)


def original_vae(parts: dict[str, Any], vae: Any) -> Tensors:
    return only("first_stage_model.")(checkpoint_of({**parts, "vae": vae}))


VAES: dict[str, tuple[str, Callable[[dict[str, Any], Any], bytes]]] = {
    "the original's names": ("vae.safetensors", lambda parts, vae: save(original_vae(parts, vae))),
    "with a trainer's loss": (
        "vae.pt",
        lambda parts, vae: in_pickle({"state_dict": {**original_vae(parts, vae), "loss.logvar": ONE}}),
    ),
    "in a checkpoint": ("whole.ckpt", lambda parts, vae: in_pickle(checkpoint_of({**parts, "vae": vae}))),
    "diffusers' names": ("diffusion_pytorch_model.bin", lambda _, vae: in_pickle(vae.state_dict())),
}


@pytest.mark.parametrize("kind", VAES)
def test_a_vae_of_ones_own_takes_the_place_of_the_models(
    kind: str, tmp_path: Path, layouts: Path, parts: dict[str, Any], other_vae: Any
) -> None:
    name, make = VAES[kind]
    (tmp_path / name).write_bytes(make(parts, other_vae))
    loaded = load_vae(tmp_path / name, layouts / "stable-diffusion-v1", device=CPU, dtype=torch.float32).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in other_vae.state_dict().items())


def test_a_checkpoint_without_a_vae_draws_with_the_one_that_is_named(
    tmp_path: Path, whole: Tensors, parts: dict[str, Any], other_vae: Any
) -> None:
    save_file(without("first_stage_model.")(whole), tmp_path / "a.safetensors")
    save_file(original_vae(parts, other_vae), tmp_path / "vae.safetensors")
    pipeline = load(tmp_path / "a.safetensors", vae=tmp_path / "vae.safetensors")
    assert torch.equal(pipeline.vae.decoder.conv_in.weight, other_vae.decoder.conv_in.weight)


def test_a_folder_draws_with_the_vae_that_is_named(tmp_path: Path, tiny_model: Path) -> None:
    changed = {name: tensor + 1 for name, tensor in load(tiny_model).vae.state_dict().items()}
    save_file(changed, tmp_path / "vae.safetensors")
    pipeline = load(tiny_model, vae=tmp_path / "vae.safetensors")
    assert torch.equal(pipeline.vae.decoder.conv_in.weight, changed["decoder.conv_in.weight"])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (only("model."), "it is the denoising network alone"),
        (lambda _: {"lora_unet_x.lora_down.weight": ONE}, "it is a LoRA, which is named as Lora"),
        (lambda tensors: without("encoder.")(only("first_stage_model.")(tensors)), "a decoder, but no encoder"),
        (
            lambda tensors: {**only("first_stage_model.")(tensors), "decoder.conv_in.weight": torch.ones(64, 16, 3, 3)},
            "it does not fit the model",
        ),
    ],
)
def test_what_is_no_vae_is_named_for_what_it_is(
    make: Callable[[Tensors], Tensors], why: str, tmp_path: Path, layouts: Path, whole: Tensors
) -> None:
    save_file(make(whole), tmp_path / "a.safetensors")
    with pytest.raises(RunError, match=rf"^a\.safetensors is no VAE that can be used: .*{why}.*as Vae, as[^\n]*$"):
        load_vae(tmp_path / "a.safetensors", layouts / "stable-diffusion-v1", device=CPU, dtype=torch.float32)
