"""The worker as systemd starts it: a process of its own, against an S3 served on a loopback port."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.s3.models import S3Backend
from moto.server import ThreadedMotoServer

from tests.deployed_parameters import parameter_lines
from userdata.contract.environment_file import environment_text
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.contract.work import INTERACTIVE, QUEUES, dead_letters_of, queue_name, write_message
from userdata.job.job import Job
from userdata.job.job_document import write_job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REPOSITORY = Path(__file__).parents[3]
BUCKET = "results"
PATIENCE = 180.0  # seconds, on a computer with much else to do
SOON = 90.0  # seconds, after which systemd kills it (TimeoutStopSec of sd-worker.service)
Deploy = Callable[..., dict[str, str]]


class Machine:
    """An instance's folders and the worker's process on it."""

    def __init__(self, folder: Path, endpoint: str, model: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "SD_PREFIX": str(folder),
            "SD_BUCKET": BUCKET,
            "SD_INSTANCE_ID": "i-0123456789abcdef0",
            "SD_INSTANCE_TYPE": "g5.xlarge",
            "SD_MODEL_FOLDER": str(model),
            "SD_BOOT_STARTED_AT": "2026-01-01T00:00:00.000Z",
            "SD_DEVICE": "cpu",
            "STATE_DIRECTORY": str(folder / "state"),
        }
        session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")
        self.s3: S3Client = session.client("s3", endpoint_url=endpoint)
        self.sqs: SQSClient = session.client("sqs", endpoint_url=endpoint)

    def deploy(self, parameters: dict[str, str]) -> RunKeys:
        file = self.folder / "var/lib/sd-on-ec2/parameters"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(parameter_lines(parameters))
        return RunKeys(run_name(parameters))

    def queue(self, job: Job) -> RunKeys:
        """Sends a job as a client does."""
        keys = RunKeys(job.name)
        self.s3.put_object(Bucket=BUCKET, Key=keys.job, Body=write_job(job))
        for kind in QUEUES:
            for name in (queue_name("sd-a-stack", kind), dead_letters_of(queue_name("sd-a-stack", kind))):
                self.sqs.create_queue(QueueName=name)
        url = self.sqs.get_queue_url(QueueName=queue_name("sd-a-stack", INTERACTIVE))["QueueUrl"]
        self.sqs.send_message(QueueUrl=url, MessageBody=write_message(job.name))
        return keys

    def tell_model(self, **environment: str) -> None:
        file = self.folder / "var/lib/sd-on-ec2/model.env"
        new = file.with_name("model.env.new")
        new.write_text(environment_text(environment))
        new.rename(file)

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "userdata.worker"], cwd=REPOSITORY, env=self.environment, stderr=log
            )

    def objects(self) -> set[str]:
        return {entry["Key"] for entry in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}

    def versions(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for version in self.s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
            found.setdefault(version["Key"], []).append((version["VersionId"], version["ETag"]))
        return found

    def json(self, key: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        return document

    def log(self) -> str:
        return (self.folder / "worker.log").read_text()


@pytest.fixture
def machine(tmp_path: Path, tiny_model: Path) -> Iterator[Machine]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    # The emulation's state is one for the whole process: what an earlier test left must go.
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()  # noqa: S310
    machine = Machine(tmp_path, endpoint, tiny_model)
    machine.s3.create_bucket(Bucket=BUCKET)
    machine.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield machine
    machine.s3.close()
    machine.sqs.close()
    server.stop()


def test_killed_run_has_every_image_exactly_once_after_the_next_start(
    machine: Machine, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when two images are in the bucket, and more on their way to it."""
    keys = machine.deploy(parameters(Iterations="9", Samples="1", Steps="20"))
    put, numbers = S3Backend.put_object, itertools.count(1)
    a_third_one, killed = threading.Event(), threading.Event()

    def of_no_third_image(self: S3Backend, bucket: str, key: str, *given: Any, **more: Any) -> Any:
        if key.endswith(".png") and not killed.is_set() and next(numbers) > 2:
            a_third_one.set()
            killed.wait(PATIENCE)
            raise ConnectionAbortedError
        return put(self, bucket, key, *given, **more)

    monkeypatch.setattr(S3Backend, "put_object", of_no_third_image)
    worker = machine.start()
    _wait_until(a_third_one.is_set, worker, machine)
    worker.kill()
    worker.wait()
    killed.set()
    before = machine.versions()
    assert sum(key.endswith(".png") for key in before) == 2

    assert machine.start().wait(timeout=PATIENCE) == 0, machine.log()

    after = machine.versions()
    images = [keys.image(k) for k in range(9)]
    assert (
        sorted(key for key in after if key.startswith(keys.samples_folder + "samples/") and key.endswith(".png"))
        == images
    )
    assert all(len(after[image]) == 1 for image in images)
    assert all(after[image] == before[image] for image in images if image in before)
    assert machine.json(keys.status)["phase"] == "done"
    report = machine.json(keys.report)
    assert report["resumed"] is True
    assert [image["seed"] for image in report["images"]] == list(range(42, 51))


