from __future__ import annotations

import pytest
from pydantic import ValidationError

from userdata.job.job import Job
from userdata.job.refusal import explain
from userdata.job.sampler_names import NAMES, sampler_of


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("Euler a", "euler_a"),
        ("euler_ancestral", "euler_a"),
        ("k_euler_a", "euler_a"),
        ("EulerAncestralDiscreteScheduler", "euler_a"),
        ("DPM++ 2M Karras", "dpmpp_2m_karras"),
        ("dpm++ 2m", "dpm_solver"),
        ("dpmpp_2m", "dpm_solver"),
        ("DPM++ 2M Automatic", "dpm_solver"),
        ("Euler normal", "euler"),
        ("uni_pc_bh2", "unipc"),
        ("PNDM", "plms"),
        *[(ours, ours) for ours in NAMES],
    ],
)
def test_a_sampler_is_known_by_any_name_of_the_community(name: str, ours: str) -> None:
    assert sampler_of(name) == ours
    assert str(Job.model_validate({"Sampler": name}).sampler) == ours


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Heun", "euler"),
        ("LMS Karras", "plms"),
        ("DPM++ 2M SDE Karras", "dpmpp_2m_karras"),
        ("dpmpp_2m_sde_gpu", "dpmpp_2m_karras"),
        ("DPM++ SDE", "euler_a"),
        ("Euler a Karras", "euler_a"),
        ("eulr", "euler"),
    ],
)
def test_a_sampler_that_is_not_offered_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Job.model_validate({"Sampler": name})
    (sentence,) = explain(refusal.value, Job)
    assert sentence.startswith(f"Sampler is {name!r}, which is not offered: the nearest is {nearest}. There are ddim, ")
