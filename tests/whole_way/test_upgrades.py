"""An earlier version's stack, whose instance has booted and drawn, is updated by plain `cdk deploy`, and used on."""

from __future__ import annotations

import json
import sys

import pytest

from tests.local_cloud.test_upgrades import ASSETS
from tests.upgrades.kept import NAMES, Kept, kept
from tests.whole_way.conftest import Person
from userdata.contract.status import utc_now

pytestmark = [pytest.mark.local_cloud, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", NAMES)
def test_the_new_boot_finds_its_way_on_the_old_disk(person: Person, name: str) -> None:
    old = kept(name)
    deploy(person, old)
    bucket, instance_id = person.output("ResultsBucket"), person.output("InstanceId")
    person.wait_for_run(bucket, old.unfinished)
    person.wait_for_state("stopped")
    cut_off(person, bucket, old)
    now = utc_now()

    person.deploy()
    assert (person.output("ResultsBucket"), person.output("InstanceId")) == (bucket, instance_id)
    sd(person, "start")  # whether an update starts a stopped instance is not documented
    person.wait_for_run(bucket, old.unfinished, after=now)
    person.wait_for_state("stopped")

    assert "3 of 3" in sd(person, "status", "--timeline")
    assert "5 images ->" in sd(person, "results", "--to", str(person.folder / "results"), "--zip", "--csv")
    assert old.finished in sd(person, "cost", "--actual")
    image = next((person.folder / "results" / old.finished).rglob("samples/*.png"))
    replayed = person.run(sys.executable, "-m", "scripts.command_line", "replay", str(image))
    # The bits depend on the threads, and in the end on the version.
    assert "identical to" in replayed.stdout, replayed.stdout

    assert "Nothing of this project that costs money is left" in sd(person, "teardown", "--yes")
    left = {one for one in person.objects(bucket) if one.endswith(".png") and "/samples/" in one}
    assert len(left) == 5


def deploy(person: Person, old: Kept) -> None:
    s3, client = person.cloud.client("s3"), person.cloud.client("cloudformation")
    s3.put_object(Bucket=ASSETS, Key=old.bundle_key, Body=old.zipped_bundle())
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in old.parameters.items()]
    client.create_stack(StackName="SdOnEc2", TemplateBody=json.dumps(old.template), Parameters=given)
    client.get_waiter("stack_create_complete").wait(StackName="SdOnEc2", WaiterConfig={"Delay": 1})


def cut_off(person: Person, bucket: str, old: Kept) -> None:
    """In place of what the old instance has drawn just now lies what is kept, where one image is missing."""
    s3 = person.cloud.client("s3")
    for key in person.objects(bucket, "runs/"):
        s3.delete_object(Bucket=bucket, Key=key)
    for key, content in old.objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def sd(person: Person, *words: str) -> str:
    finished = person.run(sys.executable, "-m", "scripts.command_line", *words)
    assert finished.returncode == 0, finished.stdout
    return finished.stdout
