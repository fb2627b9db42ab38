"""`python -m benchmarks.warm`: times a worker that stays, from a message in the queue to the image in the bucket.

The model has Stable Diffusion v1's size and layout and random weights, which the benchmark makes itself. The worker is
a process of its own, as on a machine; bucket and queue are stand-ins on loopback ports, so that the network's time is
not in the figures. On a machine without a GPU, `--model tiny` goes the same way in miniature.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
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
from userdata.contract.layout import RunKeys
from userdata.contract.work import INTERACTIVE, write_message
from userdata.job.job import Job
from userdata.job.job_document import write_job

LONGEST_SECONDS = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm", description="Time a worker that stays.")
    parser.add_argument("--model", choices=("stable-diffusion-v1-5", "tiny"), default="stable-diffusion-v1-5")
    parser.add_argument("--jobs", type=int, default=20, help="how many jobs of one image are sent, one after the other")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--scratch", type=Path, help="folder for the model's 4.3 GB and the worker's files")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args(arguments)
    if options.jobs < 2:
        parser.error("--jobs must be at least 2, because the first message is timed apart from those behind it")
    tiny = options.model == "tiny"
    if not tiny and not torch.cuda.is_available():
        say("benchmark: PyTorch can use no GPU on this machine. Run it on one that has one, or with --model tiny.")
        return 1
    device = torch.device("cpu" if tiny else "cuda")
    figures: dict[str, Any] = {"machine": describe(device)}
    with scratch_folder("sd-benchmark-", options.scratch) as scratch:
        model = scratch / "model"
        make_model(model, tiny=tiny, device=device)
        edge = 64 if tiny else 512
        jobs = [
            Job(
                model=options.model,
                prompt=f"a horse, number {number}",
                seed=number,
                H=edge,
                W=edge,
                ddim_steps=options.steps,
                sampler="dpm_solver",
                n_iter=1,
                n_samples=1,
                safety_checker="off",
            )
            for number in range(options.jobs + 1)
        ]
        seconds, phases = _time(scratch / "machine", model, jobs, cpu=tiny)
    figures["deployed run, from the process's start"] = {"last_image_s": seconds[0]}
    figures["first message"] = {"to_image_s": seconds[1]}
    figures["further messages"] = {
        "count": len(seconds[2:]),
        "median_s": statistics.median(seconds[2:]),
        "least_s": min(seconds[2:]),
        "most_s": max(seconds[2:]),
        **{f"{name}_median_s": statistics.median(one[name] for one in phases) for name in phases[0]},
    }
    for name, figure in figures.items():
        say(f"{name}: {json.dumps(figure)}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 0


def _time(folder: Path, model: Path, jobs: Sequence[Job], *, cpu: bool) -> tuple[list[float], list[dict[str, float]]]:
    """Seconds to the image of each job, the first of which is deployed, and the phases of those that were sent."""
    deployed = {**jobs[0].model_dump(mode="json", by_alias=True), "IdleMinutes": 60, "Queues": "sd-benchmark"}
    write_parameters(folder, deployed)
    with s3_stand_in() as objects, sqs_stand_in(INTERACTIVE) as queue, (folder / "worker.log").open("wb") as log:
        environment = worker_environment(folder, model=model, cpu=cpu, endpoint=objects.endpoint)
        environment["AWS_ENDPOINT_URL_SQS"] = queue.endpoint
        began = time.monotonic()
        worker = subprocess.Popen(
            [sys.executable, "-m", "userdata.worker"], cwd=REPOSITORY, env=environment, stderr=log
        )
        try:
            seconds = [_wait_for(objects, jobs[0], worker, folder) - began]
            for number, job in enumerate(jobs[1:], 1):
                seconds.append(_send(objects, queue, job, worker, folder, number=number))
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(timeout=60)
        reports = [json.loads(objects.contents[RunKeys(job.name).report]) for job in jobs[1:]]
    return seconds, [{one["phase"]: one["seconds"] for one in report["phases"]} for report in reports]


def _send(
    objects: Objects, queue: Queue, job: Job, worker: subprocess.Popen[bytes], folder: Path, *, number: int
) -> float:
    """Seconds from the message to the image. Returns when the run is over, so that each finds an idle worker."""
    objects.contents[RunKeys(job.name).job] = write_job(job)
    began = time.monotonic()
    queue.send(write_message(job.name))
    arrived = _wait_for(objects, job, worker, folder)
    if not queue.wait_until_deleted(number, seconds=LONGEST_SECONDS):
        raise RuntimeError(f"the message was not deleted:\n{_log(folder)}")
    return arrived - began


def _wait_for(objects: Objects, job: Job, worker: subprocess.Popen[bytes], folder: Path) -> float:
    """When the job's image arrived in the bucket."""
    key, deadline = RunKeys(job.name).image(0), time.monotonic() + LONGEST_SECONDS
    while key not in objects.arrived:
        if worker.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"there is no image:\n{_log(folder)}")
        time.sleep(0.005)
    return objects.arrived[key]


def _log(folder: Path) -> str:
    return (folder / "worker.log").read_text("utf-8")[-2000:]


if __name__ == "__main__":
    with ends_in_a_sentence():
        sys.exit(main())
