"""What the instance's role may read where permissions are enforced, and what it must not."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts.local.aws.permissions import permissions_enforced
from scripts.local.local_cloud import LocalCloud
from tests.local_cloud.conftest import EC2_MAY_ASSUME, Stack
from tests.local_cloud.test_lifetime import Hung

pytestmark = pytest.mark.local_cloud

SECRET = "/somebody/secret"
# Where EC2 keeps the private key of a key pair that a stack has made.
SSH_KEY = "/ec2/keypair/key-0123456789abcdef0"
CORRECTED = ("job.json", "batch.json", "control.json", "done.json", "units.jsonl", "units-1.jsonl")
SESSION_MANAGER = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"


class Role:
    """Somebody with the credentials of a role."""

    def __init__(self, cloud: LocalCloud, name: str) -> None:
        keys = cloud.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{cloud.account.id}:role/{name}", RoleSessionName="i-1"
        )["Credentials"]
        self._cloud = cloud
        self._session = boto3.Session(
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            region_name=cloud.account.region,
        )

    def may(self, service: Any, operation: str, **given: Any) -> bool:
        config = Config(proxies={}, retries={"total_max_attempts": 1})
        client: Any = self._session.client(service, endpoint_url=self._cloud.endpoint, config=config)
        with permissions_enforced():
            try:
                getattr(client, operation)(**given)
            except ClientError as error:
                assert "AccessDenied" in str(error), error
                return False
        return True


@pytest.fixture(scope="module", autouse=True)
def secret(cloud: LocalCloud) -> None:
    # Once for each time that a process comes to this module.
    for name in (SECRET, SSH_KEY):
        cloud.client("ssm").put_parameter(Name=name, Value="hush", Type="SecureString", Overwrite=True)


def test_the_instance_reads_its_inputs_and_nobody_s_secrets(
    stack: Stack, cloud: LocalCloud, template: dict[str, Any]
) -> None:
    Hung(stack, template)
    (name,) = [key for key, one in template["Resources"].items() if "WorkerRole" in key and "Role" in one["Type"]]
    role = Role(cloud, stack.physical_id(name))
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.describe()["Outputs"]}
    bucket = {"Bucket": outputs["ResultsBucket"]}
    for key in ("inputs/a.png", "runs/a/b.png", "photos/a.png"):
        cloud.client("s3").put_object(**bucket, Key=key, Body=b"png")
    assert role.may("s3", "get_object", **bucket, Key="inputs/a.png")
    assert role.may("s3", "get_object", **bucket, Key="runs/a/b.png")
    assert not role.may("s3", "get_object", **bucket, Key="photos/a.png"), "which InitImage's pattern refuses therefore"
    assert role.may("s3", "put_object", **bucket, Key="runs/a/c.png", Body=b"")
    for prefix in ("holds/", "fleet/", "photos/"):
        assert not role.may("s3", "put_object", **bucket, Key=f"{prefix}a.json", Body=b"")
    assert not role.may("s3", "put_object", **bucket, Key="inputs/a.png", Body=b"")
    for name in (SECRET, SSH_KEY):
        assert not role.may("ssm", "get_parameter", Name=name, WithDecryption=True)
        assert not role.may("ssm", "get_parameters", Names=[name], WithDecryption=True)
    assert not role.may("ssm", "get_parameters_by_path", Path="/", Recursive=True)
    _asks_its_own_queues_alone(cloud, role, outputs)
    _overwrites_nothing(cloud, role, outputs["ResultsBucket"])


def _overwrites_nothing(cloud: LocalCloud, role: Role, bucket: str) -> None:
    """Nor does anybody else: the bucket's policy has no exception, and asks whether or not IAM is enforced."""
    s3 = cloud.client("s3")
    samples = "runs/b/txt2img-samples"
    written_once = (f"{samples}/samples/00000.png", f"{samples}/grid-0000.png", "runs/b/units/0-000000.json")
    of_a_page = ("runs/b/page/shards/0-000000.js", "runs/b/page/thumbnails/00000.webp")
    for key in (
        *written_once,
        "runs/b/failed/0-000000.json",
        *of_a_page,
        "cache/env/a/manifest.json",
        "cache/weights/a/b",
    ):
        given = {"Bucket": bucket, "Key": key, "Body": b"1"}
        assert not role.may("s3", "put_object", **given), "not even the first time"
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.put_object(**given)
        assert role.may("s3", "put_object", **given, IfNoneMatch="*")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(**given, IfNoneMatch="*")
        tag = s3.get_object(Bucket=bucket, Key=key)["ETag"]
        assert not role.may("s3", "put_object", **given, IfMatch=tag)
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/inputs/a.png")
    for key in (f"{samples}/samples/00000.json", *(f"runs/b/{name}" for name in CORRECTED)):
        given = {"Bucket": bucket, "Key": key, "Body": b"1"}
        assert not role.may("s3", "put_object", **given)
        assert role.may("s3", "put_object", **given, IfNoneMatch="*")
        assert role.may("s3", "put_object", **given, IfMatch=s3.get_object(Bucket=bucket, Key=key)["ETag"])
    for name in ("status.json", "report.json", "machines/i-1.json", "tries.json", "page/run.js", "index.html"):
        assert role.may("s3", "put_object", Bucket=bucket, Key=f"runs/b/{name}", Body=b"1"), (
            "which changes all the time"
        )
    assert not role.may("s3", "delete_object", Bucket=bucket, Key=written_once[0])
    _moves_no_parts_over_it(role, s3, {"Bucket": bucket, "Key": "cache/weights/a/c"})


