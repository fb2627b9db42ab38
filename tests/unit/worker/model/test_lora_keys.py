"""Every layer of every layout of the catalogue is found under each of its names, and no name means two layers."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.original_layout import original_layout
from userdata.job.run_error import RunError
from userdata.worker.model.empty_model import empty_networks
from userdata.worker.model.lora_file import layers_of
from userdata.worker.model.lora_keys import Place, layer_and_part, places_in

UNETS = ("stable-diffusion-v1", "stable-diffusion-xl", "demo")
TRANSFORMERS = ("flux2-klein", "z-image", "chroma")
ORIGINAL = "model.diffusion_model."


@cache
def networks(layout: str) -> dict[str, Any]:
    return empty_networks(layout)


@cache
def places(layout: str) -> dict[str, Place]:
    return places_in(networks(layout))


def modules(layout: str, component: str) -> list[str]:
    network = networks(layout)[component]
    return [
        name for name, module in network.named_modules() if isinstance(getattr(module, "weight", None), nn.Parameter)
    ]


def place_of(layout: str, key: str) -> tuple[str, tuple[str, ...]]:
    named = layer_and_part(key)
    assert named is not None, key
    place = places(layout)[named[0]]
    return place.component, place.changed


@pytest.mark.parametrize("layout", [*UNETS, "flux-schnell", "tiny", "sdxl-turbo", *TRANSFORMERS])
def test_diffusers_and_kohyas_names_mean_each_layer(layout: str) -> None:
    kohyas = {"unet": "unet", "transformer": "unet", "text_encoder": "te1", "text_encoder_2": "te2"}
    for component in networks(layout):
        for module in modules(layout, component):
            expected = (component, (module,))
            assert place_of(layout, f"{component}.{module}.lora_A.weight") == expected
            kohya = f"lora_{kohyas[component]}_{module.replace('.', '_')}"
            assert place_of(layout, f"{kohya}.lora_down.weight") == expected
            if component.startswith("text_encoder"):
                # As transformers named them for years.
                assert place_of(layout, f"{component}.text_model.{module}.lora_B.weight") == expected
            if component == "text_encoder":
                assert place_of(layout, f"lora_te_text_model_{module.replace('.', '_')}.alpha") == expected


@pytest.mark.parametrize("layout", ["stable-diffusion-v1", "stable-diffusion-xl"])
@pytest.mark.parametrize("beginning", ["lora_unet_", ORIGINAL, "diffusion_model."])
def test_the_original_codes_names_mean_each_layer_of_a_unet(layout: str, beginning: str) -> None:
    embedding = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
    weights = networks(layout)["unet"].state_dict()
    for module in modules(layout, "unet"):
        original = embedding.get(module) or next(
            iter(
                original_layout(
                    text_encoder={},
                    unet={f"{module}.weight": weights[f"{module}.weight"]},
                    vae={},
                    first_level_attends=layout == "stable-diffusion-v1",
                )
            )
        ).removeprefix(ORIGINAL).removesuffix(".weight")
        if beginning == "lora_unet_":
            original = original.replace(".", "_")
        assert place_of(layout, f"{beginning}{original}.lora_up.weight") == ("unet", (module,))


@pytest.mark.parametrize("beginning", ["lora_unet_", "diffusion_model.", "transformer."])
def test_fluxs_original_layers_are_several_of_diffusers(beginning: str) -> None:
    def changed(layer: str) -> tuple[str, ...]:
        name = layer.replace(".", "_") if beginning == "lora_unet_" else layer
        component, found = place_of("flux-schnell", f"{beginning}{name}.lora_down.weight")
        assert component == "transformer"
        return found

    attention = "transformer_blocks.18.attn."
    assert changed("double_blocks.18.img_attn.qkv") == (f"{attention}to_q", f"{attention}to_k", f"{attention}to_v")
    assert changed("double_blocks.18.txt_attn.proj") == (f"{attention}to_add_out",)
    single = "single_transformer_blocks.37."
    three = tuple(f"{single}attn.to_{one}" for one in "qkv")
    assert changed("single_blocks.37.linear1") == (*three, f"{single}proj_mlp")
    originals = {
        found.changed for name, found in places("flux-schnell").items() if name.startswith("lora_unet_double_blocks_0_")
    }
    of_the_block = {module for modules_ in originals for module in modules_}
    linear = {m for m in modules("flux-schnell", "transformer") if m.startswith("transformer_blocks.0.")}
    assert of_the_block == {module for module in linear if ".norm_" not in module}


@pytest.mark.parametrize(
    ("key", "layer", "part"),
    [
        ("a.b.lora_A.weight", "a_b", "down"),
        ("a.b.lora_B.default.weight", "a_b", "up"),
        ("a.b.lora_A.my-adapter.weight", "a_b", "down"),
        ("base_model.model.a.b.lora_B.weight", "a_b", "up"),
        ("a.b.lora.up.weight", "a_b", "up"),
        ("a.b.lora_linear_layer.down.weight", "a_b", "down"),
        ("a.attn1.processor.to_q_lora.down.weight", "a_attn1_to_q", "down"),
        ("a.attn1.processor.to_out_lora.up.weight", "a_attn1_to_out", "up"),
        ("lora_unet_a_b.lora_mid.weight", "lora_unet_a_b", "mid"),
        ("lora_unet_a_b.alpha", "lora_unet_a_b", "alpha"),
        ("a.b.lora_magnitude_vector", "a_b", "magnitude"),
        ("a.b.lora_magnitude_vector.default.weight", "a_b", "magnitude"),
        ("lora_unet_a_b.dora_scale", "lora_unet_a_b", "dora_scale"),
        ("lora_unet_a_b.lokr_w2_a", "lora_unet_a_b", "lokr_w2_a"),
        ("lora_unet_a_b.diff_b", "lora_unet_a_b", "diff_b"),
        ("lora_unet_a_b.w_norm", "lora_unet_a_b", "diff"),
    ],
)
def test_a_key_is_a_layer_and_a_part(key: str, layer: str, part: str) -> None:
    assert layer_and_part(key) == (layer, part)


@pytest.mark.parametrize(
    "key",
    [
        "model.diffusion_model.out.2.weight",
        "a.b.lora_B.bias",
        "a.b.oft_blocks",
        "lora_A.weight",
        "a.b.processor.qkv_lora1.down.weight",
        "alphas_cumprod",
    ],
)
def test_what_is_no_key_of_a_known_formula_is_none(key: str) -> None:
    assert layer_and_part(key) is None


def test_the_old_name_of_the_last_layer_of_attention_is_known() -> None:
    block = "mid_block.attentions.0.transformer_blocks.0.attn1"
    assert place_of("stable-diffusion-v1", f"{block}.processor.to_out_lora.up.weight") == (
        "unet",
        (f"{block}.to_out.0",),
    )


def lora(layers: list[str], rows: int, columns: int) -> dict[str, torch.Tensor]:
    """The tensors of a LoRA of rank 2 for these layers, each with so many outputs and inputs."""
    up, down = torch.empty(rows, 2, device="meta"), torch.empty(2, columns, device="meta")
    return {f"{layer}.{part}": one for layer in layers for part, one in (("lora_B", up), ("lora_A", down))}


ORIGINAL_FLUX = [f"diffusion_model.double_blocks.{block}.img_attn.qkv" for block in range(19)]
OF_FLUX_1 = lora(ORIGINAL_FLUX, 3 * 3072, 3072)
OF_FLUX_2 = lora(["transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj"], 27648, 3072)
OF_Z_IMAGE = lora(["diffusion_model.layers.29.attention.to_q", "diffusion_model.layers.0.attention.to_out"], 3840, 3840)


@pytest.mark.parametrize(
    ("layout", "tensors", "why"),
    [
        ("flux2-klein", OF_FLUX_1, "14 of its 19 layers are none of the model's.* It was made for FLUX:"),
        ("flux2-klein", lora(ORIGINAL_FLUX[:5], 3 * 3072, 3072), ""),
        ("flux2-klein", lora(["diffusion_model.single_blocks.19.linear1"], 27648, 3072), ""),
        ("flux2-klein", OF_FLUX_2, ""),
        ("flux2-klein", OF_Z_IMAGE, "It was made for Z-Image:"),
        ("z-image", OF_Z_IMAGE, ""),
        ("z-image", OF_FLUX_2, "It was made for FLUX.2:"),
        ("z-image", OF_FLUX_1, "It was made for FLUX:"),
        ("chroma", OF_FLUX_1, ""),
        ("chroma", lora(["diffusion_model.double_blocks.0.img_mod.lin"], 6 * 3072, 3072), "1 of its 1 layers are none"),
        ("stable-diffusion-xl", OF_Z_IMAGE, "It was made for Z-Image:"),
    ],
)
def test_a_lora_of_another_family_is_refused_and_its_family_named(
    layout: str, tensors: dict[str, torch.Tensor], why: str
) -> None:
    with pytest.raises(RunError, match=why) if why else nullcontext():
        layers_of("a.safetensors", tensors, {}, networks(layout))
