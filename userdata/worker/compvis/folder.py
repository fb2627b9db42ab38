"""Makes the folder in which the original scripts run, so that they read every file there and fetch nothing.

The scripts ask the hub for CLIP and for a safety checker by their repositories' names, and take a folder of that name
below the current one instead. CLIP's weights come from the checkpoint. The checker in this folder flags nothing,
because the original checker has no switch and replaces flagged images by a joke picture. The worker's own checker looks
at every image afterwards, and marks or withholds it.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig

from userdata.contract.bundle import BUNDLE
from userdata.contract.compvis import LAYOUT
from userdata.job.choices import Prediction
from userdata.job.run_error import RunError
from userdata.worker.drawing.safety_classifier import WRAPPED
from userdata.worker.model.checkpoint import check_vae, checkpoint_in, layout_of, prediction_of, shapes_of
from userdata.worker.model.checkpoint_tensors import read_tensors

CLIP = "openai/clip-vit-large-patch14"
CHECKER = "CompVis/stable-diffusion-safety-checker"
TEXT_ENCODER = "cond_stage_model.transformer."
# A cosine is at most 1.
NEVER = 2.0

logger = logging.getLogger(__name__)


def prepare_folder(folder: Path, model_folder: Path) -> Path:
    """Makes `folder` from the checkpoint in `model_folder`; returns the checkpoint in the form that the scripts load.

    The scripts unpickle their checkpoint, so they get one that is written here, of nothing but tensors. Raises
    `RunError` when the file is no checkpoint, or not one of Stable Diffusion v1.
    """
    source = checkpoint_in(model_folder)
    shapes = shapes_of(source)
    if layout_of(source, shapes) != LAYOUT:
        raise RunError(f"{source.name} is no checkpoint of Stable Diffusion v1, which Engine=compvis draws with alone.")
    check_vae(source, shapes)
    if prediction_of(source) in (Prediction.v, Prediction.v_ztsnr):
        raise RunError(
            f"{source.name} predicts the velocity (v), which the original scripts do not know. Deploy with "
            "Engine=diffusers."
        )
    checkpoint = folder / "model.ckpt"
    made_of = folder / "made-of.json"
    origin = json.dumps([str(source), source.stat().st_size, source.stat().st_mtime])
    if made_of.exists() and made_of.read_text("utf-8") == origin:
        return checkpoint
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    logger.info("Preparing %s for the original scripts", source.name)
    read = read_tensors(source, device=torch.device("cpu"), dtype=torch.float32)
    # torch.save would save the whole file for a part of it.
    tensors = {name: tensor.clone() for name, tensor in read.items()}
    torch.save({"state_dict": tensors}, checkpoint)
    _write_clip(folder / CLIP, tensors)
    _write_checker(folder / CHECKER)
    made_of.write_text(origin, "utf-8")
    return checkpoint


def _write_clip(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    shutil.copytree(BUNDLE.tokenizer, folder)
    shutil.copy(BUNDLE.models / LAYOUT / "text_encoder/config.json", folder / "config.json")
    weights = {
        name.removeprefix(TEXT_ENCODER): tensor.clone()
        for name, tensor in tensors.items()
        if name.startswith(TEXT_ENCODER)
    }
    torch.save(weights, folder / "pytorch_model.bin")


def _write_checker(folder: Path) -> None:
    folder.mkdir(parents=True)
    text = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1}
    vision = {**text, "image_size": 224, "patch_size": 224}
    # The transformers of 2022 read the two with `_dict`, later ones the others.
    config = {
        "model_type": "clip",
        "projection_dim": 8,
        "text_config": text,
        "vision_config": vision,
        "text_config_dict": text,
        "vision_config_dict": vision,
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224}), "utf-8"
    )
    model = StableDiffusionSafetyChecker(CLIPConfig.from_pretrained(folder))
    weights = {_as_of_2022(name): tensor for name, tensor in model.state_dict().items()}
    # Whatever its small network makes of an image.
    for name in ("concept_embeds_weights", "special_care_embeds_weights"):
        weights[name] = torch.full_like(weights[name], NEVER)
    positions = model.config.vision_config.image_size // model.config.vision_config.patch_size
    weights[f"{WRAPPED}embeddings.position_ids"] = torch.arange(positions**2 + 1)[None]
    torch.save(weights, folder / "pytorch_model.bin")


def _as_of_2022(name: str) -> str:
    inner = name.startswith("vision_model.") and not name.startswith(WRAPPED)
    return WRAPPED + name.removeprefix("vision_model.") if inner else name
