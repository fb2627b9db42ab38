"""What `sd compare` compares: a run, an image of a run, or a PNG on disk, each as facts and pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from scripts.command_line.account.objects import ThisObjectError, read
from scripts.command_line.account.runs import choose_run
from scripts.command_line.results.download import objects_below
from scripts.command_line.results.replay import read_record
from scripts.command_line.terminal.command_error import CommandError
from userdata.contract.layout import RunKeys
from userdata.contract.outside import read_json
from userdata.record.image_metadata import ImageRecord
from userdata.worker.run.report import Report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDERS = (False, True)  # where the images of a run lie: drawn from text, from an image
# Of a document that anybody may have written.
MOST_VALUES, MOST_VALUE = 500, 2000


@dataclass
class Subject:
    """One side of a comparison.

    `facts` are values by their names; `pictures` read a picture's bytes, by its name, or raise `CommandError`;
    `troubles` say what of it cannot be read.
    """

    name: str
    facts: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def learn(self, group: str, values: Mapping[str, Any]) -> None:
        """Takes the values in, below the name of a group."""
        for name, value in itertools.islice(values.items(), MOST_VALUES):
            if value not in (None, ""):
                shown = f"{value:.6g}" if isinstance(value, float) else str(value)
                self.facts[f"{group}.{name}"] = shown[:MOST_VALUE]

    def doubt(self, what: str, why: Exception | str) -> None:
        """Says that a part of it cannot be read."""
        self.troubles.append(f"{self.name}: {what} cannot be read ({str(why).rstrip('.')}), and is left out.")


def find_subject(name: str, place: Callable[[], tuple[S3Client, str]]) -> Subject:
    """The file, the run or the image `RUN/IMAGE` of that name. `place` gives the bucket, where a run is meant.

    Raises `CommandError` for a name of nothing.
    """
    if name.lower().endswith(".png") and Path(name).is_file():
        return _file(Path(name))
    if name.lower().endswith(".png") and name.strip("/").count("/") != 1:
        raise CommandError(
            f"There is no file {name}. Give a PNG on this disk, a run, or an image of one: RUN/00003.", exit_status=2
        )
    run, _, image = name.partition("/")
    s3, bucket = place()
    run_id = choose_run(s3, bucket, run).run_id
    return _image(s3, bucket, run_id, image) if image else _run(s3, bucket, run_id)


def _file(path: Path) -> Subject:
    subject = Subject(str(path))
    subject.pictures["the image"] = path.read_bytes
    try:
        _learn_record(subject, read_record(path))
    except CommandError as error:
        subject.doubt("its record", error)
    return subject


def _image(s3: S3Client, bucket: str, run_id: str, image: str) -> Subject:
    number = image.removesuffix(".png")
    if not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise CommandError(
            f"{image} is no image of {run_id}: name its number, for example {run_id}/00000.", exit_status=2
        )
    subject = Subject(f"{run_id}/{int(number):05}")
    for keys in (RunKeys(run_id, from_image=from_image) for from_image in FOLDERS):
        try:
            content = read(s3, bucket, keys.image_metadata(int(number)))
            if content is None:
                continue
            subject.pictures["the image"] = _reader(s3, bucket, keys.image(int(number)))
            _learn_record(subject, ImageRecord.from_json(content))
        except (ThisObjectError, ValueError) as error:
            subject.doubt("its record", error)
        return subject
    raise CommandError(f"{run_id} has no image {int(number):05}. Fetch what there is: `sd results {run_id}`.")


def _run(s3: S3Client, bucket: str, run_id: str) -> Subject:
    subject, keys = Subject(run_id), RunKeys(run_id)
    for what, key, learn in (
        ("its job", keys.job, _learn_job),
        ("its report", keys.report, _learn_report),
        ("its batch", keys.batch, _learn_batch),
    ):
        try:
            if content := read(s3, bucket, key):
                learn(subject, content)
        except (ThisObjectError, ValueError) as error:
            subject.doubt(what, error)
    for folder in (RunKeys(run_id, from_image=from_image).samples_folder for from_image in FOLDERS):
        for entry in objects_below(s3, bucket, f"{folder}samples/"):
            path = PurePosixPath(entry["Key"])
            if path.suffix == ".png":
                subject.pictures[path.name] = _reader(s3, bucket, entry["Key"])
    return subject


def _reader(s3: S3Client, bucket: str, key: str) -> Callable[[], bytes]:
    def reader() -> bytes:
        if (content := read(s3, bucket, key)) is None:
            raise CommandError(f"{key} is no longer in {bucket}.")
        return content

    return reader


def _learn_job(subject: Subject, content: bytes) -> None:
    subject.learn("job", read_json(content))


def _learn_batch(subject: Subject, content: bytes) -> None:
    found = read_json(content)
    subject.learn("batch", {name: found.get(name) for name in ("title", "by", "model", "max_usd")})


def _learn_report(subject: Subject, content: bytes) -> None:
    report = Report.model_validate(read_json(content))
    seconds = [image.seconds for image in report.images]
    subject.learn("machine", {"type": report.instance_type})
    subject.learn("versions", report.versions)
    subject.learn("images", {"count": len(seconds), "flagged": report.images_flagged, "seconds each": _mean(seconds)})
    subject.learn("seconds", {phase.phase: phase.seconds for phase in report.phases})
    if report.gpu and report.gpu.gpu:
        subject.learn("gpu", {"percent busy": report.gpu.gpu.avg})
    if report.cost:
        subject.learn("dollars", {"the run": report.cost.usd, "an image": report.cost.usd_per_image})


def _learn_record(subject: Subject, record: ImageRecord) -> None:
    subject.learn("image", {"seed": record.seed, "index": record.index, "flagged": record.flagged})
    subject.learn("image", {"seconds": record.seconds, "run": record.run_id, "checkpoint": record.checkpoint})
    subject.learn("job", record.job)
    subject.learn("versions", record.versions)
    if record.drawn_with:
        subject.learn("drawn with", record.drawn_with.model_dump())


def _mean(values: Iterable[float]) -> float | None:
    found = [*values]
    return sum(found) / len(found) if found else None
