"""Networks with the blocks of Stable Diffusion's, small enough to be computed in no time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ChromaTransformer2DModel,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    UNet2DConditionModel,
    ZImageTransformer2DModel,
)
from torch import nn


def small_pipeline(**options: Any) -> Any:
    """A U-Net, with `options` beside the usual ones, and an autoencoder, with the same weights each time."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        sample_size=8,
        **options,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
    )
    for module in (unet, vae):
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, std=0.5)  # else a bias that is forgotten would not show
    return SimpleNamespace(unet=unet.eval(), vae=vae.eval())


def small_transformer(kind: str) -> Any:
    """The transformer of FLUX.1 ("flux"), Chroma ("chroma"), FLUX.2 ("flux2") or Z-Image ("z_image").

    It has the same weights each time.
    """
    torch.manual_seed(0)
    transformer: Any
    alike: dict[str, Any] = {"in_channels": 8, "num_layers": 2, "num_single_layers": 3, "attention_head_dim": 16}
    alike |= {"num_attention_heads": 3, "joint_attention_dim": 12}
    if kind == "flux":
        transformer = FluxTransformer2DModel(**alike, pooled_projection_dim=10, axes_dims_rope=(4, 6, 6))
    elif kind == "chroma":
        transformer = ChromaTransformer2DModel(
            **alike,
            axes_dims_rope=(4, 6, 6),
            approximator_num_channels=8,
            approximator_hidden_dim=20,
            approximator_layers=2,
        )
    elif kind == "flux2":
        transformer = Flux2Transformer2DModel(**alike, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False)
    else:
        transformer = ZImageTransformer2DModel(
            in_channels=4,
            dim=48,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=3,
            n_kv_heads=3,
            cap_feat_dim=12,
            axes_dims=[4, 6, 6],
            axes_lens=[256, 32, 32],
        )
    for name, parameter in transformer.named_parameters():
        if name.endswith("bias") or ".norm_" in name or "norm1.weight" in name or "norm2.weight" in name:
            nn.init.normal_(parameter, std=0.5)  # else one that is forgotten would not show
    return transformer.eval()


def transformer_input(kind: str, count: int = 2) -> dict[str, Any]:
    """What `small_transformer` computes with: `count` images with texts. Those of Z-Image have different lengths."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    time = torch.full((count,), 0.5)
    if kind == "z_image":
        texts = [drawn(5 + 40 * number, 12) for number in range(count)]
        return {"x": [drawn(4, 1, 8, 12) for _ in texts], "t": time, "cap_feats": texts}
    axes = 4 if kind == "flux2" else 3
    places = torch.cartesian_prod(*[torch.arange(2.0)] * (axes - 1), torch.arange(3.0))
    more: dict[str, Any] = {"pooled_projections": drawn(count, 10)} if kind == "flux" else {}
    if kind == "chroma":  # numbers that are added, as its pipeline gives them
        more = {"attention_mask": (torch.arange(5 + len(places)) != 3).float().expand(count, -1)}
    return {
        "hidden_states": drawn(count, len(places), 8),
        "encoder_hidden_states": drawn(count, 5, 12),
        "timestep": time,
        "img_ids": places,
        "txt_ids": torch.zeros(5, axes),
        **more,
    }
