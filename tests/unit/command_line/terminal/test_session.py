"""The credentials that a person has, or the sentence that says which command makes new ones."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.session import choose_session, credentials_of, open_session

SSO = "sso_region = us-east-1\nsso_start_url = https://corp\nsso_account_id = 111122223333\nsso_role_name = r\n"
SESSION = "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp\n"
SETTINGS = f"""
[profile old]
{SSO}
[profile new]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = r
{SESSION}
[profile "with a space"]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = r
[profile console]
login_session = arn:aws:iam::111122223333:user/me
[profile no-program]
credential_process = /nowhere/program
[profile no-json]
credential_process = echo hello
[profile no-keys]
credential_process = echo '{{"Version": 1}}'
[profile denied]
credential_process = sh -c 'echo go away >&2; exit 1'
[profile half]
aws_access_key_id = AKIA
[profile around]
role_arn = arn:aws:iam::111122223333:role/r
source_profile = there
[profile there]
role_arn = arn:aws:iam::111122223333:role/r
source_profile = around
[profile no-source]
role_arn = arn:aws:iam::111122223333:role/r
source_profile = nobody
[profile mfa]
role_arn = arn:aws:iam::111122223333:role/r
mfa_serial = arn:aws:iam::111122223333:mfa/me
source_profile = static
[profile static]
aws_access_key_id = AKIA
aws_secret_access_key = s
region = eu-west-1
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A person's home with many profiles, and an environment that names none."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text(SETTINGS)
    return tmp_path


def refused(profile: str | None) -> str:
    with pytest.raises(CommandError) as refusal:
        open_session("us-east-1", profile)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("profile", "step"),
    [
        ("old", "`aws sso login --profile old`"),
        ("new", "`aws sso login --profile new`"),
        ("with a space", "`aws sso login --profile 'with a space'`"),
        ("console", "`"),
        ("no-program", "`aws configure list --profile no-program`"),
        ("no-json", "`aws configure list --profile no-json`"),
        ("no-keys", "AccessKeyId"),
        ("denied", "go away. Look at where"),
        ("half", "no AWS credentials were found"),
        ("around", "`aws configure list --profile around`"),
        ("no-source", "`aws configure list --profile no-source`"),
        ("nobody", "--profile names it. `aws configure list-profiles`"),
        (None, "no AWS credentials were found"),
    ],
)
def test_what_gives_no_credentials_is_one_sentence_with_the_next_command(profile: str | None, step: str) -> None:
    assert step in refused(profile)


def sd(*words: str) -> str:
    """What a command says on standard error, where nobody answers and no terminal is: it would be asked otherwise."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "scripts.command_line", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_sso_session_that_has_ended_names_the_login_of_its_profile(home: Path) -> None:
    """In a process of its own, because botocore looks for the home once."""
    cache = home / ".aws/sso/cache"
    cache.mkdir(parents=True)
    token = {"startUrl": "https://corp", "region": "us-east-1", "accessToken": "t", "expiresAt": "2026-01-01T00:00:00Z"}
    for name in ("corp", "https://corp"):
        (cache / f"{hashlib.sha1(name.encode()).hexdigest()}.json").write_text(json.dumps(token))
    for profile in ("old", "new"):
        said = sd("status", "--region", "us-east-1", "--profile", profile)
        assert "expired" in said
        assert said.endswith(f"Log in again: `aws sso login --profile {profile}`.\n")


@pytest.mark.parametrize(
    "content", [b"[default\n", b"region = us-east-1\n", b"[default]\n[default]\n", b"\xff\xfe[\x00d\x00"]
)
@pytest.mark.parametrize("file", ["config", "credentials"])
def test_a_file_that_is_none_is_named(home: Path, file: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    (home / file).write_bytes(content)
    for profile in (None, "static"):
        assert f"Unable to parse config file: {home / file}. Mend the lines of that file" in refused(profile)


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_the_variable_that_names_a_profile_that_is_none_is_told(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "nobody")
    assert f"The config profile (nobody) could not be found: {variable} names it." in refused(None)


def test_an_empty_variable_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "")
    assert choose_session("", "static").region_name == "eu-west-1"
    assert choose_session(None, "").profile_name == "default"
    assert choose_session(None, None).region_name is None


def test_keys_of_the_environment_that_have_ended_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "ASIA", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "t"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2026-01-01T00:00:00Z")
    assert "expired" in refused(None)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2999-01-01T00:00:00Z")
    assert credentials_of(choose_session(None, None)).access_key == "ASIA"


def test_an_mfa_code_that_nobody_can_type_is_a_sentence() -> None:
    assert "sd: Could not find AWS credentials: the profile asks for an MFA code" in sd("start", "--profile", "mfa")
