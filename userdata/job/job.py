"""The job: what is asked for, checked.

The one schema for the CloudFormation parameters, the command line, `job.json` and the worker. Fields carry the
original scripts' option names, aliases the CloudFormation parameters' names. Each field's `rule` says in words what
its constraints say in numbers, with an example that is right: every refusal quotes it.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from userdata.contract.catalogue import (
    HUB_PATTERN,
    LONGEST_NAME,
    LORA_PATTERN,
    S3_PATTERN,
    find_model,
    read_catalogue,
)
from userdata.contract.compvis import LAYOUT
from userdata.contract.image_size import LONGEST_EDGE, SHORTEST_EDGE, is_whole, round_edge
from userdata.contract.run_name import run_name
from userdata.job.choices import Engine, Precision, SafetyChecker, Sampler, Switch, Watermark

MODEL_NAMES = list(read_catalogue())
# EC2's user data is short, and has to carry it.
LONGEST_KEY = 200
EDGE_RULE = "a whole number from 64 to 2048, for example 512; it is rounded down to a multiple of 8"
SWITCH_RULE = "one of on, off"
# As many as the community's tools know.
SEEDS = 2**32
# The library that makes it refuses smaller images.
WATERMARK_PIXELS = 256 * 256
TRAINING_STEPS = 1000
# The autoencoder halves an edge three times, and so does the UNet.
COMPVIS_MULTIPLE = 64
DPM_SOLVER_ORDER = 2
COMPVIS_SAMPLERS = ("ddim", "plms", "dpm_solver")


def parameter(
    default: Any, *, name: str, description: str, rule: str, models_own: bool = False, **constraints: Any
) -> Any:
    """A field that is also a CloudFormation parameter called `name`; `rule` completes the sentence "`name` must be".

    `models_own` says that the parameter is empty unless it is given, and then takes the value of the model's own
    `defaults`; `default` is that of the model that is the default.
    """
    extra: dict[str, Any] = {"rule": rule, "models_own": models_own}
    if models_own:
        description = f"{description} Empty: the model's own, for Stable Diffusion v1 {default}."
    return Field(default, alias=name, description=description, json_schema_extra=extra, **constraints)


class Job(BaseModel):
    """One run: which images to make. Sizes are in pixels; image k, counted from 0, has seed `seed + k`.

    An edge is rounded down to what the model's images are multiples of, as a job says by being built.
    Built from CloudFormation parameters (`Job.model_validate({"Prompt": ...})`) or by field name. Raises
    `pydantic.ValidationError` for anything that breaks a rule; `explain` turns that into sentences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_enum_values=True)

    prompt: str = parameter(
        "A horse standing under a tree",
        name="Prompt",
        description="What the images show.",
        rule='a text of 1 to 1000 characters that is not blank, for example "A horse standing under a tree"',
        min_length=1,
        max_length=1000,
        pattern=r"^[\s\S]*\S[\s\S]*$",
    )
    negative_prompt: str = parameter(
        "",
        name="NegativePrompt",
        description="What the images should not show.",
        rule='a text of up to 1000 characters, for example "blurry, watermark"',
        max_length=1000,
    )
    H: int = parameter(
        512,
        name="Height",
        models_own=True,
        description="Height of the images in pixels. With InitImage and no Width either: the image's own.",
        rule=EDGE_RULE,
        ge=SHORTEST_EDGE,
        le=LONGEST_EDGE,
    )
    W: int = parameter(
        640,
        name="Width",
        models_own=True,
        description="Width of the images in pixels. With InitImage and no Height either: the image's own.",
        rule=EDGE_RULE,
        ge=SHORTEST_EDGE,
        le=LONGEST_EDGE,
    )
    ddim_steps: int = parameter(
        75,
        name="Steps",
        models_own=True,
        description="Denoising steps of the sampler.",
        rule="a whole number from 1 to 1000, for example 75",
        ge=1,
        le=1000,
    )
    n_iter: int = parameter(
        2,
        name="Iterations",
        description="How many batches are made, each of Samples images.",
        rule="a whole number from 1 to 1000, for example 2",
        ge=1,
        le=1000,
    )
    n_samples: int = parameter(
        3,
        name="Samples",
        description="How many images are made at once.",
        rule="a whole number from 1 to 16, for example 3",
        ge=1,
        le=16,
    )
    scale: float = parameter(
        7.5,
        name="GuidanceScale",
        models_own=True,
        description="Classifier-free guidance scale: how strictly the images follow the prompt. 1 switches it off.",
        rule="a number from 0 to 50, for example 7.5",
        ge=0,
        le=50,
        allow_inf_nan=False,
    )
    seed: int = parameter(
        42,
        name="Seed",
        description="Seed of the first image; image k has seed Seed + k. With Engine=compvis one seed serves the "
        "whole run.",
        rule="a whole number from 0 to 4294967295, for example 42",
        ge=0,
        le=SEEDS - 1,
    )
    sampler: Sampler = parameter(
        "ddim",
        name="Sampler",
        models_own=True,
        description="The sampler (scheduler) of the denoising steps.",
        rule=f"one of {', '.join(s.value for s in Sampler)}",
    )
    ddim_eta: float = parameter(
        0.0,
        name="Eta",
        description="For ddim: how much new noise each step adds; 0 adds none, 1 as much as DDPM.",
        rule="a number from 0 to 1, for example 0.5",
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    fixed_code: Switch = parameter(
        "off",
        name="FixedCode",
        description="Whether every batch of Samples images starts from the same noise. Image k then has seed Seed + k "
        "modulo Samples.",
        rule=SWITCH_RULE,
    )
    precision: Precision = parameter(
        "autocast",
        name="Precision",
        description="autocast computes in half precision on a GPU, full in single, which is slower.",
        rule="one of autocast, full",
    )
    model: str = parameter(
        "stable-diffusion-v1-5",
        name="Model",
        description="The model: a name of the catalogue, or the place of a checkpoint of your own. The catalogue is "
        "userdata/models.json; the place is on the Hugging Face hub or in S3 (docs/models.md). An XL checkpoint of "
        "your own wants Height and Width 1024.",
        rule=f"one of {', '.join(MODEL_NAMES)}, or a .safetensors or .ckpt file as hf:owner/name/file or "
        "s3://bucket/key, for example hf:Lykon/DreamShaper/DreamShaper_8_pruned.safetensors",
        max_length=LONGEST_NAME,
        pattern=f"^(?:{'|'.join(MODEL_NAMES)}|{HUB_PATTERN}|{S3_PATTERN})$",
    )
    init_img: str = parameter(
        "",
        name="InitImage",
        description="Key of an image in the results bucket to start from. Empty: text to image.",
        rule="empty, or the key of a PNG, JPEG or WebP image in the results bucket, for example inputs/horse.png",
        max_length=LONGEST_KEY,
        pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9/_.=+@ -]*\.([pP][nN][gG]|[jJ][pP][eE]?[gG]|[wW][eE][bB][pP])$",
    )
    from_file: str = parameter(
        "",
        name="PromptFile",
        description="Key of a text file in the results bucket with a prompt on each line. A line may have options of "
        "its own (docs/options.md). The file takes the place of Prompt, and each line is drawn Iterations times.",
        rule="empty, or the key of a .txt file in the results bucket, for example inputs/prompts.txt",
        max_length=LONGEST_KEY,
        pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9/_.=+@ -]*\.[tT][xX][tT]$",
    )
    n_rows: int = parameter(
        0,
        name="Rows",
        description="How many images stand in a row of the grid; 0 for Samples.",
        rule="a whole number from 0 to 100, for example 3",
        ge=0,
        le=100,
    )
    skip_grid: Switch = parameter(
        "off",
        name="SkipGrid",
        description="Whether no grid of all images is made.",
        rule=SWITCH_RULE,
    )
    strength: float = parameter(
        0.75,
        name="Strength",
        description="Image to image only: how much of the initial image is replaced by noise.",
        rule="a number from 0.01 to 1, for example 0.75",
        ge=0.01,
        le=1,
        allow_inf_nan=False,
    )
    engine: Engine = parameter(
        "diffusers",
        name="Engine",
        description="What draws: diffusers, or compvis for the original scripts (docs/models.md).",
        rule="one of diffusers, compvis",
    )
    lora: str = parameter(
        "",
        name="Lora",
        description="A LoRA to merge into the model, with its weight behind a colon (docs/models.md).",
        rule="empty, or a .safetensors file as hf:owner/name/file, s3://bucket/key or inputs/key, with a weight from "
        "-9 to 9 if it is not 1, for example inputs/style.safetensors:0.8",
        max_length=LONGEST_NAME,
        pattern=f"^$|^{LORA_PATTERN}$",
    )
    safety_checker: SafetyChecker = parameter(
        "mark",
        name="SafetyChecker",
        description="What becomes of an image that the safety checker flags. mark keeps the image and says so; "
        "withhold puts a grey picture in its place and says so; off looks at no image.",
        rule="one of mark, withhold, off",
    )
    watermark: Watermark = parameter(
        "off",
        name="Watermark",
        description="Whether images get the original scripts' invisible watermark. Its text is StableDiffusionV1.",
        rule="one of off, on",
    )
    run_id: str = parameter(
        "",
        name="RunId",
        description="Any name: the same request under a new RunId is a new run.",
        rule="empty, or up to 40 letters, digits, dots, dashes and underscores, for example second-try",
        max_length=40,
        pattern=r"^[A-Za-z0-9._-]*$",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_the_models_own(cls, given: Any) -> Any:
        """Replaces what is missing or empty by the model's own, so that a job is always whole."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        try:
            defaults = find_model(_given(filled, "model") or cls.model_fields["model"].default).defaults
        except (KeyError, TypeError):
            defaults = {}  # what is wrong with the name is told by its own rule
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra["models_own"] and _given(filled, name) in (None, ""):
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

    @field_validator("H", "W", "ddim_steps", "n_iter", "n_samples", "n_rows", "seed", mode="before")
    @classmethod
    def _digits_only(cls, value: Any) -> Any:
        """Takes no `515.0`, `+515` or `5_15`, as CloudFormation does not: they would also pass by the rounding."""
        if isinstance(value, (bool, float)) or (isinstance(value, str) and not is_whole(value)):
            raise ValueError("not a whole number")
        return value

    @field_validator("scale", "ddim_eta", "strength", mode="before")
    @classmethod
    def _no_number_from_a_flag(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("not a number")
        return value

    @model_validator(mode="after")
    def _some_steps_remain(self) -> Job:
        if self.init_img and int(self.ddim_steps * self.strength) < 1:
            raise ValueError(
                f"Steps {self.ddim_steps} and Strength {self.strength:g} leave no step to do: "
                "their product must be at least 1, for example Steps 75 and Strength 0.75"
            )
        return self

    @model_validator(mode="after")
    def _the_model_can(self) -> Job:
        model = find_model(self.model)
        if model.samplers and str(self.sampler) not in model.samplers:
            raise ValueError(
                f"Sampler is {self.sampler!s}, but {model.title} samples with {' or '.join(model.samplers)} only: "
                f"leave Sampler empty, or for example {model.samplers[0]}"
            )
        return self

    @model_validator(mode="after")
    def _the_watermark_has_room(self) -> Job:
        if self.watermark == Watermark.on and self.H * self.W < WATERMARK_PIXELS:
            raise ValueError(
                f"Watermark is on, but images of {self.W} x {self.H} pixels have no room for it: they must have at "
                f"least {WATERMARK_PIXELS}, for example 256 x 256, or Watermark off"
            )
        return self

    @model_validator(mode="after")
    def _the_sampler_can(self) -> Job:
        if self.ddim_eta and str(self.sampler) != "ddim":
            raise ValueError(
                f"Eta is {self.ddim_eta:g}, but must be 0 for Sampler {self.sampler!s}: only ddim has such noise. "
                "Leave Eta out, or choose Sampler ddim"
            )
        return self

    @model_validator(mode="after")
    def _the_engine_can(self) -> Job:
        reason = _why_not(self) if self.engine == Engine.compvis else None
        if reason:
            raise ValueError(reason)
        return self

    @property
    def checked_for_safety(self) -> bool:
        """Whether its images are looked at by the safety checker."""
        return self.safety_checker != SafetyChecker.off and find_model(self.model).safety_checker

    @property
    def from_image(self) -> bool:
        """Whether this is image to image."""
        return bool(self.init_img)

    @property
    def images_total(self) -> int:
        """How many images the run makes, unless it has a prompt file."""
        return self.n_iter * self.n_samples

    @property
    def name(self) -> str:
        """The run's name, which is also its folder in the bucket, unless its edges were left to the initial image.

        That is gone from a job: `run_name` of the parameters names any run.
        """
        return run_name(self.model_dump(by_alias=True))


def _given(values: dict[str, Any], name: str) -> Any:
    alias = str(Job.model_fields[name].alias)
    return values.get(alias, values.get(name))


def _why_not(job: Job) -> str | None:
    """Why the original scripts cannot do `job`, as a sentence with the way out; None when they can."""
    model = find_model(job.model)
    if not model.is_own and (model.layout != LAYOUT or not model.files):
        return f"Model is {job.model}, but Engine=compvis draws with Stable Diffusion v1 only: stable-diffusion-v1-5"
    sampler = str(job.sampler)
    if sampler not in COMPVIS_SAMPLERS or (job.from_image and sampler != "ddim"):
        known = "ddim" if job.from_image else ", ".join(COMPVIS_SAMPLERS)
        return f"Sampler is {sampler}, but the original script has {known} only, for example ddim"
    if job.H % COMPVIS_MULTIPLE or job.W % COMPVIS_MULTIPLE:
        return f"Images are {job.W} x {job.H}, but the original scripts want multiples of 64, for example 640 x 512"
    # txt2img.py's watermark has no switch; img2img.py writes none.
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
