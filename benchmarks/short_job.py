"""The worker as a process of its own, from its start to the last image in the bucket."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.s3_stand_in import s3_stand_in
from userdata.contract.layout import Folders, RunKeys
from userdata.job.job import Job

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class ShortJob:
    """Seconds from the process's start to the last image in the bucket, to the process's end, and of each phase.

    `execution` is how the images were drawn: without compiled kernels otherwise than with them.
    """

    last_image: float
    ended: float
    phases: dict[str, float]
    execution: str


def do_short_job(job: Job, *, folder: Path, model: Path, cpu: bool) -> ShortJob:
    """Does the run of `job` in the new folder `folder` with the model in `model`.

    Compiled kernels are kept where this process's environment says. Raises `RuntimeError` with the end of the log when
    the worker fails.
    """
    write_parameters(folder, {**job.model_dump(by_alias=True), "IdleMinutes": 0})
    keys = RunKeys(job.name)
    with s3_stand_in() as objects:
        environment = worker_environment(folder, model=model, cpu=cpu, endpoint=objects.endpoint)
        log = folder / "worker.log"
        began = time.monotonic()
        with log.open("wb") as stderr:
            code = subprocess.run(
                [sys.executable, "-m", "userdata.worker"], cwd=REPOSITORY, env=environment, stderr=stderr, check=False
            ).returncode
        ended = time.monotonic() - began
        if code:
            raise RuntimeError(f"the worker ended with {code}:\n{log.read_text('utf-8')[-2000:]}")
        report: dict[str, Any] = json.loads(objects.contents[keys.report])
        images = [keys.image(index) for index in range(len(report["images"]))]
        return ShortJob(
            last_image=max(objects.arrived[image] for image in images) - began,
            ended=ended,
            phases={phase["phase"]: phase["seconds"] for phase in report["phases"]},
            execution=json.loads(objects.contents[keys.image_metadata(0)])["drawn_with"]["execution"],
        )


def worker_environment(folder: Path, *, model: Path, cpu: bool, endpoint: str) -> dict[str, str]:
    """The environment of a worker whose machine is below `folder`, and whose AWS is at `endpoint`."""
    return {
        **os.environ,
        # Python keeps what it compiles, as in an instance's environment: else each process compiles all libraries anew.
        "PYTHONDONTWRITEBYTECODE": "",
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SD_PREFIX": str(folder),
        "SD_BUCKET": "results",
        "SD_INSTANCE_ID": "i-00000000000000000",
        "SD_INSTANCE_TYPE": "g5.xlarge",
        "SD_MODEL_FOLDER": str(model),
        "SD_BOOT_STARTED_AT": "2026-01-01T00:00:00.000Z",
        "SD_DEVICE": "cpu" if cpu else "",
        "STATE_DIRECTORY": str(folder / "state"),
    }


def write_parameters(folder: Path, parameters: dict[str, Any]) -> None:
    """Writes the deployed parameters of the machine below the new folder `folder`."""
    file = Folders(str(folder)).parameters
    file.parent.mkdir(parents=True)
    (folder / "state").mkdir()
    encoded = {name: base64.b64encode(f"{value}\n".encode()).decode() for name, value in parameters.items()}
    file.write_text("".join(f"{name};base64,{value}\n" for name, value in encoded.items()), "utf-8")
