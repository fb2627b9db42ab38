"""The fields of a job, and the values that each field by itself may have.

The one schema for the CloudFormation parameters, the command line, `job.json` and the worker. Fields carry the
original scripts' option names, aliases the CloudFormation parameters' names.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from userdata.contract.catalogue import HUB_PATTERN, LONGEST_NAME, S3_PATTERN, read_catalogue
from userdata.contract.companion_files import (
    EMBEDDINGS_PATTERN,
    LONGEST_EMBEDDINGS,
    LONGEST_VAE,
    MOST_EMBEDDINGS,
    VAE_PATTERN,
)
from userdata.contract.image_size import LONGEST_EDGE, SHORTEST_EDGE
from userdata.contract.layout import INPUTS, RUNS
from userdata.contract.lora_list import LONGEST_LORAS, LORAS_PATTERN, MOST_LORAS
from userdata.job.choices import Engine, Precision, Prediction, Quantize, SafetyChecker, Sampler, Switch
from userdata.job.parameter import parameter
from userdata.job.sampler_names import NAMES
from userdata.job.seeds import RANDOM, SEEDS, Seed

MODEL_NAMES = list(read_catalogue())
# A key is part of EC2's user data, which must be short. Those of uploads and of images have about 100 characters.
LONGEST_KEY = 128
LONGEST_MASK_KEY = 48
# What the worker may read of the results bucket, by the rights that the stack gives it.
READABLE = rf"(?:{INPUTS}|{RUNS})[A-Za-z0-9/_.=+@ -]+"
ROUNDED = "; it is rounded down to a multiple of 8"
# The library that makes the watermark refuses images of fewer pixels.
WATERMARK_PIXELS = 256 * 256
LONGEST_PROMPT = 1000
MOST_SAMPLES = 16
MOST_UPSCALE = 2


class JobFields(BaseModel):
    """The fields of a job, each by itself. Sizes are in pixels."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, use_enum_values=True, defer_build=True
    )

    prompt: str = parameter(
        "A horse standing under a tree",
        name="Prompt",
        description="What the images show.",
        rule='a text of 1 to 1000 characters that is not blank, for example "A horse standing under a tree"; a '
        "PromptFile may have longer ones",
        min_length=1,
        max_length=LONGEST_PROMPT,
        pattern=r"^[\s\S]*\S[\s\S]*$",
    )
    negative_prompt: str = parameter(
        "",
        name="NegativePrompt",
        description="What the images should not show.",
        rule='a text of up to 1000 characters, for example "blurry, watermark"; a PromptFile may have longer ones',
        max_length=LONGEST_PROMPT,
    )
    H: int = parameter(
        512,
        name="Height",
        models_own=True,
        description="Height of the images in pixels. With InitImage and no Width either: the image's own.",
        note=ROUNDED,
        ge=SHORTEST_EDGE,
        le=LONGEST_EDGE,
    )
    W: int = parameter(
        640,
        name="Width",
        models_own=True,
        description="Width of the images in pixels. With InitImage and no Height either: the image's own.",
        example=512,
        note=ROUNDED,
        ge=SHORTEST_EDGE,
        le=LONGEST_EDGE,
    )
    ddim_steps: int = parameter(
        75,
        name="Steps",
        models_own=True,
        description="Denoising steps of the sampler.",
        ge=1,
        le=1000,
    )
    n_iter: int = parameter(
        2,
        name="Iterations",
        description="How many batches are made, each of Samples images.",
        ge=1,
        le=1000,
    )
    n_samples: int = parameter(
        3,
        name="Samples",
        description="How many images are made at once.",
        ge=1,
        le=MOST_SAMPLES,
    )
    scale: float = parameter(
        7.5,
        name="GuidanceScale",
        models_own=True,
        description="Classifier-free guidance scale: how strictly the images follow the prompt. 1 switches it off.",
        ge=0,
        le=50,
        allow_inf_nan=False,
    )
    seed: Seed = parameter(
        42,
        name="Seed",
        description="Seed of the first image, or -1 to draw one; image k has seed Seed + k. With Engine=compvis "
        "one seed serves the whole run.",
        note="; -1 draws one",
        ge=RANDOM,
        le=SEEDS - 1,
    )
    sampler: Sampler = parameter(
        "ddim",
        name="Sampler",
        models_own=True,
        description="The sampler (scheduler) of the denoising steps.",
        rule=f"one of {', '.join(f'{ours} ({theirs!s})' for ours, theirs in NAMES.items())}",
    )
    ddim_eta: float = parameter(
        0.0,
        name="Eta",
        description="For ddim: how much new noise each step adds; 0 adds none, 1 as much as DDPM.",
        example=0.5,
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    fixed_code: Switch = parameter(
        "off",
        name="FixedCode",
        description="Whether every batch of Samples images starts from the same noise. Image k then has seed Seed + k "
        "modulo Samples.",
        flag=True,
    )
    precision: Precision = parameter(
        "autocast",
        name="Precision",
        description="autocast computes in half precision on a GPU, full in single, which is slower.",
    )
    quantize: Quantize = parameter(
        "auto",
        name="Quantize",
        description="The type of the weights of FLUX, Z-Image and Chroma on the card: a smaller one wants less memory, "
        "and changes the images. auto takes the smaller ones only where the card is too small without "
        "(docs/models.md).",
    )
    model: str = parameter(
        "stable-diffusion-v1-5",
        name="Model",
        description="The model: a name of the catalogue, or the place of a checkpoint of your own. The catalogue is "
        "userdata/models.json; the place is on the Hugging Face hub or in S3 (docs/models.md). An XL checkpoint of "
        "your own wants Height and Width 1024.",
        rule=f"one of {', '.join(MODEL_NAMES)}, or a .safetensors, .ckpt, .pt, .pth or .bin file as "
        "hf:owner/name/file or s3://bucket/key, for example s3://my-models/mine.safetensors",
        max_length=LONGEST_NAME,
        pattern=f"^(?:{'|'.join(MODEL_NAMES)}|{HUB_PATTERN}|{S3_PATTERN})$",
    )
    prediction: Prediction = parameter(
        "auto",
        name="Prediction",
        description="What the model predicts: the noise (epsilon) or the velocity (v), v_ztsnr with zero terminal SNR. "
        "auto: as the checkpoint says.",
    )
    vae: str = parameter(
        "",
        name="Vae",
        description="A VAE that takes the place of the model's own (docs/models.md).",
        rule="empty, or a .safetensors, .ckpt, .pt, .pth or .bin file as hf:owner/name/file, s3://bucket/key or "
        f"inputs/key, for example inputs/vae.safetensors; {LONGEST_VAE} characters at most",
        max_length=LONGEST_VAE,
        pattern=VAE_PATTERN,
    )
    embeddings: str = parameter(
        "",
        name="Embeddings",
        description="Embeddings (textual inversions), with commas between them. A prompt uses one by its file's name "
        "(docs/models.md).",
        rule=f"empty, or up to {MOST_EMBEDDINGS} .safetensors, .ckpt, .pt, .pth or .bin files as hf:owner/name/file, "
        "s3://bucket/key or inputs/key with commas between them, for example inputs/style.pt; "
        f"{LONGEST_EMBEDDINGS} characters at most",
        max_length=LONGEST_EMBEDDINGS,
        pattern=EMBEDDINGS_PATTERN,
    )
    init_img: str = parameter(
        "",
        name="InitImage",
        description="Key of an image in the results bucket to start from. Empty: text to image.",
        rule="empty, or the key of an image below inputs/ or runs/ in the results bucket, for example inputs/horse.png",
        max_length=LONGEST_KEY,
        pattern=rf"^$|^{READABLE}$",  # its content says which kind it is, not its name
    )
    init_mask: str = parameter(
        "",
        name="InitMask",
        description="Key of a mask in the results bucket, as large as InitImage: white is redrawn, black stays. Empty: "
        "all is redrawn.",
        rule=f"empty, or the key of an image below {INPUTS} or {RUNS} in the results bucket, for example "
        f"{INPUTS}mask.png; {LONGEST_MASK_KEY} characters at most",
        max_length=LONGEST_MASK_KEY,
        pattern=rf"^$|^{READABLE}$",
    )
    from_file: str = parameter(
        "",
        name="PromptFile",
        description="Key of a text file in the results bucket with a prompt on each line. A line may have options of "
        "its own (docs/options.md). The file takes the place of Prompt, and each line is drawn Iterations times.",
        rule="empty, or the key of a .txt file below inputs/ or runs/ in the results bucket, for example "
        "inputs/prompts.txt",
        max_length=LONGEST_KEY,
        pattern=rf"^$|^{READABLE}\.[tT][xX][tT]$",
    )
    n_rows: int = parameter(
        0,
        name="Rows",
        description="How many images stand in a row of the grid; 0 for Samples.",
        example=3,
        ge=0,
        le=100,
    )
    skip_grid: Switch = parameter(
        "off",
        name="SkipGrid",
        description="Whether no grid of all images is made.",
        flag=True,
    )
    strength: float = parameter(
        0.75,
        name="Strength",
        description="With InitImage or Upscale: how much of the initial image, or of the first pass, is replaced by "
        "noise.",
        ge=0.01,
        le=1,
        allow_inf_nan=False,
    )
    upscale: int = parameter(
        1,
        name="Upscale",
        description="2 draws each image a second time at twice its Height and Width, with Strength: the hires fix of "
        "AUTOMATIC1111's web interface.",
        example=2,
        ge=1,
        le=MOST_UPSCALE,
    )
    engine: Engine = parameter(
        "diffusers",
        name="Engine",
        description="What draws: diffusers, or compvis for the original scripts (docs/models.md).",
    )
    lora: str = parameter(
        "",
        name="Lora",
        description="LoRAs to merge into the model, with commas between them and each with its weight behind a colon. "
        "A prompt may give another weight: <lora:style:0.5> (docs/models.md).",
        rule=f"empty, or up to {MOST_LORAS} .safetensors files as hf:owner/name/file, s3://bucket/key or inputs/key, "
        "each with a weight from -9 to 9 if it is not 1, for example "
        f"inputs/style.safetensors:0.8,hf:owner/name/light.safetensors; {LONGEST_LORAS} characters at most",
        max_length=LONGEST_LORAS,
        pattern=LORAS_PATTERN,
    )
    safety_checker: SafetyChecker = parameter(
        "mark",
        name="SafetyChecker",
        description="What becomes of an image that the safety checker flags. mark keeps the image and says so; "
        "withhold puts a grey picture in its place and says so; off looks at no image.",
    )
    watermark: Switch = parameter(
        "off",
        name="Watermark",
        description="Whether images get the original scripts' invisible watermark. Its text is StableDiffusionV1.",
    )
    run_id: str = parameter(
        "",
        name="RunId",
        description="Any name: the same request under a new RunId is a new run.",
        rule="empty, or up to 40 letters, digits, dots, dashes and underscores, for example second-try",
        max_length=40,
        pattern=r"^[A-Za-z0-9._-]*$",
    )

    @property
    def from_image(self) -> bool:
        """Whether this is image to image."""
        return bool(self.init_img)

    @property
    def second_pass_pixels(self) -> int:
        """The pixels that each image has in the second pass; 0 without one."""
        return self.H * self.W * self.upscale**2 if self.upscale > 1 else 0

    @property
    def images_total(self) -> int:
        """How many images the run makes, unless it has a prompt file."""
        return self.n_iter * self.n_samples
