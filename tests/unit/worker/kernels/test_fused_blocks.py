"""The blocks with fused kernels compute what diffusers' own do. The kernels themselves are in tests/kernels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.small_networks import small_pipeline
from userdata.worker.kernels import fused_blocks, kernel_check
from userdata.worker.kernels.fused_blocks import fused
from userdata.worker.kernels.kernel_check import checked, fused_kernels_work


def _group_norm(
    x: Tensor, norm: nn.GroupNorm, *, silu: bool, added: Tensor | None = None, joined: Tensor | None = None
) -> Tensor:
    x = x if joined is None else torch.cat([x, joined], dim=1)
    x = x if added is None else x + added[:, :, None, None]
    normed = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return F.silu(normed) if silu else normed


def _sum_of(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    assert x.stride() == y.stride(), "the kernel goes through both as they lie in memory"
    innermost = min(range(x.ndim), key=x.stride)
    return x + y if bias is None else x + y + bias.view([-1 if d == innermost else 1 for d in range(x.ndim)])


def _plus_bias(x: Tensor, bias: Tensor) -> Tensor:
    return x.add_(bias[:, None, None])


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0)


def _geglu(x: Tensor, layer: nn.Linear) -> Tensor:
    product: Tensor = layer(x)
    values, gates = product.chunk(2, dim=-1)
    return values * F.gelu(gates)


def _layer_norm(x: Tensor, norm: nn.LayerNorm, *, added: Tensor | None = None, kept: Tensor | None = None) -> Tensor:
    assert x.is_contiguous()
    normed: Tensor = norm(x if added is None else x + added)
    if kept is not None:
        x += kept
    return normed


def _interleaved(x: Tensor, bias: Tensor) -> Tensor:
    height, width = x.shape[2] - 1, x.shape[3] - 1
    out = torch.empty(len(x), len(bias), 2 * height, 2 * width, dtype=x.dtype)
    for image, part in enumerate(x.chunk(4, dim=1)):
        down, right = divmod(image, 2)
        out[:, :, down::2, right::2] = part[:, :, down : down + height, right : right + width]
    return out.contiguous(memory_format=torch.channels_last) + bias[:, None, None]


@pytest.fixture
def kernels_in_torch() -> dict[str, int]:
    """How often each kernel is called."""
    return {}


@pytest.fixture(autouse=True)
def stand_in(kernels_in_torch: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The kernels' definitions in PyTorch, in their place."""
    calls = kernels_in_torch

    def counted(function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            name = function.__name__.lstrip("_")
            calls[name] = calls.get(name, 0) + 1
            if options.get("joined") is not None:
                calls["joined"] = calls.get("joined", 0) + 1
            return function(*args, **options)

        return call

    namespace = SimpleNamespace(
        group_norm=counted(_group_norm),
        sum_of=counted(_sum_of),
        plus_bias=counted(_plus_bias),
        doubled=counted(_doubled),
        geglu=counted(_geglu),
        layer_norm=counted(_layer_norm),
        interleaved=counted(_interleaved),
    )
    for user in (fused_blocks, kernel_check):
        monkeypatch.setattr(user, "kernels", lambda: namespace)
    return namespace


@pytest.mark.parametrize("linear", [False, True], ids=["as in v1", "as in XL"])
@torch.no_grad()
def test_networks_compute_the_same(linear: bool, kernels_in_torch: dict[str, int]) -> None:
    pipeline = small_pipeline(use_linear_projection=linear, transformer_layers_per_block=2 if linear else 1)
    sample, text = torch.randn(2, 4, 8, 16), torch.randn(2, 5, 16)

    def computed() -> tuple[Tensor, Tensor]:
        step = pipeline.unet(sample, torch.tensor(500), encoder_hidden_states=text, return_dict=False)[0]
        return step, pipeline.vae.decode(sample, return_dict=False)[0]

    plain = computed()
    assert not kernels_in_torch
    with fused(pipeline):
        in_fused_blocks = computed()
    # All but that of the attention in the middle of the decoder: a block that no longer fits would only be slow.
    norms = [
        m for network in (pipeline.unet, pipeline.vae.decoder) for m in network.modules() if type(m) is nn.GroupNorm
    ]
    assert kernels_in_torch["group_norm"] == len(norms) - 1
    assert kernels_in_torch["joined"] == sum(len(block.resnets) for block in pipeline.unet.up_blocks)
    # The first and the last convolution of both, the U-Net's that halve the pixels, and the decoder's of doubled ones.
    halving = sum(len(block.downsamplers or ()) for block in pipeline.unet.down_blocks)
    doubling = sum(len(block.upsamplers or ()) for block in pipeline.vae.decoder.up_blocks)
    assert (kernels_in_torch["plus_bias"], kernels_in_torch["doubled"]) == (4 + halving + doubling, doubling)
    others = {"joined", "sum_of", "geglu", "layer_norm", "interleaved"}
    assert set(kernels_in_torch) == {"group_norm", "plus_bias", "doubled"} | others
    for one, other in zip(in_fused_blocks, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    kernels_in_torch.clear()
    for one, other in zip(computed(), plain, strict=True):
        assert torch.equal(one, other), "afterwards everything is as before"
    assert not kernels_in_torch


@torch.no_grad()
def test_numbers_that_change_in_their_place_count_at_the_next_step(kernels_in_torch: dict[str, int]) -> None:
    """A recording's text and weights stay where they are, whatever the next prompt and its LoRA make of them."""
    pipeline = small_pipeline()
    sample, text, other = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 16), torch.randn(2, 5, 16)

    def computed(text: Tensor) -> Tensor:
        step: Tensor = pipeline.unet(sample, torch.tensor(500), encoder_hidden_states=text, return_dict=False)[0]
        return step

    with fused(pipeline):
        computed(text)
        text.copy_(other)
        for name, parameter in pipeline.unet.named_parameters():
            if any(part in name for part in ("to_q", "to_k", "to_v", "time_emb_proj", "conv1.bias")):
                parameter.mul_(1.5)
        ours = computed(text)
    torch.testing.assert_close(ours, computed(other), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_block_with_another_option_keeps_its_own_way(kernels_in_torch: dict[str, int]) -> None:
    pipeline = small_pipeline(only_cross_attention=True, resnet_time_scale_shift="scale_shift")
    sample, text = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 16)
    plain = pipeline.unet(sample, 500, encoder_hidden_states=text).sample
    with fused(pipeline):
        torch.testing.assert_close(pipeline.unet(sample, 500, encoder_hidden_states=text).sample, plain)


@torch.no_grad()
def test_mask_of_the_text_is_heeded(kernels_in_torch: dict[str, int]) -> None:
    pipeline = small_pipeline()
    sample, text = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 16)
    options = {"encoder_hidden_states": text, "encoder_attention_mask": torch.tensor([[1, 1, 0, 0, 0]]).bool()}
    plain = pipeline.unet(sample, 500, **options).sample
    with fused(pipeline):
        torch.testing.assert_close(pipeline.unet(sample, 500, **options).sample, plain)


def test_wrong_kernel_is_not_used(
    stand_in: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checked.cache_clear()
    assert fused_kernels_work(torch.device("cpu"))
    checked.cache_clear()
    monkeypatch.setattr(stand_in, "geglu", lambda x, layer: layer(x).chunk(2, dim=-1)[0])
    assert not fused_kernels_work(torch.device("cpu"))
    assert "images take longer" in caplog.text


def test_machine_without_triton_draws_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'triton'")

    monkeypatch.setattr(kernel_check, "kernels", missing)
    checked.cache_clear()
    assert not fused_kernels_work(torch.device("cpu"))
    assert "No module named 'triton'" in caplog.text
