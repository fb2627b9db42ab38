"""Runs and their images, read from the bucket; whoever may write there may have put anything there."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scripts.command_line.account.objects import read, read_if_possible
from scripts.command_line.account.runs import Run, read_run, run_names
from scripts.command_line.account.unfinished_runs import ENDED, with_interruptions
from scripts.command_line.results.download import objects_below
from scripts.command_line.results.watch import DOING
from scripts.command_line.terminal.command_error import CommandError
from scripts.studio.account import Account
from userdata.contract.image_size import MOST_FILE_BYTES
from userdata.contract.layout import RunKeys
from userdata.job.job import Job
from userdata.job.job_document import read_job

# As the worker names them; a run's name as RunId and the hash make it.
RUN_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")
IMAGE = re.compile(r"(?P<index>\d{5})\.png")
# More are not looked at on a page: `sd results` and the run's own page are for them.
MOST_SHOWN = 60


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
    return RunSeen(run, job, pictures_of(account, bucket, run.run_id, job))


def latest_runs(account: Account, bucket: str, *, deployed: str, skip: int, most: int) -> tuple[list[RunSeen], int]:
    """The runs from the latest on, and how many there are in all. Raises `CommandError`.

    `deployed` is the run that the next boot goes on with. When a run began stands in its status alone, which is read
    once for a run that is done and for a batch, because there it stays so. Of the others, and of what is shown, nothing
    is remembered. A bucket of N runs takes one request for a thousand names and one for each run at the first call,
    and at a later one those for the names, the unfinished and three for each of the `most` that are shown.
    """
    names = [name for name in run_names(account.s3, bucket) if RUN_NAME.fullmatch(name)]
    began = account.began.setdefault(bucket, {})
    with ThreadPoolExecutor(8) as pool:
        unknown = [name for name in names if name not in began]
        read_now = dict(zip(unknown, pool.map(lambda name: read_run(account.s3, bucket, name), unknown), strict=True))
        began.update({name: run.started_at for name, run in read_now.items() if run.batch or run.state == "done"})

        def age(name: str) -> tuple[bool, str, str]:
            run = read_now.get(name)
            # One that waits has no time yet: it is the newest.
            return (run.waits, run.started_at, name) if run else (False, began[name], name)

        page = sorted(names, key=age, reverse=True)[skip : skip + most]
        runs = list(pool.map(lambda name: read_now.get(name) or read_run(account.s3, bucket, name), page))
        shown = with_interruptions(account.session, runs, deployed=deployed)
        return list(pool.map(lambda run: _seen(account, bucket, run), shown)), len(names)


def pictures_of(account: Account, bucket: str, run_id: str, job: Job | None) -> list[Picture]:
    """The first images of a run, in their order: one request, two without its job. Raises `CommandError`."""
    found: list[Picture] = []
    for from_image in (False, True) if job is None else (job.from_image,):
        prefix = RunKeys(run_id, from_image=from_image).samples_folder
        for entry in objects_below(account.s3, bucket, f"{prefix}samples/"):
            if match := IMAGE.fullmatch(entry["Key"].removeprefix(f"{prefix}samples/")):
                found.append(Picture(run_id, int(match["index"]), entry["Key"]))
            if len(found) >= MOST_SHOWN:
                break
    return sorted(found, key=lambda one: one.index)


def find_thumbnail(account: Account, bucket: str, run_id: str, index: int) -> tuple[bytes, str]:
    """What a list shows of an image, with its type: the worker writes thumbnails a little after the images.

    Raises `CommandError` where there is no such image.
    """
    key = RunKeys(run_id).thumbnail(index)
    if RUN_NAME.fullmatch(run_id) and (content := read_if_possible(account.s3, bucket, key)):
        return content, "image/webp"
    return find_picture(account, bucket, run_id, index)[1], "image/png"


def find_picture(account: Account, bucket: str, run_id: str, index: int) -> tuple[Picture, bytes]:
    """An image of a run with its file's content. Raises `CommandError` where there is none."""
    if RUN_NAME.fullmatch(run_id):
        for from_image in (False, True):
            key = RunKeys(run_id, from_image=from_image).image(index)
            if content := read(account.s3, bucket, key, at_most=MOST_FILE_BYTES):
                return Picture(run_id, index, key), content
    raise CommandError(f"The bucket has no image {index} of run {run_id}.", exit_status=2)
