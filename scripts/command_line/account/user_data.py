"""The parameters that an instance was given: user data has their true characters, and CloudFormation answers `?`."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import botocore.exceptions

from userdata.contract.parameter_file import parse_parameters

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ec2 import EC2Client

ASSIGNMENTS = re.compile(r"^parameters='\n(.*?\n)'$", re.DOTALL | re.MULTILINE)
# How many `?` CloudFormation answers for one character is not documented.
HIDDEN = re.compile(r"(?:[^\t\n\r\x20-\x7e]|\?)+")
# What EC2 answers about an instance that was terminated.
FORGOTTEN = ("InvalidInstanceID.NotFound", "IncorrectInstanceState")
LAUNCH_TEMPLATE = "AWS::EC2::LaunchTemplate"


def user_data_of(ec2: EC2Client, cloudformation: CloudFormationClient, *, stack: str, instance_id: str) -> str:
    """The user data of the stack's instance, in base64. Raises botocore's errors.

    EC2 forgets an instance that is terminated. One that terminates itself has its user data from the launch template,
    which stays.
    """
    try:
        answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        return answer.get("UserData", {}).get("Value", "")
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in FORGOTTEN:
            raise
        resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
        for one in resources:
            # The fleet has a template of its own.
            if one["ResourceType"] != LAUNCH_TEMPLATE or one["LogicalResourceId"].startswith("Fleet"):
                continue
            name = one["PhysicalResourceId"]
            found = ec2.describe_launch_template_versions(LaunchTemplateId=name, Versions=["$Latest"])
            if text := found["LaunchTemplateVersions"][0]["LaunchTemplateData"].get("UserData"):
                return text
        raise


def parameters_in(user_data: str) -> dict[str, str]:
    """The parameters in the user data, which comes as EC2 answers it: in base64. None where it has no such lines."""
    found = ASSIGNMENTS.search(base64.b64decode(user_data).decode("utf-8", "replace"))
    try:
        return parse_parameters(found[1], "the user data") if found else {}
    except ValueError:
        return {}


def as_described(text: str) -> str:
    """The text as CloudFormation answers it, with one `?` for any number of characters beyond ASCII."""
    return HIDDEN.sub("?", text)
