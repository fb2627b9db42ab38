"""The results bucket: the user's images, and everything that is said about them."""

from __future__ import annotations

from aws_cdk import CfnResource, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.acknowledge import NIST, acknowledge
from stacks.facts.settings import Settings
from userdata.contract.layout import CACHE, CORRECTED, WRITTEN_ONCE

# What nobody has started a new instance with must not cost for ever.
CACHE_LIFE = Duration.days(30)


class Results(Construct):
    """A private, encrypted bucket that outlives the stack, unless the settings say otherwise or name another one.

    It does not outlive a creation that fails, unless it holds something by then: CloudFormation deletes no bucket that
    is not empty.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.bucket: s3.IBucket = (
            s3.Bucket.from_bucket_name(self, "Bucket", settings.output_bucket)
            if settings.output_bucket
            else self._build_bucket(keep=settings.keep_results)
        )

    def _build_bucket(self, *, keep: bool) -> s3.Bucket:
        removal_policy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else RemovalPolicy.DESTROY
        bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=removal_policy,
            auto_delete_objects=not keep,
            lifecycle_rules=[
                s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1)),
                s3.LifecycleRule(prefix=CACHE, expiration=CACHE_LIFE),
            ],
        )
        for statement in (
            _no_write("WriteOnce", bucket, WRITTEN_ONCE, without=("s3:if-none-match",)),
            _no_write("ReplaceKnowingly", bucket, CORRECTED, without=("s3:if-none-match", "s3:if-match")),
        ):
            bucket.add_to_resource_policy(statement)
        if bucket.policy:
            # A bucket that stays must stay TLS only.
            bucket.policy.apply_removal_policy(removal_policy)
        if not keep:
            self._log_emptying()
        unlogged = "One person's pictures: access logs would cost more than they tell."
        acknowledge(bucket, {"S1": unlogged})
        acknowledge(
            bucket,
            {
                "S3BucketLoggingEnabled": unlogged,
                "S3BucketReplicationEnabled": "An image can be drawn again from its record; a copy would cost twice.",
                "S3BucketVersioningEnabled": "No machine may delete, and an image can be drawn again from its record.",
                "S3DefaultEncryptionKMS": "S3's own key costs nothing; -c output_key has a key of one's own.",
            },
            NIST,
        )
        return bucket

    def _log_emptying(self) -> None:
        """Gives the function that empties the bucket a log of the stack's: Lambda's own has no tags, and stays."""
        log = logs.LogGroup(
            self, "EmptyingLog", retention=logs.RetentionDays.ONE_WEEK, removal_policy=RemovalPolicy.DESTROY
        )
        reason = "It names objects that were deleted; CloudWatch Logs encrypts it with a key of its own."
        acknowledge(log, {"CloudWatchLogGroupEncrypted": reason}, NIST)
        provider = Stack.of(self).node.find_child("Custom::S3AutoDeleteObjectsCustomResourceProvider")
        handler = provider.node.find_child("Handler")
        assert isinstance(handler, CfnResource)
        handler.add_property_override("LoggingConfig.LogGroup", log.log_group_name)


def _no_write(sid: str, bucket: s3.Bucket, keys: tuple[str, ...], *, without: tuple[str, ...]) -> iam.PolicyStatement:
    """Denies everybody to create objects at `keys` in a request that has no header of these, and so to copy there.

    What begins an upload in parts, and each part, takes no such header; what ends it does. Rejected: denying it to the
    instance's role alone, because a program with a person's rights overwrites as easily, and because a bucket that
    stays would have no protection from the role of the next stack.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    return iam.PolicyStatement(
        sid=sid,
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["s3:PutObject"],
        resources=[bucket.arn_for_objects(key) for key in keys],
        conditions={
            "Null": dict.fromkeys(without, "true"),
            "Bool": {"s3:ObjectCreationOperation": "true"},
        },
    )
