"""The job: what a person asks for, every default resolved, and checked."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator, model_validator

from userdata.contract.catalogue import find_model
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.image_size import is_whole, round_edge
from userdata.contract.run_name import run_name
from userdata.job.choices import Engine, SafetyChecker, Switch
from userdata.job.compvis_rules import why_not_compvis
from userdata.job.job_fields import WATERMARK_PIXELS, JobFields
from userdata.job.model_rules import why_not_model
from userdata.job.parameter import is_models_own, plain_fraction, plain_number
from userdata.job.prompt_loras import split_loras
from userdata.job.prompt_syntax import check_weights
from userdata.job.refusal import LONGEST_SHOWN
from userdata.job.sampler_names import NAMES, nearest_sampler, sampler_of
from userdata.job.second_look_rules import why_not_masked_or_upscaled
from userdata.job.seeds import RANDOM


class Job(JobFields):
    """One run: which images to make. Image k, counted from 0, has seed `seed + k`.

    A job rounds its edges down to what the model's images are multiples of.
    Built from CloudFormation parameters (`Job.model_validate({"Prompt": ...})`) or by field name. Raises
    `pydantic.ValidationError` for anything that breaks a rule; `explain` turns that into sentences.
    """

    @model_validator(mode="before")
    @classmethod
    def _take_the_models_own(cls, given: Any) -> Any:
        """Replaces missing and empty values by the model's own, so that a job is always whole."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        try:
            defaults = find_model(_given(filled, "model") or cls.model_fields["model"].default).defaults
        except (KeyError, TypeError):
            defaults = {}  # the rule of the model's own field refuses the name
        for name, field in cls.model_fields.items():
            if is_models_own(field) and _given(filled, name) in (None, ""):
                filled.pop(name, None)
                filled[str(field.alias)] = defaults.get(name, field.default)
        return filled

    @model_validator(mode="before")
    @classmethod
    def _round_edges(cls, given: Any) -> Any:
        """Rounds both edges down. Runs before the model's own are taken, which need no rounding."""
        if not isinstance(given, dict):
            return given
        rounded = dict(given)
        for name in ("H", "W"):
            for key in (name, str(cls.model_fields[name].alias)):
                if key in rounded:
                    rounded[key] = round_edge(rounded[key], model=str(_given(rounded, "model") or ""))
        return rounded

    @model_validator(mode="before")
    @classmethod
    def _know_the_sampler(cls, given: Any) -> Any:
        """Takes a sampler by any name that the community's programs give it. Refuses others with the nearest."""
        if not isinstance(given, dict) or type(name := _given(given, "sampler")) is not str:
            return given
        if sampler_of(name) is None and (nearest := nearest_sampler(name)):
            raise ValueError(
                f"Sampler is {name[:LONGEST_SHOWN]!r}, which is not offered: the nearest is {nearest}. There are "
                + ", ".join(NAMES)
            )
        key = "Sampler" if "Sampler" in given else "sampler"
        return {**given, key: sampler_of(name) or name}

    @field_validator("H", "W", "ddim_steps", "n_iter", "n_samples", "n_rows", "seed", "upscale", mode="before")
    @classmethod
    def _digits_only(cls, value: Any) -> Any:
        """Refuses `515.0`, `+515` and `5_15`, as CloudFormation does: pydantic and the rounding would take them."""
        if isinstance(value, (bool, float)) or (
            isinstance(value, str) and value != str(RANDOM) and not is_whole(value)
        ):
            raise ValueError("not a whole number")
        return value

    _plain_fraction = field_validator("scale", mode="before")(plain_fraction)
    _plain_numbers = field_validator("ddim_eta", "strength", mode="before")(plain_number)

    @model_validator(mode="after")
    def _the_fields_fit_together(self) -> Job:
        """Raises `ValueError` for the first rule that the fields break together, with the way out."""
        if (self.init_img or self.upscale > 1) and int(self.ddim_steps * self.strength) < 1:
            raise ValueError(
                f"Steps {self.ddim_steps} and Strength {self.strength:g} leave no step to do: "
                "their product must be at least 1, for example Steps 75 and Strength 0.75"
            )
        if self.watermark == Switch.on and self.H * self.W * self.upscale**2 < WATERMARK_PIXELS:
            raise ValueError(
                f"Watermark is on, but images of {self.W} x {self.H} pixels have no room for it: they must have at "
                f"least {WATERMARK_PIXELS}, for example 256 x 256, or Watermark off"
            )
        if self.ddim_eta and str(self.sampler) != "ddim":
            raise ValueError(
                f"Eta is {self.ddim_eta:g}, but must be 0 for Sampler {self.sampler!s}: only ddim has such noise. "
                "Leave Eta out, or choose Sampler ddim"
            )
        listed_embeddings(self.embeddings)
        if reason := why_not_model(self) or why_not_masked_or_upscaled(self):
            raise ValueError(reason)
        split_loras(self.prompt, self.negative_prompt, self.lora)
        if self.weighs_words:
            check_weights({"Prompt": self.prompt, "NegativePrompt": self.negative_prompt})
        reason = why_not_compvis(self) if self.engine == Engine.compvis else None
        if reason:
            raise ValueError(reason)
        return self

    @property
    def checked_for_safety(self) -> bool:
        """Whether the safety checker looks at the images."""
        return self.safety_checker != SafetyChecker.off and find_model(self.model).safety_checker

    @property
    def weighs_words(self) -> bool:
        """Whether brackets in the texts are weights: the original scripts and models of other encoders read them."""
        return self.engine == Engine.diffusers and not find_model(self.model).of_transformers

    @property
    def name(self) -> str:
        """The run's name, which is also its folder in the bucket, unless its edges were left to the initial image.

        A job does not know whether they were. `run_name` of the parameters names any run.
        """
        return run_name(self.model_dump(by_alias=True))


def _given(values: dict[str, Any], name: str) -> Any:
    alias = str(JobFields.model_fields[name].alias)
    return values.get(alias, values.get(name))
