"""The community's names of the samplers: those of AUTOMATIC1111's web interface, which readers of images look for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplerName:
    """The sampler's name, and the name of its spacing of the steps where the interface tells it apart."""

    sampler: str
    schedule_type: str | None = None


NAMES = {
    "ddim": SamplerName("DDIM"),
    "plms": SamplerName("PLMS"),
    "dpm_solver": SamplerName("DPM++ 2M", "Uniform"),
    "dpmpp_2m_karras": SamplerName("DPM++ 2M", "Karras"),
    "euler": SamplerName("Euler"),
    "euler_a": SamplerName("Euler a"),
    "unipc": SamplerName("UniPC"),
    "lcm": SamplerName("LCM"),
}


def sampler_of(name: str) -> str | None:
    """Our name of the sampler that we or the interface call `name`, capitals aside; None when there is none.

    "DPM++ 2M Karras" is how the interface called a sampler with its spacing before it told them apart.
    """
    wanted = " ".join(name.lower().split())
    for ours, theirs in NAMES.items():
        with_type = f"{theirs.sampler} {theirs.schedule_type or ''}".strip().lower()
        if wanted in (ours, with_type, theirs.sampler.lower()):
            return ours
    return None
