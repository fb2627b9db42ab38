"""A stack and a bucket of an earlier version are updated: no image is lost, and nothing is left behind."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import Stack, left_of, made_to_hang, until
from tests.synth.conftest import AUDITED, read_template, synthesize
from tests.upgrades.keep import output
from tests.upgrades.kept import NAMES, kept

pytestmark = pytest.mark.local_cloud

ASSETS = "cdk-hnb659fds-assets-123456789012-us-east-1"
MISSING = 2  # the index of the image that the unfinished run lacks


# tests/synth/test_upgrades.py compares the templates of all settings.
OTHERS = [
    pytest.param(name, setting, marks=pytest.mark.long)
    for name in NAMES
    for setting in ("own", "spot")
    if setting in kept(name).others
]


@pytest.mark.parametrize(("name", "setting"), [*((name, "default") for name in NAMES), *OTHERS])
def test_every_image_stays_and_the_worker_of_now_draws_what_is_missing(
    cloud: LocalCloud, stack: Stack, tmp_path: Path, name: str, setting: str
) -> None:
    """The old machine hangs, which is cheaper; in tests/whole_way it boots with its own bundle."""
    cloud.bootstrap()
    old = kept(name)
    given = {key: value for key, value in old.parameters.items() if key != "BootstrapVersion"}
    if setting == "own":
        cloud.client("s3").create_bucket(Bucket=AUDITED["own"]["output_bucket"])
        given["SshCidr"] = "203.0.113.0/24"
    stack.create(made_to_hang(copy.deepcopy(old.others.get(setting, old.template))), **given)
    before, bucket = physical_ids(stack), output(stack.describe(), "ResultsBucket")
    for key, content in old.objects.items():
        cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=content)

    stack.update(published(cloud, tmp_path, setting), previous=tuple(given))
    after = physical_ids(stack)
    replaced = {key for key in before.keys() & after.keys() if after[key] != before[key]}
    # A spot instance can neither be stopped nor changed.
    assert {key.rstrip("0123456789ABCDEF") for key in replaced} == ({"GpuInstance"} if setting == "spot" else set())
    run = f"runs/{old.unfinished}"
    until(lambda: phase(cloud, bucket, run) in ("done", "failed"), "the unfinished run ends")
    assert phase(cloud, bucket, run) == "done"
    here = everything_in(cloud, bucket)
    assert {f"{run}/txt2img-samples/samples/{MISSING:05}.{kind}" for kind in ("png", "json")} <= here.keys()
    rewritten = {f"{run}/job.json", f"{run}/status.json"}
    assert {key: here.get(key) for key in old.objects.keys() - rewritten} == {
        key: content for key, content in old.objects.items() if key not in rewritten
    }
    job = json.loads(here[f"{run}/job.json"])
    assert job.items() >= json.loads(old.objects[f"{run}/job.json"]).items()

    stack.delete()
    assert left_of(stack) == []
    assert named_after(cloud, stack) == []
    assert here.keys() <= everything_in(cloud, bucket).keys()


def published(cloud: LocalCloud, folder: Path, setting: str) -> dict[str, Any]:
    """The template of now; its bundle, without the model in the box, lies where the CDK puts it."""
    finished = synthesize(folder, **AUDITED[setting])
    assert finished.returncode == 0, finished.stderr
    archive = io.BytesIO()
    (bundle,) = folder.glob("asset.*")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for path in bundle.rglob("*"):
            if path.suffix != ".safetensors":
                zipped.write(path, path.relative_to(bundle))
    key = f"{bundle.name.removeprefix('asset.')}.zip"
    cloud.client("s3").put_object(Bucket=ASSETS, Key=key, Body=archive.getvalue())
    return read_template(folder)


def physical_ids(stack: Stack) -> dict[str, str]:
    found = stack.client.describe_stack_resources(StackName=stack.name)["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}


def phase(cloud: LocalCloud, bucket: str, run: str) -> str:
    status = cloud.client("s3").get_object(Bucket=bucket, Key=f"{run}/status.json")["Body"].read()
    return str(json.loads(status)["phase"])


def everything_in(cloud: LocalCloud, bucket: str) -> dict[str, bytes]:
    s3 = cloud.client("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def named_after(cloud: LocalCloud, stack: Stack) -> list[str]:
    """What is left that has the stack's name in its own."""
    there = [
        *(one["RoleName"] for one in cloud.client("iam").list_roles()["Roles"]),
        *(one["InstanceProfileName"] for one in cloud.client("iam").list_instance_profiles()["InstanceProfiles"]),
        *(one["AlarmName"] for one in cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]),
        *(one["Name"] for one in cloud.client("scheduler").list_schedules()["Schedules"]),
        *(one["KeyName"] for one in cloud.client("ec2").describe_key_pairs()["KeyPairs"]),
        *cloud.client("sqs").list_queues().get("QueueUrls", []),
    ]
    return [name for name in there if stack.name in name]
