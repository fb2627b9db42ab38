from __future__ import annotations

import json
from typing import Any

import numpy
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

from userdata.contract.bundle import BUNDLE
from userdata.job.choices import Prediction, Sampler
from userdata.worker.drawing import samplers
from userdata.worker.drawing.compvis_schedulers import OriginalDDIM
from userdata.worker.model.prediction import SETTINGS

LAYOUT = BUNDLE.models / "stable-diffusion-v1"
CONFIGURATION = json.loads((LAYOUT / "scheduler/scheduler_config.json").read_text())
V_PREDICTION = {**CONFIGURATION, **SETTINGS[Prediction.v]}
ZERO_SNR = {**CONFIGURATION, **SETTINGS[Prediction.v_ztsnr]}
DEVIATION = 0.5
NOISY = ("EulerAncestralDiscreteScheduler", "LCMScheduler")
STEPS_THAT_CRASHED_THE_ORIGINAL = (1, 3, 9, 27, 36, 37, 101, 251, 333, 501, 999, 1000)


def test_every_sampler_of_the_schema_is_defined() -> None:
    assert set(samplers.SAMPLERS) == {sampler.value for sampler in Sampler}


@pytest.mark.parametrize("own", [DPMSolverMultistepScheduler, UniPCMultistepScheduler])
def test_the_scheduler_in_a_folder_of_diffusers_is_not_taken_for_one_of_flows(own: Any) -> None:
    """Both can be set to flows, and say in every configuration whether they are."""
    assert isinstance(samplers.make_scheduler("ddim", own.from_config(CONFIGURATION).config, 4), OriginalDDIM)


def test_the_four_steps_of_lightning_are_those_that_it_was_distilled_for() -> None:
    lightning = json.loads((BUNDLE.models / "sdxl-lightning/scheduler/scheduler_config.json").read_text())
    found = {}
    for steps in (4, 20):
        scheduler = samplers.make_scheduler("euler", lightning, steps)
        scheduler.set_timesteps(steps)
        found[steps] = scheduler.timesteps.tolist()
    assert found[4] == [999, 749, 499, 249]
    assert (found[20][0], found[20][-1]) == (999, 49)


@pytest.mark.parametrize("steps", STEPS_THAT_CRASHED_THE_ORIGINAL)
@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
def test_any_number_of_steps_ends_where_the_model_leads(sampler: str, steps: int) -> None:
    """Where pictures are normally distributed with deviation 0.5, the exact solution only halves the noise."""
    start, drawn = _sample(samplers.make_scheduler(sampler, CONFIGURATION, steps), steps)
    assert torch.isfinite(drawn).all()
    if sampler == "lcm":
        return  # it needs a model that answers with the end of the way, not with the next step
    if steps >= 27:
        assert drawn.std() / start.std() == pytest.approx(DEVIATION, rel=0.2)
    if steps >= 100:
        assert drawn.std() / start.std() == pytest.approx(DEVIATION, rel=0.06)
    if steps >= 100 and sampler != "euler_a":
        assert (drawn - DEVIATION * start).abs().max() < 0.1


@pytest.mark.parametrize("configuration", [V_PREDICTION, ZERO_SNR], ids=["v", "v_ztsnr"])
@pytest.mark.parametrize("steps", [27, 100])
@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
def test_a_model_that_predicts_the_velocity_leads_there_too(
    sampler: str, steps: int, configuration: dict[str, Any]
) -> None:
    scheduler = samplers.make_scheduler(sampler, configuration, steps)
    start, drawn = _sample(scheduler, steps)
    assert torch.isfinite(drawn).all()
    if sampler != "lcm":
        assert drawn.std() / start.std() == pytest.approx(DEVIATION, rel=0.2 if steps < 100 else 0.06)
    if configuration is ZERO_SNR:
        assert scheduler.timesteps[0] == 999
        assert _alpha(scheduler, scheduler.timesteps[0]) < 1e-7


