"""Makes an image again from its record, by the same computation: on the same hardware the bits are the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from pydantic import ValidationError

from userdata.contract.companion_files import listed_embeddings
from userdata.contract.lora_list import LARGEST_WEIGHT, is_file_of, listed_loras
from userdata.job.choices import SafetyChecker, Switch
from userdata.job.image_request import ImageRequest
from userdata.job.initial_image import InitialImage
from userdata.job.job import Job
from userdata.job.prompt_file import LineJob
from userdata.job.prompt_loras import weights_of
from userdata.job.refusal import explain
from userdata.job.run_error import RunError
from userdata.job.seeds import SEEDS
from userdata.record.image_metadata import ImageRecord
from userdata.record.versions import PROJECT, library_versions

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from userdata.record.drawn_with import DrawnWith, Execution
    from userdata.worker.by_hand.local_model import LocalModel


# The project's version where a record has none.
BEFORE_RECORDS_HAD_IT = "0.1.0 or earlier"
# The fields of a job that one image of a batch may have of its own. The other fields are the run's.
_OF_A_REQUEST = (
    *("prompt", "negative_prompt", "H", "W", "ddim_steps", "scale", "sampler", "strength", "ddim_eta", "upscale"),
)


def check_record(record: ImageRecord) -> Job:
    """The job of `record`. Raises `RunError` when the record is not one that a run has written.

    A PNG comes from anywhere, so the values in its record must keep the rules that a job's values keep.
    """
    if record.drawn_with is None or not record.batch:
        raise RunError("The image's record is of an earlier version: it does not say what was drawn together with it.")
    try:
        if "model" not in record.job:
            raise RunError(_no_record("it names no model"))
        job = Job.model_validate(record.job)
        for request in record.batch:
            _check_request(job, request)
        _ = record.request
    except ValidationError as error:
        raise RunError(_no_record(" ".join(explain(error, Job)).rstrip("."))) from error
    except ValueError as error:
        raise RunError(_no_record(str(error))) from error
    return job


def _check_request(job: Job, request: ImageRequest) -> None:
    given = {name: getattr(request, name) for name in _OF_A_REQUEST}
    whole = LineJob.model_validate({**job.model_dump(), **given})
    if (whole.H, whole.W) != (request.H, request.W):
        raise ValueError(f"the model draws no images of {request.W} × {request.H}")
    if not 0 <= request.seed < SEEDS:
        raise ValueError(f"{request.seed} is no seed")
    listed = [one.name for one in listed_loras(job.lora)]
    for name, weight in (request.loras or {}).items():
        if name not in listed or not abs(weight) <= LARGEST_WEIGHT:
            raise ValueError(f"the LoRA {name} with weight {weight:g} is none that its job could have")


def _no_record(why: str) -> str:
    return f"The image's record is not one that this version can draw from: {why}. Take the image as a run saved it."


def check_replay(record: ImageRecord, initial_image: InitialImage | None) -> None:
    """Raises `RunError` when `record` cannot be made again with this initial image, before anything is loaded."""
    job = check_record(record)
    if any(request.batch_key != record.request.batch_key for request in record.batch):
        raise RunError(_no_record("the images of its batch differ in more than their texts and their noise"))
    if "diffusers" not in record.versions:
        raise RunError(_no_record("it does not say which version of diffusers drew it"))
    if record.flagged and job.safety_checker == SafetyChecker.withhold:
        raise RunError("The safety checker had this image withheld: there is no picture in it to make again.")
    if not job.from_image:
        return
    if initial_image is None:
        raise RunError(
            f"The image was made from {job.init_img}. Give that file: --init-img FILE, or the bucket where it lies: "
            "--bucket NAME."
        )
    if initial_image.sha256 != record.initial_image_sha256:
        raise RunError(
            f"The image was made from another initial image: {job.init_img} had the SHA-256 "
            f"{record.initial_image_sha256}, this one has {initial_image.sha256}."
        )
    if job.init_mask and initial_image.mask_sha256 is None:
        raise RunError(f"The image was made with the mask {job.init_mask}. Give that file, too: --init-mask FILE.")
    if job.init_mask and initial_image.mask_sha256 != record.mask_sha256:
        raise RunError(
            f"The image was made with another mask: {job.init_mask} had the SHA-256 {record.mask_sha256}, this one has "
            f"{initial_image.mask_sha256}."
        )


def replay(
    record: ImageRecord,
    model: LocalModel,
    initial_image: InitialImage | None,
    *,
    loras: Sequence[Path] = (),
    vae: Path | None = None,
    embeddings: Sequence[Path] = (),
) -> tuple[Image.Image, DrawnWith]:
    """The image again, drawn together with the rest of its batch, and how it was computed this time.

    `loras` are the files of the job's LoRAs that the image was drawn with, in any order, `vae` and `embeddings` those
    of its VAE and its embeddings. Raises `RunError`, also for what `check_replay` refuses.
    """
    check_replay(record, initial_image)
    assert record.drawn_with is not None
    from userdata.worker.drawing.generate import draw_batch, prepare_sampler
    from userdata.worker.drawing.watermark import with_watermark
    from userdata.worker.model.lora import Loras, check_lora

    job = Job.model_validate(record.job)
    weights = weights_of(job.lora, record.request.loras)
    files = _files("LoRA", "--lora-file", job.lora, weights, loras)
    learned = [one.name for one in listed_embeddings(job.embeddings)]
    embedding_files = _files("embedding", "--embedding-file", job.embeddings, learned, embeddings)
    if job.vae and vae is None:
        raise RunError(f"The image was made with the VAE {job.vae}. Give that file: --vae-file FILE.")
    for file in files.values():
        check_lora(file)
    pipeline = model.load(
        from_image=job.from_image,
        precision=str(job.precision),
        prediction=str(job.prediction),
        vae=vae if job.vae else None,
        embeddings=embedding_files,
        kept=record.drawn_with.quantized,
    )
    if files:
        Loras(pipeline, files, restorable=False).apply(weights)
    prepare_sampler(pipeline, record.request, pipeline.scheduler.config, from_image=job.from_image)
    execution = _execution_here(record.drawn_with.execution, pipeline)
    drawn = draw_batch(
        pipeline,
        job,
        record.batch,
        initial_image=initial_image.image if initial_image else None,
        on_step=lambda _share: None,
        execution=execution,
        tiled=record.drawn_with.tiled,
        emphasis=record.drawn_with.emphasis,
    )
    again = next(image for image in drawn if image.index == record.index)
    image = with_watermark(again.image) if job.watermark == Switch.on else again.image
    return image, again.drawn_with


def _files(kind: str, option: str, listed: str, names: Collection[str], given: Sequence[Path]) -> dict[str, Path]:
    """The given file of each name. A single file may be called as it likes where there is a single name."""
    if len(names) == len(given) == 1:
        return dict(zip(names, given, strict=True))
    found = {name: file for name in names for file in given if is_file_of(name, file.stem)}
    if missing := [name for name in names if name not in found]:
        raise RunError(
            f"The image was made with the {kind} {' and '.join(missing)} of {listed}. Give that file, and each further "
            f"one: {option} FILE."
        )
    return found


def differences(record: ImageRecord, drawn_with: DrawnWith) -> list[str]:
    """What has changed since the image was made, in words: versions, precision, device, kernels."""
    before = {PROJECT: BEFORE_RECORDS_HAD_IT, **record.versions}
    now = library_versions()
    if record.drawn_with:
        for name in ("device", "precision", "quantized"):
            before[name], now[name] = getattr(record.drawn_with, name), getattr(drawn_with, name)
        if _kernels(record.drawn_with.execution) != _kernels(drawn_with.execution):
            before["execution"], now["execution"] = record.drawn_with.execution, drawn_with.execution
    return [
        _printable(f"{name} was {before[name]}, is {now.get(name)}") for name in before if before[name] != now.get(name)
    ]


def _printable(text: str) -> str:
    """`text` without characters that steer a terminal, because the text may come from a stranger's file."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _execution_here(execution: Execution, pipeline: DiffusionPipeline) -> Execution:
    """The execution nearest to `execution` that works where `pipeline` is. `differences` tells when the kernels differ.

    Rejected: refusing when the fused kernels cannot be built, because the picture is the same but for its last bits.
    """
    if pipeline.device.type != "cuda":
        return "eager"
    from userdata.worker.kernels.execution import is_transformer
    from userdata.worker.kernels.kernel_check import fused_kernels_work

    transformer = is_transformer(pipeline)
    works = execution != "fused" or fused_kernels_work(pipeline.device, of_transformer=transformer)
    if works:
        return execution
    return "eager" if transformer else "cuda_graph"


def _kernels(execution: Execution) -> str:
    """Whose kernels draw. A CUDA graph holds the kernels of plain execution, and rounds as that does."""
    return "eager" if execution == "cuda_graph" else execution
