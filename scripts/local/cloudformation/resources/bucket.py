"""AWS::S3::Bucket."""

from __future__ import annotations

import string
from typing import Any

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.api_parameters import api_parameters
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted


class Bucket(ResourceType):
    """A bucket. moto's own class passes over all but the encryption and the tags."""

    type = "AWS::S3::Bucket"
    replaced_by = frozenset({"BucketName"})

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the bucket."""
        made_up = wanted.name(63, string.ascii_lowercase + string.digits).lower()
        name = wanted.properties.get("BucketName") or made_up
        account.client("s3").create_bucket(Bucket=name)
        attributes = {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{account.region}.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{account.region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{account.region}.amazonaws.com",
        }
        resource = Resource(name, attributes)
        self.update(account, resource, wanted)
        return resource

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets what the properties say, and takes away what they do not say any more."""
        for name, (put, delete) in SETTINGS.items():
            if name in wanted.properties:
                put(account.client("s3"), resource.physical_resource_id, wanted.properties[name])
            elif name in resource.properties and delete:
                getattr(account.client("s3"), delete)(Bucket=resource.physical_resource_id)
        if wanted.tags:
            tags = [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
            account.client("s3").put_bucket_tagging(Bucket=resource.physical_resource_id, Tagging={"TagSet": tags})

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the bucket. As with the real service, one that holds objects cannot be deleted."""
        account.client("s3").delete_bucket(Bucket=resource.physical_resource_id)


def _put_encryption(s3: Any, bucket: str, value: dict[str, Any]) -> None:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            "BucketKeyEnabled": str(rule.get("BucketKeyEnabled", False)).lower() == "true",
        }
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _put_public_access_block(s3: Any, bucket: str, value: dict[str, Any]) -> None:
    asked = {"Bucket": bucket, "PublicAccessBlockConfiguration": value}
    s3.put_public_access_block(**api_parameters(s3, "PutPublicAccessBlock", asked))


def _put_lifecycle(s3: Any, bucket: str, value: dict[str, Any]) -> None:
    rules = [_lifecycle_rule(rule) for rule in value["Rules"]]
    asked = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": rules}}
    s3.put_bucket_lifecycle_configuration(**api_parameters(s3, "PutBucketLifecycleConfiguration", asked))


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    made |= {name: rule[name] for name in ("AbortIncompleteMultipartUpload",) if name in rule}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        made["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "NoncurrentVersionExpiration" in rule:
        made["NoncurrentVersionExpiration"] = rule["NoncurrentVersionExpiration"]
    transitions = rule.get("Transitions", [rule["Transition"]] if "Transition" in rule else [])
    if transitions:
        made["Transitions"] = [
            {"StorageClass": one["StorageClass"], "Days": one["TransitionInDays"]} for one in transitions
        ]
    return made


def _put_ownership(s3: Any, bucket: str, value: dict[str, Any]) -> None:
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=value)


def _put_versioning(s3: Any, bucket: str, value: dict[str, Any]) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=value)


def _put_cors(s3: Any, bucket: str, value: dict[str, Any]) -> None:
    renamed = {"Id": "ID", "MaxAge": "MaxAgeSeconds", "ExposedHeaders": "ExposeHeaders"}
    rules = [{renamed.get(name, name): below for name, below in rule.items()} for rule in value["CorsRules"]]
    asked = {"Bucket": bucket, "CORSConfiguration": {"CORSRules": rules}}
    s3.put_bucket_cors(**api_parameters(s3, "PutBucketCors", asked))


# Property: how it is set, and the call that takes it away.
SETTINGS: dict[str, tuple[Any, str | None]] = {
    "BucketEncryption": (_put_encryption, "delete_bucket_encryption"),
    "CorsConfiguration": (_put_cors, "delete_bucket_cors"),
    "LifecycleConfiguration": (_put_lifecycle, "delete_bucket_lifecycle"),
    "OwnershipControls": (_put_ownership, "delete_bucket_ownership_controls"),
    "PublicAccessBlockConfiguration": (_put_public_access_block, "delete_public_access_block"),
    "VersioningConfiguration": (_put_versioning, None),
}
