"""After a teardown nothing may cost money unseen: each kind of leftover is planted, and must be found."""

from __future__ import annotations

import io
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore import xform_name
from rich.console import Console

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.deploying.reservation import hold
from scripts.command_line.ending.audit import audit
from scripts.command_line.ending.audit.audit import look_through
from scripts.command_line.ending.teardown import teardown
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account, answer

TAGS = [{"Key": "project", "Value": "sd-on-ec2"}, {"Key": "sd-on-ec2:stack", "Value": "Gone"}]
STRANGE = [{"Key": "project", "Value": "another"}]
AMI = "ami-12c6146b"
Plant = Callable[["Field", list[dict[str, str]]], str]


class Field:
    """Where leftovers are planted."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.ec2: Any = account.ec2
        self.session = account.session

    def specified(self, kind: str, tags: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": tags}]


@pytest.fixture
def field(account: Account) -> Field:
    return Field(account)


def instance(field: Field, tags: list[dict[str, str]]) -> str:
    launched = field.ec2.run_instances(
        ImageId=AMI,
        InstanceType="g5.xlarge",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=field.specified("instance", tags),
    )
    return str(launched["Instances"][0]["InstanceId"])


def volume(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=100, VolumeType="gp3", TagSpecifications=field.specified("volume", tags)
    )
    return str(made["VolumeId"])


def snapshot(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.create_snapshot(
        VolumeId=volume(field, STRANGE), TagSpecifications=field.specified("snapshot", tags)
    )
    return str(made["SnapshotId"])


def image(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.create_image(
        InstanceId=instance(field, STRANGE), Name="mine", TagSpecifications=field.specified("image", tags)
    )
    return str(made["ImageId"])


def address(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.allocate_address(Domain="vpc", TagSpecifications=field.specified("elastic-ip", tags))
    return str(made["AllocationId"])


def spot_request(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.request_spot_instances(
        SpotPrice="0.4",
        Type="persistent",
        LaunchSpecification={"ImageId": AMI, "InstanceType": "g5.xlarge"},
        TagSpecifications=field.specified("spot-instances-request", tags),
    )
    return str(made["SpotInstanceRequests"][0]["SpotInstanceRequestId"])


def security_group(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.create_security_group(
        GroupName="left", Description="left", TagSpecifications=field.specified("security-group", tags)
    )
    return str(made["GroupId"])


def vpc(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=field.specified("vpc", tags))
    return str(made["Vpc"]["VpcId"])


def network_interface(field: Field, tags: list[dict[str, str]]) -> str:
    """As an instance has it: in the network, and without tags of its own."""
    [network] = [one for one in field.ec2.describe_vpcs()["Vpcs"] if one.get("Tags") == tags]
    subnet = field.ec2.create_subnet(VpcId=network["VpcId"], CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    return str(field.ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"])


def key_pair(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.create_key_pair(KeyName="left", TagSpecifications=field.specified("key-pair", tags))
    return str(made["KeyPairId"])


def launch_template(field: Field, tags: list[dict[str, str]]) -> str:
    made = field.ec2.create_launch_template(
        LaunchTemplateName="left",
        LaunchTemplateData={"ImageId": AMI},
        TagSpecifications=field.specified("launch-template", tags),
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def alarm(field: Field, tags: list[dict[str, str]]) -> str:
    cloudwatch: Any = field.session.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="left",
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Statistic="Maximum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Tags=tags,
    )
    return "left"


def log_group(field: Field, tags: list[dict[str, str]]) -> str:
    logs: Any = field.session.client("logs")
    logs.create_log_group(logGroupName="/left", tags={tag["Key"]: tag["Value"] for tag in tags})
    logs.create_log_stream(logGroupName="/left", logStreamName="one")
    events = [{"timestamp": int(time.time() * 1000), "message": "a line"}]
    logs.put_log_events(logGroupName="/left", logStreamName="one", logEvents=events)
    return "/left"


def queue(field: Field, tags: list[dict[str, str]]) -> str:
    sqs: Any = field.session.client("sqs")
    sqs.create_queue(QueueName="left", tags={tag["Key"]: tag["Value"] for tag in tags})
    return "left"


def fleet(field: Field, tags: list[dict[str, str]]) -> str:
    name = tags[0]["Value"]
    template: Any = {"ImageId": AMI, "InstanceType": "g6.xlarge"}
    field.ec2.create_launch_template(LaunchTemplateName=f"of-{name}", LaunchTemplateData=template)
    field.session.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": f"of-{name}"},
        MinSize=0,
        MaxSize=4,
        AvailabilityZones=["us-east-1a"],
        Tags=[{**tag, "PropagateAtLaunch": True} for tag in tags],
    )
    return name


def bucket(field: Field, tags: list[dict[str, str]]) -> str:
    s3: Any = field.account.s3
    s3.create_bucket(Bucket="left-bucket")
    s3.put_bucket_tagging(Bucket="left-bucket", Tagging={"TagSet": tags})
    s3.put_object(Bucket="left-bucket", Key="runs/a/txt2img-samples/samples/00000.png", Body=bytes(2**20))
    s3.put_object(Bucket="left-bucket", Key="cache/env/a.tar", Body=bytes(2**21))
    return "left-bucket"


# US dollars a month, by the list prices of us-east-1.
KINDS: dict[str, tuple[Plant, float]] = {
    "instance": (instance, 1.006 * 730),
    "volume": (volume, 8.0),
    "snapshot": (snapshot, 5.0),
    "image": (image, 0.0),
    "address": (address, 3.65),
    "spot request": (spot_request, 0.42 * 730),
    "security group": (security_group, 0.0),
    "vpc": (vpc, 0.0),
    "network interface": (network_interface, 0.0),
    "key pair": (key_pair, 0.0),
    "launch template": (launch_template, 0.0),
    "fleet": (fleet, 0.0),
    "alarm": (alarm, 0.10),
    "log group": (log_group, 6 / 2**30 * 0.03),
    "queue": (queue, 0.0),
    "bucket": (bucket, 3 * 2**20 / 2**30 * 0.023),
}


def test_each_kind_is_found_with_its_cost_and_the_command_that_removes_it(field: Field) -> None:
    planted = {kind: plant(field, TAGS) for kind, (plant, _) in KINDS.items()}
    found = look_through(field.session).left
    assert {one.kind: one.id for one in found} == planted
    assert len(found) == len(KINDS)
    assert {one.kind: one.usd_per_month for one in found} == pytest.approx(
        {kind: usd for kind, (_, usd) in KINDS.items()}
    )
    assert {one.stack for one in found} == {"Gone"}
    assert [one.kind for one in found if one.is_result] == ["bucket"]
    assert all(one.command.startswith("aws ") and one.id in one.command for one in found)
    _check_commands(field, [part for one in found if not one.is_result for part in one.command.split("; ")])


def _check_commands(field: Field, commands: list[str]) -> None:
    """Each has the words of the SDK: a command with an option that is none would leave a person helpless."""
    for whole in commands:
        service, operation, *options = whole.removeprefix("aws ").split()
        client: Any = field.session.client(service)  # type: ignore[call-overload]
        api = client.meta.method_to_api_mapping[operation.replace("-", "_")]
        known = {
            xform_name(member, "-") for member in client.meta.service_model.operation_model(api).input_shape.members
        }
        assert {option.removeprefix("--") for option in options if option.startswith("--")} <= known, whole


def test_what_a_killed_deploy_holds_is_found_with_what_it_costs_until_it_ends(field: Field) -> None:
    """Also while its stack stands: a reservation is no part of one."""
    field.account.deploy()
    console = Console(quiet=True)
    killed = hold(field.session, stack="SdOnEc2", instance_type="g6.xlarge", zone="us-east-1b", console=console)
    reservation = killed.__enter__()
    (found,) = [one for one in look_through(field.session).left if one.kind == "capacity reservation"]
    assert found.usd_per_month == pytest.approx(0.8048 * 70 / 60, rel=0.01)
    assert found.detail == f"g6.xlarge, ends by itself by {reservation.gone_by:%H:%M} UTC"
    _check_commands(field, [found.command])
    killed.__exit__(None, None, None)
    assert [one for one in look_through(field.session).left if one.kind == "capacity reservation"] == []


def test_what_carries_another_tag_is_nobody_s_business(field: Field) -> None:
    for plant, _ in KINDS.values():
        plant(field, STRANGE)
    assert look_through(field.session).left == []


def test_a_spot_request_without_tags_is_known_by_its_security_group(field: Field) -> None:
    for tags in (TAGS, STRANGE):
        name = tags[0]["Value"]
        field.ec2.create_security_group(
            GroupName=name, Description="left", TagSpecifications=field.specified("security-group", tags)
        )
        specification = {"ImageId": AMI, "InstanceType": "g5.xlarge", "SecurityGroups": [name]}
        field.ec2.request_spot_instances(SpotPrice="0.4", Type="persistent", LaunchSpecification=specification)
    (found,) = [one for one in look_through(field.session).left if one.kind == "spot request"]
    assert found.stack == "Gone"


def test_a_bucket_of_another_region_is_left_to_an_audit_there(field: Field) -> None:
    """There a stack may stand that this audit does not ask for, and its images would be called left over."""
    field.account.make_bucket("elsewhere", region="eu-west-1")
    assert look_through(field.session).left == []


def test_a_grown_account_is_asked_a_few_questions(field: Field) -> None:
    cloudwatch: Any = field.session.client("cloudwatch")
    logs: Any = field.session.client("logs")
    for number in range(110):
        given = {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization", "Statistic": "Maximum", "Period": 300}
        given |= {"EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanOrEqualToThreshold"}
        cloudwatch.put_metric_alarm(AlarmName=f"alarm:{number}", Tags=TAGS if number > 4 else STRANGE, **given)
        logs.create_log_group(logGroupName=f"/theirs/{number}", tags={"project": "another"})
    log_group(field, TAGS)
    logs.create_log_group(logGroupName="/left/longer", tags={"project": "another"})
    asked: list[str] = []
    field.session.events.register_first("before-call", lambda model, **_: asked.append(model.name))
    found = look_through(field.session).left
    assert Counter(one.kind for one in found) == {"alarm": 105, "log group": 1}
    assert len(asked) < 30, Counter(asked)


def test_what_the_index_of_tags_still_names_and_is_gone_is_not_left_over(field: Field) -> None:
    arns = [
        "arn:aws:cloudwatch:us-east-1:1:alarm:gone",
        "arn:aws:logs:us-east-1:1:log-group:/gone",
        "arn:aws:s3:::gone",
        "arn:aws:sqs:us-east-1:1:gone",
    ]
    named = [{"ResourceARN": arn, "Tags": TAGS} for arn in arns]
    event = "before-call.resourcegroupstaggingapi.GetResources"
    field.session.events.register_first(event, answer({"ResourceTagMappingList": named}))
    assert look_through(field.session).left == []


def test_an_instance_that_is_stopped_costs_its_disk_only(field: Field) -> None:
    field.ec2.stop_instances(InstanceIds=[instance(field, TAGS)])
    (found,) = [one for one in look_through(field.session).left if one.kind == "instance"]
    assert (found.usd_per_month, found.detail) == (0.0, "g5.xlarge, stopped")


def test_an_instance_without_a_known_price_is_not_taken_for_free(field: Field, cdk: Cdk) -> None:
    launched = field.ec2.run_instances(
        ImageId=AMI,
        InstanceType="t2.nano",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=field.specified("instance", TAGS),
    )
    (found,) = [one for one in look_through(field.session).left if one.id == launched["Instances"][0]["InstanceId"]]
    assert found.usd_per_month is None
    with pytest.raises(CommandError, match=r"1 thing in us-east-1 would go on costing \$0.00 and what is not known"):
        run(field, cdk)


def test_what_is_terminated_is_gone(field: Field) -> None:
    field.ec2.terminate_instances(InstanceIds=[instance(field, TAGS)])
    assert [one for one in look_through(field.session).left if one.kind == "instance"] == []


def test_what_belongs_to_a_stack_that_is_there_is_not_left_over(field: Field) -> None:
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    field.session.client("cloudformation").create_stack(StackName="There", TemplateBody=template)
    volume(field, [TAGS[0], {"Key": "sd-on-ec2:stack", "Value": "There"}])
    left = volume(field, TAGS)
    assert [one.id for one in look_through(field.session).left] == [left]


def test_a_stack_that_stands_is_named_and_not_called_nothing(
    field: Field, cdk: Cdk, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a teardown of another stack, or of a name that is misspelt."""
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    field.session.client("cloudformation").create_stack(StackName="There", TemplateBody=template)
    volume(field, [TAGS[0], {"Key": "sd-on-ec2:stack", "Value": "There"}])
    shown = run(field, cdk)
    said = capsys.readouterr().out
    assert "stand in us-east-1, and cost money: There: `sd teardown --stack There`" in said
    assert "Nothing of this project" not in said
    assert "Nothing is left" not in shown


