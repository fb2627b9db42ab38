"""The samplers by their names: which diffusers scheduler each one is, made from the checkpoint's own configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import diffusers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SamplerDefinition:
    """A diffusers scheduler class by name, and what is set beyond the checkpoint's own configuration.

    `any_steps` stands in where the class itself cannot do the asked number of steps; None where it always can.
    """

    scheduler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    any_steps: SamplerDefinition | None = None


# As the original's samplers: the last step's target is the first training step, not the clean image.
_AS_THE_ORIGINAL = {"set_alpha_to_one": False, "steps_offset": 1}

SAMPLERS = {
    "ddim": SamplerDefinition(
        "DDIMScheduler",
        {**_AS_THE_ORIGINAL, "clip_sample": False},
        # DPM-Solver++ of order 1 is DDIM (arXiv:2211.01095, section 4.1), and takes steps of any width.
        any_steps=SamplerDefinition(
            "DPMSolverMultistepScheduler", {"solver_order": 1, "final_sigmas_type": "sigma_min"}
        ),
    ),
    "plms": SamplerDefinition(
        "PNDMScheduler",
        {**_AS_THE_ORIGINAL, "skip_prk_steps": True},
        # The nearest multistep solver of the same equation; with more than 100 steps their pictures are the same.
        any_steps=SamplerDefinition("DPMSolverMultistepScheduler", {"final_sigmas_type": "sigma_min"}),
    ),
    # The original's --dpm_solver is the multistep DPM-Solver++ of order 2, not the older DPM-Solver.
    "dpm_solver": SamplerDefinition("DPMSolverMultistepScheduler"),
    "dpmpp_2m_karras": SamplerDefinition("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "euler": SamplerDefinition("EulerDiscreteScheduler"),
    "euler_a": SamplerDefinition("EulerAncestralDiscreteScheduler"),
    "unipc": SamplerDefinition("UniPCMultistepScheduler"),
}


def make_scheduler(sampler: str, configuration: Mapping[str, Any], steps: int) -> Any:
    """The diffusers scheduler of `sampler` for `steps` denoising steps, from 1 to the number of training steps.

    `configuration` is that of the checkpoint's own scheduler. Its spacing of the steps is kept where it works. The
    usual one ("leading") divides 1000 by the number of steps, rounds down and counts from the bottom: 1000 steps leave
    the range, and 3 or 251 or 501 never reach the noisy end, so that the model is told that pure noise is half a
    picture. There, the steps are spread from the noisy end ("trailing"), and DDIM and PLMS, whose diffusers classes
    know steps of one whole width only, are done by a solver that knows any. Rejected: "trailing" always, which would
    change the pictures of the usual numbers of steps.
    """
    definition = SAMPLERS[sampler]
    scheduler = _make(definition, configuration)
    if scheduler.config.get("use_karras_sigmas") or _reaches_the_noise(scheduler, steps):
        return scheduler
    substitute = definition.any_steps or definition
    logger.info("%d steps do not divide the model's evenly: %s spread over all", steps, substitute.scheduler)
    return _make(substitute, configuration, timestep_spacing="trailing")


def _make(definition: SamplerDefinition, configuration: Mapping[str, Any], **more: Any) -> Any:
    return getattr(diffusers, definition.scheduler).from_config(configuration, **definition.settings, **more)


def _reaches_the_noise(scheduler: Any, steps: int) -> bool:
    training_steps = scheduler.config.num_train_timesteps
    try:
        scheduler.set_timesteps(steps)
    except (IndexError, ValueError, ZeroDivisionError):
        return False
    return bool(0.9 * training_steps <= float(scheduler.timesteps.max()) <= training_steps - 1)
