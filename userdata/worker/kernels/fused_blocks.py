"""Runs the blocks of a network and of its decoder with fused kernels, a U-Net's on pixels that lie channels last.

The blocks compute what diffusers' own blocks compute, in fewer passes over memory. A normalisation adds the biases and
the time embedding that come before it, each operation computes the activation behind it, and the transformers' matrix
multiplications add the other summand too. A block with an option that Stable Diffusion's networks do not have
(`fusible_blocks`) runs as in diffusers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name
from diffusers import DiffusionPipeline
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_chroma import ChromaSingleTransformerBlock, ChromaTransformerBlock
from diffusers.models.transformers.transformer_flux import FluxSingleTransformerBlock, FluxTransformerBlock
from diffusers.models.transformers.transformer_flux2 import Flux2SingleTransformerBlock, Flux2TransformerBlock
from diffusers.models.transformers.transformer_z_image import ZImageTransformerBlock
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D, UpBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from userdata.worker.kernels.decoder_attention import decoder_attention, fits_decoder_attention
from userdata.worker.kernels.flux_blocks import (
    chroma_block,
    chroma_single_block,
    fits_flux,
    flux2_block,
    flux2_single_block,
    flux_block,
    flux_single_block,
)
from userdata.worker.kernels.fusible_blocks import (
    fits_convolution,
    fits_residual_block,
    fits_transformer,
    fits_transformer_block,
    fits_up_block,
    fits_upsampling,
)
from userdata.worker.kernels.joined_products import join
from userdata.worker.kernels.parity_weights import parity_weights
from userdata.worker.kernels.triton_kernels import kernels
from userdata.worker.kernels.z_image_blocks import fits_z_image, z_image_block

BLOCKS_OF_TRANSFORMERS = (
    (FluxTransformerBlock, fits_flux, flux_block),
    (FluxSingleTransformerBlock, fits_flux, flux_single_block),
    (ChromaTransformerBlock, fits_flux, chroma_block),
    (ChromaSingleTransformerBlock, fits_flux, chroma_single_block),
    (Flux2TransformerBlock, fits_flux, flux2_block),
    (Flux2SingleTransformerBlock, fits_flux, flux2_single_block),
    (ZImageTransformerBlock, fits_z_image, z_image_block),
)


@contextmanager
def fused(pipeline: DiffusionPipeline) -> Iterator[None]:
    """While this is open, the network of `pipeline` and its decoder run with fused kernels."""
    decoder = pipeline.vae.decoder
    of_pixels, replaced = [decoder], [*_fuse(decoder), *_fuse_upsampling(decoder, in_parities=False)]
    if (transformer := getattr(pipeline, "transformer", None)) is not None:
        replaced += _fuse_transformer(transformer)
    else:
        of_pixels.append(pipeline.unet)
        replaced += _fuse(pipeline.unet)
        replaced += _fuse_upsampling(pipeline.unet, in_parities=True)
        replaced += join(pipeline.unet)
    try:
        for network in of_pixels:
            network.to(memory_format=torch.channels_last)
        yield
    finally:
        for module in replaced:
            del module.forward
        for network in of_pixels:
            network.to(memory_format=torch.contiguous_format)


def _fuse_transformer(transformer: nn.Module) -> Iterator[nn.Module]:
    """Does what `_fuse` does for the blocks of a transformer."""
    for block in transformer.modules():
        for kind, fits, forward in BLOCKS_OF_TRANSFORMERS:
            if type(block) is kind and fits(block):
                block.forward = partial(forward, block)
                yield block


def _fuse(network: Any) -> Iterator[nn.Module]:
    """Replaces the `forward` of each block of `network` that fits; yields the modules with a new `forward`."""
    for block in network.modules():
        forward_of_block = _forward_of(block)
        if forward_of_block:
            block.forward = partial(forward_of_block, block)
            yield block
    last: tuple[Any, Any] = network.conv_norm_out, network.conv_act
    if isinstance(last[0], nn.GroupNorm) and isinstance(last[1], nn.SiLU):
        for module, forward in zip(last, (_norm_with_silu, _unchanged), strict=True):
            module.forward = partial(forward, module)
            yield module


def _fuse_upsampling(network: nn.Module, *, in_parities: bool) -> Iterator[nn.Module]:
    """Does what `_fuse` does for the blocks that double the pixels.

    `in_parities` has each parity of the doubled pixels computed from the original ones. Not for the decoder: on its
    large maps cuDNN computes convolutions of 2 × 2 so slowly that decoding takes three times as long.
    """
    for block in network.modules():
        if isinstance(block, Upsample2D) and fits_upsampling(block):
            weights = parity_weights(block.conv.weight) if in_parities else None
            block.forward = partial(_upsampling, block, weights)
            yield block


def _forward_of(module: nn.Module) -> Callable[..., Any] | None:
    for kind, fits, forward in (
        (ResnetBlock2D, fits_residual_block, _residual_block),
        (Transformer2DModel, fits_transformer, _transformer),
        (BasicTransformerBlock, fits_transformer_block, _transformer_block),
        (GEGLU, lambda _: True, _gated),
        (nn.Conv2d, fits_convolution, _convolution),
        (Attention, fits_decoder_attention, decoder_attention),
        (UpBlock2D, fits_up_block, _up_block),
        (CrossAttnUpBlock2D, fits_up_block, _up_block),
    ):
        if type(module) is kind and fits(module):
            return forward
    return None


def _upsampling(
    block: Any, weights: Tensor | None, x: Tensor, output_size: Any = None, *_args: Any, **_kwargs: Any
) -> Tensor:
    """Doubles the pixels and convolves them: with the `weights` of the parities with 4 products for a pixel, not 9."""
    if output_size is not None and tuple(output_size) != (2 * x.shape[2], 2 * x.shape[3]):
        own: Tensor = type(block).forward(block, x, output_size)
        return own
    if weights is None:
        return _convolution(block.conv, kernels().doubled(x.contiguous(memory_format=torch.channels_last)))
    four = F.conv2d(x, weights, None, padding=1).contiguous(memory_format=torch.channels_last)
    return kernels().interleaved(four, block.conv.bias)


def _convolution(convolution: Any, x: Tensor) -> Tensor:
    """A convolution with its bias, which PyTorch adds at a third of the memory's rate."""
    return kernels().plus_bias(_without_bias(convolution, x), convolution.bias)


