"""What a person hands to strangers has no secret in it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from scripts.command_line.report.scrub import Scrubber
from userdata.job.job import Job
from userdata.job.prompt_notices import prompt_notices
from userdata.job.refusal import explain

TOKEN = "hf_" + "aB3" * 11
KEY = "AKIA" + "Z7" * 8
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION = "IQoJb3JpZ2luX2VjE" + "x/Y+1" * 40
SIGNED = (
    "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAABCDEFGHIJKLMNOP%2F20260101"
    f"%2Fus-east-1&X-Amz-Security-Token={SESSION}&X-Amz-Signature={'0f' * 32}"
)
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----"


def scrub(text: str) -> str:
    return Scrubber(prompts=[]).scrub(text)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"the hub said no to {TOKEN}.", TOKEN),
        (f"export AWS_ACCESS_KEY_ID={KEY}", KEY),
        (f"aws_secret_access_key = {SECRET}", SECRET),
        (f'{{"SecretAccessKey": "{SECRET}"}}', SECRET),
        (f"AWS_SECRET_ACCESS_KEY={SECRET}", SECRET),
        (f'{{"SessionToken" : "{SESSION}"}}', SESSION),
        (f"with {SESSION} in the middle", SESSION),
        (SIGNED, "0f0f0f"),
        (SIGNED, SESSION),
        (SIGNED, "ASIAABCD"),
        ("https://cdn/f?Expires=1&Signature=abc~def-g&Key-Pair-Id=K2FPYV99P2N66Q", "abc~def"),
        (f"Authorization: Bearer {TOKEN[3:]}", TOKEN[3:]),
        ("authorization: AWS4-HMAC-SHA256 Credential=X/1, SignedHeaders=host, Signature=0123", "0123"),
        (PEM, SECRET),
        (PEM.partition("\n-----END")[0], SECRET),
        ("HTTPS_PROXY=http://hans:geheim@proxy:8080", "geheim"),
        ("arn:aws:iam::123456789012:role/x and cdk-hnb659fds-assets-123456789012-us-east-1", "123456789012"),
        ("User: arn:aws:iam::123456789012:user/hans.muster is not authorized", "hans.muster"),
        ("arn:aws:sts::123456789012:assumed-role/Admin/hans@example.com", "hans"),
        ("budget_email: hans.muster@mail.example.com", "hans.muster"),
        (f"{Path.home()}/projects/sd", str(Path.home())),
    ],
)
def test_a_secret_is_taken_out(text: str, secret: str) -> None:
    assert secret not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01 12:00:00 CREATE_FAILED GpuInstance (AWS::EC2::Instance) vCPU limit of 0, request id 8f2c",
        "i-0123456789abcdef0 subnet-0123456789abcdef0 ami-0123456789abcdef0 vpc-123456789012abcde",
        "4265380512 bytes of v1-5-pruned-emaonly.safetensors, sha256 " + "0123456789abcdef" * 4,
        "role/SdOnEc2-WorkerRole1A2B3C4D-AbCdEf is not authorized to perform: ssm:GetParameter",
        "HubToken = /sd-on-ec2/hugging-face",
    ],
)
def test_what_a_maintainer_needs_stays(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize("prompt", ['a "horse"\nunder\ta tree', "ein Bär im Wald 🐻"])
def test_a_prompt_goes_in_every_spelling_and_so_does_a_name_made_of_it(prompt: str) -> None:
    text = f"{prompt}|{json.dumps({'prompt': prompt})}|{prompt!r}|runs/a-horse-under-a-tree-89b14d0f5e/log.txt"
    for word in ("horse", "Bär", "B\\u00e4r", "🐻"):
        assert word not in Scrubber(prompts=[prompt]).scrub(text)
    assert "runs/<prompt>-89b14d0f5e/log.txt" in Scrubber(prompts=[prompt]).scrub(text)
    assert "runs/a-horse-under-a-tree-89b14d0f5e/log.txt" in Scrubber(prompts=None).scrub(text)


def test_the_part_of_a_prompt_that_a_model_does_not_read_goes() -> None:
    line = "WARNING Prompt is longer than the model reads (77 tokens); cut off: of my own secret garden\nnext"
    assert scrub(line) == "WARNING Prompt is longer than the model reads (77 tokens); cut off: <prompt>\nnext"
    (notice,) = prompt_notices([("NegativePrompt", "{my secret|garden} AND")], weighed=True)
    assert "my secret" in notice
    assert "secret" not in scrub(notice)
    with pytest.raises(ValidationError) as refusal:
        Job(prompt="(my secret: 12)")
    (sentence,) = explain(refusal.value, Job)
    assert "my secret" in sentence
    assert "secret" not in scrub(sentence)


def test_nothing_in_it_moves_a_terminal() -> None:
    assert scrub("\x1b[0;32mOK\x1b[0m\r\n\x07") == "OK\n\\x07"


@pytest.mark.parametrize("part", ["a", "Prompt has ", "Prompt gives "])
def test_a_long_line_takes_no_long_time(part: str) -> None:
    began = time.process_time()
    Scrubber(prompts=[]).scrub(part * 30_000)
    assert time.process_time() - began < 1
