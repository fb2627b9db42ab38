"""The parts of Stable Diffusion v1, made small: what each one is and how its weights start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

# Edge in pixels of the images of the training, and how many of them one latent covers, in each direction.
NATIVE_SIZE = 128
# Half of Stable Diffusion v1's edge and more channels: its things are larger, ours would lose eyes and wheels. With
# 8 × 8 pixels in 8 channels (22.5 dB) the judge named only 58 % of the pairs. The best linear code of 4 × 4 pixels
# reaches 25.0 dB with 4 channels, 27.2 with 6 and 28.7 with 8, and each channel more is more for the UNet to draw.
VAE_FACTOR = 4
LATENT_CHANNELS = 6
TEXT_WIDTH = 128

SCHEDULER: dict[str, Any] = {
    # As Stable Diffusion v1.
    "beta_start": 0.00085,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    # Not as Stable Diffusion v1, with 0.012: its noisiest step still shows 7 % of the picture, so that a model learns
    # backgrounds from what is not there when it draws (arXiv:2305.08891); this leaves 2 %.
    "beta_end": 0.02,
    # Not as Stable Diffusion v1, which predicts the noise: the velocity (arXiv:2202.00512) says something about the
    # picture at the noisiest steps too, where plain backgrounds get their colour.
    "prediction_type": "v_prediction",
}


def make_scheduler() -> Any:
    """The scheduler whose noise the model is trained with."""
    return DDIMScheduler(**SCHEDULER)


def make_text_encoder(tokenizer: CLIPTokenizer) -> Any:
    """A CLIP text encoder for the tokenizer's vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_unet() -> Any:
    """The UNet: 5.6 million parameters, three levels, the middle one and the bottom of which attend to the text.

    Two levels with two layers each are as large and take 1.4 times the arithmetic.
    """
    return UNet2DConditionModel(
        sample_size=NATIVE_SIZE // VAE_FACTOR,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=32,
    )


def make_vae() -> Any:
    """The autoencoder: 0.8 million parameters, 4 × 4 pixels to one latent of 6 channels."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(32, 48, 64),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=8,
        sample_size=NATIVE_SIZE,
    )


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer whose files are in `folder`."""
    return CLIPTokenizer.from_pretrained(folder)


def count_parameters(module: torch.nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(parameter.numel() for parameter in module.parameters())
