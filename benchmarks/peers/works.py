"""What is drawn of each model of the catalogue, and the same in miniature, for machines without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from userdata.contract.catalogue import Model, read_catalogue
from userdata.job.job import Job

# Of some hundred tokens to a tokenizer that knows single letters, which is what a sentence or two are to a real one.
PROMPT = "a horse under a tree beside a river, at dawn, with mist over the water and a village far behind"
Shapes = Mapping[str, Mapping[str, Any]]
# In this order: ours is drawn before diffusers takes the text encoder to the card, and compiling changes networks.
WAYS = ("ceilings", "long", "jobs", "one", "steps", "floor", "eager", "compiled", "float8", "files")
DRAWN = ("long", "jobs", "one", "eager", "compiled", "float8")
# In the place of the figures of a way that has none: why.
NONE = "no figure"


@dataclass(frozen=True)
class Work:
    """How images of `model` are drawn.

    `batches` are the sizes of the peers' batches, `job` is how many images the larger of our jobs has, and `changes`
    are the fields that differ from the catalogue's defaults.
    """

    model: str
    batches: tuple[int, ...] = (1, 4)
    job: int = 4
    changes: Mapping[str, Any] | None = None

    @property
    def entry(self) -> Model:
        """The model's entry in the catalogue."""
        return read_catalogue()[self.model]

    def draw(self, images: int, *, number: int = 0, tiny: bool = False, steps: int | None = None) -> Job:
        """A job of `images` images of one prompt, which differs with `number`; `steps` are its own unless given."""
        fields = {**self.entry.defaults, **(self.changes or {})}
        if tiny:
            fields.update(H=64, W=64, ddim_steps=2)
        if steps:
            fields["ddim_steps"] = steps
        text = {"prompt": f"{PROMPT}, number {number}", "seed": number, "safety_checker": "off"}
        return Job(model=self.model, n_iter=images, n_samples=1, **text, **fields)


WORKS = {
    work.model: work
    for work in (
        Work("stable-diffusion-v1-5", (1, 16), changes={"ddim_steps": 25, "sampler": "dpm_solver"}),
        Work("sdxl-base", changes={"ddim_steps": 30}),
        Work("sdxl-turbo", (16,), job=16),
        Work("sdxl-lightning"),
        Work("flux-schnell"),
        Work("flux2-klein"),
        Work("z-image-turbo", (1,)),
        Work("z-image", (1,), job=2),
        Work("chroma", (1,), job=2),
    )
}

_CLIP = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_VAE = {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 2}
_T5 = {"d_model": 32, "d_ff": 32, "d_kv": 8, "num_heads": 4, "num_layers": 2, "vocab_size": 64}
# The pipeline of FLUX.2 takes the states after 9, 18 and 27 layers.
_QWEN = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
_QWEN |= {"vocab_size": 512}
_XL: Shapes = {
    "unet": {
        "block_out_channels": [32, 32, 64],
        "attention_head_dim": [2, 2, 4],
        "cross_attention_dim": 32 + 64,
        "transformer_layers_per_block": [1, 1, 2],
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 64,
    },
    "vae": _VAE,
    "text_encoder": _CLIP,
    "text_encoder_2": {**_CLIP, "hidden_size": 64, "projection_dim": 64},
}
_BLOCKS = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}
_Z: Shapes = {
    "transformer": {"dim": 32, "n_heads": 2, "n_kv_heads": 2, "n_layers": 1, "n_refiner_layers": 1}
    | {"cap_feat_dim": 16, "axes_dims": [4, 6, 6]},
    "vae": _VAE,
    "text_encoder": {**_QWEN, "num_hidden_layers": 2},
}
# By the layout: what is narrower in the configuration of each part.
NARROW: Mapping[str, Shapes] = {
    "stable-diffusion-v1": {
        "unet": {"block_out_channels": [32, 64, 64, 64], "cross_attention_dim": 32},
        "vae": _VAE,
        "text_encoder": {**_CLIP, "projection_dim": 32},
    },
    "stable-diffusion-xl": _XL,
    "sdxl-turbo": _XL,
    "sdxl-lightning": _XL,
    "flux-schnell": {
        "transformer": {**_BLOCKS, "joint_attention_dim": 32, "pooled_projection_dim": 32, "axes_dims_rope": [4, 4, 8]},
        "vae": _VAE,
        "text_encoder": _CLIP,
        "text_encoder_2": _T5,
    },
    "flux2-klein": {
        "transformer": {**_BLOCKS, "joint_attention_dim": 48, "axes_dims_rope": [4, 4, 4, 4]},
        "vae": _VAE,
        "text_encoder": {**_QWEN, "num_hidden_layers": 27},
    },
    "z-image-turbo": _Z,
    "z-image": _Z,
    "chroma": {
        "transformer": {**_BLOCKS, "joint_attention_dim": 32, "axes_dims_rope": [4, 4, 8]}
        | {"approximator_hidden_dim": 32, "approximator_layers": 1},
        "vae": _VAE,
        "text_encoder": _T5,
    },
}