def _norm_with_silu(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    return kernels().group_norm(x, norm, silu=True)


def _unchanged(_module: nn.Module, x: Tensor) -> Tensor:
    return x


def _up_block(
    block: Any,
    hidden_states: Tensor,
    res_hidden_states_tuple: Sequence[Tensor],
    temb: Tensor | None = None,
    encoder_hidden_states: Tensor | None = None,
    upsample_size: Any = None,
    **options: Any,
) -> Tensor:
    """An up block whose operations read the maps from the way down where they lie, instead of a joined copy."""
    if any(option is not None for option in options.values()):
        own: Tensor = type(block).forward(
            block,
            hidden_states,
            res_hidden_states_tuple,
            temb,
            encoder_hidden_states=encoder_hidden_states,
            upsample_size=upsample_size,
            **options,
        )
        return own
    x = hidden_states
    attentions = getattr(block, "attentions", [None] * len(block.resnets))
    for resnet, attention, joined in zip(block.resnets, attentions, reversed(res_hidden_states_tuple), strict=True):
        x = resnet(x, temb, joined=joined)
        if attention is not None:
            (x,) = attention(x, encoder_hidden_states=encoder_hidden_states, return_dict=False)
    for upsampler in block.upsamplers or ():
        x = upsampler(x, upsample_size)
    return x


def _residual_block(
    block: Any,
    x: Tensor,
    temb: Tensor | None = None,
    *_args: Any,
    joined: Tensor | None = None,
    of_time: Callable[[Tensor], Tensor] | None = None,
    **_kwargs: Any,
) -> Tensor:
    """`of_time` makes of the time embedding what is added to all pixels after the first convolution, its bias too."""
    group_norm, sum_of = kernels().group_norm, kernels().sum_of
    inner = _without_bias(block.conv1, group_norm(x, block.norm1, silu=True, joined=joined))
    if temb is not None and of_time is not None:
        added = of_time(temb)
    else:
        added = block.conv1.bias.expand(len(x), -1)
        if temb is not None and block.time_emb_proj is not None:
            added = added + block.time_emb_proj(F.silu(temb))
    inner = _without_bias(block.conv2, group_norm(inner, block.norm2, silu=True, added=added))
    if block.conv_shortcut is None:
        return sum_of(inner, x.contiguous(memory_format=torch.channels_last), block.conv2.bias)
    bias = block.conv2.bias if block.conv_shortcut.bias is None else block.conv2.bias + block.conv_shortcut.bias
    shortcut = _without_bias(block.conv_shortcut, x) if joined is None else _joined(block.conv_shortcut, x, joined)
    return sum_of(inner, shortcut, bias)


def _joined(convolution: nn.Conv2d, x: Tensor, joined: Tensor) -> Tensor:
    """The 1 × 1 `convolution`, without its bias, of the channels of `x` and then of `joined`."""
    count, own, height, width = x.shape
    weight = convolution.weight.flatten(1)
    pixels, others = (part.permute(0, 2, 3, 1).reshape(-1, part.shape[1]) for part in (x, joined))
    product = F.linear(pixels, weight[:, :own]).addmm_(others, weight[:, own:].t())
    return product.view(count, height, width, -1).permute(0, 3, 1, 2)


def _without_bias(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    result = F.conv2d(x, convolution.weight, None, convolution.stride, convolution.padding, convolution.dilation)
    return result.contiguous(memory_format=torch.channels_last)


def _transformer(
    transformer: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **options: Any
) -> Any:
    """A transformer that takes the pixels as a matrix, with which a 1 × 1 convolution is a matrix product."""
    return_dict = options.pop("return_dict", True)
    if any(option is not None for option in options.values()):
        return type(transformer).forward(
            transformer, hidden_states, encoder_hidden_states, return_dict=return_dict, **options
        )
    x = hidden_states.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = x.shape
    tokens = kernels().group_norm(x, transformer.norm, silu=False).permute(0, 2, 3, 1).flatten(1, 2)
    tokens = _product(transformer.proj_in, tokens)
    for block in transformer.transformer_blocks:
        tokens = block(tokens, encoder_hidden_states=encoder_hidden_states)
    tokens = _product(transformer.proj_out, tokens)
    output = kernels().sum_of(tokens.view(count, height, width, channels).permute(0, 3, 1, 2), x)
    return Transformer2DModelOutput(sample=output) if return_dict else (output,)


def _product(layer: nn.Conv2d | nn.Linear, tokens: Tensor) -> Tensor:
    return F.linear(tokens, layer.weight.flatten(1), layer.bias)


def _transformer_block(
    block: Any,
    hidden_states: Tensor,
    attention_mask: Any = None,
    encoder_hidden_states: Any = None,
    of_tokens: Callable[[Tensor], Sequence[Tensor]] | None = None,
    **options: Any,
) -> Tensor:
    """A transformer block whose products add to `hidden_states` in place, without their biases.

    That is safe because no other module reads these `hidden_states`. The normalisations add the biases that are missing
    so far, and the last normalisation writes them all into `hidden_states`. `of_tokens` makes queries, keys and values
    for the attention among the tokens.
    """
    if attention_mask is not None or any(option is not None for option in options.values()):
        own: Tensor = type(block).forward(block, hidden_states, attention_mask, encoder_hidden_states, **options)
        return own
    layer_norm, x = kernels().layer_norm, hidden_states.contiguous()
    self_attention, cross_attention, products = block.attn1, block.attn2, block.ff.net
    bias = self_attention.to_out[0].bias
    of_tokens = of_tokens or (lambda normed: _products(self_attention, normed, normed))
    # Without names for the queries, keys and values, which would keep their memory until the block's end.
    attended = _attended(self_attention, of_tokens(layer_norm(x, block.norm1)))
    _add_product(x, attended, self_attention.to_out[0])
    normed = layer_norm(x, block.norm2, added=bias)
    attended = _attended(cross_attention, _products(cross_attention, normed, encoder_hidden_states))
    _add_product(x, attended, cross_attention.to_out[0])
    bias = bias + cross_attention.to_out[0].bias
    normed = layer_norm(x, block.norm3, added=bias, kept=bias + products[2].bias)
    return _add_product(x, products[0](normed), products[2])


def _add_product(x: Tensor, tokens: Tensor, layer: nn.Linear) -> Tensor:
    """Adds to `x`, in its place, the product of `tokens` and the weights of `layer`, without its bias."""
    x.flatten(0, 1).addmm_(tokens.flatten(0, 1), layer.weight.t())
    return x


def _products(attention: Attention, x: Tensor, context: Tensor) -> Sequence[Tensor]:
    """Queries of `x`, keys and values of `context`."""
    return attention.to_q(x), attention.to_k(context), attention.to_v(context)


def _attended(attention: Attention, products: Sequence[Tensor]) -> Tensor:
    queries, keys, values = (torch.unflatten(one, -1, (attention.heads, -1)).transpose(1, 2) for one in products)
    return F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)


def _gated(block: Any, x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return kernels().geglu(x, block.proj)
