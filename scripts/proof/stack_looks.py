"""What the rows look at in the account: the stack, its instance, and what is left of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.price_list import find_prices
from scripts.command_line.ending.audit.leftover import tags_of
from scripts.command_line.terminal.command_error import aws_errors_in_words
from scripts.proof.place import STACK
from scripts.proof.seen import Seen
from stacks.facts.tag_names import PROJECT_TAG
from userdata.contract.layout import RUNS


def stack_state(seen: Seen) -> str:
    """CloudFormation's word for the stack."""
    return seen.end.state


def deploy(seen: Seen) -> str:
    """Whether the CDK says that there was nothing to do."""
    return "no changes" if "no changes" in seen.finished.output else "changes"


def account_plan(seen: Seen) -> str:
    """What AWS answers when it is asked for the account's plan."""
    return seen.checks.get("account plan", "not asked")


def price(seen: Seen) -> str:
    """What AWS asks today for an hour of the type."""
    found = find_prices(seen.account.session, seen.place.region, [seen.place.type])[seen.place.type, "on-demand"]
    return f"${found.usd:g}"


def described_prompt(seen: Seen) -> str:
    """The prompt as CloudFormation answers it, before `sd` has asked for the true one."""
    with aws_errors_in_words("read the stack's parameters"):
        client = seen.account.session.client("cloudformation", config=RETRIES)
        found = client.describe_stacks(StackName=STACK)["Stacks"][0].get("Parameters", [])
    return next((one["ParameterValue"] for one in found if one["ParameterKey"] == "Prompt"), "none")


def state_after_deploy(seen: Seen) -> str:
    """EC2's word for the instance when the deploy was over."""
    return seen.after.instance_state(seen.after.instance_id)


def state(seen: Seen) -> str:
    """EC2's word for the instance at the end."""
    return seen.end.instance_state(seen.end.instance_id)


def old_state(seen: Seen) -> str:
    """What has become of the instance from before. EC2 forgets one that is terminated, after a while."""
    found = seen.end.instance_state(seen.before.instance_id)
    return "terminated" if found == "gone" else found


def whose(seen: Seen) -> str:
    """Whether the instance is the one from before."""
    return "the same" if seen.before.instance_id == seen.end.instance_id else "another"


def disk(seen: Seen) -> str:
    """Whether the disk is the one from before."""
    return "the same" if _volume(seen.before.instance) == _volume(seen.end.instance) else "another"


def described(*path: str, missing: str = "none") -> Callable[[Seen], str]:
    """A look at what EC2 describes of the instance, `path` by `path`."""

    def look(seen: Seen) -> str:
        found: Any = seen.end.instance
        for name in path:
            found = found.get(name, {})
        return str(found or missing)

    return look


def disk_tag(seen: Seen) -> str:
    """The project's tag of the disk."""
    return _tag(seen, _volume(seen.end.instance))


def interface_tag(seen: Seen) -> str:
    """The project's tag of the network interface."""
    return _tag(seen, next((one["NetworkInterfaceId"] for one in seen.end.instance.get("NetworkInterfaces", [])), ""))


def request_tag(seen: Seen) -> str:
    """The project's tag of the spot request."""
    return tags_of(_request(seen).get("Tags", [])).get(PROJECT_TAG, "none")


def request_state(seen: Seen) -> str:
    """The state of the spot request."""
    return str(_request(seen).get("State", "none"))


def session_manager(seen: Seen) -> str:
    """Whether Session Manager can reach the instance."""
    with aws_errors_in_words("ask Session Manager for the instance"):
        ssm = seen.account.session.client("ssm", config=RETRIES)
        found = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [seen.end.instance_id]}])
    return str(next((one.get("PingStatus") for one in found["InstanceInformationList"]), "unknown"))


def seconds(seen: Seen) -> str:
    """How long it took."""
    return f"{seen.seconds:.0f} s"


def still_running(seen: Seen) -> str:
    """The instances that are not terminated."""
    return ", ".join(seen.account.running()) or "none"


def images_left(seen: Seen) -> str:
    """Whether the bucket still has the images, once the stack is gone."""
    with aws_errors_in_words(f"list the runs in {seen.bucket}"):
        pages = seen.s3.get_paginator("list_objects_v2").paginate(Bucket=seen.bucket, Prefix=RUNS)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return "there" if any("/samples/" in key and key.endswith(".png") for key in keys) else "gone"


def left(seen: Seen) -> str:
    """What the audit finds of the proof."""
    return ", ".join(sorted(one.kind for one in seen.account.audited())) or "nothing"


def _request(seen: Seen) -> dict[str, Any]:
    """The spot request of the instance; empty for none."""
    with aws_errors_in_words("look for the spot request"):
        found: list[Any] = seen.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    return next((one for one in found if one.get("InstanceId") == seen.end.instance_id), {})


def _volume(instance: dict[str, Any]) -> str:
    return next((str(one["Ebs"]["VolumeId"]) for one in instance.get("BlockDeviceMappings", [])), "")


def _tag(seen: Seen, resource: str) -> str:
    filters: Any = [{"Name": "resource-id", "Values": [resource]}, {"Name": "key", "Values": [PROJECT_TAG]}]
    with aws_errors_in_words(f"read the tags of {resource}"):
        found = seen.ec2.describe_tags(Filters=filters)["Tags"]
    return found[0]["Value"] if found else "none"
