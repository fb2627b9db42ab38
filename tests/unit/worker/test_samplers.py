from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from userdata.worker import samplers
from userdata.worker.job import Sampler

LAYOUT = Path(samplers.__file__).parent.parent / "models/stable-diffusion-v1"
CONFIGURATION = json.loads((LAYOUT / "scheduler/scheduler_config.json").read_text())
DEVIATION = 0.5
STEPS_THAT_CRASHED_THE_ORIGINAL = (1, 3, 9, 27, 36, 37, 101, 251, 333, 501, 999, 1000)


def test_every_sampler_of_the_schema_is_defined() -> None:
    assert set(samplers.SAMPLERS) == {sampler.value for sampler in Sampler}


@pytest.mark.parametrize("steps", STEPS_THAT_CRASHED_THE_ORIGINAL)
@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
def test_any_number_of_steps_ends_where_the_model_leads(sampler: str, steps: int) -> None:
    """Where pictures are normally distributed with deviation 0.5, the exact solution only halves the noise."""
    start, drawn = _sample(samplers.make_scheduler(sampler, CONFIGURATION, steps), steps)
    assert torch.isfinite(drawn).all()
    if steps >= 27:
        assert drawn.std() / start.std() == pytest.approx(DEVIATION, rel=0.2)
    if steps >= 100:
        assert drawn.std() / start.std() == pytest.approx(DEVIATION, rel=0.06)
    if steps >= 100 and sampler != "euler_a":
        assert (drawn - DEVIATION * start).abs().max() < 0.1


@pytest.mark.parametrize("steps", [20, 50, 75])
def test_usual_numbers_of_steps_are_spaced_as_the_original_spaces_them(steps: int) -> None:
    scheduler = samplers.make_scheduler("ddim", CONFIGURATION, steps)
    scheduler.set_timesteps(steps)
    assert type(scheduler) is DDIMScheduler
    assert scheduler.timesteps.tolist() == [k * (1000 // steps) + 1 for k in range(steps)][::-1]


def test_ddim_for_odd_numbers_of_steps_is_ddim() -> None:
    """Ten steps divide the 1000 evenly, so that both classes can do them, from the noisy end down."""
    substitute = samplers.SAMPLERS["ddim"].any_steps
    assert substitute is not None
    ours = samplers._make(substitute, CONFIGURATION, timestep_spacing="trailing")
    theirs = DDIMScheduler.from_config(CONFIGURATION, timestep_spacing="trailing")
    assert torch.allclose(_sample(ours, 10)[1], _sample(theirs, 10)[1], atol=1e-4)


def _sample(scheduler: Any, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The noise that sampling starts from, at unit deviation, and what the perfect model for such pictures makes."""
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(1, 4, 16, 16, generator=generator)
    needs_generator = {"generator": generator} if "Ancestral" in type(scheduler).__name__ else {}
    scheduler.set_timesteps(steps)
    sample = start * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(sample, timestep)
        alpha = scheduler.alphas_cumprod[round(float(timestep))]
        noise = (1 - alpha).sqrt() * scaled / (alpha * DEVIATION**2 + 1 - alpha)
        sample = scheduler.step(noise, timestep, sample, **needs_generator).prev_sample
    return start, sample
