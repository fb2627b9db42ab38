"""The emulated account: its numbers, its administrator's keys, and clients of its API."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

REGION = "us-east-1"
ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

# Settings that botocore would take from the caller's environment and files, and that could lead elsewhere.
ISOLATED: dict[str, tuple[None, None, Any, None]] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "ca_bundle": (None, None, None, None),
    "use_dualstack_endpoint": (None, None, False, None),
    "use_fips_endpoint": (None, None, False, None),
    "retry_mode": (None, None, "standard", None),
    "defaults_mode": (None, None, "legacy", None),
}


class Account:
    """The one account of a local cloud, whose API is at `endpoint`.

    Its administrator is a real IAM user of the account with keys of its own, so that the clients work as well when
    moto is told to enforce IAM. The keys differ from cloud to cloud, as the CDK CLI remembers accounts by their keys.
    """

    def __init__(self, endpoint: str) -> None:
        self.id = DEFAULT_ACCOUNT_ID
        self.region = REGION
        self.endpoint = endpoint
        iam = iam_backends[self.id]["aws"]
        iam.create_user(self.region, "local-administrator")
        iam.put_user_policy("local-administrator", "everything", json.dumps(ADMINISTRATOR))
        key = iam.create_access_key("local-administrator")
        self.access_key_id: str = key.access_key_id
        self.secret_access_key: str = key.secret_access_key
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """A boto3 client of the administrator, untouched by the caller's own AWS settings and proxies."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(service, self.access_key_id, self.secret_access_key)
            return self._clients[service]

    def client_of_role(self, arn: str, service: str) -> Any:
        """A client with the rights of a role, for a service of AWS that may assume it."""
        assumed = sts_backends[self.id]["aws"].assume_role(
            region_name=self.region,
            role_session_name="service",
            role_arn=arn,
            policy=None,
            duration=3600,
            external_id=None,
        )
        return self._make_client(service, assumed.access_key_id, assumed.secret_access_key, assumed.session_token)

    def _make_client(self, service: str, key_id: str, secret: str, token: str | None = None) -> Any:
        session: Any = boto3.Session(  # the types know the services by name only
            botocore_session=botocore.session.Session(session_vars=ISOLATED),
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            region_name=self.region,
        )
        config = Config(proxies={}, retries={"total_max_attempts": 1})
        return session.client(service, endpoint_url=self.endpoint, config=config)
