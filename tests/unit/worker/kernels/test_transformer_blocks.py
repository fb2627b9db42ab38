"""The transformers' blocks with fused kernels compute what diffusers' own do. The kernels are in tests/kernels."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.small_networks import small_pipeline, small_transformer, transformer_input
from userdata.worker.kernels import flux_blocks, flux_parts, fused_blocks, kernel_check, products, z_image_blocks
from userdata.worker.kernels.fused_blocks import fused
from userdata.worker.kernels.kernel_check import checked, fused_kernels_work
from userdata.worker.model.kept_linear import Fp8Linear, InFp8, Int8Linear, in_fp8
from userdata.worker.model.quantized import kept_as, quantize_layer


def _normed(x: Tensor, norm: Any, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    normed: Tensor = norm(x)
    normed = normed if scale is None else normed * (1 + scale[:, None])
    return normed if shift is None else normed + shift[:, None]


def _summed(x: Tensor, added: Tensor, gate: Tensor | None, *, added_norm: Any = None) -> Tensor:
    added = added if added_norm is None else added_norm(added)
    return x + (added if gate is None else added * gate[:, None])


def _summed_and_normed(
    x: Tensor, added: Tensor, gate: Tensor | None, norm: Any, *modulation: Any, **options: Any
) -> tuple[Tensor, Tensor]:
    total = _summed(x, added, gate, **options)
    return total, _normed(total, norm, *modulation)


def _turned(parts: list[tuple[Tensor, Any]], cosines: Tensor, sines: Tensor) -> Tensor:
    x = torch.cat([norm(part) for part, norm in parts], dim=1)
    # Of images of which each has its own places, the sines are the same numbers as the cosines, from the second one on.
    cosine, sine = (angles[..., ::2].expand(len(x), -1, -1)[:, :, None] for angles in (cosines, sines))
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1).flatten(-2)


def _gated(gates: Tensor, values: Tensor) -> Tensor:
    assert gates.stride(0) == gates.shape[1] * gates.stride(1), "the kernel goes from row to row"
    return F.silu(gates) * values


def _in_fp8(x: Tensor, *, gelu: bool = False, gates: Tensor | None = None, beside: Tensor | None = None) -> InFp8:
    x = F.gelu(x, approximate="tanh") if gelu else x if gates is None else _gated(gates, x)
    return in_fp8(x if beside is None else torch.cat([beside, x], dim=-1))


def _product(x: Tensor, layer: Int8Linear) -> Tensor:
    made: Tensor = layer(x)
    return made


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each kernel is called, in whose place stands its definition in PyTorch."""
    counts: dict[str, int] = {}

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            name = function.__name__.lstrip("_")
            counts[name] = counts.get(name, 0) + 1
            return function(*args, **options)

        return call

    names: dict[str, Callable[..., Any]] = {
        "normed": _normed,
        "summed": _summed,
        "summed_and_normed": _summed_and_normed,
    }
    names |= {"turned": _turned, "gated": _gated}
    stand_ins = SimpleNamespace(**{name: counted(function) for name, function in names.items()})
    for user in (flux_blocks, flux_parts, products, z_image_blocks, kernel_check):
        monkeypatch.setattr(user, "transformer_kernels", lambda: stand_ins)
    for user in (products, kernel_check):
        monkeypatch.setattr(user, "fp8_kernel", lambda: SimpleNamespace(in_fp8=counted(_in_fp8)))
        monkeypatch.setattr(user, "int8_kernel", lambda: SimpleNamespace(product=counted(_product)))
    monkeypatch.setattr(fused_blocks, "_fuse", lambda _decoder: ())
    return counts


@pytest.fixture(params=["flux", "chroma", "flux2", "z_image"])
def network(request: pytest.FixtureRequest) -> tuple[Callable[..., Tensor], Any]:
    """A function that computes with a transformer, and a pipeline of it."""
    transformer = small_transformer(request.param)

    @torch.no_grad()
    def compute(**more: Any) -> Tensor:
        given = {**transformer_input(request.param), **more}
        sample = transformer(**given, return_dict=False)[0]
        return torch.stack(sample) if isinstance(sample, list) else sample

    return compute, SimpleNamespace(transformer=transformer, vae=SimpleNamespace(decoder=nn.Identity()))


def test_networks_compute_the_same(network: tuple[Callable[..., Tensor], Any], calls: dict[str, int]) -> None:
    """Texts of two lengths have Z-Image mask what fills the shorter one up."""
    compute, pipeline = network
    plain = compute()
    assert not calls
    with fused(pipeline):
        ours = compute()
    blocks = [module for module in pipeline.transformer.modules() if type(module).__name__.endswith("Block")]
    assert len(blocks) in (4, 5)
    # A block that no longer fits would only be slow.
    assert calls["turned"] == 2 * len(blocks)
    assert (ours - plain).norm() / plain.norm() < 1e-6
    calls.clear()
    assert torch.equal(compute(), plain), "afterwards everything is as before"
    assert not calls


