"""`python -m benchmarks.units`: what the units of a batch cost beside their drawing, on a worker that stays.

The batch is drawn twice by one worker: as units from the queue of batches, and, before that, as one run of as many
images. The difference of their times is what leases, reads, uploads and the waiting between units cost. Model, bucket
and queue are those of `benchmarks.warm`, so AWS's network is not in the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.card import describe
from benchmarks.random_checkpoint import make_model
from benchmarks.s3_stand_in import Objects, s3_stand_in
from benchmarks.short_job import REPOSITORY, worker_environment, write_parameters
from benchmarks.sqs_stand_in import Queue, sqs_stand_in
from scripts.command_line.terminal.plain_text import say
from scripts.interruption.scratch_folder import scratch_folder
from scripts.interruption.signals import ends_in_a_sentence
from userdata.batch.documents import Batch, Part, UnitDone
from userdata.batch.unit import Unit, UnitImage
from userdata.contract.layout import RunKeys
from userdata.contract.work import BATCH, Release, WholeRun
from userdata.job.job import Job
from userdata.job.job_document import write_job
from userdata.record.image_metadata import ImageRecord

LONGEST_SECONDS = 500
RUN_ID = "units-0123456789"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.units", description="Time the units of a batch.")
    parser.add_argument("--model", choices=("stable-diffusion-v1-5", "tiny"), default="stable-diffusion-v1-5")
    parser.add_argument("--units", type=int, default=6)
    parser.add_argument("--images", type=int, default=64, help="how many images a unit has")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--scratch", type=Path, help="folder for the model's 4.3 GB and the worker's files")
    options = parser.parse_args(arguments)
    tiny = options.model == "tiny"
    if not tiny and not torch.cuda.is_available():
        say("benchmark: PyTorch can use no GPU on this machine. Run it on one that has one, or with --model tiny.")
        return 1
    device = torch.device("cpu" if tiny else "cuda")
    say(f"machine: {json.dumps(describe(device))}")
    edges = {"H": 64, "W": 64} if tiny else {"H": 640, "W": 512}
    job = Job(
        model=options.model,
        prompt="a horse",
        **edges,
        ddim_steps=options.steps,
        sampler="dpm_solver",
        n_iter=1,
        n_samples=1,
        safety_checker="off",
        skip_grid="on",
    )
    with scratch_folder("sd-benchmark-", options.scratch) as scratch:
        model = scratch / "model"
        make_model(model, tiny=tiny, device=device)
        figures = _time(scratch / "machine", model, job, (options.units, options.images), cpu=tiny)
    say(f"figures: {json.dumps(figures)}")
    return 0


def _time(folder: Path, model: Path, job: Job, size: tuple[int, int], *, cpu: bool) -> dict[str, Any]:
    write_parameters(
        folder, {**job.model_dump(mode="json", by_alias=True), "IdleMinutes": 60, "Queues": "sd-benchmark"}
    )
    with s3_stand_in() as objects, sqs_stand_in(BATCH) as queue, (folder / "worker.log").open("wb") as log:
        environment = worker_environment(folder, model=model, cpu=cpu, endpoint=objects.endpoint)
        environment["AWS_ENDPOINT_URL_SQS"] = queue.endpoint
        worker = subprocess.Popen(
            [sys.executable, "-m", "userdata.worker"], cwd=REPOSITORY, env=environment, stderr=log
        )
        try:
            _wait(objects, RunKeys(job.name).report, worker, folder)  # the deployed run: all is loaded and recorded
            whole = _whole_run(objects, queue, job, size, worker, folder)
            return {**whole, **_batch(objects, queue, job, size, worker, folder)}
        finally:
            worker.terminate()
            worker.wait(timeout=60)


def _whole_run(
    objects: Objects, queue: Queue, job: Job, size: tuple[int, int], worker: subprocess.Popen[bytes], folder: Path
) -> dict[str, Any]:
    """As many images in one run: the time from its first image's batch to its last image in the bucket."""
    run = job.model_copy(update={"n_iter": size[0] * size[1], "seed": job.seed + 1})
    objects.contents[RunKeys(run.name).job] = write_job(run)
    queue.send(WholeRun(run.name).to_body())
    _wait(objects, RunKeys(run.name).report, worker, folder)
    report = json.loads(objects.contents[RunKeys(run.name).report])
    seconds = {one["phase"]: one["seconds"] for one in report["phases"]}
    return {"one run: generating and uploading, s": round(seconds["generating"] + seconds["uploading"], 2)}


def _batch(
    objects: Objects, queue: Queue, job: Job, size: tuple[int, int], worker: subprocess.Popen[bytes], folder: Path
) -> dict[str, Any]:
    shared = job.model_dump(mode="json")
    units, images = size
    lines = [
        Unit(
            unit=unit,
            job=shared,
            images=[
                UnitImage(index=index, given={"seed": 1000 + index})
                for index in range(unit * images, (unit + 1) * images)
            ],
        ).to_line()
        for unit in range(units)
    ]
    keys, content = RunKeys(RUN_ID), b"".join(lines)
    part = Part(images=units * images, units=units, bytes=len(content))
    objects.contents[keys.units(0)] = content
    objects.contents[keys.batch] = Batch(
        run_id=RUN_ID, title="units", by="benchmark", asked_at=datetime.now(UTC), model=job.model, parts=[part]
    ).to_json()
    queue.send(Release(RUN_ID, 0).to_body())
    for unit in range(units):
        _wait(objects, keys.unit_done(0, unit), worker, folder)
    # The first unit is left out, because nothing is waiting for the queue before it.
    arrived = [objects.arrived[keys.unit_done(0, unit)] for unit in range(units)]
    told = [UnitDone.from_json(objects.contents[keys.unit_done(0, unit)]) for unit in range(units)]
    records = [
        ImageRecord.from_json(objects.contents[keys.image_metadata(index)]) for index in range(images, units * images)
    ]
    between, drawing = arrived[-1] - arrived[0], sum(record.seconds for record in records)
    return {
        "units": units,
        "images each": images,
        "from the first unit's end to the last one's, s": round(between, 2),
        "of that drawing, s": round(drawing, 2),
        "beside drawing, % of the time": round(100 * (1 - drawing / between), 2),
        "an image, s": round(between / (images * (units - 1)), 4),
        "a unit from its receipt to its end, s": [one.seconds for one in told],
    }


def _wait(objects: Objects, key: str, worker: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while key not in objects.arrived:
        if worker.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"there is no {key}:\n{(folder / 'worker.log').read_text('utf-8')[-2000:]}")
        time.sleep(0.01)


if __name__ == "__main__":
    with ends_in_a_sentence():
        sys.exit(main())
