"""The names that trainers give the tensors of a LoRA file, and the model's layers that they mean.

A name is a layer and a part: `lora_unet_mid_block_attentions_0_proj_in.lora_down.weight`. Trainers join the layer's
path with dots or with underscores, begin it in some dozen ways, and follow diffusers' names of a network's layers or
those of its original code. So both the model's paths and the file's are compared with underscores alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

# The parts of a pipeline by their names, networks among them.
Components = Mapping[str, Any]

# What each part of a layer is called by kohya's trainer, LyCORIS, diffusers and PEFT.
PARTS = {
    "down": r"lora_A|lora_down|lora\.down|lora_linear_layer\.down",
    "up": r"lora_B|lora_up|lora\.up|lora_linear_layer\.up",
    "mid": "lora_mid",
    "alpha": "alpha",
    "dora_scale": "dora_scale",
    "magnitude": "lora_magnitude_vector",
    "diff": "diff|w_norm",
    "diff_b": "diff_b|b_norm",
    **{name: name for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")},
    **{name: name for name in ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")},
}
# PEFT puts the adapter's name between the part and its ending.
_KEY = re.compile(
    rf"(?P<layer>.+?)\.(?:{'|'.join(f'(?P<{part}>{names})' for part, names in PARTS.items())})"
    r"(?:\.(?!bias$|weight$)[^.]+)?(?:\.weight)?"
)
_PROCESSOR = re.compile(r"\.processor\.(\w+)_lora\.(down|up)\.")
# What a layer's name begins with, by the part of the pipeline. The denoising network has any of these names.
_BEGINNINGS = {
    "unet": (
        *("lora_unet_", "lora_transformer_", "lycoris_", "unet_", "transformer_"),
        *("model_diffusion_model_", "diffusion_model_", ""),
    ),
    "text_encoder": ("lora_te_", "lora_te1_", "text_encoder_", ""),
    "text_encoder_2": ("lora_te2_", "lora_te3_", "text_encoder_2_"),
}
_BEGINNINGS["transformer"] = _BEGINNINGS["unet"]
# A residual block's layers by their names in the original code.
_RESIDUAL = {
    "norm1": "in_layers_0",
    "conv1": "in_layers_2",
    "time_emb_proj": "emb_layers_1",
    "norm2": "out_layers_0",
    "conv2": "out_layers_3",
    "conv_shortcut": "skip_connection",
}
_AROUND_THE_BLOCKS = {
    "conv_in": "input_blocks_0_0",
    "time_embedding_linear_1": "time_embed_0",
    "time_embedding_linear_2": "time_embed_2",
    "add_embedding_linear_1": "label_emb_0_0",
    "add_embedding_linear_2": "label_emb_0_2",
    "conv_norm_out": "out_0",
    "conv_out": "out_2",
}
_Layers = Mapping[str, Mapping[str, tuple[str, ...]]]
# FLUX's layers by their names in the original code, one of which may be several of diffusers', row after row.
_FLUX: _Layers = {
    "double_blocks": {
        "img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
        "txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
        "img_attn_proj": ("attn.to_out.0",),
        "txt_attn_proj": ("attn.to_add_out",),
        "img_mlp_0": ("ff.net.0.proj",),
        "img_mlp_2": ("ff.net.2",),
        "txt_mlp_0": ("ff_context.net.0.proj",),
        "txt_mlp_2": ("ff_context.net.2",),
        "img_mod_lin": ("norm1.linear",),
        "txt_mod_lin": ("norm1_context.linear",),
    },
    "single_blocks": {
        "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
        "linear2": ("proj_out",),
        "modulation_lin": ("norm.linear",),
    },
}
# Where FLUX.2's layers are called otherwise. Chroma's are FLUX.1's, without those for the modulation.
_FLUX_2: _Layers = {
    "double_blocks": {
        "img_mlp_0": ("ff.linear_in",),
        "img_mlp_2": ("ff.linear_out",),
        "txt_mlp_0": ("ff_context.linear_in",),
        "txt_mlp_2": ("ff_context.linear_out",),
    },
    "single_blocks": {"linear1": ("attn.to_qkv_mlp_proj",), "linear2": ("attn.to_out",)},
}
_FLUX_AROUND_THE_BLOCKS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in_in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in_out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in_in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in_out_layer": "time_text_embed.text_embedder.linear_2",
    "final_layer_linear": "proj_out",
}


class Place(NamedTuple):
    """What a layer of a file changes: `modules` of the pipeline's `component`, whose rows follow one another.

    With `only`, a number, the layer is that one of them. The modules stand together because other files name them as
    one layer.
    """

    component: str
    modules: tuple[str, ...]
    only: int | None = None

    @property
    def changed(self) -> tuple[str, ...]:
        """The modules that the layer changes."""
        return self.modules if self.only is None else (self.modules[self.only],)


def layer_and_part(key: str) -> tuple[str, str] | None:
    """The layer, with underscores alone, and the part that a tensor's name means; None for any other name."""
    named = _KEY.fullmatch(_PROCESSOR.sub(r".\1.lora.\2.", key))
    if named is None:
        return None
    part = next(part for part in PARTS if named[part])
    return named["layer"].removeprefix("base_model.model.").replace(".", "_"), part


