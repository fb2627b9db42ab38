"""A command that a message names goes to the stack, the region and the profile that the person has named."""

from __future__ import annotations

import pytest

from scripts.command_line.terminal.typed_options import repeat_typed


@pytest.mark.parametrize(
    ("typed", "message", "repeated"),
    [
        (
            "start --stack Two --region=eu-west-1 --profile my team",
            "Try `sd start --types g5.xlarge`, or `aws ec2 describe-instances`.",
            "Try `sd start --types g5.xlarge --stack Two --region eu-west-1 --profile my`, or "
            "`aws ec2 describe-instances --region eu-west-1 --profile my`.",
        ),
        ("deploy -c stack=Two", "`sd status`, `sd zones`, `cdk ls`", "`sd status --stack Two`, `sd zones`, `cdk ls`"),
        ("stop --region eu-west-1", "`sd stop --region us-east-1`", "`sd stop --region us-east-1`"),
        ("stop --region eu-west-1 --profile b", "`aws sso login`", "`aws sso login --profile b`"),
        ("stop --profile b", "`aws configure list-profiles`", "`aws configure list-profiles`"),
        ("deploy --stack Two", "`sd deploy -c a=b -- '-a b'`", "`sd deploy -c a=b --stack Two -- '-a b'`"),
        ("deploy --stack SdOnEc2", "`sd status`", "`sd status`"),
        ("status", "`sd status`", "`sd status`"),
    ],
)  # fmt: skip
def test_what_was_typed_is_repeated(typed: str, message: str, repeated: str) -> None:
    assert repeat_typed(message, typed.split()) == repeated
