"""Transformers whose weights are kept in a smaller type: what is, how far the results are off, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.unit.worker.model.test_other_layouts import CPU, component
from userdata.job.run_error import RunError
from userdata.worker.model.kept_linear import VALUES, Int8Linear, Nf4Linear, in_fp8
from userdata.worker.model.pipeline import LAYOUTS
from userdata.worker.model.quantized import kept_as, load_quantized, quantize_layer

# Of a product with random weights and states; docs/models.md says what of whole steps.
ERRORS = {"int8": 0.01, "fp8": 0.04, "nf4": 0.11}
NARROW = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 4} | {
    "joint_attention_dim": 32,
    "pooled_projection_dim": 32,
    "axes_dims_rope": [4, 4, 8],
}


@pytest.mark.parametrize("kept", list(ERRORS))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_product_is_off_by_no_more_than_its_type_explains_and_zeros_stay_zeros(kept: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(256, 192, bias=False, dtype=dtype)
    nn.init.normal_(linear.weight, std=256**-0.5)
    layer = nn.Sequential(linear)
    states = torch.randn(2, 9, 256, dtype=dtype)
    states[1, 3] = 0
    with torch.inference_mode():
        own = layer(states)
        quantize_layer(layer, "0", kept)
        off = layer(states) - own
    assert layer(states).dtype == dtype
    assert 0 < off.float().norm() / own.float().norm() < ERRORS[kept]
    assert layer(states)[1, 3].abs().max() == 0


def test_int8_is_the_nearest_of_255_steps_of_its_row() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(256, 192, dtype=torch.bfloat16)
    weight = layer.weight.detach().float()
    off = (Int8Linear(layer).unpacked().float() - weight).abs()
    # Half a step, and what the step and the product lose in bfloat16.
    allowed = weight.abs().amax(1, keepdim=True) / 127 * 0.51 + weight.abs() * 2**-7
    assert (off <= allowed).all()


def test_fp8_is_the_nearest_number_of_its_kind_with_the_rows_largest_as_its_own_largest() -> None:
    torch.manual_seed(0)
    rows = torch.randn(5, 96) * torch.tensor([1e-3, 1.0, 50.0, 0.0, 3e4])[:, None]
    rounded, scales = in_fp8(rows)
    every = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    every = every[every.isfinite()]
    nearest = (rows[..., None] / scales[..., None] - every).abs().amin(-1)
    assert torch.equal((rows / scales - rounded.float()).abs(), nearest)
    assert torch.equal(rounded.float().abs().amax(1), torch.tensor([448.0, 448.0, 448.0, 0.0, 448.0]))


def test_nf4_is_the_nf4_of_the_paper() -> None:
    """Its appendix E: quantiles of the normal distribution, 8 above zero and 7 below, the outermost one as 1."""
    normal, outermost = NormalDist(), 0.9677083
    above = [normal.inv_cdf(outermost + (0.5 - outermost) * step / 8) for step in range(8)]
    below = [-normal.inv_cdf(outermost + (0.5 - outermost) * step / 7) for step in range(7)]
    expected = torch.tensor(sorted([*below, 0.0, *above])) / above[0]
    torch.testing.assert_close(torch.tensor(VALUES), expected, rtol=0, atol=1e-4)
    torch.manual_seed(0)
    layer = nn.Linear(256, 64)
    nn.init.normal_(layer.weight)
    blocks = layer.weight.detach().view(-1, 64)
    nearest = (blocks / blocks.abs().amax(1, keepdim=True))[..., None].sub(torch.tensor(VALUES)).abs().argmin(-1)
    codes = Nf4Linear(layer).packed
    assert torch.equal(torch.stack([codes >> 4, codes & 15], -1).flatten(), nearest.flatten().to(torch.uint8))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("transformer_blocks.3.attn.to_out.0", "nf4"),
        ("transformer_blocks.3.ff_context.net.2", "nf4"),
        ("single_transformer_blocks.37.proj_mlp", "nf4"),
        ("single_transformer_blocks.1.attn.to_qkv_mlp_proj", "nf4"),
        ("noise_refiner.1.feed_forward.w2", "nf4"),
        ("layers.29.attention.to_q", "nf4"),
        ("transformer_blocks.3.norm1_context.linear", "int8"),
        ("single_transformer_blocks.3.norm.linear", "int8"),
        ("layers.29.adaLN_modulation.0", None),
        ("single_stream_modulation.linear", None),
        ("distilled_guidance_layer.layers.2.linear_1", None),
        ("x_embedder", None),
        ("context_embedder", None),
        ("norm_out.linear", None),
        ("proj_out", None),
    ],
)
def test_what_is_quantized_are_the_products_within_the_blocks(name: str, kept: str | None) -> None:
    assert kept_as(name, "nf4") == kept


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a narrow FLUX.1 in two files, and its network."""
    root = tmp_path_factory.mktemp("flux")
    shutil.copytree(LAYOUTS / "flux-schnell", root / "flux-schnell")
    file = root / "flux-schnell/transformer/config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **NARROW}))
    network = component(root, "flux-schnell", "transformer").eval()
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    names = list(weights)
    for number, part in enumerate((names[::2], names[1::2])):
        save_file({name: weights[name] for name in part}, file.parent / f"model-{number}.safetensors")
    return file.parent, network


def step(network: Any) -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    states, texts = torch.randn(1, 16, 64, generator=made), torch.randn(1, 8, 32, generator=made)
    places = torch.zeros(16, 3)
    places[:, 1] = torch.arange(16)
    with torch.inference_mode():
        return network(  # type: ignore[no-any-return]
            hidden_states=states,
            encoder_hidden_states=texts,
            pooled_projections=torch.randn(1, 32, generator=made),
            timestep=torch.tensor([0.5]),
            img_ids=places,
            txt_ids=torch.zeros(8, 3),
            return_dict=False,
        )[0]


@pytest.mark.parametrize("kept", list(ERRORS))
def test_a_network_is_loaded_with_its_blocks_quantized_and_everything_else_bit_by_bit(
    flux: tuple[Path, Any], kept: str
) -> None:
    folder, own = flux
    network: Any = load_quantized(folder, "FluxTransformer2DModel", kept, device=CPU, dtype=torch.float32)
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    for name, tensor in [*own.named_parameters(), *own.named_buffers()]:
        owner, _, attribute = name.rpartition(".")
        if attribute != "weight" or not kept_as(owner, kept):
            assert torch.equal(tensors[name], tensor), name
    off = (step(network) - step(own)).norm() / step(own).norm()
    assert 0 < off < 2 * ERRORS[kept]
    assert network.kept == kept


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("nan", "holds what is no number"),
        ("shape", "has another shape"),
        ("missing", "has no transformer_blocks.0.attn.to_q.weight"),
        ("unknown", "has no transformer_blocks.0.attn.to_q.other"),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(flux: tuple[Path, Any], tmp_path: Path, damage: str, why: str) -> None:
    folder = tmp_path / "transformer"
    shutil.copytree(flux[0], folder)
    name = "transformer_blocks.0.attn.to_q.weight"
    file = next(file for file in sorted(folder.glob("*.safetensors")) if name in load_file(file))
    weights = load_file(file)
    if damage == "nan":
        weights[name][0, 0] = torch.nan
    elif damage == "shape":
        weights[name] = weights[name][:-1].contiguous()
    else:
        taken = weights.pop(name)
        weights |= {name.replace("weight", "other"): taken} if damage == "unknown" else {}
    save_file(weights, file)
    with pytest.raises(RunError, match=why):
        load_quantized(folder, "FluxTransformer2DModel", "int8", device=CPU, dtype=torch.float32)