def _moves_no_parts_over_it(role: Role, s3: Any, where: dict[str, str]) -> None:
    assert role.may("s3", "create_multipart_upload", **where)
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    part = {**upload, "PartNumber": 1}
    assert role.may("s3", "upload_part", **part, Body=b"1")
    parts = [{"PartNumber": 1, "ETag": s3.upload_part(**part, Body=b"1")["ETag"]}]
    whole = {**upload, "MultipartUpload": {"Parts": parts}}
    assert not role.may("s3", "complete_multipart_upload", **whole)
    assert role.may("s3", "complete_multipart_upload", **whole, IfNoneMatch="*")


def _asks_its_own_queues_alone(cloud: LocalCloud, role: Role, outputs: dict[str, str]) -> None:
    """A person fills them, and the machine asks; it sends a batch's units, and sets aside what it cannot draw."""
    sqs, message = cloud.client("sqs"), {"MessageBody": "a"}
    other = sqs.create_queue(QueueName="somebody-s")["QueueUrl"]
    for queue in (outputs["InteractiveQueue"], outputs["BatchQueue"]):
        sqs.send_message(QueueUrl=queue, **message)
        (found,) = sqs.receive_message(QueueUrl=queue)["Messages"]
        received = {"QueueUrl": queue, "ReceiptHandle": found["ReceiptHandle"]}
        assert role.may("sqs", "get_queue_url", QueueName=queue.rpartition("/")[2])
        assert role.may("sqs", "receive_message", QueueUrl=queue, WaitTimeSeconds=0)
        assert role.may("sqs", "change_message_visibility", **received, VisibilityTimeout=120)
        assert not role.may("sqs", "get_queue_attributes", QueueUrl=queue, AttributeNames=["All"])
        assert role.may("sqs", "delete_message", **received)
        sends = queue == outputs["BatchQueue"]
        assert role.may("sqs", "send_message", QueueUrl=queue, **message) is sends
        assert role.may("sqs", "send_message_batch", QueueUrl=queue, Entries=[{"Id": "0", **message}]) is sends
        assert not role.may("sqs", "purge_queue", QueueUrl=queue)
        assert role.may("sqs", "send_message", QueueUrl=f"{queue}-dead", **message)
        assert not role.may("sqs", "receive_message", QueueUrl=f"{queue}-dead", WaitTimeSeconds=0)
        assert not role.may("sqs", "receive_message", QueueUrl=other, WaitTimeSeconds=0)


@pytest.mark.parametrize("key", ["photos/a.png", "input/a.png", "../inputs/a.png", "runs"])
@pytest.mark.parametrize("parameter", ["InitImage", "PromptFile"])
def test_an_input_that_the_role_could_not_read_is_refused_before_anything_is_created(
    stack: Stack, template: dict[str, Any], parameter: str, key: str
) -> None:
    with pytest.raises(ClientError, match=f"{parameter} must be|Parameter {parameter} failed to satisfy constraint"):
        stack.create(template, **{parameter: key})
    with pytest.raises(ClientError, match="does not exist"):
        stack.describe()


def test_a_policy_of_aws_allows_what_it_allows_there(stack: Stack, cloud: LocalCloud) -> None:
    """So the test above would see it if the instance's role had such a policy again: this one reads every secret."""
    properties = {"AssumeRolePolicyDocument": EC2_MAY_ASSUME, "ManagedPolicyArns": [SESSION_MANAGER]}
    stack.create({"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}})
    role = Role(cloud, stack.physical_id("Role"))
    assert role.may("ssm", "get_parameter", Name=SECRET)
    assert not role.may("ssm", "put_parameter", Name=SECRET, Value="loud", Type="SecureString", Overwrite=True)


def test_a_policy_that_aws_does_not_have_is_refused(stack: Stack) -> None:
    arns = ["arn:aws:iam::aws:policy/AmazonEverything"]
    properties = {"AssumeRolePolicyDocument": EC2_MAY_ASSUME, "ManagedPolicyArns": arns}
    template = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}}
    assert "does not exist or is not attachable" in stack.fail_to_create(template)
