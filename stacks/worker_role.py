"""What the instance may do: read its bundle, use the bucket, ask for work, and be reached by Session Manager."""

from __future__ import annotations

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from stacks.acknowledge import acknowledge
from stacks.queues import Queues
from userdata.contract.layout import BOOTS, CACHE, HOLDS, INPUTS, RUNS
from userdata.contract.work import BATCH

SESSION_MANAGER = (
    "ssm:UpdateInstanceInformation",
    *(f"ssmmessages:{verb}{channel}Channel" for verb in ("Create", "Open") for channel in ("Control", "Data")),
)


class WorkerRole(Construct):
    """The instance's role, with one statement for each thing that its code does.

    Session Manager's agent needs the five actions that its documentation names. Rejected: the managed policy
    AmazonSSMManagedInstanceCore, which reads every parameter and SecureString of the account. `key` is the ARN of the
    KMS key of one's own that encrypts the results bucket.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        results: s3.IBucket,
        key: str | None,
        bundle: s3_assets.Asset,
        queues: Queues,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description="sd-on-ec2: the instance that generates images",
        )
        self.instance_profile = iam.InstanceProfile(self, "InstanceProfile", role=self.role)
        self.policy = iam.Policy(
            self,
            "Policy",
            roles=[self.role],
            statements=[
                *_results_statements(results),
                *([_key_statement(key)] if key else []),
                _bundle_statement(bundle),
                *_queue_statements(queues),
                iam.PolicyStatement(sid="SessionManager", actions=list(SESSION_MANAGER), resources=["*"]),
            ],
        )
        reason = "The instance names the objects that it writes; the bucket and the folders are fixed."
        acknowledge(
            self.policy,
            {
                "IAM5[Resource::*]": "Session Manager's actions take no resource.",
                **{
                    f"IAM5[Resource::{as_in_findings(results)}/{folder}*]": reason
                    for folder in (RUNS, BOOTS, INPUTS, CACHE, HOLDS)
                },
            },
        )


def _results_statements(results: s3.IBucket) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="WriteRunsAndBoots",
            actions=["s3:PutObject"],
            resources=[results.arn_for_objects(f"{RUNS}*"), results.arn_for_objects(f"{BOOTS}*")],
        ),
        iam.PolicyStatement(
            sid="ReadInitialImagesAndResume",
            actions=["s3:GetObject"],
            resources=[results.arn_for_objects(f"{RUNS}*"), results.arn_for_objects(f"{INPUTS}*")],
        ),
        iam.PolicyStatement(
            sid="StayUpWhileHeld", actions=["s3:GetObject"], resources=[results.arn_for_objects(f"{HOLDS}*")]
        ),
        iam.PolicyStatement(
            sid="ShortenTheNextFirstBoot",
            actions=["s3:GetObject", "s3:PutObject"],
            resources=[results.arn_for_objects(f"{CACHE}*")],
        ),
        iam.PolicyStatement(
            # Listing tells which images are there, and lets a missing object answer 404 instead of 403.
            sid="SeeWhatIsThere",
            actions=["s3:ListBucket"],
            resources=[results.bucket_arn],
        ),
    ]


def _queue_statements(queues: Queues) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="AskForWork",
            actions=["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"],
            resources=[queue.queue_arn for queue in queues.work.values()],
        ),
        iam.PolicyStatement(
            sid="ReleaseUnitsOfBatches", actions=["sqs:SendMessage"], resources=[queues.work[BATCH].queue_arn]
        ),
        iam.PolicyStatement(
            sid="SetAsideWhatCannotBeDrawn",
            actions=["sqs:GetQueueUrl", "sqs:SendMessage"],
            resources=[queue.queue_arn for queue in queues.dead.values()],
        ),
    ]


def _key_statement(key: str) -> iam.PolicyStatement:
    """What S3 does with the key in the caller's name: encrypts an object, decrypts one, joins an object's parts.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    return iam.PolicyStatement(sid="UseTheKey", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key])


def as_in_findings(results: s3.IBucket) -> str:
    """The bucket's ARN as cdk-nag prints it."""
    resource = results.node.default_child
    if isinstance(resource, s3.CfnBucket):
        return f"<{Stack.of(results).get_logical_id(resource)}.Arn>"
    return f"arn:<AWS::Partition>:s3:::{results.bucket_name}"


def _bundle_statement(bundle: s3_assets.Asset) -> iam.PolicyStatement:
    """Exactly one object; `Asset.grant_read` would open every asset of the account."""
    bucket = f"arn:{Aws.PARTITION}:s3:::{bundle.s3_bucket_name}"
    return iam.PolicyStatement(
        sid="FetchTheBundle", actions=["s3:GetObject"], resources=[f"{bucket}/{bundle.s3_object_key}"]
    )
