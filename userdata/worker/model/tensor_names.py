"""The names of a checkpoint's tensors: the usual ones for those that other programs wrote, and what they tell."""

from __future__ import annotations

import re
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]

INPUT = "model.diffusion_model.input_blocks.0.0.weight"
STABLE_DIFFUSION_V1 = "cond_stage_model.transformer."
STABLE_DIFFUSION_V2 = "cond_stage_model.model."
STABLE_DIFFUSION_XL = "conditioner.embedders.1.model."
VAE = "first_stage_model."
# The weights' running average, which some checkpoints carry beside the weights, to go on with their training.
AVERAGE = "model_ema."
LATENT_CHANNELS = 4
CONVOLUTION_DIMENSIONS = 4
# The VAEs that most checkpoints without one were made for.
USUAL_VAE = {
    "v1": "hf:stabilityai/sd-vae-ft-mse-original/vae-ft-mse-840000-ema-pruned.safetensors",
    "xl": "hf:stabilityai/sdxl-vae/sdxl_vae.safetensors",
}
# What wrappers put around a network when they save it: DataParallel, torch.compile.
_WRAPPED = re.compile(r"^module\.|(?<![^.])_orig_mod\.")
# transformers before 2022 had the text model's layers one level higher.
_FLAT_TEXT_MODEL = re.compile(
    r"^((?:cond_stage_model|conditioner\.embedders\.0)\.transformer\.)(embeddings|encoder|final_layer_norm)\."
)
# The input channels of networks that take more than noise.
_BY_CHANNELS = {
    5: "it is a model that draws from a depth map",
    7: "it is a model that enlarges images",
    8: "it is a model that edits images by instructions, such as InstructPix2Pix",
    9: "it is a model for inpainting",
}
# Names that only one kind of file has, in the order in which they are looked for.
_KINDS = (
    (
        r"\.lora_(down|up|mid|A|B)\.|\.lora\.(down|up)\.|\.hada_w|\.lokr_w|\.dora_scale$",
        "it is a LoRA, which is named as Lora",
    ),
    (r"^string_to_param|^emb_params$|^clip_[lg]$|^<.*>$", "it is an embedding, which is named as Embeddings"),
    (r"^control_model\.|controlnet_|^input_hint_block\.", "it is a ControlNet, which is not supported"),
    (r"^(ip_adapter|image_proj)\.", "it is an IP-Adapter, which is not supported"),
    (r"(^|\.)motion_modules?\.", "it is a motion module of AnimateDiff, which is not supported"),
    (r"(^|\.)distilled_guidance_layer\.", "it is a network of Chroma, which is drawn with as Model=chroma"),
    (
        r"(^|\.)(cap_embedder|context_refiner)\.",
        "it is a network of Z-Image, which is drawn with as Model=z-image-turbo",
    ),
    (r"(^|\.)single_stream_modulation\.", "it is a network of FLUX.2, which is drawn with as Model=flux2-klein"),
    (
        r"(^|\.)double_blocks\.|^single_transformer_blocks\.",
        "it is a network of FLUX, which is drawn with as Model=flux-schnell",
    ),
    (r"(^|\.)joint_blocks\.", "it is a model of Stable Diffusion 3, which is not supported"),
    (r"^model_ema\.", "it has nothing but the running average of a training"),
    (
        r"^(model\.)?diffusion_model\.|^input_blocks\.0\.|^down_blocks\.0\.",
        "it is the denoising network alone, without text encoder and VAE",
    ),
    (r"^(first_stage_model\.)?(decoder|encoder)\.(conv_in|mid)", "it is a VAE alone, which is named as Vae"),
    (r"text_model\.|resblocks\.", "it is a text encoder alone"),
    (r"^(model\.0|conv_first|body\.0|params)\b", "it is a network that enlarges images"),
)


def usual_name(name: str) -> str:
    """The name that a tensor called `name` has in the original checkpoints."""
    return _FLAT_TEXT_MODEL.sub(r"\1text_model.\2.", _WRAPPED.sub("", name))


def kind_without_network(shapes: Shapes) -> str:
    """What a file is that has no denoising network in the original's names, as the reason of a refusal."""
    for pattern, what in _KINDS:
        if any(re.search(pattern, name) for name in shapes):
            return what
    if shapes and all(name.isdecimal() for name in shapes):
        return "it is a hypernetwork, which is not supported"
    some = ", ".join(list(shapes)[:3])
    return f"it has no {INPUT}: it is a part of a model, or something else ({some or 'it is empty'})"


def another_kind(shapes: Shapes) -> str | None:
    """What a checkpoint with a denoising network is but one of Stable Diffusion 1 or XL; None when it is one of these.

    The reason of a refusal.
    """
    if any(".time_stack." in name or ".time_mixer." in name for name in shapes):
        return "it is a model for videos"
    if any(name.startswith(STABLE_DIFFUSION_V2) for name in shapes):
        return "it has the layout of Stable Diffusion 2, which is not supported"
    if len(shapes[INPUT]) != CONVOLUTION_DIMENSIONS:
        return f"its {INPUT} has the shape {list(shapes[INPUT])}: it is damaged"
    if (channels := shapes[INPUT][1]) != LATENT_CHANNELS:
        what = _BY_CHANNELS.get(channels, "it is a model for something else")
        return f"it wants {channels} channels: {what}, which is not supported"
    if "edm_mean" in shapes or "edm_vpred.sigma_max" in shapes:
        return "it was trained with the noise levels of EDM, as Playground 2.5 and CosXL were, which is not supported"
    xl = any(name.startswith(STABLE_DIFFUSION_XL) for name in shapes)
    if not xl and any(name.startswith("conditioner.embedders.0.model.") for name in shapes):
        return "it is the refiner of Stable Diffusion XL, which draws nothing by itself: name the base model"
    if xl and not any(name.startswith("conditioner.embedders.0.transformer.") for name in shapes):
        return "it lacks the first of XL's two text encoders"
    return None


def why_no_vae(shapes: Shapes) -> str | None:
    """Why the VAE of a checkpoint cannot be used, as the reason of a refusal; None when it is whole."""
    what = {part for part in ("encoder", "decoder") if any(name.startswith(f"{VAE}{part}.") for name in shapes)}
    if len(what) == 2:  # both
        return None
    xl = any(name.startswith(STABLE_DIFFUSION_XL) for name in shapes)
    name_one = f"name one as Vae, for example {USUAL_VAE['xl' if xl else 'v1']}"
    lacks = f"its VAE has no {'encoder' if 'decoder' in what else 'decoder'}" if what else "it has no VAE"
    return f"{lacks}: {name_one}"
