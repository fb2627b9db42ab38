"""What would hurt if the template said otherwise: money, open doors, rights, lost images, lost disks."""

from __future__ import annotations

import filecmp
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.local.cloudformation.template import dependencies
from stacks.facts.machine_parameters import FOR_THE_DEPLOYMENT_ONLY
from stacks.parameters import GROUPS, parameters_of
from tests import synthesized_once
from tests.synth.conftest import AUDITED, ROOT, Template, only, read_template, resources, synthesize

pytestmark = pytest.mark.synth


def test_it_has_what_it_needs_and_nothing_that_costs_while_idle(template: Template) -> None:
    kinds = sorted({resource["Type"] for resource in template["Resources"].values()})
    assert kinds == [
        "AWS::CloudWatch::Alarm",
        "AWS::EC2::Instance",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::KeyPair",
        "AWS::EC2::LaunchTemplate",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        "AWS::EC2::VPCEndpoint",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
    ]
    assert len(resources(template, "AWS::EC2::Instance")) == 1
    assert len(resources(template, "AWS::EC2::Subnet")) == 1
    assert only(template, "AWS::EC2::VPCEndpoint")["Properties"]["VpcEndpointType"] == "Gateway"


def test_no_port_is_open_unless_a_range_is_given(template: Template) -> None:
    group = only(template, "AWS::EC2::SecurityGroup")["Properties"]
    rule = only(template, "AWS::EC2::SecurityGroupIngress")
    assert "SecurityGroupIngress" not in group
    assert template["Conditions"][rule["Condition"]] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "SshCidr"}, ""]}]}
    assert rule["Properties"]["CidrIp"] == {"Ref": "SshCidr"}
    assert (rule["Properties"]["FromPort"], rule["Properties"]["ToPort"]) == (22, 22)
    assert template["Parameters"]["SshCidr"]["Default"] == ""


def test_the_bucket_is_private_encrypted_and_outlives_the_stack(template: Template) -> None:
    bucket, policy = only(template, "AWS::S3::Bucket"), only(template, "AWS::S3::BucketPolicy")
    properties = bucket["Properties"]
    assert all(properties["PublicAccessBlockConfiguration"].values())
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    encryption = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    for resource in (bucket, policy):
        # A creation that fails deletes them, as long as the bucket is empty; nothing else does.
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    statement = policy["Properties"]["PolicyDocument"]["Statement"][0]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_bucket_is_written_without_looking_by_nobody(template: Template) -> None:
    """tests/local_cloud/test_rights.py shows what that does to which keys."""
    statements = only(template, "AWS::S3::BucketPolicy")["Properties"]["PolicyDocument"]["Statement"]
    denied = {one["Sid"]: one for one in statements if "Sid" in one}
    absent = {"WriteOnce": ["s3:if-none-match"], "ReplaceKnowingly": ["s3:if-none-match", "s3:if-match"]}
    for sid, headers in absent.items():
        one = denied[sid]
        assert (one["Effect"], one["Principal"], one["Action"]) == ("Deny", {"AWS": "*"}, "s3:PutObject")
        creates = {"s3:ObjectCreationOperation": "true"}  # or no upload in parts could ever begin
        assert one["Condition"] == {"Null": dict.fromkeys(headers, "true"), "Bool": creates}


