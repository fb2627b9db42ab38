from __future__ import annotations

from pathlib import Path

from scripts.local.command_environment import command_environment, leave_behind

HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_DEFAULT_PROFILE": "production",
    "AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_CONFIG_FILE": "/home/me/.aws/config",
    "AWS_SESSION_TOKEN": "real",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "aws_ca_bundle": "/x",
    "CDK_DEFAULT_ACCOUNT": "999999999999",
    "CDK_HOME": "/home/me/.cdk",
    "MOTO_ACCOUNT_ID": "999999999999",
    "HTTPS_PROXY": "http://proxy:3128",
    "NO_PROXY": "intranet",
    "PATH": "/usr/bin",
    "TERM": "xterm",
}


def environment(tmp_path: Path) -> dict[str, str]:
    return command_environment(
        HOSTILE,
        endpoint="http://127.0.0.1:5000",
        region="us-east-1",
        access_key_id="AKIALOCAL",
        secret_access_key="secret",
        scratch=tmp_path,
    )


def test_nothing_of_the_caller_s_aws_is_left(tmp_path: Path) -> None:
    made = environment(tmp_path)
    for name, value in HOSTILE.items():
        if name.upper().startswith(("AWS_", "CDK_", "MOTO_")):
            assert made.get(name) != value, name
    assert made["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5000"
    assert made["AWS_ACCESS_KEY_ID"] == "AKIALOCAL"
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CDK_HOME"):
        assert made[name].startswith(str(tmp_path))


def test_the_cloud_itself_leaves_it_behind_too() -> None:
    """moto reads it when it is imported, and asks for the profile."""
    own = dict(HOSTILE)
    leave_behind(own)
    assert own.pop("AWS_CONFIG_FILE") == own.pop("AWS_SHARED_CREDENTIALS_FILE") == "/dev/null"
    assert set(own) == {"HTTPS_PROXY", "NO_PROXY", "PATH", "TERM"}


def test_the_rest_stays_and_local_addresses_need_no_proxy(tmp_path: Path) -> None:
    made = environment(tmp_path)
    assert made["TERM"] == "xterm"
    assert made["HTTPS_PROXY"] == "http://proxy:3128"
    assert made["NO_PROXY"].split(",") == ["localhost", "127.0.0.1", "::1", "intranet"]
    assert made["PATH"].split(":")[-1] == "/usr/bin"
    assert made["PATH"].split(":")[0].endswith(".venv/bin")
