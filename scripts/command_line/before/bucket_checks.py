"""What `sd doctor` checks about the results bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.plan import Plan
from scripts.command_line.before.check import Check
from scripts.command_line.terminal.command_error import aws_errors_in_words

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "bucket"


def check_bucket(session: boto3.Session, plan: Plan) -> Check:
    """Whether the results bucket can have its name, the instance may use its key, and it lies in the region."""
    wanted = plan.settings.output_bucket
    if wanted is None:
        kept = plan.deployment.outputs.get("ResultsBucket") if plan.deployment else None
        return Check(NAME, "ok", kept or "a new one, which CloudFormation names")
    s3: S3Client = session.client("s3", config=RETRIES)
    with aws_errors_in_words(f"look for the bucket {wanted}"):
        try:
            # botocore follows S3 to the bucket's region.
            region = s3.head_bucket(Bucket=wanted).get("BucketRegion", "")
        except botocore.exceptions.ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 404:
                mend = f"`aws s3 mb s3://{wanted}`, or leave output_bucket out"
                return Check(NAME, "problem", f"there is no bucket {wanted}; its name is free", mend, blocks=True)
            if status == 403:
                mend = "another -c output_bucket=NAME"
                return Check(NAME, "problem", f"{wanted} is somebody else's", mend, blocks=True)
            raise
    with aws_errors_in_words(f"ask for the encryption of {wanted}"):
        key = _own_key(session, s3, wanted, region)
    if key != plan.settings.output_key:
        found = f"{wanted} is encrypted with a KMS key of your own, which the instance may not use without output_key"
        mend = f"-c output_key={key}; the key's policy must let the account's roles use it"
        if key is None:
            found, mend = f"{wanted} is not encrypted with a KMS key of your own", "leave it out: -c output_key="
        return Check(NAME, "problem", found, mend, blocks=True)
    if region and region != session.region_name:
        found = f"{wanted} is in {region}: each image crosses regions, which AWS bills by the GB"
        return Check(NAME, "problem", found, f"--region {region}, or a bucket in {session.region_name}")
    return Check(NAME, "ok", f"{wanted}, which is yours")


def _own_key(session: boto3.Session, s3: S3Client, bucket: str, region: str) -> str | None:
    """The ARN of the KMS key of one's own with which S3 encrypts what is put there; None for S3's and AWS's keys.

    The keys of AWS let every principal of the account in that comes through S3, and need no right.
    """
    try:
        answer = s3.get_bucket_encryption(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        return None
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    named = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for rule in rules]
    key_id = next(filter(None, named), None)
    if key_id is None:
        return None
    kms = session.client("kms", region_name=region or session.region_name, config=RETRIES)
    # S3 keeps what was typed: an ARN, an id or an alias.
    described = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    return None if described["KeyManager"] == "AWS" else str(described["Arn"])
