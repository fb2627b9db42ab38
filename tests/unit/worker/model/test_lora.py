from __future__ import annotations

import copy
import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.worker.model.lora_files import SPELLINGS, linear_layers, save_lora, weight_of
from userdata.job.run_error import RunError
from userdata.worker.model.lora import Loras, check_lora
from userdata.worker.model.lora_file import read_lora
from userdata.worker.model.lora_keys import PARTS
from userdata.worker.model.pipeline import load_pipeline

CPU = torch.device("cpu")
Weights = dict[str, dict[str, torch.Tensor]]


@pytest.fixture
def pipeline(tiny_model: Path) -> Any:
    return load_pipeline(tiny_model, layout=None, device=CPU, from_image=False)


def weights_of(pipeline: Any) -> Weights:
    return {
        part: {name: tensor.clone() for name, tensor in getattr(pipeline, part).state_dict().items()}
        for part in ("unet", "text_encoder", "vae")
    }


def merge(pipeline: Any, file: Path, weight: float = 1.0) -> None:
    check_lora(file)
    Loras(pipeline, {"style": file}, restorable=False).apply({"style": weight})


def assert_changed_by(pipeline: Any, before: Weights, changes: dict[tuple[str, str], torch.Tensor]) -> None:
    for part, tensors in weights_of(pipeline).items():
        assert set(tensors) == set(before[part])
        for name, tensor in tensors.items():
            change = changes.get((part, name.removesuffix(".weight")))
            if change is None:
                assert torch.equal(tensor, before[part][name]), f"{part}.{name} has changed"
            else:
                torch.testing.assert_close(tensor, before[part][name] + change.reshape(tensor.shape))


@pytest.mark.parametrize("weight", [1.0, 0.5, -1.0])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_layer_is_added_with_its_own_alpha_and_rank(
    pipeline: Any, tmp_path: Path, spelling: str, weight: float
) -> None:
    before = weights_of(pipeline)
    layers = linear_layers(pipeline)
    changes = save_lora(pipeline, tmp_path / "style.safetensors", layers=layers, spelling=spelling)
    merge(pipeline, tmp_path / "style.safetensors", weight)
    assert_changed_by(pipeline, before, {layer: weight * change for layer, change in changes.items()})


def test_a_text_encoder_may_lack_any_layers(pipeline: Any, tmp_path: Path) -> None:
    before = weights_of(pipeline)
    names = [name for name, _ in pipeline.text_encoder.named_modules() if name.endswith(("q_proj", "v_proj"))]
    changes = save_lora(pipeline, tmp_path / "te.safetensors", layers=[("text_encoder", name) for name in names])
    merge(pipeline, tmp_path / "te.safetensors")
    assert_changed_by(pipeline, before, changes)