@pytest.mark.parametrize("kind", ["flux", "flux2"])
@torch.no_grad()
def test_options_that_the_blocks_do_not_know_are_heeded(kind: str, calls: dict[str, int]) -> None:
    transformer = small_transformer(kind)
    given = {**transformer_input(kind), "return_dict": False}
    mask = torch.ones(2, 1, 1, len(given["img_ids"]) + 5, dtype=torch.bool)
    mask[..., :3] = False
    plain = transformer(**given, joint_attention_kwargs={"attention_mask": mask})[0]
    with fused(SimpleNamespace(transformer=transformer, vae=SimpleNamespace(decoder=nn.Identity()))):
        with_mask = transformer(**given, joint_attention_kwargs={"attention_mask": mask})[0]
        without = transformer(**given)[0]
    assert torch.equal(with_mask, plain)
    assert not torch.allclose(without, plain)


@torch.no_grad()
def test_quantized_weights_are_used_as_they_are(calls: dict[str, int]) -> None:
    """They can be multiplied, but not cut in pieces."""

    class Quantized(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.weight.clone(), self.bias)

    transformer = small_transformer("flux")
    plain = transformer(**transformer_input("flux"), return_dict=False)[0]
    for module in transformer.modules():
        if type(module) is nn.Linear:
            module.__class__ = Quantized
            module.weight.t = None  # type: ignore[method-assign,assignment]
    with fused(SimpleNamespace(transformer=transformer, vae=SimpleNamespace(decoder=nn.Identity()))):
        ours = transformer(**transformer_input("flux"), return_dict=False)[0]
    assert (ours - plain).norm() / plain.norm() < 1e-6


@torch.no_grad()
def test_modulation_in_int8_is_multiplied_as_it_is_kept(calls: dict[str, int]) -> None:
    transformer = small_transformer("flux")
    for name, module in list(transformer.named_modules()):
        if isinstance(module, nn.Linear) and kept_as(name, "nf4") == "int8":
            quantize_layer(transformer, name, "int8")
    kept = [module for module in transformer.modules() if isinstance(module, Int8Linear)]
    plain = transformer(**transformer_input("flux"), return_dict=False)[0]
    with fused(SimpleNamespace(transformer=transformer, vae=SimpleNamespace(decoder=nn.Identity()))):
        ours = transformer(**transformer_input("flux"), return_dict=False)[0]
    assert calls["product"] == len(kept) > 0
    assert (ours - plain).norm() / plain.norm() < 1e-5


def test_weights_in_fp8_are_multiplied_with_states_that_one_pass_puts_into_fp8(
    network: tuple[Callable[..., Tensor], Any], calls: dict[str, int]
) -> None:
    """Products of the same states share what is made of them."""
    compute, pipeline = network
    exact = compute()
    for name, module in list(pipeline.transformer.named_modules()):
        if isinstance(module, nn.Linear) and kept_as(name, "fp8") == "fp8":
            quantize_layer(pipeline.transformer, name, "fp8")
    plain = compute()
    with fused(pipeline):
        ours = compute()
    layers = [module for module in pipeline.transformer.modules() if isinstance(module, Fp8Linear)]
    assert 0 < calls["in_fp8"] < len(layers)
    assert "gated" not in calls, "what is gated goes straight into fp8"
    assert (ours - plain).norm() / plain.norm() < 1e-5
    assert 1e-4 < (ours - exact).norm() / exact.norm() < 0.2


def test_wrong_kernel_of_a_transformer_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of_decoder = SimpleNamespace(
        group_norm=lambda x, norm, *, silu: F.silu(norm(x)), sum_of=lambda x, y, bias: x + y + bias[:, None, None]
    )
    monkeypatch.setattr(kernel_check, "kernels", lambda: of_decoder)
    checked.cache_clear()
    assert fused_kernels_work(torch.device("cpu"), of_transformer=True)
    checked.cache_clear()
    monkeypatch.setattr(of_decoder, "group_norm", lambda x, norm, *, silu: norm(x))
    assert not fused_kernels_work(torch.device("cpu"), of_transformer=True)
    assert "images take longer" in caplog.text


@pytest.mark.parametrize("kind, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=str)
@torch.no_grad()
def test_attention_of_a_decoder_computes_the_same_in_pieces(
    kind: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from userdata.worker.kernels import decoder_attention

    attention = small_pipeline().vae.decoder.mid_block.attentions[0]
    assert decoder_attention.fits_decoder_attention(attention)
    x = torch.randn(2, 64, 6, 5)
    exact = attention(x)
    monkeypatch.setattr(decoder_attention, "PRODUCTS", 30 * 7)
    before = torch.backends.cuda.matmul.fp32_precision
    ours = decoder_attention.decoder_attention(attention.to(kind), x.to(kind))
    assert ours.dtype == kind
    torch.testing.assert_close(ours.float(), exact, rtol=tolerance, atol=tolerance)
    assert torch.backends.cuda.matmul.fp32_precision == before
