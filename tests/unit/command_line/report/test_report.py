"""`sd report` on a stack in every condition, and on none."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from botocore.model import OperationModel

from scripts.command_line.report.report import make_report, write_report
from scripts.command_line.terminal.command_error import CommandError
from tests.unit.command_line.conftest import Account, answer, refusal, run_of
from userdata.contract.layout import RunKeys, boot_key, facts_key

PROMPT = "my secret garden"
BEGAN = "2026-01-01T00:00:00.000Z"
BOOT = {"schema": 1, "phases": [], "error": {"step": "weights", "message": "The hub says 401.", "log_tail": ""}}


def report_of(account: Account, *, prompts: bool = False) -> tuple[str, dict[str, str]]:
    """The report, and the summary's lines by the parts' titles."""
    text, parts = make_report(account.session, "SdOnEc2", prompts=prompts)
    assert "Traceback" not in text
    return text, {part.title: part.told.summary for part in parts}


@pytest.fixture
def failed(account: Account) -> Account:
    """A stack whose last boot and run failed."""
    account.deploy(Prompt=PROMPT, SshCidr="203.0.113.7/32")
    run = run_of(Prompt=PROMPT)
    account.put_run(run, phase="failed")
    account.put(RunKeys(run).job, json.dumps({"prompt": PROMPT, "negative_prompt": ""}).encode())
    account.put(RunKeys(run).log, f"drawing {PROMPT}\nthe disk is full\n".encode())
    account.put(boot_key(account.instance_id, BEGAN), json.dumps(BOOT).encode())
    account.put(facts_key(account.instance_id, BEGAN), b"$ lsblk\nnvme0n1\n")
    return account


def test_it_begins_with_a_summary_and_has_what_boots_and_runs_left(failed: Account) -> None:
    text, summary = report_of(failed)
    head = text.partition("\n===== ")[0].splitlines()
    assert summary["stack"] == "CREATE_COMPLETE"
    assert f"instance: {failed.instance_id} (m1.small) is running" in head
    assert "boots: the last of 1: failed at weights: The hub says 401." in head
    assert re.search(r"run: <prompt>-[0-9a-f]{10}: failed, failed at weights: The disk is full\.", text)
    for found in ("the disk is full", "nvme0n1", "CREATE_COMPLETE SdOnEc2", "Python: 3."):
        assert found in text.partition("\n===== ")[2], found


def test_a_persons_own_words_and_address_stay_at_home_unless_the_words_may_go(failed: Account) -> None:
    text, _ = report_of(failed)
    assert not re.search("secret|garden|203.0.113.7", text)
    assert "Prompt = (left out: 16 characters)" in text
    text, _ = report_of(failed, prompts=True)
    assert f"Prompt = {PROMPT}" in text
    assert f"runs/{run_of(Prompt=PROMPT)}/status.json" in text
    assert "203.0.113.7" not in text


def test_the_summary_names_the_first_failure_of_the_latest_operation(failed: Account) -> None:
    told = [
        ("DELETE_IN_PROGRESS", "SdOnEc2", "User Initiated"),
        ("ROLLBACK_IN_PROGRESS", "SdOnEc2", "The following resource(s) failed to create: [Gpu, Role]."),
        ("CREATE_FAILED", "Role", "Resource creation cancelled"),
        ("CREATE_FAILED", "Gpu", "vCPU limit of 0 for 123456789012"),
        ("CREATE_IN_PROGRESS", "SdOnEc2", "User Initiated"),
        ("UPDATE_FAILED", "Old", "long ago"),
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    kinds = {"SdOnEc2": "AWS::CloudFormation::Stack"}
    events = [
        {
            "Timestamp": now,
            "ResourceStatus": status,
            "LogicalResourceId": name,
            "ResourceType": kinds.get(name, "AWS::EC2::Instance"),
            "ResourceStatusReason": why,
            "ResourceProperties": '{"UserData": "Prompt"}',
        }
        for status, name, why in told
    ]
    failed.session.events.register_first(
        "before-call.cloudformation.DescribeStackEvents", answer({"StackEvents": events})
    )
    text, summary = report_of(failed)
    assert summary["events"].endswith("CREATE_FAILED Gpu (AWS::EC2::Instance) vCPU limit of 0 for <account>")
    assert "UPDATE_FAILED Old" in text
    assert "UserData" not in text


def test_without_a_stack_every_part_says_why_and_the_machine_is_told(account: Account) -> None:
    text, summary = report_of(account)
    assert summary["stack"] == "there is none"
    assert "The stack SdOnEc2 has no instance." in summary["instance"]
    assert "no bucket of an earlier one" in summary["run"]
    assert "boto3: 1." in text


def test_after_a_teardown_it_has_the_events_of_the_stack_that_is_gone_and_the_runs_of_its_bucket(
    failed: Account,
) -> None:
    failed.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
    text, summary = report_of(failed)
    assert "The last of that name was deleted" in text
    assert "DELETE_COMPLETE SdOnEc2" in text
    assert "failed at weights" in summary["run"]
    assert not re.search("secret|garden", text)


@pytest.mark.parametrize("service", ["ec2", "s3", "cloudformation", "cloudwatch", "sts"])
def test_a_right_that_is_missing_costs_its_parts_and_no_others(failed: Account, service: str) -> None:
    failed.session.events.register_first(f"before-call.{service}", refusal("AccessDenied", 403))
    _, summary = report_of(failed)
    missing = {title for title, line in summary.items() if line.startswith("not in this report. ")}
    needs = {
        "ec2": {"instance", "console output"},
        "s3": {"boots", "run"},
        "cloudformation": {"stack", "events", "alarms", "queues", "boots", "run", "instance", "console output"},
        "cloudwatch": {"alarms"},
        "sts": set(),
    }
    none_here = {"alarms", "queues", "console output"}
    assert missing - none_here == needs[service] - none_here


def test_it_counts_what_waits_in_the_queues(failed: Account) -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "sd-1-batch"}}}}
    stacks = failed.session.client("cloudformation")
    stacks.delete_stack(StackName="SdOnEc2")
    stacks.create_stack(StackName="SdOnEc2", TemplateBody=json.dumps(template))
    queue: Any = failed.session.client("sqs")
    url = queue.get_queue_url(QueueName="sd-1-batch")["QueueUrl"]
    for number in range(3):
        queue.send_message(QueueUrl=url, MessageBody=f"{PROMPT} {number}")
    queue.receive_message(QueueUrl=url)
    text, summary = report_of(failed)
    assert summary["queues"] == "sd-1-batch: 2 waiting, 1 with a worker"
    assert PROMPT not in text


def test_who_has_no_credentials_waits_for_one_answer_and_not_for_each(
    failed: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(model: OperationModel, **_: object) -> None:
        asked.append(model.name)
        raise NoCredentialsError

    failed.session.events.register_first("before-call", refuse)
    _, summary = report_of(failed)
    assert asked == ["GetCallerIdentity"]
    assert "no AWS credentials were found" in summary["run"]


def test_an_answer_that_nobody_expected_costs_one_part(failed: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    failed.put(boot_key(failed.instance_id, "2026-01-02T00:00:00.000Z"), b"\xff not JSON")
    failed.session.events.register_first(
        "before-call.ec2.DescribeInstanceStatus", lambda **_: (_ for _ in ()).throw(KeyError("InstanceStatuses"))
    )
    _, summary = report_of(failed)
    assert "(KeyError: 'InstanceStatuses')" in summary["instance"]
    assert summary["boots"] == "the last of 2: its document cannot be read"
    assert summary["stack"] == "CREATE_COMPLETE"


def test_a_long_log_keeps_its_beginning_and_its_end(failed: Account) -> None:
    log = "".join(f"line {number}\n" for number in range(100_000))
    failed.put(RunKeys(run_of(Prompt=PROMPT)).log, log.encode())
    text, _ = report_of(failed)
    assert len(text) < 300_000
    assert "line 99999\n" in text
    assert "characters are left out ...]" in text


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="Could not write .*--to FOLDER"):
        write_report("text", tmp_path / "file")
