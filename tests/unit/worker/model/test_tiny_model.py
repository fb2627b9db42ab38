from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKL, AutoPipelineForText2Image, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from userdata.worker.model.tiny_model import CONFIGURATION, make_tiny_model, read_shapes

# The bytes of every weight file on every machine; a change here changes all pictures that the model ever drew.
SHA256 = {
    "text_encoder/model.safetensors": "a6edfe55ffb53568d8c35fdc6cb4399674cfc2ca7aca6bf42ba7d9c1218b6a35",
    "unet/diffusion_pytorch_model.safetensors": "1a9139a0ffea9f36648b8e6b1f6515917353882a12fb944f5a9fbde0da2a9e61",
    "vae/diffusion_pytorch_model.safetensors": "662b946b1742472581200d24e0c80eab2d3dc2f1fd5ea97c71bdaa024d476e08",
}


def test_same_bytes_on_every_machine(tiny_model: Path) -> None:
    assert {name: hashlib.sha256((tiny_model / name).read_bytes()).hexdigest() for name in SHA256} == SHA256


def test_the_listed_shapes_are_those_of_the_classes() -> None:
    with torch.device("meta"):
        modules = {
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(CONFIGURATION / "text_encoder")),
            "unet": UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(CONFIGURATION / "unet")),
            "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(CONFIGURATION / "vae")),
        }
    assert read_shapes() == {
        component: {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
        for component, module in modules.items()
    }


def test_making_it_imports_no_torch() -> None:
    """It is made in the first boot, in which importing torch would be most of the time."""
    code = "import sys, userdata.worker.model.tiny_model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_users_of_the_machine_can_read_it(tiny_model: Path) -> None:
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in tiny_model.rglob("*"))


def test_half_written_folder_is_made_anew(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "tiny"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"half")
    make_tiny_model(folder)
    assert _files(folder) == _files(tiny_model)
    assert list(tmp_path.iterdir()) == [folder]


def test_whole_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    make_tiny_model(folder)
    before = (folder / "unet/diffusion_pytorch_model.safetensors").stat().st_mtime_ns
    make_tiny_model(folder)
    assert (folder / "unet/diffusion_pytorch_model.safetensors").stat().st_mtime_ns == before


def test_pictures_are_neither_black_nor_saturated_and_depend_on_prompt_and_seed(tiny_model: Path) -> None:
    pipeline = AutoPipelineForText2Image.from_pretrained(
        tiny_model, local_files_only=True, safety_checker=None, dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)

    def draw(prompt: str, seed: int) -> numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]]:
        generator = torch.Generator().manual_seed(seed)
        made = pipeline(prompt, height=128, width=128, num_inference_steps=10, generator=generator, output_type="np")
        return made.images[0]  # type: ignore[no-any-return]

    picture = draw("A horse standing under a tree", 42)
    assert 0.3 < picture.mean() < 0.7
    assert picture.std() > 0.1
    assert ((picture <= 0) | (picture >= 1)).mean() < 0.1
    assert abs(picture - draw("A horse standing under a tree", 43)).mean() > 0.05
    assert abs(picture - draw("two astronauts, oil painting", 42)).mean() > 0.01


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
