"""AWS::S3::BucketPolicy."""

from __future__ import annotations

import contextlib
import json

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class BucketPolicy(ResourceType):
    """The policy of a bucket; moto's CloudFormation does not know the type."""

    type = "AWS::S3::BucketPolicy"
    replaced_by = frozenset({"Bucket"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Puts the policy on the bucket."""
        resource = Resource(wanted.properties["Bucket"])
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Puts the new policy in the old one's place."""
        account.client("s3").put_bucket_policy(
            Bucket=wanted.properties["Bucket"], Policy=json.dumps(wanted.properties["PolicyDocument"])
        )

    def delete(self, account: Account, resource: Resource) -> None:
        """Takes the policy off, unless the bucket is gone."""
        s3 = account.client("s3")
        with contextlib.suppress(s3.exceptions.NoSuchBucket):
            s3.delete_bucket_policy(Bucket=resource.physical_resource_id)
