"""What a job may ask of the type that weights are kept in."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from userdata.job.job import Job

FLUX = {"Model": "flux-schnell"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"Model": "sdxl-base"}, "the weights of sdxl-base stay as they are, because a U-Net"),
        ({"Model": "s3://bucket/any.safetensors"}, "stay as they are, because a U-Net"),
        ({**FLUX, "Precision": "full"}, "Precision=full asks for the model's own numbers"),
        ({**FLUX, "Lora": "inputs/a.safetensors"}, "LoRA can only be merged into the model's own weights"),
    ],
)
@pytest.mark.parametrize("quantize", ["int8", "fp8", "nf4"])
def test_what_cannot_be_quantized_is_refused_and_never_silently_left(
    quantize: str, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValidationError, match=f"Quantize is {quantize}.*, but (?:.* )?{why}"):
        Job.model_validate({**given, "Quantize": quantize})
    for other in ("auto", "off"):
        assert Job.model_validate({**given, "Quantize": other}).quantize == other


def test_it_is_chosen_by_itself_unless_a_person_chooses() -> None:
    assert Job.model_validate(FLUX).quantize == "auto"
    assert Job.model_validate({**FLUX, "Quantize": "nf4"}).quantize == "nf4"
    with pytest.raises(ValidationError):
        Job.model_validate({**FLUX, "Quantize": "int4"})
