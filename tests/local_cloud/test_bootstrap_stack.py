"""What is remembered of `cdk bootstrap`, in local clouds of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.local_cloud

ROOT = Path(__file__).parent.parent.parent
BOOTSTRAP = """
import json, subprocess, sys
from pathlib import Path

from scripts.local.local_cloud import LocalCloud

with LocalCloud() as cloud:
    if sys.argv[2:]:
        subprocess.run = None
    cloud.bootstrap(Path(sys.argv[1]))
    cloud.bootstrap(Path(sys.argv[1]))  # as `cdk bootstrap` may be run again
    cloudformation, s3, ssm = map(cloud.client, ("cloudformation", "s3", "ssm"))
    (stack,) = cloudformation.describe_stacks(StackName="CDKToolkit")["Stacks"]
    resources = cloudformation.describe_stack_resources(StackName="CDKToolkit")["StackResources"]
    bucket = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "BucketName")
    print(json.dumps({
        "stack": {key: stack[key] for key in ("StackStatus", "Parameters", "Outputs", "Tags")},
        "resources": sorted((one["LogicalResourceId"], one["ResourceType"]) for one in resources),
        "template": cloudformation.get_template(StackName="CDKToolkit")["TemplateBody"],
        "policy": s3.get_bucket_policy(Bucket=bucket)["Policy"],
        "encryption": s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"],
        "version": ssm.get_parameter(Name="/cdk-bootstrap/hnb659fds/version")["Parameter"]["Value"],
    }, sort_keys=True))
"""


def bootstrap(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", BOOTSTRAP, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_remembered_stack_is_the_one_that_the_cdk_makes(tmp_path: Path) -> None:
    made = bootstrap(str(tmp_path))
    assert made["stack"]["StackStatus"] == "CREATE_COMPLETE"
    assert bootstrap(str(tmp_path), "without the CDK") == made
