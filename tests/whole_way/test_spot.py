"""A spot instance is taken back in the middle of its work: nothing drawn is lost, and nothing is left at the end."""

from __future__ import annotations

import pytest

from tests.whole_way.conftest import QUICK, TEST_SECONDS, Person, run_id_of, wait_for

# A worker looks for the notice every five seconds, and must be in its work then: this many take one thread 17 seconds.
IMAGES = 20

pytestmark = [pytest.mark.local_cloud, pytest.mark.timeout(TEST_SECONDS)]


def test_the_run_goes_on_on_demand_and_the_teardown_leaves_only_the_images(person: Person) -> None:
    wanted = {**QUICK, "Steps": "100", "Height": "128", "Width": "128", "Iterations": str(IMAGES), "Samples": "1"}
    words = [word for name, value in wanted.items() for word in (f"--{name.lower()}", value)]
    words[words.index("--idleminutes")] = "--idle-minutes"
    person.sd("deploy", *words, "--usd-per-hour", "0.5", "-c", "spot=true")
    bucket, run_id, first = person.output("ResultsBucket"), run_id_of(**wanted), person.output("InstanceId")
    wait_for(lambda: len(person.images(bucket, run_id)) >= 1, "an image")

    person.cloud.machines.announce_spot_interruption(first, "terminate", "2026-01-02T03:04:05Z")
    wait_for(lambda: "Asked to stop: the saved images" in log_of(person, bucket, run_id), "the worker to leave")
    before = {key: person.objects(bucket)[key]["LastModified"] for key in person.images(bucket, run_id)}
    assert 0 < len(before) < IMAGES
    person.cloud.client("ec2").terminate_instances(InstanceIds=[first])
    person.wait_for_state("terminated")
    assert f"cdk deploy --parameters Replaces={first}" in person.run("scripts/sd", "start").stdout

    said = person.sd("deploy", "-c", "spot=false")
    assert f"The instance {first} is gone: a new one takes its place." in said
    assert person.output("InstanceId") != first
    assert person.output("Settings") == "{}"
    person.wait_for_run(bucket, run_id)
    after = person.objects(bucket)
    assert len(person.images(bucket, run_id)) == IMAGES
    assert {key: after[key]["LastModified"] for key in before} == before

    attempts = person.read(bucket, f"runs/{run_id}/report.json")["cost"]["attempts"]
    assert [attempt["life_cycle"] for attempt in attempts] == ["spot", "on-demand"]

    torn_down = person.sd("teardown", "--yes")
    assert f"{IMAGES} images" in torn_down
    assert "Nothing of this project that costs money is left in us-east-1, your images aside" in torn_down
    requests = person.cloud.client("ec2").describe_spot_instance_requests()["SpotInstanceRequests"]
    assert [request["State"] for request in requests] == ["closed"]
    assert len(person.images(bucket, run_id)) == IMAGES


def log_of(person: Person, bucket: str, run_id: str) -> str:
    key = f"runs/{run_id}/log.txt"
    if key not in person.objects(bucket, key):
        return ""
    return str(person.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode())
