from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from demo_model.publishing.publish import FILES, WEIGHTS
from demo_model.training.architecture import load_tokenizer, make_text_encoder, make_unet, make_vae
from demo_model.training.export import export
from userdata.worker.model.pipeline import load_pipeline


def test_what_is_written_is_a_pipeline_of_stable_diffusion(untrained: Path) -> None:
    pipeline = load_pipeline(untrained, layout=None, device=torch.device("cpu"), from_image=False)
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert pipeline.safety_checker is None


def test_the_folder_has_nothing_but_the_files_that_are_published(untrained: Path) -> None:
    found = {path.relative_to(untrained).as_posix() for path in untrained.rglob("*") if path.is_file()}
    assert found == set(FILES)


@pytest.mark.parametrize("file", WEIGHTS)
def test_weights_are_in_half_precision_and_readable_by_another_user(untrained: Path, file: str) -> None:
    assert {tensor.dtype for tensor in load_file(untrained / file).values()} == {torch.float16}
    assert (untrained / file).stat().st_mode & 0o777 == 0o644


def test_the_parts_go_on_training_as_they_are(untrained: Path, tmp_path: Path) -> None:
    unet = make_unet().to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    text_encoder = make_text_encoder(load_tokenizer(untrained / "tokenizer"))
    export(tmp_path, vae=make_vae(), unet=unet, text_encoder=text_encoder)
    after = unet.state_dict()
    assert all(
        torch.equal(tensor, after[name]) and after[name].dtype == torch.float32 for name, tensor in before.items()
    )
    written = load_file(tmp_path / "unet/diffusion_pytorch_model.safetensors")
    assert torch.equal(written["conv_in.weight"], before["conv_in.weight"].half())


def test_writing_again_replaces_the_files(untrained: Path, tmp_path: Path) -> None:
    vae, unet = make_vae(), make_unet()
    text_encoder = make_text_encoder(load_tokenizer(untrained / "tokenizer"))
    for _ in range(2):
        with torch.no_grad():
            vae.decoder.conv_out.bias += 1
        export(tmp_path, vae=vae, unet=unet, text_encoder=text_encoder)
    written = load_file(tmp_path / "vae/diffusion_pytorch_model.safetensors")
    assert torch.equal(written["decoder.conv_out.bias"], vae.decoder.conv_out.bias.half())
    assert {path.name for path in tmp_path.iterdir()} == {
        "model_index.json", "scheduler", "text_encoder", "unet", "vae"
    }  # fmt: skip
