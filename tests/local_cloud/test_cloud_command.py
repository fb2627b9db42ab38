"""scripts/local/cloud, as a person starts and ends it."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.interruption.scratch_folder import scratch_folder
from scripts.local.local_cloud import LocalCloud, LocalCloudError
from tests.local_cloud.conftest import PATIENCE, is_alive, per_boot, until

pytestmark = pytest.mark.local_cloud

ROOT = Path(__file__).parent.parent.parent
WHO = "aws sts get-caller-identity --query Account --output text"


def start(*arguments: str, temporary: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.local", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(cloud: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, errors = cloud.communicate(timeout=PATIENCE)
    return cloud.returncode, out, errors


class Trap(http.server.BaseHTTPRequestHandler):
    """A proxy that writes down who comes."""

    caught: list[str]

    def do_CONNECT(self) -> None:
        self.caught.append(self.path)
        self.send_error(502)

    do_GET = do_POST = do_PUT = do_HEAD = do_CONNECT

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def trap() -> Iterator[tuple[str, list[str]]]:
    caught: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("T", (Trap,), {"caught": caught}))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", caught
    server.shutdown()
    server.server_close()


def test_the_command_s_exit_code_and_words_come_through_and_nothing_else(tmp_path: Path) -> None:
    assert finish(start("bash", "-c", "echo out; echo err >&2; exit 7", temporary=tmp_path)) == (7, "out\n", "err\n")
    assert list(tmp_path.iterdir()) == []


def test_a_type_can_be_sold_out(tmp_path: Path) -> None:
    reserve = (
        "aws ec2 create-capacity-reservation --instance-platform Linux/UNIX --availability-zone us-east-1a "
        "--instance-count 1 --instance-match-criteria open --tenancy default --end-date-type limited "
        "--end-date 2099-01-01 --instance-type"
    )
    code, _, errors = finish(start("--sold-out", "g6.xlarge", *reserve.split(), "g6.xlarge", temporary=tmp_path))
    assert code
    assert "InsufficientInstanceCapacity" in errors
    code, _, errors = finish(start("--sold-out", "g9.enormous", "true", temporary=tmp_path))
    assert (code, "invalid choice: 'g9.enormous'" in errors) == (2, True)


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, out, errors = finish(start("no-such-command", "x", temporary=tmp_path))
    assert (code, out) == (1, "")
    assert errors.startswith("cloud: no-such-command x could not be started")
    assert list(tmp_path.iterdir()) == []


def test_nothing_reaches_the_real_aws(tmp_path: Path, trap: tuple[str, list[str]]) -> None:
    """Whatever the caller's environment and home say, every call ends in the local cloud."""
    proxy, caught = trap
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    real = f"[default]\nregion = eu-west-1\nendpoint_url = {proxy}\nservices = real\n[profile production]\n"
    (home / ".aws/config").write_text(f"{real}[services real]\ns3 =\n  endpoint_url = {proxy}\n")
    (home / ".aws/credentials").write_text("[default]\naws_access_key_id = REAL\naws_secret_access_key = real\n")
    boto = "import boto3; print(boto3.client('s3').create_bucket(Bucket='here')['ResponseMetadata']['HTTPStatusCode'])"
    cloud = start(
        "bash",
        "-c",
        f'{WHO} && python -c "{boto}" && aws s3 ls && aws ec2 describe-regions --query "length(Regions)" && '
        "aws cloudformation list-stacks --query StackSummaries",
        temporary=tmp_path,
        HOME=str(home),
        HTTP_PROXY=proxy,
        HTTPS_PROXY=proxy,
        AWS_PROFILE="nobody",
        MOTO_ACCOUNT_ID="999999999999",
        AWS_DEFAULT_PROFILE="production",
        AWS_ACCESS_KEY_ID="REAL",
        AWS_SECRET_ACCESS_KEY="real",
        AWS_SESSION_TOKEN="real",
        AWS_CONFIG_FILE=str(home / ".aws/config"),
        AWS_ENDPOINT_URL=proxy,
        AWS_ENDPOINT_URL_S3=proxy,
        AWS_ENDPOINT_URL_STS=proxy,
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true",
        AWS_USE_FIPS_ENDPOINT="true",
        AWS_USE_DUALSTACK_ENDPOINT="true",
        AWS_REGION="eu-west-1",
    )
    code, out, errors = finish(cloud)
    assert code == 0, errors
    assert out.splitlines()[:2] == ["123456789012", "200"]
    assert caught == []


def test_the_keys_differ_from_cloud_to_cloud(tmp_path: Path) -> None:
    keys = {finish(start("printenv", "AWS_ACCESS_KEY_ID", temporary=tmp_path))[1] for _ in range(2)}
    assert len(keys) == 2


LAUNCH = """
import base64, json, os, sys, time, boto3
script = sys.argv[1]
instance = boto3.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, UserData=script)
print(json.dumps(instance["Instances"][0]["InstanceId"]), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_cloud(tmp_path: Path, number: signal.Signals) -> None:
    script = per_boot('setsid --fork sleep 600; echo $$ >"$SD_PREFIX/pid"; exec sleep 600')
    cloud = start("python", "-c", LAUNCH, script, temporary=tmp_path)
    assert cloud.stdout is not None
    instance_id = json.loads(cloud.stdout.readline())
    [scratch] = tmp_path.glob("sd-local-*")
    pid_file = scratch / "machines" / instance_id / "pid"
    until(lambda: pid_file.exists() and pid_file.read_text().strip(), "the machine has booted")
    everything = [process.pid for process in psutil.Process(cloud.pid).children(recursive=True)]
    assert int(pid_file.read_text()) in everything
    [command] = [pid for pid in everything if LAUNCH in psutil.Process(pid).cmdline()]
    cloud.send_signal(number)
    if number is signal.SIGKILL:
        cloud.wait()
        os.kill(command, signal.SIGKILL)  # which was not the cloud's to end
        with scratch_folder("sd-local-", tmp_path):  # what a SIGKILL leaves goes with the next cloud
            assert not scratch.exists()
    else:
        assert finish(cloud)[0] == 128 + number
        assert not scratch.exists()
    until(lambda: not [pid for pid in everything if is_alive(pid)], f"{everything} have ended")


def test_there_is_one_cloud_in_a_process(cloud: LocalCloud) -> None:
    with pytest.raises(LocalCloudError, match="Another local cloud runs"), LocalCloud():
        pass
    assert cloud.client("sts").get_caller_identity()["Account"] == "123456789012"
