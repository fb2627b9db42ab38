"""A checkpoint in the original layout gives the same pipeline as a pickle and as safetensors, and is never executed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from userdata.job.run_error import RunError
from userdata.worker.model.pipeline import load_pipeline

from .oracle import Oracle

CPU = torch.device("cpu")


def test_pickle_and_safetensors_are_the_same_model(oracle: Oracle, pipeline: Any, tmp_path: Path) -> None:
    """The pickle is as the trainer saves it: beside the weights, what it needs to go on with its training."""
    content = {
        "state_dict": oracle.state_dict(),
        "epoch": 13,
        "global_step": 470000,
        "optimizer_states": [{"lr": 1e-4}],
    }
    torch.save(content, tmp_path / "model.ckpt")
    loaded = load_pipeline(tmp_path, layout="narrow", device=CPU, from_image=False)
    for component in ("unet", "vae", "text_encoder"):
        ours, theirs = (getattr(one, component).state_dict() for one in (loaded, pipeline))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), component


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("where", ["state_dict", "beside"])
def test_pickle_that_would_run_something_is_refused_and_does_not_run(
    oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    weights: dict[str, Any] = oracle.state_dict()
    if where == "state_dict":
        weights["model.diffusion_model.x"] = _Hostile()
    torch.save({"state_dict": weights, "callbacks": _Hostile() if where == "beside" else None}, "model.ckpt")
    try:
        load_pipeline(tmp_path, layout="narrow", device=CPU, from_image=False)
    except RunError as refusal:
        assert "model.ckpt is no checkpoint that can be used" in str(refusal)
    assert not Path("executed").exists()
