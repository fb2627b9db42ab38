"""The original scripts that `Engine=compvis` runs: where they are, and what of a job they cannot do.

Standard library only: the boot fetches them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from userdata.worker.catalogue import find_model

if TYPE_CHECKING:
    from userdata.worker.job import Job

REPOSITORY = "https://github.com/CompVis/stable-diffusion"
COMMIT = "21f890f9da3cfbeaba8e2ac3c425ee9e998d5229"
COMPVIS = "compvis"
LAYOUT = "stable-diffusion-v1"
TRAINING_STEPS = 1000
# The autoencoder halves an edge three times, and so does the UNet.
SIZE_MULTIPLE = 64
# The package that writes txt2img.py's watermark, which has no switch, refuses fewer pixels; img2img.py writes none.
WATERMARK_PIXELS = 256 * 256
DPM_SOLVER_ORDER = 2
SAMPLERS = ("ddim", "plms", "dpm_solver")


def why_not(job: Job) -> str | None:
    """Why the original scripts cannot do `job`, as a sentence with the way out; None when they can."""
    model = find_model(job.model)
    if not model.is_own and (model.layout != LAYOUT or not model.files):
        return f"Model is {job.model}, but Engine=compvis draws with Stable Diffusion v1 only: stable-diffusion-v1-5"
    sampler = str(job.sampler)
    if sampler not in SAMPLERS or (job.from_image and sampler != "ddim"):
        known = "ddim" if job.from_image else ", ".join(SAMPLERS)
        return f"Sampler is {sampler}, but the original script has {known} only, for example ddim"
    if job.H % SIZE_MULTIPLE or job.W % SIZE_MULTIPLE:
        return f"Images are {job.W} x {job.H}, but the original scripts want multiples of 64, for example 640 x 512"
    if not job.from_image and job.H * job.W < WATERMARK_PIXELS:
        return f"Images are {job.W} x {job.H}, too small for the original script's watermark: at least 256 x 256"
    if job.negative_prompt:
        return "NegativePrompt is given, which the original scripts do not know: leave it empty, or Engine=diffusers"
    if job.lora:
        return "Lora is given, which the original scripts do not know: leave it empty, or Engine=diffusers"
    if job.from_file:
        return "PromptFile is given, whose lines have options that the original scripts do not know: leave it empty"
    if sampler == "dpm_solver" and job.ddim_steps < DPM_SOLVER_ORDER:
        return f"Steps is {job.ddim_steps}, but the original dpm_solver is of second order: at least 2, for example 25"
    if sampler != "dpm_solver" and not _steps_work(job.ddim_steps):
        return f"Steps is {job.ddim_steps}, with which the original sampler leaves its table, for example 50"
    if job.from_image and int(job.strength * job.ddim_steps) >= job.ddim_steps:
        return f"Strength is {job.strength:g}, but the original script's must be below 1, for example 0.75"
    return None


def _steps_work(steps: int) -> bool:
    """Whether the original's timesteps, one more than every `1000 // steps`-th from 0, stay below 1000.

    Its issues #111 and #342 are of numbers for which they do not.
    """
    return (TRAINING_STEPS - 1) % (TRAINING_STEPS // steps) != 0