def test_the_role_has_these_rights_and_no_others(template: Template) -> None:
    rights = {
        (action, json.dumps(resource))
        for statement in of_the_worker(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }
    bucket = next(name for name, r in template["Resources"].items() if r["Type"] == "AWS::S3::Bucket")
    arn = {"Fn::GetAtt": [bucket, "Arn"]}

    def objects(prefix: str) -> str:
        return json.dumps({"Fn::Join": ["", [arn, prefix]]})

    own = {right for right in rights if "cdk-hnb659fds-assets" not in right[1]}
    everywhere = json.dumps("*")
    work, dead = queues_of(template)
    (batch,) = (queue for queue in work if "Batch" in queue)
    asks = ("GetQueueUrl", "ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage")
    assert own == {
        *((f"sqs:{verb}", json.dumps({"Fn::GetAtt": [queue, "Arn"]})) for verb in asks for queue in work),
        *(
            (f"sqs:{verb}", json.dumps({"Fn::GetAtt": [queue, "Arn"]}))
            for verb in ("GetQueueUrl", "SendMessage")
            for queue in dead
        ),
        ("sqs:SendMessage", json.dumps({"Fn::GetAtt": [batch, "Arn"]})),
        ("s3:PutObject", objects("/runs/*")),
        ("s3:PutObject", objects("/boots/*")),
        ("s3:GetObject", objects("/runs/*")),
        ("s3:GetObject", objects("/inputs/*")),
        ("s3:GetObject", objects("/holds/*")),
        ("s3:GetObject", objects("/cache/*")),
        ("s3:PutObject", objects("/cache/*")),
        ("s3:ListBucket", json.dumps(arn)),
        ("ssm:UpdateInstanceInformation", everywhere),
        ("ssmmessages:CreateControlChannel", everywhere),
        ("ssmmessages:CreateDataChannel", everywhere),
        ("ssmmessages:OpenControlChannel", everywhere),
        ("ssmmessages:OpenDataChannel", everywhere),
    }
    ((action, bundle),) = rights - own
    assert action == "s3:GetObject"
    assert ".zip" in bundle
    assert "*" not in bundle
    assert "ManagedPolicyArns" not in of_the_worker(template, "AWS::IAM::Role")


def queues_of(template: Template) -> tuple[set[str], set[str]]:
    """The logical ids of the queues of work, and those of the dead-letter queues."""
    queues = {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == "AWS::SQS::Queue"}
    work = {name for name, properties in queues.items() if "RedrivePolicy" in properties}
    return work, queues.keys() - work


def test_the_queues_are_encrypted_take_tls_alone_and_lose_no_message(template: Template) -> None:
    work, dead = queues_of(template)
    assert (len(work), len(dead)) == (2, 2)
    secured = set()
    for policy in resources(template, "AWS::SQS::QueuePolicy"):
        (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
        (queue,) = policy["Properties"]["Queues"]
        assert (statement["Effect"], statement["Action"], statement["Principal"]) == ("Deny", "sqs:*", {"AWS": "*"})
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert statement["Resource"] == {"Fn::GetAtt": [queue["Ref"], "Arn"]}
        secured.add(queue["Ref"])
    assert secured == work | dead
    taken = set()
    for name in work | dead:
        properties = template["Resources"][name]["Properties"]
        assert properties["SqsManagedSseEnabled"] is True
        assert (properties["VisibilityTimeout"], properties["ReceiveMessageWaitTimeSeconds"]) == (120, 20)
        days = properties["MessageRetentionPeriod"] / 86_400
        assert days == 14 if name in dead else 4 <= days <= 14
        if name in work:
            redrive = properties["RedrivePolicy"]
            assert redrive["maxReceiveCount"] == 10
            taken.add(redrive["deadLetterTargetArn"]["Fn::GetAtt"][0])
    assert taken == dead


def test_the_user_data_names_the_queues_by_the_beginning_of_their_names(template: Template) -> None:
    uuid = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
    line = json.dumps(["Queues:sd-", uuid]).strip("[]").replace('"Queues:', "Queues:")
    assert line in json.dumps(user_data_of(template))
    names = {
        json.dumps(queue["Properties"]["QueueName"]["Fn::Join"][1]) for queue in resources(template, "AWS::SQS::Queue")
    }
    ends = ("-interactive", "-interactive-dead", "-batch", "-batch-dead")
    assert names == {json.dumps(["sd-", uuid, end]) for end in ends}


def of_the_worker(template: Template, kind: str) -> dict[str, Any]:
    """The properties of the one resource of that type that belongs to the instance."""
    found = [r for name, r in template["Resources"].items() if r["Type"] == kind and name.startswith("Worker")]
    (properties,) = [resource["Properties"] for resource in found]
    return dict(properties)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_launch_template_is_safe_and_never_changes_by_itself(template: Template) -> None:
    data = only(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert data["ImageId"].startswith("resolve:ssm:/aws/service/deeplearning/ami/")
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpPutResponseHopLimit": 1,
        "HttpTokens": "required",
    }
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"] == {
        "DeleteOnTermination": True,
        "Encrypted": True,
        "VolumeSize": {"Ref": "VolumeSize"},
        "VolumeType": "gp3",
    }
    assert "KeyName" in data
    assert not any(
        p["Type"].startswith("AWS::SSM") and n != "BootstrapVersion" for n, p in template["Parameters"].items()
    )


def test_a_prompt_changes_the_user_data_alone_and_another_type_the_type(template: Template) -> None:
    """Of the instance, or, where it is gone by then, of the launch template, which makes another one."""
    (launch_template,) = [n for n, r in template["Resources"].items() if r["Type"] == "AWS::EC2::LaunchTemplate"]
    (instance,) = [n for n, r in template["Resources"].items() if r["Type"] == "AWS::EC2::Instance"]
    for parameter in ("Prompt", "InstanceType"):
        told = f'"Ref": "{parameter}"'
        users = {name for name, resource in template["Resources"].items() if told in json.dumps(resource)}
        assert users == {launch_template, instance}
    data = dict(template["Resources"][launch_template]["Properties"]["LaunchTemplateData"])
    properties = dict(template["Resources"][instance]["Properties"])
    nothing = {"Ref": "AWS::NoValue"}
    condition, user_data, otherwise = data.pop("UserData")["Fn::If"]
    assert template["Conditions"][condition] == {"Fn::Equals": [{"Ref": "AfterRun"}, "terminate"]}
    assert otherwise == nothing
    assert data.pop("InstanceType") == {"Fn::If": [condition, {"Ref": "InstanceType"}, nothing]}
    assert properties.pop("UserData") == {"Fn::If": [condition, nothing, user_data]}
    assert '"Ref": "Prompt"' in json.dumps(user_data)
    assert '"Ref": "Prompt"' not in json.dumps([data, properties])


def user_data_of(template: Template) -> Any:
    """What the instance runs, before its base64."""
    return only(template, "AWS::EC2::Instance")["Properties"]["UserData"]["Fn::If"][2]["Fn::Base64"]


def test_free_text_reaches_the_script_only_as_base64_and_never_as_that_of_nothing(template: Template) -> None:
    user_data = json.dumps(user_data_of(template))
    parameters = [parameter for model in GROUPS.values() for parameter in parameters_of(model)]
    assert {parameter.name for parameter in parameters if not parameter.is_plain} >= {"Prompt", "NegativePrompt"}
    for parameter in parameters:
        text = json.dumps({"Ref": parameter.name})
        # AWS does not say what Fn::Base64 makes of an empty text.
        encoded = json.dumps({"Fn::Base64": {"Fn::Join": ["", [{"Ref": parameter.name}, "\n"]]}})
        assert parameter.is_plain or text not in user_data.replace(encoded, ""), parameter.name
    assert user_data.count("Fn::Base64") == sum(not parameter.is_plain for parameter in parameters)


def test_the_alarm_counts_max_hours_in_the_five_minutes_that_ec2_reports_in(template: Template) -> None:
    alarm = only(template, "AWS::CloudWatch::Alarm")["Properties"]
    mapping, key, name = alarm["EvaluationPeriods"]["Fn::FindInMap"]
    assert (key, name) == ({"Ref": "MaxHours"}, "periods")
    hours = template["Mappings"][mapping]
    assert {number: int(found[name]) * alarm["Period"] for number, found in hours.items()} == {
        str(number): number * 3600 for number in range(1, 25)
    }
    pattern = re.compile(template["Parameters"]["MaxHours"]["AllowedPattern"])
    assert {number for number in map(str, range(100)) if pattern.fullmatch(number)} == set(hours)
    # Real for any number of periods as long as the instance runs, and absent while it does not.
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/EC2", "CPUUtilization", "Maximum")
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (0, "notBreaching")
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_the_alarm_is_set_back_by_a_role_that_can_do_only_that(template: Template) -> None:
    (alarm,) = [name for name, r in template["Resources"].items() if r["Type"] == "AWS::CloudWatch::Alarm"]
    schedule = only(template, "AWS::Scheduler::Schedule")["Properties"]
    assert (schedule["ScheduleExpression"], schedule["State"]) == ("rate(30 minutes)", "ENABLED")
    assert json.dumps(schedule["Target"]["Arn"]).endswith(':scheduler:::aws-sdk:cloudwatch:setAlarmState"]]}')
    before, name, after = schedule["Target"]["Input"]["Fn::Join"][1]
    assert name == {"Ref": alarm}
    asked = json.loads(f"{before}NAME{after}")
    assert (asked["AlarmName"], asked["StateValue"]) == ("NAME", "OK")
    assert asked["StateReason"]
    (statement,) = _schedulers_policy(template, schedule["Target"]["RoleArn"]["Fn::GetAtt"][0])
    assert (statement["Effect"], statement["Action"]) == ("Allow", "cloudwatch:SetAlarmState")
    assert statement["Resource"]["Fn::Join"][1][-2:] == [":alarm:", {"Ref": alarm}]


def _schedulers_policy(template: Template, role: str) -> list[dict[str, Any]]:
    (policy,) = [p for p in resources(template, "AWS::IAM::Policy") if {"Ref": role} in p["Properties"]["Roles"]]
    return list(policy["Properties"]["PolicyDocument"]["Statement"])


def test_a_power_off_and_the_alarm_stop_the_instance_unless_it_shall_go(template: Template) -> None:
    behavior = only(template, "AWS::EC2::Instance")["Properties"]["InstanceInitiatedShutdownBehavior"]
    condition, *values = behavior["Fn::If"]
    assert values == ["terminate", "stop"]
    assert template["Conditions"][condition] == {"Fn::Equals": [{"Ref": "AfterRun"}, "terminate"]}
    (action,) = only(template, "AWS::CloudWatch::Alarm")["Properties"]["AlarmActions"]
    region = {"Ref": "AWS::Region"}
    assert action == {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":automate:", region, ":ec2:", behavior]]}


def test_everything_that_can_carry_tags_carries_the_projects(template: Template) -> None:
    wanted = {"project": "sd-on-ec2", "sd-on-ec2:stack": {"Ref": "AWS::StackName"}}
    without = set()
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::EC2::LaunchTemplate":
            specifications = resource["Properties"]["TagSpecifications"]
        else:
            specifications = [resource["Properties"]]
        for properties in specifications:
            tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
            if not wanted.items() <= tags.items():
                without.add(resource["Type"])
    assert without == UNTAGGABLE


# By CloudFormation's own schemas.
UNTAGGABLE = {
    "AWS::EC2::Route",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::Policy",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
}


def test_what_ec2_makes_at_the_launch_is_tagged_too(template: Template) -> None:
    assert only(template, "AWS::EC2::Instance")["Properties"]["PropagateTagsToVolumeOnCreation"] is True
    assert _tagged_at_launch(template) == {"instance", "volume", "network-interface"}


def _tagged_at_launch(template: Template) -> set[str]:
    data = only(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    wanted = [
        {"Key": "project", "Value": "sd-on-ec2"},
        {"Key": "sd-on-ec2:stack", "Value": {"Ref": "AWS::StackName"}},
    ]
    return {one["ResourceType"] for one in data["TagSpecifications"] if all(tag in one["Tags"] for tag in wanted)}


def test_another_value_of_replaces_changes_the_launch_template_and_nothing_else(template: Template) -> None:
    users = [name for name, resource in template["Resources"].items() if '"Ref": "Replaces"' in json.dumps(resource)]
    (launch_template,) = [n for n, r in template["Resources"].items() if r["Type"] == "AWS::EC2::LaunchTemplate"]
    assert users == [launch_template]
    version = only(template, "AWS::EC2::Instance")["Properties"]["LaunchTemplate"]["Version"]
    assert version == {"Fn::GetAtt": [launch_template, "LatestVersionNumber"]}


def test_what_the_machine_never_asks_for_stays_out_of_its_user_data(template: Template) -> None:
    user_data = json.dumps(user_data_of(template))
    named = {name for name in template["Parameters"] if f'"Ref": "{name}"' in user_data}
    assert set(template["Parameters"]) - named == FOR_THE_DEPLOYMENT_ONLY | {"BootstrapVersion"}


def test_a_spot_instance_has_a_request_for_one_time_and_is_never_stopped(tmp_path: Path) -> None:
    finished = synthesize(tmp_path, **AUDITED["spot"])
    assert finished.returncode == 0, finished.stderr
    template = read_template(tmp_path)
    data = only(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    options = {"InstanceInterruptionBehavior": "terminate", "MaxPrice": "0.45", "SpotInstanceType": "one-time"}
    assert data["InstanceMarketOptions"] == {"MarketType": "spot", "SpotOptions": options}
    assert _tagged_at_launch(template) == {"instance", "volume", "network-interface", "spot-instances-request"}
    instance = only(template, "AWS::EC2::Instance")["Properties"]
    assert instance["InstanceInitiatedShutdownBehavior"] == "terminate"
    alarm = only(template, "AWS::CloudWatch::Alarm")["Properties"]
    assert json.dumps(alarm["AlarmActions"]).endswith(':ec2:terminate"]]}]')
    # Another prompt or type must be another instance: this one can neither be stopped nor, once it is gone, be changed.
    assert data["InstanceType"] == {"Ref": "InstanceType"}
    assert "UserData" not in instance
    assert '"Ref": "Prompt"' in json.dumps(data["UserData"]["Fn::Base64"])
    assert json.loads(template["Outputs"]["Settings"]["Value"]) == AUDITED["spot"]


def test_a_budget_counts_what_carries_the_tag_and_writes_to_its_reader(tmp_path: Path) -> None:
    finished = synthesize(tmp_path, **AUDITED["budget"])
    assert finished.returncode == 0, finished.stderr
    budget = only(read_template(tmp_path), "AWS::Budgets::Budget")["Properties"]
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 10, "Unit": "USD"}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:project$sd-on-ec2"]}
    told = {
        (one["Notification"]["NotificationType"], one["Notification"]["Threshold"], one["Subscribers"][0]["Address"])
        for one in budget["NotificationsWithSubscribers"]
    }
    assert told == {(kind, at, "me@example.com") for kind, at in [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]}


def test_the_instance_goes_before_its_rights_and_its_way_out(template: Template) -> None:
    depends = only(template, "AWS::EC2::Instance")["DependsOn"]
    kinds = {template["Resources"][name]["Type"] for name in depends}
    assert {"AWS::IAM::Policy", "AWS::EC2::Route"} <= kinds


def test_what_can_fail_without_the_instance_comes_before_it(tmp_path: Path) -> None:
    """A failure terminates an instance that was launched meanwhile, and it has cost money for nothing."""
    finished = synthesize(tmp_path, **AUDITED["budget"])
    assert finished.returncode == 0, finished.stderr
    template = read_template(tmp_path)
    (instance,) = [n for n, r in template["Resources"].items() if r["Type"] == "AWS::EC2::Instance"]
    needs = dependencies(template["Resources"])

    def below(name: str) -> set[str]:
        return needs[name] | {far for near in needs[name] for far in below(near)}

    free = {name for name in needs if name not in below(instance) and instance not in {name, *below(name)}}
    # An inbound rule that is not always there, and a role like the instance's own, which CDK makes for the schedule.
    assert {template["Resources"][name]["Type"] for name in free} == {
        "AWS::EC2::SecurityGroupIngress",
        "AWS::IAM::Role",
    }


def test_the_outputs_tell_what_comes_next(template: Template) -> None:
    outputs = template["Outputs"]
    assert set(outputs) == {
        "ResultsBucket", "InstanceId", "InteractiveQueue", "BatchQueue",
        "PrivateKey", "Shell", "Status", "Images", "Start", "Destroy", "Settings", "ReleaseRole",
    }  # fmt: skip
    assert all(output["Description"] for output in outputs.values())
    assert "/ec2/keypair/" in json.dumps(outputs["PrivateKey"]["Value"])


def test_two_syntheses_are_identical(assembly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(synthesized_once.FOLDER, str(tmp_path))  # where the first one is not kept
    out = tmp_path / "out"
    out.mkdir()
    assert synthesize(out).returncode == 0
    names = ["SdOnEc2.template.json", "SdOnEc2.assets.json"]
    assert filecmp.cmpfiles(assembly, out, names, shallow=False)[0] == names


def _audited(folder: Path) -> list[str]:
    """The templates of all settings. Each synthesis asks cdk-nag too, and fails at a finding without a reason."""
    for name, context in AUDITED.items():
        finished = synthesize(folder / name, **context)
        assert finished.returncode == 0, finished.stderr
    return [str(folder / name / "SdOnEc2.template.json") for name in AUDITED]


def test_cfn_lint_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), *_audited(tmp_path)]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.long
def test_checkov_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts/audit"), "checkov", *_audited(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_settings_choose_the_resources(tmp_path: Path) -> None:
    finished = synthesize(tmp_path, **AUDITED["own"])
    assert finished.returncode == 0, finished.stderr
    template = read_template(tmp_path)
    assert resources(template, "AWS::S3::Bucket") == []
    assert template["Outputs"]["ResultsBucket"]["Value"] == "my-pictures"
    data = only(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert data["ImageId"] == "ami-0123456789abcdef0"
    rights = of_the_worker(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    of_the_key = [statement for statement in rights if "kms" in json.dumps(statement)]
    assert [(one["Action"], one["Resource"]) for one in of_the_key] == [
        (["kms:Decrypt", "kms:GenerateDataKey"], AUDITED["own"]["output_key"])
    ]


def test_results_that_are_not_kept_go_with_the_stack(tmp_path: Path) -> None:
    finished = synthesize(tmp_path, **AUDITED["budget"])
    assert finished.returncode == 0, finished.stderr
    template = read_template(tmp_path)
    assert only(template, "AWS::S3::Bucket")["DeletionPolicy"] == "Delete"
    (emptied,) = [name for name, r in template["Resources"].items() if r["Type"] == "Custom::S3AutoDeleteObjects"]
    assert template["Resources"][emptied]["DeletionPolicy"] == "Delete"
    # A worker that is being stopped uploads what it has: the instance has to be gone before the bucket is emptied.
    assert emptied in only(template, "AWS::EC2::Instance")["DependsOn"]
    # Lambda would make a log of its own, which no stack deletes and no tag names.
    (log,) = [name for name, r in template["Resources"].items() if r["Type"] == "AWS::Logs::LogGroup"]
    assert template["Resources"][log]["DeletionPolicy"] == "Delete"
    assert only(template, "AWS::Lambda::Function")["Properties"]["LoggingConfig"] == {"LogGroup": {"Ref": log}}


def test_the_app_refuses_a_budget_where_the_cli_deploys_to_a_region_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-north-1")
    finished = synthesize(tmp_path, budget="10", budget_email="me@example.com")
    assert finished.returncode == 1
    assert "sd-on-ec2: -c budget=10: CloudFormation makes no budget in eu-north-1." in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_bad_setting_is_refused_without_a_traceback(tmp_path: Path) -> None:
    finished = synthesize(tmp_path, zones="4")
    assert finished.returncode == 1
    assert "sd-on-ec2: -c zones=4: it must be 1, 2 or 3 (the region's first zones)" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "SdOnEc2.template.json").exists()


def test_the_bucket_that_a_first_deploy_makes_first_is_that_of_the_whole_stack(
    template: Template, tmp_path: Path
) -> None:
    """To the letter, or the deploy that follows would change or replace the bucket with the uploaded files."""
    finished = synthesize(tmp_path, **AUDITED["bucket"])
    assert finished.returncode == 0, finished.stderr
    alone = read_template(tmp_path)
    kinds = {resource["Type"] for resource in alone["Resources"].values()}
    assert kinds <= {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::CDK::Metadata"}
    for name, resource in alone["Resources"].items():
        if resource["Type"] != "AWS::CDK::Metadata":
            assert template["Resources"][name] == resource
    assert alone["Outputs"] == {name: template["Outputs"][name] for name in ("ResultsBucket", "Settings")}
