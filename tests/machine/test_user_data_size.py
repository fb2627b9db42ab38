"""The longest texts that may be asked for make the largest user data; it boots."""

from __future__ import annotations

import base64
import json

from tests.machine.site.site import Site

FOUR_BYTES = "\N{HORSE FACE}"
CLOUDFORMATION_LIMIT = 4096  # bytes of one parameter's value
EC2_LIMIT = 16384  # bytes of user data, before base64


def test_the_largest_user_data_arrives_exactly_and_terminate_deletes_the_instance(site: Site) -> None:
    longest = FOUR_BYTES * 1000
    assert len(longest.encode()) <= CLOUDFORMATION_LIMIT
    given = {"Prompt": longest, "NegativePrompt": longest, "RunId": "x" * 40, "AfterRun": "terminate"}
    with site.launched(given) as instance:
        ec2 = site.cloud.client("ec2")
        attribute = ec2.describe_instance_attribute(InstanceId=instance.id, Attribute="userData")
        size = len(base64.b64decode(attribute["UserData"]["Value"]))
        assert 12_000 < size <= EC2_LIMIT
        instance.wait_for_state("terminated")
        assert instance.phase == "done"
        assert len(instance.images()) == 2
        job = json.loads(instance.read(f"runs/{instance.run_id}/job.json"))
        assert job["prompt"] == job["negative_prompt"] == longest