def test_a_stack_in_deletion_is_said_to_be_in_deletion(
    field: Field, cdk: Cdk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    volume(field, [TAGS[0], {"Key": "sd-on-ec2:stack", "Value": "There"}])
    there = Deployment("There", "DELETE_IN_PROGRESS", {}, {})
    monkeypatch.setattr(audit, "find_deployment", lambda _session, name: there if name == "There" else None)
    run(field, cdk, audit_only=True)
    assert "cost money: There: `sd teardown --stack There` waits until it is deleted." in capsys.readouterr().out


class Cdk:
    """Takes the place of `cdk destroy`."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.destroyed: list[str] = []
        self.fails = False

    def __call__(self, session: object, stack: str) -> None:
        self.destroyed.append(stack)
        if self.fails:
            raise CommandError("`cdk destroy` failed")
        self._account.session.client("cloudformation").delete_stack(StackName=stack)


@pytest.fixture
def cdk(account: Account) -> Cdk:
    return Cdk(account)


def run(field: Field, cdk: Cdk, *, audit_only: bool = False) -> str:
    shown = Console(file=io.StringIO(), width=120)
    try:
        teardown(field.session, stack="SdOnEc2", yes=True, audit_only=audit_only, console=shown, destroy=cdk)
    finally:
        file = shown.file
        assert isinstance(file, io.StringIO)
        field.account.shown = file.getvalue()  # type: ignore[attr-defined]
    return file.getvalue()


def test_the_stack_is_destroyed_and_images_alone_are_no_error(
    field: Field, cdk: Cdk, capsys: pytest.CaptureFixture[str]
) -> None:
    field.account.deploy()
    bucket(field, TAGS)
    security_group(field, TAGS)
    shown = run(field, cdk)
    assert cdk.destroyed == ["SdOnEc2"]
    assert "1 images, 1.0 MB; cache 2.1 MB" in shown
    assert "aws s3 rb --force s3://left-bucket   # deletes your images" in shown
    assert "Nothing of this project that costs money is left in us-east-1, your images aside" in capsys.readouterr().out
    assert field.account.s3.list_objects_v2(Bucket="left-bucket")["KeyCount"] == 2


def test_what_lies_in_a_bucket_of_one_s_own_is_told_and_the_bucket_left_alone(field: Field, cdk: Cdk) -> None:
    field.account.s3.create_bucket(Bucket="mine")
    for key, size in (("runs/a/txt2img-samples/samples/00000.png", 2**20), ("cache/env/a.tar", 2**21), ("diary", 9)):
        field.account.put_into("mine", key, bytes(size))
    field.account.deploy(settings='{"output_bucket": "mine"}')
    field.account.s3.delete_bucket(Bucket=field.account.bucket)
    with pytest.raises(CommandError, match=r"1 thing in us-east-1 would go on costing"):
        run(field, cdk)
    shown: str = field.account.shown  # type: ignore[attr-defined]
    assert "1 images, 1.0 MB, in a bucket of yours" in shown
    assert "aws s3 rm --recursive s3://mine/runs/   # deletes your images" in shown
    assert re.search(r"aws s3 rm --recursive s3://mine/cache/$", shown, re.MULTILINE)
    assert "s3 rb" not in shown


def test_what_costs_money_is_an_error_with_the_sum(field: Field, cdk: Cdk) -> None:
    volume(field, TAGS)
    alarm(field, TAGS)
    with pytest.raises(CommandError, match=r"2 things in us-east-1 would go on costing \$8.10 a month") as left:
        run(field, cdk)
    assert left.value.exit_status == 1


def test_a_second_time_there_is_nothing_to_destroy(field: Field, cdk: Cdk, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Nothing is left." in run(field, cdk)
    assert cdk.destroyed == []
    assert "There is no stack SdOnEc2 in us-east-1." in capsys.readouterr().out


def test_an_audit_alone_destroys_nothing(field: Field, cdk: Cdk) -> None:
    field.account.deploy()
    run(field, cdk, audit_only=True)
    assert cdk.destroyed == []


def test_a_destroy_that_fails_is_an_error_and_the_audit_is_made_all_the_same(field: Field, cdk: Cdk) -> None:
    field.account.deploy()
    cdk.fails = True
    left = volume(field, TAGS)
    with pytest.raises(CommandError, match="`cdk destroy` failed"):
        run(field, cdk)
    assert left in field.account.shown  # type: ignore[attr-defined]
