"""What the original scripts cannot do of what a job may ask for."""

from __future__ import annotations

from userdata.contract.catalogue import find_model
from userdata.contract.compvis import LAYOUT
from userdata.job.choices import Prediction
from userdata.job.job_fields import WATERMARK_PIXELS, JobFields
from userdata.job.seeds import SEEDS_OF_32_BITS

# The autoencoder halves an edge three times, and so does the UNet.
EDGE_MULTIPLE = 64
SAMPLERS = ("ddim", "plms", "dpm_solver")
DPM_SOLVER_ORDER = 2
TRAINING_STEPS = 1000


def why_not_compvis(job: JobFields) -> str | None:
    """Why the original scripts cannot do `job`, as a sentence with the way out; None when they can."""
    model = find_model(job.model)
    if not model.is_own and (model.layout != LAYOUT or not model.files):
        return f"Model is {job.model}, but Engine=compvis draws with Stable Diffusion v1 only: stable-diffusion-v1-5"
    if job.seed >= SEEDS_OF_32_BITS:
        return f"Seed is {job.seed}, but the original scripts take up to {SEEDS_OF_32_BITS - 1}, for example 42"
    sampler = str(job.sampler)
    if sampler not in SAMPLERS or (job.from_image and sampler != "ddim"):
        known = "ddim" if job.from_image else ", ".join(SAMPLERS)
        return f"Sampler is {sampler}, but the original script has {known} only, for example ddim"
    if job.H % EDGE_MULTIPLE or job.W % EDGE_MULTIPLE:
        return f"Images are {job.W} x {job.H}, but the original scripts want multiples of 64, for example 640 x 512"
    # txt2img.py's watermark has no switch; img2img.py writes none.
    if not job.from_image and job.H * job.W < WATERMARK_PIXELS:
        return f"Images are {job.W} x {job.H}, too small for the original script's watermark: at least 256 x 256"
    if job.negative_prompt:
        return "NegativePrompt is given, which the original scripts do not know: leave it empty, or Engine=diffusers"
    if job.init_mask or job.upscale > 1:
        name = "InitMask" if job.init_mask else "Upscale"
        return f"{name} is given, which the original scripts do not know: leave it out, or Engine=diffusers"
    if job.lora:
        return "Lora is given, which the original scripts do not know: leave it empty, or Engine=diffusers"
    if job.vae or job.embeddings or str(job.prediction) not in (Prediction.auto, Prediction.epsilon):
        name = "Vae" if job.vae else "Embeddings" if job.embeddings else "Prediction"
        return f"{name} is given, which the original scripts do not know: leave it out, or Engine=diffusers"
    if job.from_file:
        return "PromptFile is given, whose lines have options that the original scripts do not know: leave it empty"
    if sampler == "dpm_solver" and job.ddim_steps < DPM_SOLVER_ORDER:
        return f"Steps is {job.ddim_steps}, but the original dpm_solver is of second order: at least 2, for example 25"
    # The original's timesteps are one more than every `1000 // steps`-th from 0. With some numbers of steps the last of
    # them leaves the table of 1000: its issues #111 and #342.
    if sampler != "dpm_solver" and (TRAINING_STEPS - 1) % (TRAINING_STEPS // job.ddim_steps) == 0:
        return f"Steps is {job.ddim_steps}, with which the original sampler leaves its table, for example 50"
    if job.from_image and int(job.strength * job.ddim_steps) >= job.ddim_steps:
        return f"Strength is {job.strength:g}, but the original script's must be below 1, for example 0.75"
    return None
