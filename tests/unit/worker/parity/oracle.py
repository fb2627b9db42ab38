"""The independent implementation: the `ldm` package of stable-diffusion-sdkit, a small model of SD v1's layout in it.

Its own modules name and hold the weights, so that their state dictionaries are what the original scripts save.
"""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import torch
from transformers import CLIPTextConfig, CLIPTextModel

CHANNELS = 32
MULTIPLIERS = (1, 2, 2, 2)
VAE_MULTIPLIERS = (1, 1, 2, 2)
CONTEXT = 64
SCALE_FACTOR = 0.18215  # of SD v1's latents: configs/stable-diffusion/v1-inference.yaml


def provide_missing_imports(monkeypatch: Any) -> None:
    """Puts empty stand-ins where `ldm` imports what neither drawing nor its numbers need."""
    lightning = ModuleType("pytorch_lightning")
    lightning.LightningModule = torch.nn.Module  # type: ignore[attr-defined]
    list_config = ModuleType("omegaconf.listconfig")
    list_config.ListConfig = type("ListConfig", (), {})  # type: ignore[attr-defined]
    for module in (lightning, ModuleType("omegaconf"), list_config, ModuleType("open_clip")):
        monkeypatch.setitem(sys.modules, module.__name__, module)


class Oracle:
    """A model as the original's samplers want it: betas, alphas, and `apply_model`. Single precision, on the CPU."""

    num_timesteps = 1000
    parameterization = "eps"
    device = torch.device("cpu")

    def __init__(self) -> None:
        from ldm.models.autoencoder import AutoencoderKL
        from ldm.modules.diffusionmodules.openaimodel import UNetModel
        from ldm.modules.diffusionmodules.util import make_beta_schedule

        betas = torch.from_numpy(make_beta_schedule("linear", 1000, linear_start=0.00085, linear_end=0.012))
        alphas = torch.cumprod(1 - betas, dim=0)
        self.betas = betas.float()
        self.alphas_cumprod = alphas.float()
        self.alphas_cumprod_prev = torch.cat([torch.ones(1), self.alphas_cumprod[:-1]])
        self.unet = UNetModel(
            image_size=32,
            in_channels=4,
            out_channels=4,
            model_channels=CHANNELS,
            attention_resolutions=[4, 2, 1],
            num_res_blocks=2,
            channel_mult=list(MULTIPLIERS),
            num_heads=8,
            use_spatial_transformer=True,
            transformer_depth=1,
            context_dim=CONTEXT,
            use_checkpoint=False,
            legacy=False,
        )
        self.vae = AutoencoderKL(
            ddconfig={
                "double_z": True,
                "z_channels": 4,
                "resolution": 256,
                "in_channels": 3,
                "out_ch": 3,
                "ch": CHANNELS,
                "ch_mult": list(VAE_MULTIPLIERS),
                "num_res_blocks": 2,
                "attn_resolutions": [],
                "dropout": 0.0,
            },
            lossconfig={"target": "torch.nn.Identity"},
            embed_dim=4,
        )
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408,
                hidden_size=CONTEXT,
                intermediate_size=CONTEXT,
                num_hidden_layers=2,
                num_attention_heads=2,
                projection_dim=CONTEXT,
                max_position_embeddings=77,
                hidden_act="quick_gelu",
                eos_token_id=2,
            )
        )
        generator = torch.Generator().manual_seed(0)
        for module in (self.unet, self.vae, self.text_encoder):
            _draw_weights(module.eval(), generator)

    def apply_model(self, x: torch.Tensor, t: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """The predicted noise."""
        predicted: torch.Tensor = self.unet(x, timesteps=t, context=c)
        return predicted

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The checkpoint's weights under the original's names."""
        parts = {
            "model.diffusion_model.": self.unet,
            "first_stage_model.": self.vae,
            "cond_stage_model.transformer.text_model.": self.text_encoder,
        }
        weights = {
            prefix + name.removeprefix("text_model."): value.contiguous()
            for prefix, part in parts.items()
            for name, value in part.state_dict().items()
        }
        return {**weights, "betas": self.betas, "alphas_cumprod": self.alphas_cumprod}


def _draw_weights(module: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight from a normal distribution, also those that begin at zero: a model whose answers all matter."""
    with torch.no_grad():
        for weight in module.parameters():
            deviation = 1 / math.sqrt(math.prod(weight.shape[1:])) if weight.ndim > 1 else 0.1
            mean = 1.0 if weight.ndim == 1 else 0.0
            weight.copy_(mean * (weight.ndim == 1) + deviation * torch.randn(weight.shape, generator=generator))
