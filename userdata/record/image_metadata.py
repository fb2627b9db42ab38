"""The record of an image: a JSON beside the PNG and inside it, so that a PNG alone can be made again.

The PNG holds another text too, for the community's tools.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel, field_validator

from userdata.contract.catalogue import find_model
from userdata.contract.companion_files import listed_embeddings
from userdata.contract.compvis import COMMIT
from userdata.contract.layout import INPUTS
from userdata.contract.outside import read_json
from userdata.contract.status import utc_now
from userdata.job.choices import Engine
from userdata.job.image_request import ImageRequest
from userdata.job.initial_image import InitialImage
from userdata.job.job import Job
from userdata.job.picture_file import opened_picture
from userdata.job.prompt_loras import weights_of
from userdata.job.sampler_names import NAMES
from userdata.job.seeds import Seed
from userdata.record.drawn_with import DrawnWith

# The names of the PNG's text chunks. The first is AUTOMATIC1111's.
PARAMETERS_CHUNK = "parameters"
RECORD_CHUNK = "sd-on-ec2"
SCHEMA = 1
# The keys that stand in a job for the initial image and the mask of a call by hand, which reads them itself.
IMAGE_OF_A_CALL, MASK_OF_A_CALL = f"{INPUTS}init-img.png", f"{INPUTS}init-mask.png"
# As many digits of a checkpoint's SHA-256 as the community uses to name the checkpoint.
MODEL_HASH_DIGITS = 10
# A line of a prompt that readers would take for the start of another part of the text.
_FALSE_LINE = re.compile(r"\s*(Negative prompt|Steps):", re.IGNORECASE)
# Readers look for these words anywhere, and one reader fails when they occur twice.
_FALSE_MARK = re.compile(r"(Negative prompt):", re.IGNORECASE)


class ImageRecord(BaseModel):
    """The JSON beside an image: enough to make this one image again.

    `index` counts from 0 over the run, `seconds` is the image's share of its batch's time, `job` is the whole job, as
    in job.json. `batch` holds what the image and those drawn together with it were drawn from, in their order, and
    `initial_image_sha256` is that of the file, in hexadecimal, None for text to image, and `mask_sha256` that of the
    mask, if there was one. `drawn_with` is None, and
    `batch` empty, for an image of an earlier version. `flagged` is the safety checker's answer, None for an image that
    was not checked. `checkpoint` names the file or folder of a model that was given as one, instead of by the job's
    `model`.
    """

    schema_: int = SCHEMA
    run_id: str
    file: str
    index: int
    seed: Seed
    seconds: float
    created_at: str
    job: dict[str, Any]
    versions: dict[str, str]
    drawn_with: DrawnWith | None = None
    flagged: bool | None = None
    checkpoint: str | None = None
    batch: list[ImageRequest] = []
    initial_image_sha256: str | None = None
    mask_sha256: str | None = None

    @field_validator("job")
    @classmethod
    def _read_an_earlier_calls_key(cls, job: dict[str, Any]) -> dict[str, Any]:
        """Calls by hand of earlier versions wrote a key that no job may have now."""
        return {**job, "init_img": IMAGE_OF_A_CALL} if job.get("init_img") == "init-img.png" else job

    @property
    def request(self) -> ImageRequest:
        """What the image was drawn from. Raises `ValueError` for an image of an earlier version."""
        for request in self.batch:
            if request.index == self.index:
                return request
        raise ValueError(f"the record of image {self.index} does not say what it was drawn from")

    def to_json(self) -> bytes:
        """The document."""
        document = {"schema": self.schema_, **self.model_dump(exclude={"schema_"})}
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, document: bytes) -> ImageRecord:
        """Reads a document that `to_json` wrote. Raises `ValueError` for any other."""
        read = read_json(document)
        if read.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {read.get('schema')}, this version knows {SCHEMA}")
        return cls.model_validate(read)


def describe_image(
    job: Job,
    requests: Sequence[ImageRequest] | Mapping[int, ImageRequest],
    index: int,
    *,
    run_id: str,
    seconds: float,
    drawn_with: DrawnWith,
    versions: dict[str, str],
    initial_image: InitialImage | None = None,
    flagged: bool | None = None,
    checkpoint: str | None = None,
) -> ImageRecord:
    """The record of image `index`, made just now. `requests` has all images of the job, or of its unit, by index."""
    return ImageRecord(
        run_id=run_id,
        file=f"{index:05}.png",
        index=index,
        seed=requests[index].seed,
        seconds=round(seconds, 3),
        created_at=utc_now(),
        job=job.model_dump(),
        versions=versions,
        drawn_with=drawn_with,
        flagged=flagged,
        checkpoint=checkpoint,
        batch=[requests[companion] for companion in drawn_with.indices],
        initial_image_sha256=initial_image.sha256 if initial_image else None,
        mask_sha256=initial_image.mask_sha256 if initial_image else None,
    )


def parameters_text(record: ImageRecord) -> str:
    """The text of the PNG's `parameters` chunk: the prompt, the negative prompt if any, and a line of settings.

    Behind the prompt stand the LoRAs that were merged for this image, as a prompt spells them.

    The format is AUTOMATIC1111's. It has no quoting for prompts, so that a prompt with a line that looks like settings
    would mislead a reader: such a prompt is written in one line, and behind a space when it begins so. The words that
    begin a negative prompt get a space before their colon within a prompt. "Emphasis: None" says that brackets were
    text. The JSON is exact.
    """
    request = record.request
    job = Job.model_validate(record.job)
    name = NAMES[request.sampler]
    original = job.engine == Engine.compvis
    drawn_by = f"CompVis {COMMIT[:7]}" if original else f"diffusers {record.versions['diffusers']}"
    settings = {
        "Steps": request.ddim_steps,
        "Sampler": name.sampler,
        "Schedule type": name.schedule_type,
        "CFG scale": f"{request.scale:g}",
        "Seed": request.seed,
        "Size": f"{request.W}x{request.H}",
        "Model hash": None if record.checkpoint else _model_hash(job.model),
        "Model": record.checkpoint or job.model,
        "VAE": PurePosixPath(job.vae).name or None,
        "TI": ", ".join(one.name for one in listed_embeddings(job.embeddings)) or None,
        "Denoising strength": f"{request.strength:g}" if job.from_image or request.upscale > 1 else None,
        "Hires upscale": request.upscale if request.upscale > 1 else None,
        "Hires upscaler": "Bicubic" if request.upscale > 1 else None,
        "Eta": f"{request.ddim_eta:g}" if request.ddim_eta else None,
        "Emphasis": None if _is_read(record) else "None",
        "Version": drawn_by,
    }
    loras = [f"<lora:{name}:{weight:g}>" for name, weight in weights_of(job.lora, request.loras).items()]
    prompt = _for_readers(" ".join([request.prompt, *loras]))
    # Some readers take a text that begins so for one without a prompt; most strip a prompt's ends.
    lines = [f" {prompt}" if prompt.startswith("Steps:") else prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {_for_readers(request.negative_prompt)}")
    lines.append(", ".join(f"{key}: {_quoted(str(value))}" for key, value in settings.items() if value is not None))
    return "\n".join(lines)


def png_with_record(image: Image.Image, record: ImageRecord) -> bytes:
    """`image` as PNG with both texts: tEXt where Latin-1 can hold it, iTXt in UTF-8 otherwise."""
    information = PngInfo()
    information.add_text(PARAMETERS_CHUNK, parameters_text(record))
    information.add_text(RECORD_CHUNK, record.to_json().decode())
    file = io.BytesIO()
    image.save(file, format="PNG", pnginfo=information)
    return file.getvalue()


def record_in_png(content: bytes) -> ImageRecord:
    """The record inside a PNG. Raises `ValueError` when there is no record, or when `content` is no PNG."""
    with opened_picture(content, ("PNG",)) as file:
        file.load()  # texts may stand behind the pixels
        texts: dict[str, str] = getattr(file, "text", {})
    if RECORD_CHUNK not in texts:
        raise ValueError(f"this PNG has no text {RECORD_CHUNK}")
    return ImageRecord.from_json(texts[RECORD_CHUNK].encode())


def _is_read(record: ImageRecord) -> bool:
    """Whether the brackets in the image's texts, if there are any, were weights."""
    texts = record.request.prompt + record.request.negative_prompt
    weighed = record.drawn_with is not None and record.drawn_with.emphasis
    return weighed or not any(bracket in texts for bracket in "([")


def _for_readers(prompt: str) -> str:
    lines = prompt.splitlines()
    prompt = " ".join(lines) if any(_FALSE_LINE.match(line) for line in lines[1:]) else prompt
    # A PNG's texts end at a NUL, by their specification.
    return _FALSE_MARK.sub(r"\1 :", prompt.replace("\0", " "))


def _model_hash(name: str) -> str | None:
    try:
        model = find_model(name)
    except KeyError:
        return None  # an image of another version, whose catalogue had other models
    (sha256, *more) = [file.sha256 for file in (*model.files, *model.loras)] or [None]
    return None if more or sha256 is None else sha256[:MODEL_HASH_DIGITS]


def _quoted(value: str) -> str:
    """A value of the settings' line, in quotes where it holds what ends a value there."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value
