from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from userdata.contract.catalogue import lora_parts
from userdata.job.run_error import RunError
from userdata.worker.model.lora import Lora, check_lora, merge_lora
from userdata.worker.model.pipeline import load_pipeline

CPU = torch.device("cpu")
RANK = 2


def loaded(model: Path) -> Any:
    return load_pipeline(model, layout=None, device=CPU, from_image=False)


def an_attention_weight(pipeline: Any) -> tuple[str, torch.Tensor]:
    return next((n, p) for n, p in pipeline.unet.named_parameters() if n.endswith("attn1.to_q.weight"))


def a_lora(pipeline: Any, file: Path, *, inputs: int | None = None) -> tuple[str, torch.Tensor]:
    """Writes a LoRA in the layout of diffusers for one weight; returns that weight's name and the whole change."""
    name, weight = an_attention_weight(pipeline)
    torch.manual_seed(3)
    down, up = torch.randn(RANK, inputs or weight.shape[1]), torch.randn(weight.shape[0], RANK)
    module = name.removesuffix(".weight")
    save_file({f"unet.{module}.lora_A.weight": down, f"unet.{module}.lora_B.weight": up}, file)
    return name, up @ down


@pytest.mark.parametrize("weight", [1.0, 0.5, -1.0])
def test_it_is_added_with_its_weight_and_leaves_nothing_behind(tiny_model: Path, tmp_path: Path, weight: float) -> None:
    pipeline = loaded(tiny_model)
    before = {name: tensor.clone() for name, tensor in pipeline.unet.state_dict().items()}
    name, change = a_lora(pipeline, tmp_path / "style.safetensors")
    lora = Lora(tmp_path / "style.safetensors", weight)
    check_lora(lora)
    merge_lora(pipeline, lora)
    after = pipeline.unet.state_dict()
    assert set(after) == set(before)
    torch.testing.assert_close(after[name], before[name] + weight * change)
    assert all(torch.equal(after[other], before[other]) for other in before if other != name)


def test_one_for_another_kind_of_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    pipeline = loaded(tiny_model)
    a_lora(pipeline, tmp_path / "xl.safetensors", inputs=7)
    with pytest.raises(RunError, match=r"xl\.safetensors does not fit the model: .*another kind of model"):
        merge_lora(pipeline, Lora(tmp_path / "xl.safetensors", 1.0))


def test_a_checkpoint_is_no_lora(tmp_path: Path) -> None:
    save_file({"model.diffusion_model.out.2.weight": torch.zeros(4)}, tmp_path / "v1.safetensors")
    with pytest.raises(RunError, match=r"v1\.safetensors is no LoRA: none of its 1 tensors .*named as Model"):
        check_lora(Lora(tmp_path / "v1.safetensors", 1.0))


def test_what_is_no_safetensors_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_bytes(b"<html>Log in</html>")
    with pytest.raises(RunError, match=r"page\.safetensors is no safetensors file"):
        check_lora(Lora(tmp_path / "page.safetensors", 1.0))


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("inputs/style.safetensors", ("inputs/style.safetensors", 1.0)),
        ("inputs/style.safetensors:0.8", ("inputs/style.safetensors", 0.8)),
        ("s3://bucket/style.safetensors:-1", ("s3://bucket/style.safetensors", -1.0)),
        ("hf:owner/name@v1.0/style.safetensors", ("hf:owner/name@v1.0/style.safetensors", 1.0)),
    ],
)
def test_the_weight_stands_behind_a_colon(asked: str, parts: tuple[str, float]) -> None:
    assert lora_parts(asked) == parts