def test_sigterm_ends_the_worker_soon_and_leaves_a_run_to_go_on_with(machine: Machine, parameters: Deploy) -> None:
    keys = machine.deploy(parameters(Iterations="50", Samples="2", Steps="1000"))
    worker = machine.start()
    _wait_until(lambda: keys.status in machine.objects() and _phase(machine, keys) == "generating", worker, machine)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=SOON) == 128 + signal.SIGTERM, machine.log()
    status = machine.json(keys.status)
    assert (status["phase"], status["error"]) == ("generating", None)
    assert "Asked to stop" in machine.s3.get_object(Bucket=BUCKET, Key=keys.log)["Body"].read().decode()


def test_done_run_leaves_the_worker_idle_until_sigterm(machine: Machine, parameters: Deploy) -> None:
    """Without a model: nothing of a run that is done may need one."""
    machine.environment["SD_MODEL_FOLDER"] = str(machine.folder / "no-such-model")
    keys = machine.deploy(parameters(Iterations="1", Samples="1", IdleMinutes="60"))
    machine.s3.put_object(Bucket=BUCKET, Key=keys.image(0), Body=b"a picture")
    machine.s3.put_object(Bucket=BUCKET, Key=keys.status, Body=b'{"phase": "done", "images_total": 1}')
    before = machine.versions()
    worker = machine.start()
    _wait_until(lambda: "Idle for 60 minutes" in machine.log(), worker, machine)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=SOON) == 128 + signal.SIGTERM
    assert machine.versions() == before


def test_idle_time_ends_by_itself(machine: Machine, parameters: Deploy) -> None:
    keys = machine.deploy(parameters(Iterations="1", Samples="1", IdleMinutes="0.001"))
    machine.s3.put_object(Bucket=BUCKET, Key=keys.image(0), Body=b"a picture")
    machine.s3.put_object(Bucket=BUCKET, Key=keys.status, Body=b'{"phase": "done", "images_total": 1}')
    assert machine.start().wait(timeout=PATIENCE) == 0, machine.log()


def test_a_worker_that_is_started_ahead_waits_for_its_model_and_then_does_what_the_queues_hold(
    machine: Machine, parameters: Deploy
) -> None:
    model = machine.environment.pop("SD_MODEL_FOLDER")
    keys = machine.deploy(parameters(Iterations="1", Samples="1", Steps="1", Queues="sd-a-stack"))
    queued = machine.queue(Job(model="tiny", H=64, W=64, ddim_steps=1, n_iter=1, n_samples=1, seed=7))
    worker = machine.start()
    _wait_until(lambda: "Waiting for the boot" in machine.log(), worker, machine)
    assert machine.objects() == {queued.job}
    compiled = machine.folder / "kernels"
    compiled.mkdir()
    (compiled / "one.cubin").write_text("kernel")
    machine.tell_model(SD_MODEL_FOLDER=model, SD_COMPILED=str(compiled))
    assert worker.wait(timeout=PATIENCE) == 0, machine.log()
    assert keys.image(0) in machine.objects()
    assert (machine.folder / "state/compiled/one.cubin").read_text() == "kernel"
    assert queued.image(0) in machine.objects()
    assert machine.json(queued.status)["phase"] == "done"
    phases = {phase["phase"]: phase["seconds"] for phase in machine.json(queued.report)["phases"]}
    assert phases["model"] < 0.5, "the model was loaded again"


def test_sigterm_ends_a_worker_that_waits(machine: Machine, parameters: Deploy) -> None:
    del machine.environment["SD_MODEL_FOLDER"]
    machine.deploy(parameters())
    worker = machine.start()
    _wait_until(lambda: "Waiting for the boot" in machine.log(), worker, machine)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=SOON) == 128 + signal.SIGTERM, machine.log()
    assert machine.objects() == set()


def test_failure_is_an_exit_code(machine: Machine, parameters: Deploy) -> None:
    keys = machine.deploy(parameters(Sampler="magic"))
    assert machine.start().wait(timeout=PATIENCE) == 1
    assert machine.json(keys.status)["error"]["message"].startswith("Sampler is 'magic', but must be one of ddim")


def test_missing_environment_is_named(machine: Machine, parameters: Deploy) -> None:
    machine.deploy(parameters())
    del machine.environment["SD_BUCKET"]
    assert machine.start().wait(timeout=PATIENCE) == 1
    assert "SD_BUCKET" in machine.log()
    assert "Traceback" not in machine.log()


def _phase(machine: Machine, keys: RunKeys) -> str:
    return str(machine.json(keys.status)["phase"])


def _wait_until(condition: Callable[[], bool], worker: subprocess.Popen[bytes], machine: Machine) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert worker.poll() is None, f"the worker ended too early\n{machine.log()}"
        assert time.monotonic() < deadline, f"waited for {PATIENCE:.0f} s\n{machine.log()}"
        time.sleep(0.05)  # each look costs the emulated bucket some of the processor that the worker needs
