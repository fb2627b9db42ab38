"""The samplers by the names that the community's programs give them, and the nearest of those that are not offered."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class SamplerName:
    """The name in AUTOMATIC1111's web interface, and that of the steps' spacing where the interface tells it apart.

    Readers of images look for these.
    """

    sampler: str
    schedule_type: str | None = None

    def __str__(self) -> str:
        """Both in one, as the interface wrote them before it told them apart."""
        return f"{self.sampler} {self.schedule_type}" if self.schedule_type == "Karras" else self.sampler


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
# What other programs call them, as `_plain` spells it: ComfyUI, InvokeAI, and the classes of diffusers.
_ALSO = {
    "eulerancestral": "euler_a",
    "pndm": "plms",
    "unipcbh1": "unipc",
    "unipcbh2": "unipc",
    "dpmsolverkarras": "dpmpp_2m_karras",
    "dpmsolverpp": "dpm_solver",
}
# Samplers that are not offered, as `_plain` spells them, and the one whose pictures are the nearest: of the same kind,
# with noise in each step or without.
_NEAREST = {
    "heun": "euler",
    "lms": "plms",
    "ddpm": "ddim",
    "deis": "unipc",
    "dpm2": "dpm_solver",
    "dpm2a": "euler_a",
    "dpm2ancestral": "euler_a",
    "dpmadaptive": "dpm_solver",
    "dpmfast": "dpm_solver",
    "dpmpp2msde": "dpmpp_2m_karras",
    "dpmpp2msdegpu": "dpmpp_2m_karras",
    "dpmpp2sa": "euler_a",
    "dpmpp2sancestral": "euler_a",
    "dpmpp3msde": "dpmpp_2m_karras",
    "dpmppsde": "euler_a",
    "dpmppsdegpu": "euler_a",
    "ipndm": "plms",
    "restart": "euler",
}
_OF_A_CLASS = re.compile("scheduler|discrete|multistep|singlestep")
_USUAL_SPACING = re.compile("(?:automatic|normal|uniform)$")
_OTHER_SPACING = re.compile("(?:karras|exponential|polyexponential|sgmuniform|simple|beta|ddimuniform|turbo)$")


def sampler_of(name: str) -> str | None:
    """Our name of the sampler that we or another program call `name`, however it is spelled; None when there is none.

    "DPM++ 2M Karras" is how the web interface called a sampler with its spacing before it told them apart.
    """
    plain = _plain(name)
    return _KNOWN.get(plain) or _KNOWN.get(_USUAL_SPACING.sub("", plain))


def nearest_sampler(name: str) -> str | None:
    """Our sampler that is nearest to `name`, which is none of ours; None when the name says nothing."""
    plain = _plain(name)
    bare = _OTHER_SPACING.sub("", plain)
    known = {**_NEAREST, **_KNOWN}
    meant = [bare] if bare in known else difflib.get_close_matches(plain, known, n=1, cutoff=0.8)
    return known[meant[0]] if meant else None


def _plain(name: str) -> str:
    letters = re.sub("[^a-z0-9]", "", name.lower().strip().removeprefix("k_").replace("++", "pp"))
    return _OF_A_CLASS.sub("", letters)


_KNOWN = {
    **_ALSO,
    # The first of two with one sampler stands for the bare name.
    **{_plain(theirs.sampler): ours for ours, theirs in reversed(NAMES.items())},
    **{_plain(f"{theirs.sampler} {theirs.schedule_type or ''}"): ours for ours, theirs in NAMES.items()},
    **{_plain(ours): ours for ours in NAMES},
}
