"""Classifies images with the safety checker that the original scripts use: flagged, or not.

The weights and the rule are the original's: an image is flagged when CLIP finds it closer to one of 17 concepts than
that concept's threshold allows, which is stricter where one of three further concepts is near (arXiv:2210.04610
describes them). The caller decides what becomes of a flagged image; nothing here changes one.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import CLIPConfig

from userdata.contract.bundle import BUNDLE
from userdata.job.run_error import RunError

CONFIGURATION = BUNDLE.models / "safety-checker"
# CLIP's own preparation of an image (arXiv:2103.00020).
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
# Before transformers 5.6 the vision model was wrapped in another one of its name, and so are the published weights.
WRAPPED = "vision_model.vision_model."


class SafetyClassifier:
    """The safety checker's network with the weights of `file`, on `device`.

    It computes in half precision on a GPU, in single precision elsewhere.

    `configuration` is the folder with its config.json. Raises `RunError` when the file cannot be loaded: a run that
    asks for the checker is never drawn without it.
    """

    def __init__(self, file: Path, *, device: torch.device, configuration: Path = CONFIGURATION) -> None:
        config = CLIPConfig.from_pretrained(configuration)
        self._edge = int(config.vision_config.image_size)
        self._dtype = torch.float32 if device.type == "cpu" else torch.float16
        with torch.device("meta"):
            model = StableDiffusionSafetyChecker(config)
        try:
            model.load_state_dict(_named_for(model, load_file(file, device=str(device))), assign=True)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise RunError(
                f"The safety checker {file} cannot be loaded ({type(error).__name__}: {error}). Delete that file on "
                "the machine and start the instance again, or deploy with SafetyChecker=off."
            ) from error
        # The positions are no weights, so they were not in the file.
        embeddings = "vision_model.embeddings" if hasattr(model.vision_model, "vision_model") else "embeddings"
        positions = model.vision_model.get_submodule(embeddings)
        positions.position_ids = torch.arange(positions.num_positions, device=device).expand((1, -1))
        self._model = model.to(self._dtype).eval()

    @torch.no_grad()
    def flags(self, colours: torch.Tensor) -> torch.Tensor:
        """Which images the checker flags, as n booleans on their device, without waiting for that device.

        `colours` are n × 3 × H × W numbers from 0 to 1.
        """
        # The network blackens flagged images: it gets others to blacken.
        scapegoats = torch.zeros(len(colours), device=colours.device)
        flagged: torch.Tensor = self._model.forward_onnx(self._prepare(colours), scapegoats)[1]
        return flagged

    def _prepare(self, colours: torch.Tensor) -> torch.Tensor:
        """Does on the device what CLIPImageProcessor does: scales to the model's edge, crops the middle, normalises."""
        height, width = colours.shape[-2:]
        shorter = min(height, width)
        size = (self._edge * height // shorter, self._edge * width // shorter)
        small = torch.nn.functional.interpolate(colours.float(), size=size, mode="bicubic", antialias=True).clamp(0, 1)
        top, left = (size[0] - self._edge) // 2, (size[1] - self._edge) // 2
        middle = small[..., top : top + self._edge, left : left + self._edge]
        mean, deviation = (torch.tensor(values, device=colours.device).view(3, 1, 1) for values in (MEAN, DEVIATION))
        return ((middle - mean) / deviation).to(self._dtype)


def _named_for(model: StableDiffusionSafetyChecker, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    wrapped = any(name.startswith(WRAPPED) for name in model.state_dict())
    return {
        name if wrapped else name.replace(WRAPPED, "vision_model.", 1): tensor
        for name, tensor in weights.items()
        if not name.endswith("position_ids")
    }
