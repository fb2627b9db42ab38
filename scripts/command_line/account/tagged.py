"""What the region has with the project's tag, by one question for all services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from stacks.facts.tag_names import PROJECT, PROJECT_TAG

if TYPE_CHECKING:
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient


def tagged(session: boto3.Session, services: Sequence[str]) -> dict[str, dict[str, str]]:
    """The tags of each of the project's resources in the session's region and those services, by the resource's ARN.

    It may name resources that were deleted a while ago: the index is behind. Rejected: a question for the tags of
    each alarm, log group, queue and bucket of an account, which may have thousands.
    Source: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
    """
    client: ResourceGroupsTaggingAPIClient = session.client("resourcegroupstaggingapi", config=RETRIES)
    pages = client.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": PROJECT_TAG, "Values": [PROJECT]}], ResourceTypeFilters=services
    )
    return {
        one["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]}
        for page in pages
        for one in page["ResourceTagMappingList"]
    }
