"""Tells which of diffusers' blocks can be fused: those with only the options that Stable Diffusion's networks have."""

from __future__ import annotations

from typing import Any

from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import nn


def fits_convolution(convolution: nn.Conv2d) -> bool:
    """Whether a convolution has a bias and only options that the fused one knows."""
    return convolution.bias is not None and convolution.groups == 1 and convolution.padding_mode == "zeros"


def fits_residual_block(block: Any) -> bool:
    """Whether a `ResnetBlock2D` has only options that the fused block knows."""
    return (
        block.upsample is None
        and block.downsample is None
        # A decoder's blocks name a normalisation of the time although they know no time.
        and (
            block.time_embedding_norm == "default"
            or (block.time_emb_proj is None and block.time_embedding_norm != "scale_shift")
        )
        and isinstance(block.nonlinearity, nn.SiLU)
        and not block.skip_time_act
        and block.output_scale_factor == 1
    )


def fits_up_block(block: Any) -> bool:
    """Whether an `UpBlock2D` or a `CrossAttnUpBlock2D`, and all blocks in it, have only such options."""
    return (
        all(fits_residual_block(resnet) and resnet.conv_shortcut is not None for resnet in block.resnets)
        and all(map(fits_transformer, getattr(block, "attentions", ())))
        and getattr(block, "s1", None) is None  # FreeU, which changes the joined maps
    )


def fits_transformer(transformer: Any) -> bool:
    """Whether a `Transformer2DModel`, and all blocks in it, have only such options."""
    return bool(transformer.is_input_continuous) and all(map(fits_transformer_block, transformer.transformer_blocks))


def fits_transformer_block(block: Any) -> bool:
    """Whether a `BasicTransformerBlock` has only such options."""
    return (
        block.norm_type == "layer_norm"
        and block.pos_embed is None
        and block._chunk_size is None
        and not hasattr(block, "fuser")
        and not block.only_cross_attention
        and block.attn2 is not None
        and _fits_attention(block.attn1)
        and _fits_attention(block.attn2)
        and _fits_feed_forward(block.ff)
    )


def _fits_attention(attention: Any) -> bool:
    return (
        type(attention.processor) is AttnProcessor2_0
        and attention.spatial_norm is None
        and attention.group_norm is None
        and not attention.norm_cross
        and attention.norm_q is None
        and attention.norm_k is None
        and not attention.residual_connection
        and attention.rescale_output_factor == 1
        and attention.to_out[0].bias is not None
    )


def _fits_feed_forward(feed_forward: Any) -> bool:
    kinds = [type(layer) for layer in feed_forward.net]
    return kinds == [GEGLU, nn.Dropout, nn.Linear] and feed_forward.net[2].bias is not None


def fits_upsampling(block: Any) -> bool:
    """Whether an `Upsample2D` has only such options."""
    return (
        block.use_conv
        and not block.use_conv_transpose
        and block.norm is None
        and block.interpolate
        and block.name == "conv"
        and block.conv.kernel_size == (3, 3)
        and block.conv.padding == (1, 1)
        and block.conv.bias is not None
    )
