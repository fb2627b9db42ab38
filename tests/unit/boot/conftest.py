from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from stacks.facts.machine_parameters import FOR_THE_DEPLOYMENT_ONLY, MachineParameters
from tests.deployed_parameters import parameter_lines
from tests.prepared_aws import prepared_aws
from tests.unit.boot.loopback import reply, serving
from userdata.contract.layout import Folders
from userdata.job.job import Job

REPOSITORY = Path(__file__).resolve().parents[3]
BUNDLE = REPOSITORY / "userdata"

# Everything that is deployed, as the stack writes it for the boot: a small job of six images with the model `tiny`.
PARAMETERS = {
    **{
        name: str(value)
        for schema in (Job(), MachineParameters())
        for name, value in schema.model_dump(by_alias=True).items()
        if name not in FOR_THE_DEPLOYMENT_ONLY
    },
    "Height": "64",
    "Width": "64",
    "Steps": "2",
    "Model": "tiny",
    "IdleMinutes": "0",
    "Region": "us-east-1",
}

UNTIL_TOLD = """
import boto3, json, time

def told():
    s3 = boto3.client("s3")
    for entry in s3.list_objects_v2(Bucket="{bucket}").get("Contents", []):
        if entry["Key"].endswith("/status.json"):
            body = s3.get_object(Bucket="{bucket}", Key=entry["Key"])["Body"].read()
            return json.loads(body)["phase"] == "weights"

deadline = time.monotonic() + 60
while not told():
    assert time.monotonic() < deadline
    time.sleep(0.1)
"""

METADATA = {
    "/latest/meta-data/instance-id": b"i-0123456789abcdef0",
    "/latest/meta-data/instance-type": b"g5.xlarge",
    "/latest/meta-data/instance-life-cycle": b"on-demand",
    "/latest/meta-data/placement/region": b"us-east-1",
}


@pytest.fixture(autouse=True)
def umask_of_an_instance() -> Iterator[None]:
    """Whatever the person's is: folders are packed with their modes."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def metadata_endpoint() -> Iterator[str]:
    with serving(
        lambda handler: reply(handler, body=METADATA.get(handler.path, b"token")),
    ) as server:
        yield server.url


@pytest.fixture(scope="session")
def aws_command() -> Iterator[Path]:
    # Not below pytest's folder: the name of a socket may have a hundred characters.
    with tempfile.TemporaryDirectory(prefix="sd-aws-") as folder, prepared_aws(Path(folder)) as commands:
        yield commands


@pytest.fixture
def bucket_name(s3_endpoint: str, aws_command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket of the emulated S3, which the process's environment leads to, for `aws` and boto3 alike."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("PATH", f"{aws_command}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    name = f"results-{os.getpid()}-{abs(hash(tmp_path)):x}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


@dataclass
class Machine:
    """A machine below a scratch folder: the bundle is there, and what would ask systemd only writes down its words."""

    folder: Path
    bucket_name: str
    parameters: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folders(self) -> Folders:
        return Folders(str(self.folder))

    @property
    def calls(self) -> list[str]:
        """What `systemctl`, `systemd-run` and `shutdown` were called with."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def command(self, name: str, script: str) -> None:
        """Puts a command in front of the system's own."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def make_weights_take_until_told(self) -> None:
        """The step `weights` ends once the bucket says that it is under way."""
        maker = self.folders.bundle / "userdata/worker/model/tiny_model.py"
        maker.write_text(UNTIL_TOLD.format(bucket=self.bucket_name) + maker.read_text())

    def settings(self, **settings: str) -> None:
        path = self.folders.machine_settings
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def write_parameters(self) -> None:
        self.folders.state.mkdir(parents=True, exist_ok=True)
        self.folders.parameters.write_text(parameter_lines(self.parameters))

    def bash(self, script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(script)],
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def end_worker(self, **variables: str) -> None:
        """Does what systemd does, by the unit's file, once the worker has ended as these variables of its say."""
        unit = (BUNDLE / "sd-worker.service").read_text("utf-8")
        commands = re.findall(r"(?m)^ExecStopPost=(-?)\+?(.*)$", unit)
        lines = [f"{command}{' || true' if may_fail else ''}\n" for may_fail, command in commands]
        script = self.folder / "stop-post.sh"
        script.write_text(f"set -e\ncd {shlex.quote(str(self.folders.bundle))}\n{''.join(lines)}")
        done = self.bash(script, **variables)
        assert done.returncode == 0, done.stderr

    def boot(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the boot as the user data does."""
        self.write_parameters()
        return self.bash(self.folders.bundle / "userdata/boot.sh", **environment)

    def worker_environment(self, boot_started_at: str = "2026-01-01T00:00:00.000Z") -> dict[str, str]:
        """What the worker's unit and those that come after it are told."""
        return {
            "SD_BUCKET": self.bucket_name,
            "SD_INSTANCE_ID": "i-0123456789abcdef0",
            "SD_INSTANCE_TYPE": "g5.xlarge",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SD_BOOT_STARTED_AT": boot_started_at,
        }

    def objects(self, prefix: str = "") -> dict[str, str]:
        """Everything in the bucket below `prefix`, which must be text."""
        s3 = boto3.client("s3")
        listed = s3.list_objects_v2(Bucket=self.bucket_name, Prefix=prefix).get("Contents", [])
        return {
            entry["Key"]: s3.get_object(Bucket=self.bucket_name, Key=entry["Key"])["Body"].read().decode()
            for entry in listed
        }

    def document(self, ending: str) -> Any:
        """The one object whose key ends so, as JSON."""
        (text,) = [text for key, text in self.objects().items() if key.endswith(ending)]
        return json.loads(text)

    def put(self, key: str, document: Mapping[str, object]) -> None:
        boto3.client("s3").put_object(Bucket=self.bucket_name, Key=key, Body=json.dumps(document).encode())


@pytest.fixture
def machine(tmp_path: Path, bucket_name: str, metadata_endpoint: str) -> Machine:
    folder = tmp_path / "machine"
    folder.mkdir()
    machine = Machine(folder, bucket_name, {**PARAMETERS, "ResultsBucket": bucket_name})
    machine.environment = {
        "SD_PREFIX": str(folder),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata_endpoint,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }
    for name in ("systemctl", "systemd-run", "shutdown"):
        machine.command(name, f'echo "{name} $*" >>"{folder}/calls"')
    bundle = machine.folders.bundle / "userdata"
    ignored = shutil.ignore_patterns("__pycache__", "models")
    shutil.copytree(BUNDLE, bundle, ignore=ignored)
    # The real ones take seconds and have tests of their own.
    (bundle / "worker/model/tiny_model.py").write_text(
        "import pathlib, sys\nfolder = pathlib.Path(sys.argv[1])\nfolder.mkdir()\n(folder / 'made').touch()\n"
    )
    facts = bundle / "boot/telling/facts.py"
    facts.write_text(re.sub(r"^LATER = \(.*?^\)$", "LATER = ()", facts.read_text(), flags=re.DOTALL | re.MULTILINE))
    machine.settings(SD_PYTHON=sys.executable, SD_DEVICE="cpu")
    return machine
