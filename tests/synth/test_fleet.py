"""A fleet in the template: what would hurt if it said otherwise, and that a stack without one stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.local.cloudformation.intrinsic_functions import Resolver
from scripts.local.cloudformation.rules import RuleError
from stacks.facts.fleet_types import USUAL_TYPES
from stacks.facts.settings import settings_from_context
from tests.synth.conftest import Template, check_deploy, only, read_template, resources

pytestmark = pytest.mark.synth
NAME = {"Fn::Join": ["", ["sd-", {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}]]}


@pytest.fixture(scope="module")
def fleet(fleet_assembly: Path) -> Template:
    return read_template(fleet_assembly)


def group_of(template: Template) -> dict[str, Any]:
    properties: dict[str, Any] = only(template, "AWS::AutoScaling::AutoScalingGroup")["Properties"]
    return properties


def launch_data(template: Template) -> dict[str, Any]:
    specification = group_of(template)["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    data: dict[str, Any] = template["Resources"][specification["LaunchTemplateId"]["Ref"]]["Properties"]
    return dict(data["LaunchTemplateData"])


def test_the_group_grows_to_n_machines_in_three_zones_and_nothing_but_its_machines_makes_it_smaller(
    fleet: Template,
) -> None:
    group = group_of(fleet)
    assert (group["MinSize"], group["MaxSize"]) == ("0", "3")
    assert "DesiredCapacity" not in group  # an update would set it back
    assert group["AutoScalingGroupName"] == NAME
    assert fleet["Outputs"]["Fleet"]["Value"] == {"Ref": "FleetGroup28EA4635"}
    assert len(group["VPCZoneIdentifier"]) == len(resources(fleet, "AWS::EC2::Subnet")) == 3
    assert group["CapacityRebalance"] is False
    assert "NewInstancesProtectedFromScaleIn" not in group
    assert [one["Properties"]["StepAdjustments"] for one in resources(fleet, "AWS::AutoScaling::ScalingPolicy")] == [
        [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    ]
    distribution = group["MixedInstancesPolicy"]["InstancesDistribution"]
    assert distribution["OnDemandPercentageAboveBaseCapacity"] == 20
    assert distribution["OnDemandBaseCapacity"] == 0
    assert distribution["SpotAllocationStrategy"] == "price-capacity-optimized"


@pytest.mark.parametrize(
    ("given", "fitting"),
    [
        ({}, USUAL_TYPES),
        ({"Model": "s3://bucket/mine.safetensors"}, USUAL_TYPES),
        ({"Model": "sdxl-base"}, USUAL_TYPES),
        ({"Model": "sdxl-base", "Precision": "full"}, [name for name in USUAL_TYPES if "g4dn" not in name]),
        ({"Model": "sdxl-base", "Upscale": "2"}, [name for name in USUAL_TYPES if "g4dn" not in name]),
        ({"Model": "sdxl-base", "Upscale": "2", "Precision": "full"}, ["g6e.xlarge"]),
        ({"Model": "sdxl-base", "Upscale": "2", "Height": "512", "Width": "512"}, USUAL_TYPES),
        ({"Model": "flux-schnell"}, [name for name in USUAL_TYPES if "g4dn" not in name]),
        ({"Model": "flux-schnell", "Lora": "inputs/a.safetensors"}, ["g6e.xlarge"]),
        ({"Model": "flux-schnell", "Quantize": "off"}, ["g6e.xlarge"]),
        ({"Model": "flux2-klein", "Quantize": "fp8"}, ["g6.xlarge", "g6.2xlarge", "g6e.xlarge"]),
    ],
)
def test_types_whose_card_is_too_small_for_the_model_are_left_out(
    fleet: Template, given: dict[str, str], fitting: list[str]
) -> None:
    defaults = {name: one.get("Default", "") for name, one in fleet["Parameters"].items()}
    resolver = Resolver(fleet, {**defaults, **given}, dict[str, Any]().__getitem__, list)
    overrides = group_of(fleet)["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [one["InstanceType"] for one in resolver.resolve(overrides)] == fitting


def test_a_fleet_without_a_type_that_fits_is_refused(fleet: Template) -> None:
    given = {"Model": "flux-schnell", "Precision": "full", "InstanceType": "g7e.2xlarge", "VolumeSize": "200"}
    with pytest.raises(RuleError, match=r"No type of fleet_types fits.*needs 67.4 GiB.*at least g7e.2xlarge"):
        check_deploy(fleet, {**given, "BootstrapVersion": "99"})


def test_a_machine_of_the_fleet_is_as_safe_as_the_instance_and_goes_when_it_powers_off(fleet: Template) -> None:
    data = launch_data(fleet)
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpPutResponseHopLimit": 1,
        "HttpTokens": "required",
    }
    (disk,) = data["BlockDeviceMappings"]
    assert (disk["Ebs"]["Encrypted"], disk["Ebs"]["DeleteOnTermination"]) == (True, True)
    assert data["SecurityGroupIds"] == only(fleet, "AWS::EC2::Instance")["Properties"]["SecurityGroupIds"]
    # A mixed group takes neither from its launch template.
    assert not {"InstanceType", "InstanceMarketOptions"} & set(data)
    assert {one["ResourceType"] for one in data["TagSpecifications"]} == {"instance", "volume", "network-interface"}
    user_data = json.dumps(data["UserData"])
    assert r"\nFleet:20,fallback\n" in user_data
    # `keep` would keep every machine whose boot fails.
    assert r"\nAfterRun:terminate\n" in user_data
    assert r"\nOnFailure:stop\n" in user_data
    # The instance's own price would let the limit of dollars pass for a dearer type.
    assert r"\nUsdPerHour:0\n" in user_data
    assert r"\nFleet:" not in json.dumps(only(fleet, "AWS::EC2::Instance"))


def rights_of(template: Template, *sids: str) -> dict[str, dict[str, Any]]:
    """The statements with these names, wherever they are."""
    policies = resources(template, "AWS::IAM::Policy")
    found = [one for policy in policies for one in policy["Properties"]["PolicyDocument"]["Statement"]]
    return {one["Sid"]: one for one in found if one.get("Sid") in sids}


def test_a_machine_may_leave_its_group_and_close_it_but_never_make_it_larger(fleet: Template) -> None:
    rights = rights_of(fleet, "LeaveTheGroup", "CloseTheFleet", "ChangeTheMarket", "TellOfTheFleet")
    every = [json.dumps(one) for policy in resources(fleet, "AWS::IAM::Policy") for one in _statements(policy)]
    of_groups = [one for one in every if "autoscaling:" in one]
    assert len(of_groups) == 4  # and the schedule's
    assert all("autoScalingGroup:*:autoScalingGroupName/sd-" in one for one in of_groups)
    leave = {"autoscaling:TerminateInstanceInAutoScalingGroup", "autoscaling:SetInstanceHealth"}
    assert set(rights["LeaveTheGroup"]["Action"]) == leave
    assert (
        rights["CloseTheFleet"]["Action"]
        == rights["ChangeTheMarket"]["Action"]
        == ("autoscaling:UpdateAutoScalingGroup")
    )
    assert rights["CloseTheFleet"]["Condition"] == {
        "NumericEquals": {"autoscaling:MaxSize": "0"},
        "Null": {"autoscaling:InstanceTypes": "true"},
    }
    untouched = rights["ChangeTheMarket"]["Condition"]["Null"]
    assert {key.partition(":")[2] for key in untouched} >= {"MaxSize", "MinSize", "InstanceTypes", "VPCZoneIdentifiers"}
    assert set(untouched.values()) == {"true"}
    assert rights["TellOfTheFleet"]["Action"] == "s3:PutObject"
    assert rights["TellOfTheFleet"]["Resource"]["Fn::Join"][1][1] == "/fleet/*"


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return statements


def test_an_alarm_asks_for_one_machine_when_batches_wait_and_none_is_wanted(fleet: Template) -> None:
    (alarm,) = [
        one["Properties"] for one in resources(fleet, "AWS::CloudWatch::Alarm") if "Metrics" in one["Properties"]
    ]
    queued, desired, wanted = alarm["Metrics"]
    assert queued["MetricStat"]["Metric"]["Dimensions"][0]["Value"] == {
        "Fn::GetAtt": ["QueuesBatch50526DB6", "QueueName"]
    }
    assert desired["MetricStat"]["Metric"]["MetricName"] == "GroupDesiredCapacity"
    assert (
        group_of(fleet)["MetricsCollection"][0]["Metrics"][0] == "GroupDesiredCapacity"
    )  # else there is no such metric
    assert wanted["Expression"] == "IF(queued > 0 AND FILL(desired, 0) < 1, 1, 0)"
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["AlarmActions"] == [{"Ref": "FleetGroupOneMoreE9ED17C2"}]


def test_the_topic_is_encrypted_takes_tls_alone_and_writes_to_its_reader(fleet: Template) -> None:
    topic, policy = only(fleet, "AWS::SNS::Topic")["Properties"], only(fleet, "AWS::SNS::TopicPolicy")["Properties"]
    assert "alias/aws/sns" in json.dumps(topic["KmsMasterKeyId"])
    (denied,) = policy["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert only(fleet, "AWS::SNS::Subscription")["Properties"]["Endpoint"] == "me@example.com"
    (ref,) = (r["Ref"] for r in [rights_of(fleet, "TellThatABatchHasEnded")["TellThatABatchHasEnded"]["Resource"]])
    for user_data in (launch_data(fleet)["UserData"], only(fleet, "AWS::EC2::Instance")["Properties"]["UserData"]):
        assert json.dumps({"Ref": ref}) in json.dumps(user_data)


@pytest.mark.parametrize("kind", ["template", "fleet"])
def test_a_schedule_may_release_a_batch_and_start_what_draws_it(kind: str, request: pytest.FixtureRequest) -> None:
    template = request.getfixturevalue(kind)
    rights = rights_of(template, "Release", "StartTheInstance", "SizeTheFleet")
    assert rights["Release"]["Action"] == "sqs:SendMessage"
    assert rights["Release"]["Resource"] == {"Fn::GetAtt": ["QueuesBatch50526DB6", "Arn"]}
    assert rights["StartTheInstance"]["Action"] == "ec2:StartInstances"
    assert ("SizeTheFleet" in rights) == (kind == "fleet")
    if kind == "fleet":
        most = rights["SizeTheFleet"]["Condition"]["NumericLessThanEqualsIfExists"]
        assert most == {"autoscaling:MinSize": "3", "autoscaling:MaxSize": "3"}
    role = template["Resources"][template["Outputs"]["ReleaseRole"]["Value"]["Fn::GetAtt"][0]]["Properties"]
    (trusted,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trusted["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_a_stack_that_gets_a_fleet_keeps_everything_that_it_has(template: Template, fleet: Template) -> None:
    def told(template: Template, name: str) -> str:
        # The instance's user data names the topic, and the endpoint gets the further zones' route tables.
        resource = json.loads(json.dumps(template["Resources"][name]))
        for changed in ("UserData", "RouteTableIds"):
            resource.get("Properties", {}).pop(changed, None)
        resource.get("Properties", {}).get("LaunchTemplateData", {}).pop("UserData", None)
        return json.dumps(resource, sort_keys=True)

    changed = [
        name for name in template["Resources"]
        if name not in fleet["Resources"] or told(template, name) != told(fleet, name)
    ]  # fmt: skip
    assert changed == ["ReleasePolicyFAC7EC38"]  # which may size the group now
    assert not [name for name in template["Resources"] if name.startswith(("Fleet", "Notice"))]


def test_a_fleet_has_several_zones_unless_they_are_given() -> None:
    assert settings_from_context({"fleet": "2"}, region="eu-west-1").zones == 3
    assert settings_from_context({"fleet": "2"}, region="us-west-1").zones == 2
    assert settings_from_context({"fleet": "2", "zones": "1"}, region="eu-west-1").zones == 1
    assert settings_from_context({}, region="eu-west-1").zones == 1
