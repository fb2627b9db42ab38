"""CloudFormation checks, changes, rolls back and deletes as the real service does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local.aws.seeds import publish
from scripts.local.local_cloud import LocalCloud
from stacks.facts.machine_image import DEEP_LEARNING_AMI
from tests.local_cloud.conftest import Stack, left_of, until

pytestmark = pytest.mark.local_cloud

TLS_ONLY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}


def bucket_template() -> dict[str, Any]:
    return {
        "Parameters": {"Height": {"Type": "Number", "Default": 512, "MinValue": 64}},
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"},
        },
    }


def network_template() -> dict[str, Any]:
    return {
        "Parameters": {"SshCidr": {"Type": "String", "Default": ""}},
        "Conditions": {"WithSsh": {"Fn::Not": [{"Fn::Equals": [{"Ref": "SshCidr"}, ""]}]}},
        "Resources": {
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
            "Group": {
                "Type": "AWS::EC2::SecurityGroup",
                "Properties": {
                    "GroupDescription": "no way in",
                    "VpcId": {"Ref": "Vpc"},
                    "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}],
                },
            },
            "Ssh": {
                "Type": "AWS::EC2::SecurityGroupIngress",
                "Condition": "WithSsh",
                "Properties": {
                    "GroupId": {"Fn::GetAtt": ["Group", "GroupId"]},
                    "IpProtocol": "tcp",
                    "FromPort": 22,
                    "ToPort": 22,
                    "CidrIp": {"Ref": "SshCidr"},
                    "Description": "SSH",
                },
            },
        },
        "Outputs": {"Open": {"Condition": "WithSsh", "Value": {"Ref": "SshCidr"}}},
    }


@pytest.mark.parametrize("through", ["stack", "change set"])
def test_a_bad_parameter_is_refused_before_anything_is_created(stack: Stack, through: str) -> None:
    asked: dict[str, Any] = {
        "StackName": stack.name,
        "TemplateBody": json.dumps(bucket_template()),
        "Parameters": [{"ParameterKey": "Height", "ParameterValue": "8"}],
    }
    with pytest.raises(ClientError, match="Parameter 'Height' must be a number not less than 64") as refusal:
        if through == "stack":
            stack.client.create_stack(**asked)
        else:
            stack.client.create_change_set(ChangeSetName="c", ChangeSetType="CREATE", **asked)
    assert refusal.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="does not exist"):
        stack.describe()


def test_a_bad_update_changes_nothing(stack: Stack) -> None:
    stack.create(bucket_template())
    with pytest.raises(ClientError, match="must be a number"):
        stack.update(bucket_template(), Height="tall")
    assert stack.parameters() == {"Height": "512"}
    assert stack.describe()["StackStatus"] == "CREATE_COMPLETE"


def test_a_rule_that_is_broken_is_refused(stack: Stack) -> None:
    template = bucket_template()
    assertion = {"Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Height"}, "512"]}]}, "AssertDescription": "not 512"}
    template["Rules"] = {"Odd": {"Assertions": [assertion]}}
    with pytest.raises(ClientError, match="Odd failed: not 512"):
        stack.create(template)


def test_a_failure_rolls_back_and_says_why(stack: Stack) -> None:
    template = network_template()
    template["Resources"]["Group"]["Properties"]["SecurityGroupEgress"][0]["CidrIp"] = "everywhere"
    with pytest.raises(AssertionError, match="everywhere"):
        stack.create(template)
    assert stack.describe()["StackStatus"] == "ROLLBACK_COMPLETE"
    assert left_of(stack) == []


def test_an_endpoint_that_got_another_route_table_is_deleted(stack: Stack) -> None:
    """As that of a stack which moved to another zone."""
    vpc = {"Ref": "Vpc"}
    resources: dict[str, Any] = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        **{f"Table{n}": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": vpc}} for n in (1, 2)},
    }
    for tables in (["Table1"], ["Table1", "Table2"], ["Table2"]):
        properties = {
            "VpcId": vpc,
            "ServiceName": "com.amazonaws.us-east-1.s3",
            "VpcEndpointType": "Gateway",
            "RouteTableIds": [{"Ref": name} for name in tables],
        }
        resources["Endpoint"] = {"Type": "AWS::EC2::VPCEndpoint", "Properties": properties}
        (stack.create if tables == ["Table1"] else stack.update)({"Resources": resources})
    stack.delete()
    assert left_of(stack) == []


def test_a_failed_update_goes_back_to_what_was(stack: Stack) -> None:
    stack.create(network_template())
    broken = network_template()
    broken["Resources"]["Group"]["Properties"]["GroupDescription"] = "a new one"
    broken["Resources"]["Zz"] = {
        "Type": "AWS::EC2::Subnet",
        "DependsOn": ["Group"],
        "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "nowhere"},
    }
    group = stack.physical_id("Group")
    with pytest.raises(AssertionError, match="nowhere"):
        stack.update(broken)
    assert stack.describe()["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.physical_id("Group") == group
    assert len([one for one in left_of(stack) if one.startswith("sg-")]) == 1


def test_a_type_that_is_not_emulated_is_an_error_and_not_silence(stack: Stack) -> None:
    template = bucket_template()
    template["Resources"]["X"] = {"Type": "AWS::Nothing::AtAll"}
    with pytest.raises(AssertionError, match="AWS::Nothing::AtAll"):
        stack.create(template)


def test_what_stands_under_a_condition_comes_and_goes_with_a_parameter(stack: Stack, cloud: LocalCloud) -> None:
    def ranges() -> list[str]:
        [group] = cloud.client("ec2").describe_security_groups(GroupIds=[stack.physical_id("Group")])["SecurityGroups"]
        return [one["CidrIp"] for rule in group["IpPermissions"] for one in rule["IpRanges"]]

    stack.create(network_template())
    group = stack.physical_id("Group")
    assert "Outputs" not in stack.describe()
    stack.update(network_template(), SshCidr="203.0.113.7/32")
    assert ranges() == ["203.0.113.7/32"]
    assert stack.describe()["Outputs"][0]["OutputValue"] == "203.0.113.7/32"
    stack.update(network_template(), SshCidr="203.0.113.8/32")
    assert ranges() == ["203.0.113.8/32"]
    stack.update(network_template(), SshCidr="")
    assert ranges() == []
    assert stack.physical_id("Group") == group


def test_a_bucket_that_is_not_retained_must_be_empty(stack: Stack, cloud: LocalCloud) -> None:
    template = bucket_template()
    template["Resources"]["Bucket"]["DeletionPolicy"] = "Delete"
    stack.create(template)
    bucket = stack.physical_id("Bucket")
    cloud.client("s3").put_object(Bucket=bucket, Key="image.png", Body=b"png")
    stack.client.delete_stack(StackName=stack.name)
    stack.expect("DELETE_FAILED")
    assert any("not empty" in reason for reason in stack.reasons())
    cloud.client("s3").delete_object(Bucket=bucket, Key="image.png")
    stack.delete()
    with pytest.raises(ClientError, match="404"):
        cloud.client("s3").head_bucket(Bucket=bucket)


def test_the_private_key_lies_in_the_parameter_store(stack: Stack, cloud: LocalCloud) -> None:
    name = f"{stack.name}-key"
    stack.create(
        {
            "Resources": {"Key": {"Type": "AWS::EC2::KeyPair", "Properties": {"KeyName": name}}},
            "Outputs": {"Id": {"Value": {"Fn::GetAtt": ["Key", "KeyPairId"]}}},
        }
    )
    path = f"/ec2/keypair/{stack.describe()['Outputs'][0]['OutputValue']}"
    ssm = cloud.client("ssm")
    key = ssm.get_parameter(Name=path, WithDecryption=True)["Parameter"]["Value"]
    assert "PRIVATE KEY" in key
    stack.delete()
    with pytest.raises(ClientError, match="ParameterNotFound"):
        ssm.get_parameter(Name=path)


def instance_template() -> dict[str, Any]:
    return {
        "Parameters": {"VolumeSize": {"Type": "Number", "Default": "100"}},
        "Resources": {
            "Template": {
                "Type": "AWS::EC2::LaunchTemplate",
                "Properties": {
                    "LaunchTemplateData": {
                        "ImageId": f"resolve:ssm:{DEEP_LEARNING_AMI}",
                        "InstanceInitiatedShutdownBehavior": "terminate",
                        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": "1"},
                        "BlockDeviceMappings": [
                            {
                                "DeviceName": "/dev/xvda",
                                "Ebs": {"VolumeSize": {"Ref": "VolumeSize"}, "VolumeType": "gp3", "Encrypted": True},
                            }
                        ],
                        "TagSpecifications": [
                            {"ResourceType": kind, "Tags": [{"Key": "project", "Value": "from the template"}]}
                            for kind in ("instance", "network-interface", "volume")
                        ],
                    }
                },
            },
            "Machine": {
                "Type": "AWS::EC2::Instance",
                "Properties": {
                    "InstanceType": "g5.xlarge",
                    "LaunchTemplate": {
                        "LaunchTemplateId": {"Ref": "Template"},
                        "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                    },
                    "PropagateTagsToVolumeOnCreation": True,
                    "Tags": [{"Key": "Name", "Value": "sd"}],
                },
            },
        },
    }


def test_an_instance_is_what_its_launch_template_says(stack: Stack, cloud: LocalCloud) -> None:
    stack.create(instance_template())
    instance = stack.instance()
    assert instance["ImageId"].startswith("ami-")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert {"Key": "Name", "Value": "sd"} in instance["Tags"]
    volume_id = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    [volume] = cloud.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (100, "gp3", True)
    assert volume["Tags"] == [{"Key": "Name", "Value": "sd"}]
    [interface] = instance["NetworkInterfaces"]
    [described] = cloud.client("ec2").describe_network_interfaces(
        NetworkInterfaceIds=[interface["NetworkInterfaceId"]]
    )["NetworkInterfaces"]
    assert "from the template" not in json.dumps([instance["Tags"], volume["Tags"], described["TagSet"]])
    behaviour = cloud.client("ec2").describe_instance_attribute(
        InstanceId=stack.instance_id, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_a_new_version_of_the_launch_template_makes_a_new_instance(stack: Stack) -> None:
    stack.create(instance_template())
    first = stack.instance_id
    stack.update(instance_template(), VolumeSize="200")
    assert stack.instance_id != first
    stack.until_state("terminated", first)


def test_a_new_ami_does_not_replace_the_instance(stack: Stack, cloud: LocalCloud) -> None:
    stack.create(instance_template())
    first, image_id = stack.instance_id, stack.instance()["ImageId"]
    changed = instance_template()
    changed["Resources"]["Machine"]["Properties"]["Tags"] = [{"Key": "Name", "Value": "renamed"}]
    publish(cloud.account, DEEP_LEARNING_AMI, "ami-0123456789abcdef0")
    try:
        stack.update(changed)
    finally:
        publish(cloud.account, DEEP_LEARNING_AMI, image_id)
    assert stack.instance_id == first
    assert stack.instance()["ImageId"] == image_id
    assert {"Key": "Name", "Value": "renamed"} in stack.instance()["Tags"]


def test_an_unknown_instance_type_is_refused(stack: Stack) -> None:
    template = instance_template()
    template["Resources"]["Machine"]["Properties"]["InstanceType"] = "g5.enormous"
    with pytest.raises(AssertionError, match=r"g5\.enormous"):
        stack.create(template)
    assert left_of(stack) == []


def test_change_sets_of_one_name_belong_to_their_stacks(stack: Stack, cloud: LocalCloud) -> None:
    other = Stack(cloud)
    for one, key in ((stack, "A"), (other, "B")):
        resources = {key: {"Type": "AWS::SQS::Queue"}}
        one.client.create_change_set(
            StackName=one.name,
            ChangeSetName="same",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps({"Resources": resources}),
        )
    described = stack.client.describe_change_set(StackName=stack.name, ChangeSetName="same")
    assert [change["ResourceChange"]["LogicalResourceId"] for change in described["Changes"]] == ["A"]
    stack.client.execute_change_set(StackName=stack.name, ChangeSetName="same")
    until(lambda: stack.describe()["StackStatus"] == "CREATE_COMPLETE", "it is created")
    assert other.describe()["StackStatus"] == "REVIEW_IN_PROGRESS"
    # Of two first deploys at once, one is refused, and not by a fault of the service.
    template = json.dumps({"Resources": {"C": {"Type": "AWS::SQS::Queue"}}})
    named = {"StackName": other.name, "ChangeSetName": "second", "ChangeSetType": "CREATE", "TemplateBody": template}
    other.client.create_change_set(**named)
    with pytest.raises(ClientError, match="ChangeSetNotFound"):
        other.client.execute_change_set(StackName=other.name, ChangeSetName="same")
    other.client.delete_stack(StackName=other.name)


def test_a_stack_that_was_rolled_back_is_created_again_once_it_is_deleted(stack: Stack) -> None:
    """As `cdk deploy` does after a failure: it deletes the stack, and gives its change set the same name again."""
    bad = {"Bad": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "no such/name"}}}
    for resources, status in ((bad, "ROLLBACK_COMPLETE"), ({"Good": {"Type": "AWS::SQS::Queue"}}, "CREATE_COMPLETE")):
        named = {"StackName": stack.name, "ChangeSetName": "cdk-deploy-change-set"}
        template = json.dumps({"Resources": resources})
        stack.client.create_change_set(ChangeSetType="CREATE", TemplateBody=template, **named)
        stack.client.execute_change_set(**named)
        stack.expect(status)
        if status == "ROLLBACK_COMPLETE":
            stack.delete()