def parameters_of(components: Components, component: str, modules: Iterable[str], attribute: str) -> list[Tensor]:
    """The parameter `attribute`, `weight` or `bias`, of each of `modules`; none when one of them has no such."""
    found = [getattr(components[component].get_submodule(module), attribute, None) for module in modules]
    parameters = [parameter for parameter in found if parameter is not None]
    return parameters if len(parameters) == len(found) else []


def places_in(components: Components) -> dict[str, Place]:
    """Every layer of a pipeline's `components` that a LoRA may change, by each of its names with underscores alone."""
    found: dict[str, Place] = {}
    for component, beginnings in _BEGINNINGS.items():
        network = components.get(component)
        for name, place in _names_in(component, network) if network is not None else ():
            for beginning in beginnings:
                found.setdefault(beginning + name, place)
    return found


def _names_in(component: str, network: nn.Module) -> Iterator[tuple[str, Place]]:
    """Each layer of `network` with its names, but for their beginnings."""
    together = _of_the_original_flux(network) if component == "transformer" else {}
    for name, modules in together.items():
        yield name, Place(component, modules)
    parts = {path: (modules, only) for modules in together.values() for only, path in enumerate(modules)}
    originals = _of_the_original_unet(network) if isinstance(network, UNet2DConditionModel) else {}
    for path, module in network.named_modules():
        if not isinstance(getattr(module, "weight", None), nn.Parameter):
            continue
        place, name = Place(component, *parts.get(path, ((path,), None))), path.replace(".", "_")
        yield name, place
        if name.endswith("_to_out_0"):
            yield name.removesuffix("_0"), place
        if component.startswith("text_encoder"):
            yield f"text_model_{name}", place  # as in transformers before version 5
        block = next((block for block in originals if f"{name}_".startswith(f"{block}_")), None)
        if block:
            within = name.removeprefix(block)
            yield originals[block] + (f"_{_RESIDUAL[within[1:]]}" if within[1:] in _RESIDUAL else within), place


def _of_the_original_unet(unet: Any) -> dict[str, str]:
    """What stands in the original code's names for each block of `unet`, by diffusers' names."""
    names = dict(_AROUND_THE_BLOCKS)
    number = 1
    for b, block in enumerate(unet.down_blocks):
        for layer in range(len(block.resnets)):
            names[f"down_blocks_{b}_resnets_{layer}"] = f"input_blocks_{number}_0"
            names[f"down_blocks_{b}_attentions_{layer}"] = f"input_blocks_{number}_1"
            number += 1
        names[f"down_blocks_{b}_downsamplers_0_conv"] = f"input_blocks_{number}_0_op"
        number += bool(block.downsamplers)
    for place, ours in enumerate(("resnets_0", "attentions_0", "resnets_1")):
        names[f"mid_block_{ours}"] = f"middle_block_{place}"
    number = 0
    for b, block in enumerate(unet.up_blocks):
        attentions = bool(getattr(block, "attentions", None))
        for layer in range(len(block.resnets)):
            names[f"up_blocks_{b}_resnets_{layer}"] = f"output_blocks_{number}_0"
            names[f"up_blocks_{b}_attentions_{layer}"] = f"output_blocks_{number}_1"
            number += 1
        names[f"up_blocks_{b}_upsamplers_0_conv"] = f"output_blocks_{number - 1}_{1 + attentions}_conv"
    return names


def _of_the_original_flux(transformer: Any) -> dict[str, tuple[str, ...]]:
    """The modules of `transformer` that each layer of the original code is; none for another kind of transformer."""
    names: dict[str, tuple[str, ...]] = {name: (module,) for name, module in _FLUX_AROUND_THE_BLOCKS.items()}
    ours = {"double_blocks": "transformer_blocks", "single_blocks": "single_transformer_blocks"}
    there = {path for path, _ in transformer.named_modules()}
    for kind, layers in (*_FLUX.items(), *_FLUX_2.items()):
        for number in range(len(getattr(transformer, ours[kind], ()))):
            for layer, modules in layers.items():
                paths = tuple(f"{ours[kind]}.{number}.{module}" for module in modules)
                if there.issuperset(paths):
                    names[f"{kind}_{number}_{layer}"] = paths
    return {name: modules for name, modules in names.items() if there.issuperset(modules)}