def test_what_was_merged_is_told(pipeline: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    layers = linear_layers(pipeline)
    changes = save_lora(pipeline, tmp_path / "style.safetensors", layers=layers)
    own = torch.cat([weight_of(pipeline, layer).detach().flatten() for layer in layers])
    merge(pipeline, tmp_path / "style.safetensors", 0.5)
    whole = torch.cat([change.flatten() for change in changes.values()])
    share = 100 * float(0.5 * whole.norm() / own.norm())
    encoders, unets = (sum(part == one for part, _ in layers) for one in ("text_encoder", "unet"))
    assert (
        f"Merged style.safetensors with weight 0.5 into {encoders} layers of text_encoder, {unets} layers of unet: it "
        f"changes their weights by {share:.3g} % of their norm"
    ) in caplog.text


def test_pefts_settings_in_the_header_are_heeded(pipeline: Any, tmp_path: Path) -> None:
    """diffusers writes them there; a path's end may have an alpha of its own."""
    before = weights_of(pipeline)
    layers = [layer for layer in linear_layers(pipeline) if layer[0] == "unet"]
    file = tmp_path / "style.safetensors"
    save_lora(pipeline, file, layers=layers, spelling="PEFT in diffusers")
    tensors = {name: tensor for name, tensor in load_file(file).items() if not name.endswith("alpha")}
    settings = {"unet.lora_alpha": 8, "unet.alpha_pattern": {layers[0][1]: 2}, "unet.use_rslora": True, "unet.r": 4}
    save_file(tensors, file, metadata={"lora_adapter_metadata": json.dumps(settings)})
    changes = {}
    for number, (part, module) in enumerate(layers):
        down, up = (tensors[f"{part}.{module}.{name}.weight"] for name in ("lora_A", "lora_B"))
        changes[part, module] = up @ down * (2 if number == 0 else 8) / down.shape[0] ** 0.5
    merge(pipeline, file)
    assert_changed_by(pipeline, before, changes)


def test_a_norm_and_a_bias_are_changed_by_a_whole_difference(pipeline: Any, tmp_path: Path) -> None:
    before = weights_of(pipeline)
    channels = len(pipeline.unet.conv_norm_out.weight)
    weight, bias = torch.randn(channels), torch.randn(channels)
    file = tmp_path / "norm.safetensors"
    save_file({"lora_unet_out_0.w_norm": weight, "lora_unet_out_0.b_norm": bias}, file)
    merge(pipeline, file)
    changes = {("unet", "conv_norm_out"): weight, ("unet", "conv_norm_out.bias"): bias}
    assert_changed_by(pipeline, before, changes)


def test_a_layer_of_the_original_flux_changes_its_rows_of_several_layers(tmp_path: Path) -> None:
    """Also together with a file of diffusers' names for one of them, and whichever is named first."""
    projections = {name: torch.nn.Linear(3, 4, bias=False) for name in ("to_q", "to_k", "to_v")}
    block = torch.nn.ModuleDict({"attn": torch.nn.ModuleDict(projections)})
    transformer = torch.nn.ModuleDict(
        {"transformer_blocks": torch.nn.ModuleList([block]), "single_transformer_blocks": torch.nn.ModuleList()}
    )
    pipeline: Any = type("Pipeline", (), {"components": {"transformer": transformer}})
    torch.manual_seed(1)
    down, up, length = torch.randn(2, 3), torch.randn(12, 2), torch.rand(12, 1) + 0.5
    own_down, own_up = torch.randn(1, 3), torch.randn(4, 1)
    three, one = tmp_path / "three.safetensors", tmp_path / "one.safetensors"
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.dora_scale": length}, three)
    name = "transformer.transformer_blocks.0.attn.to_k"
    save_file({f"{name}.lora_A.weight": own_down, f"{name}.lora_B.weight": own_up}, one)
    before = torch.cat([projections[name].weight.detach().clone() for name in ("to_q", "to_k", "to_v")])

    loras = Loras(pipeline, {"one": one, "three": three}, restorable=True)
    loras.apply({"one": 0.5, "three": 1})

    direction = before + up @ down
    expected = direction * length / direction.norm(dim=1, keepdim=True)
    expected[4:8] += 0.5 * own_up @ own_down
    after = torch.cat([projections[name].weight for name in ("to_q", "to_k", "to_v")])
    torch.testing.assert_close(after, expected)


def other_kind(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Attention to a text as wide as XL's."""
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    return {f"{name}.lora_down.weight": torch.ones(2, 2048), f"{name}.lora_up.weight": torch.ones(9, 2)}


def one_layer_too_deep(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = "lora_unet_down_blocks_7_attentions_0_transformer_blocks_0_attn1_to_q"
    return tensors | {f"{name}.lora_down.weight": torch.ones(2, 8), f"{name}.lora_up.weight": torch.ones(8, 2)}


def one_nan(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    next(tensor for name, tensor in tensors.items() if name.endswith("lora_up.weight"))[0, 0] = float("nan")
    return tensors


def infinite_in_half(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: (1e30 * tensor).half() for name, tensor in tensors.items()}


def all_zero(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor * (not name.endswith("lora_up.weight")) for name, tensor in tensors.items()}


def another_formula(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return tensors | {"lora_unet_mid_block_attentions_0_proj_in.oft_blocks": torch.ones(2, 4, 4)}


def half_a_layer(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    left_out = next(name for name in tensors if name.endswith("lora_down.weight"))
    return {name: tensor for name, tensor in tensors.items() if name != left_out}


def two_adapters(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = "unet.mid_block.attentions.0.proj_in.lora_A"
    return {f"{name}.first.weight": torch.ones(2, 4), f"{name}.second.weight": torch.ones(2, 4)}


def whole_checkpoint(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"model.diffusion_model.out.2.weight": torch.zeros(4)}


def alphas_alone(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.endswith("alpha")}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (other_kind, r"does not fit the model: 1 of its 1 layers .*attn2_to_k\)\. It was made for Stable Diffusion XL"),
        (
            one_layer_too_deep,
            r"1 of its \d+ layers are none of the model's, .*down_blocks_7.*Nothing of it was applied",
        ),
        (one_nan, r"is broken: 1 of its \d+ layers hold what is no number \(NaN or infinity\)"),
        (infinite_in_half, "hold what is no number"),
        (all_zero, r"changes nothing: all of its \d+ layers come out as 0"),
        (another_formula, r"1 of its \d+ tensors belong to no formula that is known here \(.*oft_blocks\)"),
        (half_a_layer, r"1 of its \d+ layers are none of the model's, or of another shape"),
        (two_adapters, "holds several adapters: unet_mid_block_attentions_0_proj_in has two tensors down"),
        (whole_checkpoint, "is no LoRA: none of its 1 tensors .*named as Model"),
        (alphas_alone, "does not fit"),
    ],
)
def test_a_file_that_cannot_be_applied_as_a_whole_is_refused(
    pipeline: Any, tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], why: str
) -> None:
    before = weights_of(pipeline)
    file = tmp_path / "style.safetensors"
    save_lora(pipeline, file, layers=linear_layers(pipeline))
    save_file(spoil(load_file(file)), file)
    with pytest.raises(RunError, match=rf"style\.safetensors .*{why}"):
        merge(pipeline, file)
    assert_changed_by(pipeline, before, {})


def test_a_change_that_the_models_type_cannot_hold_is_refused(pipeline: Any, tmp_path: Path) -> None:
    save_lora(pipeline, tmp_path / "style.safetensors", layers=linear_layers(pipeline))
    pipeline.unet.half()
    with pytest.raises(RunError, match=r"larger than its number type can hold, at .*smaller weight"):
        merge(pipeline, tmp_path / "style.safetensors", 1e9)


def test_an_embedding_in_the_file_is_named_and_the_rest_applied(
    pipeline: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = weights_of(pipeline)
    file = tmp_path / "style.safetensors"
    changes = save_lora(pipeline, file, layers=linear_layers(pipeline))
    save_file(load_file(file) | {"bundle_emb.mystyle.string_to_param.*": torch.ones(2, 8)}, file)
    merge(pipeline, file)
    assert_changed_by(pipeline, before, changes)
    assert "style.safetensors carries the embedding mystyle, which is not applied" in caplog.text


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": "much"},
        {"lora_alpha": 4, "alpha_pattern": ["to_q"]},
        {"lora_alpha": 4, "alpha_pattern": {"to_q(": 2}},
        {"lora_alpha": [4]},
    ],
)
def test_settings_of_peft_that_are_none_are_told(tmp_path: Path, settings: dict[str, Any]) -> None:
    file = tmp_path / "style.safetensors"
    networks = {"unet": torch.nn.ModuleDict({"to_q": torch.nn.Linear(4, 4)})}
    name = "unet.to_q.lora_"
    tensors = {f"{name}A.weight": torch.ones(2, 4), f"{name}B.weight": torch.ones(4, 2)}
    save_file(tensors, file, metadata={"lora_adapter_metadata": json.dumps(settings)})
    with pytest.raises(
        RunError, match=r"header of the LoRA style\.safetensors has settings of PEFT that cannot be read"
    ):
        read_lora(file, networks)


def test_files_with_any_tensors_are_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    """500 files with parts, shapes and types by chance."""
    chance = random.Random(7)
    networks = {"unet": torch.nn.ModuleDict({"to_q": torch.nn.Linear(4, 4), "conv": torch.nn.Conv2d(4, 4, 3)})}
    endings = [*PARTS, "lora_A.default.weight", "lora_B.weight", "lora_magnitude_vector", "alpha", "oft_blocks"]
    types = [torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.bool, torch.float8_e4m3fn]
    file, read = tmp_path / "any.safetensors", 0
    for _ in range(500):
        layer = chance.choice(["to_q", "lora_unet_conv", "unet.to_q", "text_encoder.to_q"])
        tensors = {
            f"{layer}.{ending}": torch.ones(
                [chance.choice([0, 1, 2, 4, 4, 4]) for _ in range(chance.randint(0, 4))]
            ).to(chance.choice(types))
            for ending in chance.sample(endings, chance.randint(1, 3))
        }
        save_file(tensors, file)
        try:
            layers = read_lora(file, networks)
        except RunError:
            continue
        read += 1
        pipeline: Any = SimpleNamespace(components=copy.deepcopy(networks))
        Loras(pipeline, {"any": file}, restorable=False).apply({"any": 1})
        assert layers
    assert read > 0


def test_what_is_no_safetensors_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_bytes(b"<html>Log in</html>")
    with pytest.raises(RunError, match=r"page\.safetensors is no safetensors file"):
        check_lora(tmp_path / "page.safetensors")
