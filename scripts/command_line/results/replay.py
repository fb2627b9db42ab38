"""`sd replay`: makes an image again from what it carries, here or on an instance."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import boto3
from rich.console import Console

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.objects import read
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.plain_text import print_plain
from userdata.contract.atomic_file import write_atomically
from userdata.job.choices import Switch
from userdata.job.image_request import ImageRequest
from userdata.job.init_mask import with_mask
from userdata.job.initial_image import InitialImage, read_image
from userdata.job.picture_file import opened_picture
from userdata.job.prompt_loras import loras_with
from userdata.job.run_error import RunError
from userdata.job.seeds import next_seed
from userdata.record.image_metadata import ImageRecord, png_with_record, record_in_png
from userdata.worker.by_hand.replay import check_record, check_replay, differences, replay

LARGEST_BATCH = 16


def read_record(file: Path) -> ImageRecord:
    """The record of an image, from the PNG or, where the PNG has lost it, from the JSON beside it.

    Raises `CommandError` when neither has a record.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CommandError(
            f"{file} cannot be read: {error.strerror}. Give a PNG that a run has made.", exit_status=2
        ) from error
    beside = file.with_suffix(".json")
    try:
        return record_in_png(content)
    except ValueError as error:
        if not beside.is_file():
            raise CommandError(
                f"{file} does not say what it was made from ({error}), and there is no {beside.name} beside it. Give "
                "an image as the run saved it.",
                exit_status=2,
            ) from error
    try:
        return ImageRecord.from_json(beside.read_bytes())
    except ValueError as error:
        raise CommandError(
            f"{beside} is no record of an image. Download it again: `sd results`.", exit_status=2
        ) from error


def find_initial_image(
    record: ImageRecord,
    given: Path | None,
    bucket: str | None,
    session: Callable[[], boto3.Session],
    given_mask: Path | None = None,
) -> InitialImage | None:
    """The initial image of `record` with its mask: the files that are given, or the objects in the bucket.

    What is not given and in no bucket is left out. Raises `CommandError`.
    """

    def find(field: str, option: str, file: Path | None) -> InitialImage | None:
        key = str(record.job.get(field, ""))
        if not key or not (file or bucket):
            return None
        try:
            content = file.read_bytes() if file else read(session().client("s3", config=RETRIES), str(bucket), key)
            if content is None:
                raise CommandError(f"{bucket} no longer has {key}. Give that file: {option} FILE.")
            return read_image(content)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise CommandError(
                f"The file {file or key} cannot be read: {why}.", exit_status=2 if file else 1
            ) from error

    image, mask = find("init_img", "--init-img", given), find("init_mask", "--init-mask", given_mask)
    try:
        return with_mask(image, mask, record.batch) if image and mask else image
    except ValueError as error:
        raise CommandError(
            f"The mask {given_mask or record.job['init_mask']} is not the image's: {error}.", exit_status=2
        ) from error


def replay_here(
    file: Path,
    record: ImageRecord,
    *,
    model: str,
    initial_image: InitialImage | None,
    loras: Sequence[Path],
    to: Path,
    console: Console,
    vae: Path | None = None,
    embeddings: Sequence[Path] = (),
) -> bool:
    """Draws the image of `file` again, saves it as `to`, and returns whether the pixels are the same.

    Raises `CommandError`.
    """
    from userdata.worker.by_hand.local_model import find_local_model

    try:
        check_replay(record, initial_image)
        before = _pixels(file)
        _check_target(to, file)
        found = find_local_model(model or ("" if record.checkpoint else str(record.job["model"])))
        image, drawn_with = replay(record, found, initial_image, loras=loras, vae=vae, embeddings=embeddings)
    except RunError as error:
        raise CommandError(str(error)) from error
    again = record.model_copy(update={"drawn_with": drawn_with})
    write_atomically(to, png_with_record(image, again))
    same = before == (image.size, image.convert("RGB").tobytes())
    told = [f"{to}: identical to {file}, bit for bit."] if same else [f"{to}: not identical to {file}."]
    if not same:
        told += [f"  {difference}" for difference in differences(record, drawn_with)]
    for line in told:
        print_plain(line, console, soft_wrap=True)
    return same


def _check_target(to: Path, file: Path) -> None:
    """Raises `CommandError` when the image could not be written, or would overwrite the image that it repeats."""
    try:
        if to.exists() and to.samefile(file):
            raise CommandError(f"{to} is the image itself, which must stay. Give another file: --to FILE.")
        to.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{to} cannot be written: {error.strerror}. Give another file: --to FILE.") from error
    if to.is_dir() or not os.access(to.parent, os.W_OK):
        raise CommandError(
            f"{to} cannot be written: it is a folder, or in a folder that is not yours. Give another file: --to FILE."
        )


def parameters_for(record: ImageRecord) -> tuple[dict[str, str], int]:
    """The parameters of a deploy that makes the image again, and the number of the image in that run.

    The deploy asks for the whole batch where its images differ in their seeds only, because a GPU's rounding depends on
    the batch; else for this image alone. Raises `CommandError` for a record that no run has written, or an earlier
    version has.
    """
    try:
        job = check_record(record)
    except RunError as error:
        raise CommandError(str(error)) from error
    request = record.request
    alike = _is_one_job(record.batch) and len(record.batch) <= LARGEST_BATCH
    batch = record.batch if alike else [request]
    values = {
        **job.model_dump(by_alias=True),
        **request.parameters,
        "Lora": loras_with(job.lora, request.loras),
        "Seed": batch[0].seed,
        "Iterations": 1,
        "Samples": len(batch),
        "PromptFile": "",
        "FixedCode": Switch.off.value,
        "RunId": f"replay-{record.run_id[-10:]}-{record.index}",
    }
    return {name: str(value) for name, value in values.items()}, batch.index(request)


def _is_one_job(batch: list[ImageRequest]) -> bool:
    first = batch[0]
    return all(
        (one.seed, one.prompt, one.negative_prompt, one.batch_key)
        == (next_seed(first.seed, k), first.prompt, first.negative_prompt, first.batch_key)
        for k, one in enumerate(batch)
    )


def _pixels(file: Path) -> tuple[tuple[int, int], bytes]:
    try:
        with opened_picture(file.read_bytes(), ("PNG",)) as image:
            return image.size, image.convert("RGB").tobytes()
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read as an image: {error}. Download it again: `sd results`.") from error
