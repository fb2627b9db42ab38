"""AWS::S3::Bucket with AWS::S3::BucketPolicy, and the CDK's way to delete a bucket together with its objects.

moto's own class passes over all but the encryption and the tags of a bucket, and has none for the others.
"""

from __future__ import annotations

import contextlib
import json
import string
from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_call import call
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


def _create_bucket(account: Account, wanted: Wanted) -> Resource:
    made_up = wanted.name(63, string.ascii_lowercase + string.digits).lower()
    name = wanted.properties.get("BucketName") or made_up
    account.client("s3").create_bucket(Bucket=name)
    resource = Resource(
        name, {"Arn": f"arn:aws:s3:::{name}", "RegionalDomainName": f"{name}.s3.{account.region}.amazonaws.com"}
    )
    _update_bucket(account, resource, wanted)
    return resource


def _update_bucket(account: Account, resource: Resource, wanted: Wanted) -> None:
    """Sets what the properties say, and takes away what they do not say any more."""
    if wanted.properties.get("AccessControl", "Private") != "Private":  # as every bucket is
        raise ValueError("The local cloud does not emulate a bucket that is not private")
    s3, bucket = account.client("s3"), resource.physical_resource_id
    for name, (put, parameter, delete) in SETTINGS.items():
        if name in wanted.properties:
            call(s3, put, Bucket=bucket, **{parameter: _as_the_api_has_it(name, wanted.properties[name])})
        elif name in resource.properties and delete:
            call(s3, delete, Bucket=bucket)
    if wanted.tags:
        tags = [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})


# Property: the operation that sets it, its parameter, and the operation that takes it away.
SETTINGS: dict[str, tuple[str, str, str | None]] = {
    "BucketEncryption": ("PutBucketEncryption", "ServerSideEncryptionConfiguration", "DeleteBucketEncryption"),
    "LifecycleConfiguration": (
        "PutBucketLifecycleConfiguration",
        "LifecycleConfiguration",
        "DeleteBucketLifecycle",
    ),
    "OwnershipControls": ("PutBucketOwnershipControls", "OwnershipControls", "DeleteBucketOwnershipControls"),
    "PublicAccessBlockConfiguration": (
        "PutPublicAccessBlock",
        "PublicAccessBlockConfiguration",
        "DeletePublicAccessBlock",
    ),
    "VersioningConfiguration": ("PutBucketVersioning", "VersioningConfiguration", None),
}


def _as_the_api_has_it(name: str, value: dict[str, Any]) -> dict[str, Any]:
    if name == "BucketEncryption":
        rules = value["ServerSideEncryptionConfiguration"]
        return {
            "Rules": [{"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]} for rule in rules]
        }
    if name == "LifecycleConfiguration":
        return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}
    return value


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    same = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
    made = {"Filter": {"Prefix": rule.get("Prefix", "")}, **{name: rule[name] for name in same if name in rule}}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        made["Expiration"] = {"Days": rule["ExpirationInDays"]}
    return made


def _delete_bucket(account: Account, resource: Resource) -> None:
    """Deletes the bucket. As with the real service, one that holds objects cannot be deleted."""
    account.client("s3").delete_bucket(Bucket=resource.physical_resource_id)


def _create_policy(account: Account, wanted: Wanted) -> Resource:
    resource = Resource(wanted.properties["Bucket"])
    _update_policy(account, resource, wanted)
    return resource


def _update_policy(account: Account, resource: Resource, wanted: Wanted) -> None:
    policy = json.dumps(wanted.properties["PolicyDocument"])
    account.client("s3").put_bucket_policy(Bucket=resource.physical_resource_id, Policy=policy)


def _delete_policy(account: Account, resource: Resource) -> None:
    """Takes the policy off, unless the bucket is gone."""
    s3 = account.client("s3")
    with contextlib.suppress(s3.exceptions.NoSuchBucket):
        s3.delete_bucket_policy(Bucket=resource.physical_resource_id)


def _create_emptier(account: Account, wanted: Wanted) -> Resource:
    """Makes nothing: on AWS a Lambda function empties the bucket, but no function is run here."""
    return Resource(wanted.name())


def _empty(account: Account, resource: Resource) -> None:
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


TYPES = {
    "AWS::S3::Bucket": ResourceType(
        _create_bucket,
        _delete_bucket,
        _update_bucket,
        frozenset({"BucketName"}),
        frozenset({"AccessControl", "BucketName", *SETTINGS}),
    ),
    "AWS::S3::BucketPolicy": ResourceType(
        _create_policy, _delete_policy, _update_policy, frozenset({"Bucket"}), frozenset({"Bucket", "PolicyDocument"})
    ),
    "Custom::S3AutoDeleteObjects": ResourceType(
        _create_emptier, _empty, properties=frozenset({"BucketName", "ServiceToken"})
    ),
}
