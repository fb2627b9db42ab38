"""Runs and their images, read from the bucket; whoever may write there may have put anything there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scripts.command_line.account.objects import read, read_if_possible
from scripts.command_line.account.runs import Run, list_runs, read_run
from scripts.command_line.account.unfinished_runs import ENDED, with_interruptions
from scripts.command_line.results.download import objects_below
from scripts.command_line.results.watch import DOING
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.parameter_options import as_option
from scripts.studio.account import Account
from userdata.contract.image_size import MOST_FILE_BYTES
from userdata.contract.layout import RunKeys
from userdata.job.job import Job
from userdata.job.job_document import read_job
from userdata.record.image_metadata import ImageRecord, record_in_png

# As the worker names them; a run's name as RunId and the hash make it.
RUN_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")
IMAGE = re.compile(r"(?P<folder>txt2img|img2img)-samples/samples/(?P<index>\d{5})\.png")
# More are not looked at on a page: `sd results` and the run's own page are for them.
MOST_SHOWN = 60
# What another image has of its own.
OF_THE_RUN = ("RunId", "PromptFile")


@dataclass(frozen=True)
class Picture:
    """One image of a run, by its number and the key of its object."""

    run_id: str
    index: int
    key: str

    @property
    def address(self) -> str:
        """Where the studio shows it."""
        return f"/runs/{self.run_id}/images/{self.index}"


@dataclass(frozen=True)
class RunSeen:
    """A run with its images so far. `job` is None where the bucket has none that can be read."""

    run: Run
    job: Job | None
    pictures: list[Picture]

    @property
    def is_over(self) -> bool:
        """Whether no more images will come by themselves."""
        return bool(self.run.is_interrupted or (self.run.status and self.run.status.phase in ENDED))

    @property
    def doing(self) -> str:
        """What happens with it now, as a sentence, with how far it is."""
        status = self.run.status
        if self.run.is_interrupted:
            return f"Interrupted, {self.run.done} images."
        if status is None:
            return "Waits for the worker." if self.run.waits else "Nothing is known of it yet."
        failure = f" {status.error.step}: {status.error.message}" if status.error else ""
        note = f" {status.note}" if status.note else ""
        return f"{DOING[status.phase]}, {self.run.done} images.{failure}{note}"

    def as_data(self) -> dict[str, object]:
        """The same for a program."""
        return {
            "run_id": self.run.run_id,
            "state": self.run.state,
            "is_over": self.is_over,
            "doing": self.doing,
            "prompt": self.job.prompt if self.job else None,
            "images": [{"index": one.index, "address": one.address, "key": one.key} for one in self.pictures],
        }


def see_run(account: Account, bucket: str, run_id: str) -> RunSeen:
    """A run as it is now. Raises `CommandError`."""
    if not RUN_NAME.fullmatch(run_id):
        raise CommandError(f"{run_id!r} is no name of a run.", exit_status=2)
    return _seen(account, bucket, read_run(account.s3, bucket, run_id))


def _seen(account: Account, bucket: str, run: Run) -> RunSeen:
    content = read_if_possible(account.s3, bucket, RunKeys(run.run_id).job)
    try:
        job = read_job(content) if content else None
    except ValueError:
        job = None
    return RunSeen(run, job, pictures_of(account, bucket, run.run_id))


def latest_runs(account: Account, bucket: str, *, deployed: str, skip: int, most: int) -> tuple[list[RunSeen], int]:
    """The runs from the latest on, and how many there are in all. Raises `CommandError`.

    `deployed` is the run that the next boot goes on with.
    """
    runs = [run for run in list_runs(account.s3, bucket)[::-1] if RUN_NAME.fullmatch(run.run_id)]
    # One that waits has no time yet: it is the newest.
    runs.sort(key=lambda run: not run.waits)
    shown = with_interruptions(account.session, runs[skip : skip + most], deployed=deployed)
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda run: _seen(account, bucket, run), shown)), len(runs)


def pictures_of(account: Account, bucket: str, run_id: str) -> list[Picture]:
    """The images of a run that are there, in their order. Raises `CommandError`."""
    prefix = RunKeys(run_id).prefix
    found: list[Picture] = []
    for entry in objects_below(account.s3, bucket, prefix):
        if (match := IMAGE.fullmatch(entry["Key"].removeprefix(prefix))) and len(found) < MOST_SHOWN:
            found.append(Picture(run_id, int(match["index"]), entry["Key"]))
    return sorted(found, key=lambda one: one.index)


def find_picture(account: Account, bucket: str, run_id: str, index: int) -> tuple[Picture, bytes]:
    """An image of a run with its file's content. Raises `CommandError` where there is none."""
    if RUN_NAME.fullmatch(run_id):
        for from_image in (False, True):
            key = RunKeys(run_id, from_image=from_image).image(index)
            if content := read(account.s3, bucket, key, at_most=MOST_FILE_BYTES):
                return Picture(run_id, index, key), content
    raise CommandError(f"The bucket has no image {index} of run {run_id}.", exit_status=2)


def read_record(content: bytes) -> ImageRecord:
    """The record inside an image. Raises `CommandError` for any other file."""
    try:
        return record_in_png(content)
    except ValueError as error:
        raise CommandError(
            f"This file does not say what it was made from ({error}). Give an image as a run saved it.", exit_status=2
        ) from error


def values_of(record: ImageRecord) -> dict[str, str]:
    """What to type for this one image again: what differs from what its model has by itself.

    Raises `CommandError` for a record whose job breaks a rule, which is another version's, or made up.
    """
    try:
        request, job = record.request, Job.model_validate(record.job)
    except ValueError as error:
        raise CommandError(
            "The job in this image cannot be drawn by this version of the project.", exit_status=2
        ) from error
    drawn = {
        **job.model_dump(by_alias=True),
        "Prompt": request.prompt,
        "NegativePrompt": request.negative_prompt,
        "Height": request.H,
        "Width": request.W,
        "Steps": request.ddim_steps,
        "GuidanceScale": request.scale,
        "Sampler": request.sampler,
        "Eta": request.ddim_eta,
        "Strength": request.strength,
        "Upscale": request.upscale,
        "Seed": request.seed,
        "Iterations": 1,
        "Samples": 1,
    }
    own = Job(model=job.model).model_dump(by_alias=True)
    always = ("Prompt", "Seed", "Iterations", "Samples", "Model")
    return {
        name: str(value)
        for name, value in drawn.items()
        if name not in OF_THE_RUN and (name in always or value != own[name])
    }


def command_for(values: Mapping[str, str]) -> str:
    """The command that draws the same image in a terminal."""
    import shlex

    options = [as_option(name, value) for name, value in values.items() if name != "Prompt"]
    return shlex.join(["sd", "generate", *options, "--", values["Prompt"]])
