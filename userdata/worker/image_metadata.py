"""What is known about an image, kept with it: a text inside the PNG for the community's tools, and a JSON beside it."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel

from userdata.worker.drawn_with import DrawnWith
from userdata.worker.job import Job
from userdata.worker.status import utc_now

# As AUTOMATIC1111's web interface names them, since its readers look for these names.
SAMPLER_TITLES = {
    "ddim": "DDIM",
    "plms": "PLMS",
    "dpm_solver": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "euler": "Euler",
    "euler_a": "Euler a",
    "unipc": "UniPC",
}


class ImageRecord(BaseModel):
    """The JSON beside an image: enough to make this one image again.

    `index` counts from 0 over the run, `seconds` is the image's share of its batch's time, `job` is the whole job, as
    in job.json. `drawn_with` is None for an image of an earlier version. `flagged` is the safety checker's word, None
    where it was not asked.
    """

    schema_: int = 1
    run_id: str
    file: str
    index: int
    seed: int
    seconds: float
    created_at: str
    job: dict[str, Any]
    versions: dict[str, str]
    drawn_with: DrawnWith | None = None
    flagged: bool | None = None

    def to_json(self) -> bytes:
        """The document."""
        document = {"schema": self.schema_, **self.model_dump(exclude={"schema_"})}
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, document: bytes) -> ImageRecord:
        """Reads what `to_json` wrote. Raises `ValueError` when it is something else."""
        return cls.model_validate(json.loads(document))


def describe_image(
    job: Job,
    index: int,
    *,
    seconds: float,
    drawn_with: DrawnWith,
    versions: dict[str, str],
    flagged: bool | None = None,
) -> ImageRecord:
    """The record of image `index`, made just now."""
    return ImageRecord(
        run_id=job.name,
        file=f"{index:05}.png",
        index=index,
        seed=job.seed + index,
        seconds=round(seconds, 3),
        created_at=utc_now(),
        job=job.model_dump(),
        versions=versions,
        drawn_with=drawn_with,
        flagged=flagged,
    )


def parameters_text(job: Job, index: int, *, versions: dict[str, str]) -> str:
    """The text of the PNG's `parameters` chunk: the prompt, the negative prompt if any, and a line of settings.

    The format is AUTOMATIC1111's: it has no quoting for prompts, so that one with a line of its own that looks like
    settings misleads such readers; the JSON beside the image is exact.
    """
    settings = {
        "Steps": job.ddim_steps,
        "Sampler": SAMPLER_TITLES[str(job.sampler)],
        "CFG scale": f"{job.scale:g}",
        "Seed": job.seed + index,
        "Size": f"{job.W}x{job.H}",
        "Model": job.model,
        **({"Denoising strength": f"{job.strength:g}"} if job.from_image else {}),
        "Version": f"diffusers {versions['diffusers']}",
    }
    lines = [job.prompt]
    if job.negative_prompt:
        lines.append(f"Negative prompt: {job.negative_prompt}")
    lines.append(", ".join(f"{name}: {value}" for name, value in settings.items()))
    return "\n".join(lines)


def png_with_parameters(image: Image.Image, parameters: str) -> bytes:
    """`image` as PNG with the text chunk `parameters`: tEXt where Latin-1 can hold it, iTXt in UTF-8 otherwise."""
    information = PngInfo()
    information.add_text("parameters", parameters)
    file = io.BytesIO()
    image.save(file, format="PNG", pnginfo=information)
    return file.getvalue()
