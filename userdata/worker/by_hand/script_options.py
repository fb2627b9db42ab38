"""The options of scripts/txt2img.py and scripts/img2img.py of CompVis/stable-diffusion: their names and defaults."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from userdata.contract.catalogue import CHECKPOINT_SUFFIXES
from userdata.contract.layout import INPUTS
from userdata.contract.lora_list import key_stem
from userdata.job.choices import Precision, Prediction
from userdata.job.job import Job
from userdata.job.refusal import explain
from userdata.job.sampler_names import NAMES
from userdata.record.image_metadata import IMAGE_OF_A_CALL, MASK_OF_A_CALL

LONGEST_STEM = 24
Script = Literal["txt2img", "img2img"]

# Options of the original that repeat what the checkpoint says. They are accepted with this one value, to no effect.
FIXED = {"C": "4", "f": "8", "config": "configs/stable-diffusion/v1-inference.yaml"}
# The original's options, and the job's fields that they give.
FIELDS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "ddim_steps": "ddim_steps",
    "ddim_eta": "ddim_eta",
    "n_iter": "n_iter",
    "n_samples": "n_samples",
    "n_rows": "n_rows",
    "scale": "scale",
    "seed": "seed",
    "precision": "precision",
    "prediction": "prediction",
    "strength": "strength",
    "upscale": "upscale",
    "H": "H",
    "W": "W",
}


def parser(script: Script) -> argparse.ArgumentParser:
    """The options of `script`."""
    image = script == "img2img"
    made = argparse.ArgumentParser(
        prog=f"python -m userdata.worker.{script}",
        description=f"Draw as scripts/{script}.py of the original does, with its options.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--prompt", default="a painting of a virus monster playing guitar", help="what the images show")
    add("--negative_prompt", default="", help="what they should not show")
    add("--outdir", default=f"outputs/{script}-samples", help="the folder for the images (%(default)s)")
    add("--skip_grid", action="store_true", help="save no grid")
    add("--skip_save", action="store_true", help="save no single images, only the grid")
    add("--ddim_steps", default=50, help="denoising steps, whatever the sampler (%(default)s)")
    samplers = made.add_mutually_exclusive_group()
    samplers.add_argument("--plms", action="store_true", help="draw with PLMS instead of DDIM")
    samplers.add_argument("--dpm_solver", action="store_true", help="draw with DPM-Solver++ instead of DDIM")
    samplers.add_argument("--sampler", help=f"draw with any of these: {', '.join(NAMES)}")
    add("--fixed_code", action="store_true", help="begin every batch with the same noise")
    add("--ddim_eta", default=0.0, help="new noise in each step of DDIM, 0 to 1 (%(default)s)")
    add("--n_iter", default=1 if image else 2, help="batches, or passes through the file (%(default)s)")
    add("--n_samples", default=2 if image else 3, help="images at once (%(default)s)")
    add("--n_rows", default=0, help="images in a row of the grid; 0 for n_samples")
    add("--scale", default=5.0 if image else 7.5, help="guidance scale (%(default)s)")
    add("--from-file", dest="from_file", help="a file with a prompt on each line (docs/options.md)")
    add(
        "--ckpt",
        default="",
        help="a checkpoint, a model's folder, or demo, which is in the box; default: this instance's",
    )
    add("--seed", default=42, help="seed of the first image; image k has seed + k (%(default)s)")
    add("--precision", choices=[p.value for p in Precision], default="autocast", help="full: single precision")
    predictions = [p.value for p in Prediction]
    add("--prediction", choices=predictions, default="auto", help="what the model predicts; auto: as it says (auto)")
    add("--vae", default="", metavar="FILE", help="a VAE that takes the place of the model's own")
    add(
        "--embedding", action="append", default=[], metavar="FILE", help="an embedding, used by its name; once for each"
    )
    if image:
        add("--init-img", dest="init_img", required=True, help="the image to start from")
        add("--init-mask", dest="init_mask", help="a mask as large as it: white is redrawn, black stays")
        add("--strength", default=0.75, help="how much of it is replaced by noise, 0.01 to 1 (%(default)s)")
    else:
        add("--upscale", default=1, help="2 draws each image a second time at twice its size (%(default)s)")
        add("--strength", default=0.75, help="with --upscale 2: how much of the first pass is replaced by noise (0.75)")
    unset = None if image else 512
    add("--H", default=unset, help="height in pixels" + (", default: the image's" if image else " (512)"))
    add("--W", default=unset, help="width in pixels" + (", default: the image's" if image else " (512)"))
    for name, value in FIXED.items():
        add(f"--{name}", default=value, choices=[value], help=argparse.SUPPRESS)
    if not image:
        add("--laion400m", action="store_true", help=argparse.SUPPRESS)
    return made


def read_options(script: Script, words: Sequence[str]) -> argparse.Namespace:
    """The options that `words` give. Exits with status 2, and a sentence, for words that `script` does not know."""
    made = parser(script)
    options = made.parse_args(words)
    if getattr(options, "laion400m", False):
        made.error("--laion400m is for a model that is not supported. Name a Stable Diffusion checkpoint: --ckpt FILE")
    if options.skip_save and options.skip_grid:
        made.error("--skip_save and --skip_grid together leave nothing to save. Take one of them out")
    return options


def job_of(script: Script, options: argparse.Namespace, *, model: str, size: tuple[int, int] | None) -> Job:
    """The job that `options` ask for, with the catalogue's `model`; `size` is the initial image's, width and height.

    Exits with status 2, and a sentence for each value that breaks a rule.
    """
    values: dict[str, Any] = {
        field: getattr(options, option)
        for option, field in FIELDS.items()
        if getattr(options, option, None) is not None
    }
    if size and "H" not in values and "W" not in values:
        values["W"], values["H"] = size
    sampler = "plms" if options.plms else "dpm_solver" if options.dpm_solver else options.sampler or "ddim"
    for file in (*filter(None, [options.vae]), *options.embedding):
        if not Path(file).is_file() or Path(file).suffix.lower() not in CHECKPOINT_SUFFIXES:
            parser(script).error(f"{file} must be a file that is here, called {', '.join(CHECKPOINT_SUFFIXES)}")
    values["vae"] = _key(options.vae) if options.vae else ""
    values["embeddings"] = ",".join(map(_key, options.embedding))
    of_image = {"init_img": IMAGE_OF_A_CALL} if script == "img2img" else {}
    if getattr(options, "init_mask", None):
        of_image["init_mask"] = MASK_OF_A_CALL
    try:
        return Job.model_validate(
            {
                **values,
                **of_image,
                "sampler": sampler,
                "fixed_code": "on" if options.fixed_code else "off",
                "skip_grid": "on" if options.skip_grid else "off",
                "model": model,
            }
        )
    except ValidationError as error:
        spelled = {"sampler": "--sampler", **{field: f"--{option}" for option, field in FIELDS.items()}}
        parser(script).error(" ".join(explain(error, Job, spelled)))


def _key(file: str) -> str:
    """What stands in the job for a file of a call by hand, as a deploy would upload it, so that prompts have a name."""
    return f"{INPUTS}{key_stem(Path(file).stem)[:LONGEST_STEM]}{Path(file).suffix}"
