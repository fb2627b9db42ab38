"""The samplers by their names, and the diffusers scheduler of each, made from the checkpoint's own configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from userdata.worker.drawing.compvis_schedulers import (
    ZERO_SNR,
    OriginalDDIM,
    OriginalDPMSolver,
    OriginalPLMS,
    original_grid,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SamplerDefinition:
    """A scheduler class, and the settings that replace those of the checkpoint's own configuration."""

    scheduler: Any
    settings: Mapping[str, Any] = field(default_factory=dict)


# A setting that only schedulers of flow models have. Rejected: use_dynamic_shifting, which others know too.
FLOW = "base_image_seq_len"
# As the original's samplers: the last step's target is the first training step, not the clean image.
_AS_THE_ORIGINAL = {"set_alpha_to_one": False, "steps_offset": 1}

SAMPLERS = {
    "ddim": SamplerDefinition(OriginalDDIM, {**_AS_THE_ORIGINAL, "clip_sample": False}),
    "plms": SamplerDefinition(OriginalPLMS, {**_AS_THE_ORIGINAL, "skip_prk_steps": True}),
    # The original's --dpm_solver is the multistep DPM-Solver++ of order 2, not the older DPM-Solver.
    "dpm_solver": SamplerDefinition(OriginalDPMSolver, {"final_sigmas_type": "sigma_min"}),
    "dpmpp_2m_karras": SamplerDefinition(DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "euler": SamplerDefinition(EulerDiscreteScheduler),
    "euler_a": SamplerDefinition(EulerAncestralDiscreteScheduler),
    "unipc": SamplerDefinition(UniPCMultistepScheduler),
    "lcm": SamplerDefinition(LCMScheduler),
}

# Takes the place of the original's PLMS where that has no timesteps: the nearest multistep solver of the same equation.
# With more than 100 steps the pictures of both are the same.
_PLMS_OF_ANY_STEPS = SamplerDefinition(
    DPMSolverMultistepScheduler, {"final_sigmas_type": "sigma_min", "timestep_spacing": "trailing"}
)
# The steps of the teacher that a latent consistency model was distilled from (arXiv:2310.04378). They must not be fewer
# than the steps that are asked for.
_LCM_TEACHER_STEPS = 50


def make_scheduler(sampler: str, configuration: Mapping[str, Any], steps: int, *, strength: float | None = None) -> Any:
    """The diffusers scheduler of `sampler` for `steps` denoising steps, from 1 to the number of training steps.

    `configuration` is that of the checkpoint's own scheduler; `strength` is that of image to image, None for text to
    image. The original scripts' samplers take the original's timesteps. The other samplers keep the checkpoint's
    spacing of the steps where that spacing works. The usual spacing ("leading") divides 1000 by the number of steps,
    rounds down and counts from the bottom: 1000 steps leave the range, and 3 or 251 or 501 never reach the noisy end,
    so that the model takes pure noise for half a picture. With such numbers, the steps are spread from the noisy end
    ("trailing"). Rejected: "trailing" always, which would change the pictures of the usual numbers of steps.

    A model with zero terminal SNR (arXiv:2305.08891) was trained on pure noise, which only the last training step is:
    all samplers begin there.
    """
    if FLOW in configuration:
        # A model that was trained on straight flows (arXiv:2209.03003) has no noise levels to choose from.
        return FlowMatchEulerDiscreteScheduler.from_config(configuration)
    definition = SAMPLERS[sampler]
    if sampler == "lcm":
        return _make(definition, configuration, original_inference_steps=max(_LCM_TEACHER_STEPS, steps))
    scheduler = _make(definition, configuration)
    training_steps = scheduler.config.num_train_timesteps
    zero_snr = bool(configuration.get(ZERO_SNR))
    if sampler == "plms" and (zero_snr or original_grid(steps, training_steps) is None):
        # The formula of PLMS divides by the share of the picture, which is zero in pure noise.
        what = "pure noise" if zero_snr else f"{steps} steps"
        logger.info("The original's PLMS cannot do %s: a multistep solver of any steps takes its place", what)
        return _make(_PLMS_OF_ANY_STEPS, configuration)
    if sampler in ("ddim", "plms"):
        scheduler.strength = strength
        return scheduler
    if zero_snr and scheduler.config.get("use_karras_sigmas"):
        # From endless noise, Karras's spacing (arXiv:2206.00364) takes step after step at one training step.
        logger.info("A model with zero terminal SNR takes even steps, not Karras's")
        definition, configuration = (
            SamplerDefinition(definition.scheduler),
            {**configuration, "use_karras_sigmas": False},
        )
    if zero_snr:
        return _make(definition, configuration, timestep_spacing="trailing")
    if sampler == "dpm_solver" or scheduler.config.get("use_karras_sigmas") or _reaches_the_noise(scheduler, steps):
        return scheduler
    logger.info("%d steps do not divide the model's evenly: they are spread over all", steps)
    return _make(definition, configuration, timestep_spacing="trailing")


def _make(definition: SamplerDefinition, configuration: Mapping[str, Any], **more: Any) -> Any:
    return definition.scheduler.from_config(configuration, **definition.settings, **more)


def _reaches_the_noise(scheduler: Any, steps: int) -> bool:
    training_steps = scheduler.config.num_train_timesteps
    try:
        scheduler.set_timesteps(steps)
    except (IndexError, ValueError, ZeroDivisionError):
        return False
    return bool(0.9 * training_steps <= float(scheduler.timesteps.max()) <= training_steps - 1)