@pytest.mark.parametrize(("steps", "done"), [(20, 20), (50, 50), (75, 77), (400, 500)])
def test_steps_are_spaced_as_the_original_spaces_them(steps: int, done: int) -> None:
    """The original counts on in strides of 1000 // steps for as long as it can, so that 75 steps are 77."""
    scheduler = samplers.make_scheduler("ddim", CONFIGURATION, steps)
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == [k * (1000 // steps) + 1 for k in range(done)][::-1]


@pytest.mark.parametrize("steps", STEPS_THAT_CRASHED_THE_ORIGINAL)
def test_ddim_does_exactly_the_steps_at_which_the_original_crashed(steps: int) -> None:
    scheduler = samplers.make_scheduler("ddim", CONFIGURATION, steps)
    scheduler.set_timesteps(steps)
    assert len(scheduler.timesteps) == steps
    assert scheduler.timesteps[0] == 999


@pytest.mark.parametrize("steps", [10, 3])
def test_ddim_on_even_timesteps_is_diffusers_own(steps: int) -> None:
    """Ten steps divide the 1000 evenly, so that diffusers' class can do them, from the noisy end down; for three, the
    solver of order 1 is the same (arXiv:2211.01095, section 4.1) and takes steps of any width."""
    ours = OriginalDDIM.from_config(CONFIGURATION, **samplers.SAMPLERS["ddim"].settings)
    theirs = (
        DDIMScheduler.from_config(CONFIGURATION, timestep_spacing="trailing")
        if steps == 10
        else DPMSolverMultistepScheduler.from_config(
            CONFIGURATION, timestep_spacing="trailing", solver_order=1, final_sigmas_type="sigma_min"
        )
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("userdata.worker.drawing.compvis_schedulers.original_grid", lambda *_: None)
        assert torch.allclose(_sample(ours, steps)[1], _sample(theirs, steps)[1], atol=1e-4)


@pytest.mark.parametrize("strength", [0.1, 1.0])
@pytest.mark.parametrize("steps", [75, 300])
@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
def test_image_to_image_ends_where_the_model_leads(sampler: str, steps: int, strength: float) -> None:
    """A constant picture with noise, and the perfect model for that picture alone: it is what comes out."""
    scheduler = samplers.make_scheduler(sampler, CONFIGURATION, steps, strength=strength)
    scheduler.set_timesteps(steps)
    left_out = steps - int(steps * strength)
    timesteps = scheduler.timesteps[left_out * scheduler.order :]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(left_out * scheduler.order)
    picture = torch.full((1, 4, 8, 8), 0.5)
    generator = torch.Generator().manual_seed(2)
    sample = scheduler.add_noise(picture, torch.randn(picture.shape, generator=generator), timesteps[:1])
    needs_generator = {"generator": generator} if sampler in ("euler_a", "lcm") else {}
    for timestep in timesteps:
        scaled = scheduler.scale_model_input(sample, timestep)
        alpha = _alpha(scheduler, timestep)
        noise = (scaled - alpha.sqrt() * picture) / (1 - alpha).sqrt()
        sample = scheduler.step(noise, timestep, sample, **needs_generator).prev_sample
    # The original's samplers end with the noise of the first training step, a thirtieth.
    assert (sample - picture).abs().max() < 0.2
    assert abs(sample.mean() - 0.5) < 0.02


def _sample(scheduler: Any, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The noise that sampling starts from, at unit deviation, and what the perfect model for such pictures makes."""
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(1, 4, 16, 16, generator=generator)
    needs_generator = {"generator": generator} if type(scheduler).__name__ in NOISY else {}
    scheduler.set_timesteps(steps)
    sample = start * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(sample, timestep)
        alpha = _alpha(scheduler, timestep)
        answer = (1 - alpha).sqrt() * scaled / (alpha * DEVIATION**2 + 1 - alpha)
        if scheduler.config.prediction_type == "v_prediction":
            picture = alpha.sqrt() * DEVIATION**2 * scaled / (alpha * DEVIATION**2 + 1 - alpha)
            answer = alpha.sqrt() * answer - (1 - alpha).sqrt() * picture  # arXiv:2202.00512, appendix D
        sample = scheduler.step(answer, timestep, sample, **needs_generator).prev_sample
    return start, sample


def _alpha(scheduler: Any, timestep: torch.Tensor) -> torch.Tensor:
    """The cumulative alpha at `timestep`, between two training steps too, where DPM-Solver asks for it."""
    logarithms = scheduler.alphas_cumprod.clamp(min=2**-24).log().numpy()
    return torch.tensor(numpy.interp(float(timestep), numpy.arange(len(logarithms)), logarithms)).exp()


@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
def test_between_two_steps_an_image_gets_the_noise_of_the_next_one(sampler: str) -> None:
    """As inpainting needs it outside its mask; the original adds the noise of an earlier moment only to begin with."""
    scheduler = samplers.make_scheduler(sampler, CONFIGURATION, 10, strength=0.5)
    scheduler.set_timesteps(10)
    steps = scheduler.timesteps[-5:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(len(scheduler.timesteps) - 5)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    nothing = torch.zeros_like(noise)
    at_first = scheduler.add_noise(nothing, noise, steps[:1])
    scheduler.step(noise, steps[0], at_first)
    noisy = scheduler.add_noise(nothing, noise, steps[1:2])
    assert noisy.std() < at_first.std()
    if sampler in ("ddim", "plms", "lcm"):
        sigma = (1 - scheduler.alphas_cumprod[steps[1]]) ** 0.5
    else:
        sigma = scheduler.sigmas[len(scheduler.timesteps) - 4]
        sigma = sigma if sampler.startswith("euler") else (sigma**2 / (1 + sigma**2)) ** 0.5
    torch.testing.assert_close(noisy, sigma * noise)


@pytest.mark.parametrize("configuration", [CONFIGURATION, ZERO_SNR], ids=["usual", "v_ztsnr"])
@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
def test_of_a_samplers_own_configuration_comes_the_same_sampler(sampler: str, configuration: dict[str, Any]) -> None:
    """The second pass makes its sampler from that of the first one."""
    for steps in (20, 251):
        first = samplers.make_scheduler(sampler, configuration, steps)
        second = samplers.make_scheduler(sampler, first.config, steps, strength=0.5)
        assert type(second) is type(first)
        told = [{name: one.config[name] for name in one.config if name[0] != "_"} for one in (first, second)]
        assert told[0] == told[1]
