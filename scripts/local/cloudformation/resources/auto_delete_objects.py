"""Custom::S3AutoDeleteObjects: the CDK's way to delete a bucket together with its objects."""

from __future__ import annotations

import contextlib

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class AutoDeleteObjects(ResourceType):
    """Empties a bucket before it is deleted. On AWS a Lambda function does it; here no function is run."""

    type = "Custom::S3AutoDeleteObjects"

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes nothing."""
        return Resource(wanted.name())

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes every version of every object."""
        s3, bucket = account.client("s3"), resource.properties["BucketName"]
        with contextlib.suppress(s3.exceptions.NoSuchBucket):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                doomed = [
                    {"Key": one["Key"], "VersionId": one["VersionId"]}
                    for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                ]
                if doomed:
                    s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
