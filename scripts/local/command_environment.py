"""The environment in which commands reach the local cloud, and never the real AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LOCAL_HOSTS = "localhost,127.0.0.1,::1"
# Every setting of the SDKs, of the CDK CLI and of moto begins so; whatever the caller has of them is left behind.
FOREIGN = ("AWS_", "CDK_", "BOTO_", "BOTOCORE_", "MOTO_", "AMAZON_")


def leave_behind(environment: MutableMapping[str, str]) -> None:
    """Takes the caller's settings out of the cloud's own process, before moto is imported, which reads them then.

    So do boto3's sessions that moto makes: they would stop at a profile that is none, or at a malformed file.
    """
    for name in [name for name in environment if name.upper().startswith(FOREIGN)]:
        del environment[name]
    environment.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)


def command_environment(
    caller: Mapping[str, str],
    *,
    endpoint: str,
    region: str,
    access_key_id: str,
    secret_access_key: str,
    scratch: Path,
) -> dict[str, str]:
    """The caller's environment with all settings of AWS and the CDK replaced by those of the local cloud.

    Writes the SDKs' settings file into `scratch`, so that the files in the caller's home are never read.
    """
    environment = {name: value for name, value in caller.items() if not name.upper().startswith(FOREIGN)}
    settings = scratch / "aws-config"
    settings.write_text(f"[default]\nregion = {region}\ns3 =\n    addressing_style = path\n", "utf-8")
    credentials = scratch / "aws-credentials"
    credentials.touch()
    no_proxy = ",".join(filter(None, [LOCAL_HOSTS, caller.get("NO_PROXY") or caller.get("no_proxy", "")]))
    path = [str(CHECKOUT / ".venv/bin"), str(CHECKOUT / "node_modules/.bin"), caller.get("PATH", "/usr/bin:/bin")]
    return {
        **environment,
        "PATH": ":".join(path),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret_access_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": str(settings),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "CDK_HOME": str(scratch / "cdk-home"),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_NOTICES": "false",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }
