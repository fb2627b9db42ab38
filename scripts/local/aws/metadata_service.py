"""The instance metadata service (IMDSv2) of one instance.

A plain HTTP server on any address, so that it serves an emulated machine on the loopback interface as well as one
that really boots and asks 169.254.169.254. What it says is read afresh from the instance for every request.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

from __future__ import annotations

import http.server
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

log = logging.getLogger(__name__)

TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105  # the header's name
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
LONGEST_TTL = 21600
VERSION = re.compile(r"latest|\d{4}-\d{2}-\d{2}|1\.0")


@dataclass(frozen=True)
class Credentials:
    """Temporary keys of a role; `expiration` is UTC, ISO 8601, to the second."""

    access_key_id: str
    secret_access_key: str
    token: str
    last_updated: str
    expiration: str


@dataclass(frozen=True)
class InstanceView:
    """What the service tells of an instance at one moment. Names are the service's own, with underscores.

    `role` is the name of the instance profile's role, None without a profile; `credentials` makes keys for it.
    `life_cycle` is `on-demand` or `spot`; `spot_action` is None, or the document of `spot/instance-action`;
    `target_lifecycle_state` is None outside an Auto Scaling group.
    """

    instance_id: str
    instance_type: str
    ami_id: str
    region: str
    availability_zone: str
    local_ipv4: str
    hostname: str
    mac: str
    life_cycle: str = "on-demand"
    user_data: bytes | None = None
    role: str | None = None
    instance_profile_arn: str = ""
    instance_profile_id: str = ""
    credentials: Callable[[], Credentials] | None = None
    spot_action: dict[str, str] | None = None
    public_ipv4: str | None = None
    target_lifecycle_state: str | None = None


class MetadataService:
    """Serves the metadata that `view` gives. `port` 0 takes a free port; `stop` is safe to call twice."""

    def __init__(self, view: Callable[[], InstanceView], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._view = view
        self._tokens = _Tokens()
        self._server = _Server((host, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def endpoint(self) -> str:
        """The service's address, as AWS_EC2_METADATA_SERVICE_ENDPOINT wants it."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    def start(self) -> None:
        """Serves from a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stops serving and gives the port back."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        view, tokens = self._view, self._tokens

        class Handler(_Handler):
            current_view = staticmethod(view)
            known_tokens = tokens

        return Handler


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """On a busy computer the patience of who asks may end before the answer comes: that is no traceback's worth."""
        log.info("A question from %s was broken off.", client_address, exc_info=True)


class _Tokens:
    """Session tokens that were given out, each good until its time is over (seconds of the monotonic clock)."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def give(self, ttl: int) -> str:
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._ends = {known: end for known, end in self._ends.items() if end > time.monotonic()}
            self._ends[token] = time.monotonic() + ttl
        return token

    def good(self, token: str | None) -> bool:
        with self._lock:
            return token is not None and self._ends.get(token, 0.0) > time.monotonic()


class _Handler(http.server.BaseHTTPRequestHandler):
    current_view: Callable[[], InstanceView]
    known_tokens: _Tokens
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"

    def do_PUT(self) -> None:
        if _split_version(self.path) != "api/token" or self.headers.get("X-Forwarded-For"):
            return self._send(HTTPStatus.FORBIDDEN)
        ttl = self.headers.get(TTL_HEADER, "")
        if not (ttl.isascii() and ttl.isdigit() and 1 <= int(ttl) <= LONGEST_TTL):
            return self._send(HTTPStatus.BAD_REQUEST)
        return self._send(HTTPStatus.OK, self.known_tokens.give(int(ttl)).encode(), {TTL_HEADER: ttl})

    def do_GET(self) -> None:
        if not self.known_tokens.good(self.headers.get(TOKEN_HEADER)):
            return self._send(HTTPStatus.UNAUTHORIZED)
        path = _split_version(self.path)
        if path is None:
            return self._send(HTTPStatus.NOT_FOUND)
        try:
            found = _find(_tree(self.current_view()), path)
        except Exception:
            log.exception("The metadata service could not answer for %s.", self.path)
            return self._send(HTTPStatus.INTERNAL_SERVER_ERROR)
        return self._send(HTTPStatus.NOT_FOUND) if found is None else self._send(HTTPStatus.OK, found)

    def _send(self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        """Says nothing: every boot asks dozens of times."""


def _split_version(path: str) -> str | None:
    """The path below the version folder, without a trailing slash; None when there is no such version."""
    version, _, rest = path.split("?")[0].lstrip("/").partition("/")
    return rest.strip("/") if VERSION.fullmatch(version) else None


def _tree(view: InstanceView) -> dict[str, Any]:
    """Everything that can be asked for: folders are dicts, files bytes, text or functions that make the text."""
    metadata: dict[str, Any] = {
        "ami-id": view.ami_id,
        "ami-launch-index": "0",
        "hostname": view.hostname,
        "instance-action": "none",
        "instance-id": view.instance_id,
        "instance-life-cycle": view.life_cycle,
        "instance-type": view.instance_type,
        "local-hostname": view.hostname,
        "local-ipv4": view.local_ipv4,
        "mac": view.mac,
        "placement": {
            "availability-zone": view.availability_zone,
            "region": view.region,
        },
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    if view.public_ipv4:
        metadata["public-ipv4"] = view.public_ipv4
    if view.role and view.credentials:
        metadata["iam"] = {
            "info": lambda: _info(view),
            "security-credentials": {view.role: lambda: _security_credentials(view)},
        }
    if view.target_lifecycle_state:
        metadata["autoscaling"] = {"target-lifecycle-state": view.target_lifecycle_state}
    if view.spot_action:
        metadata["spot"] = {"instance-action": json.dumps(view.spot_action)}
    tree: dict[str, Any] = {
        "meta-data": metadata,
        "dynamic": {"instance-identity": {"document": _identity_document(view)}},
    }
    if view.user_data is not None:
        tree["user-data"] = view.user_data
    return tree


def _find(tree: dict[str, Any], path: str) -> bytes | None:
    found: Any = tree
    for name in filter(None, path.split("/")):
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    if isinstance(found, dict):
        return "\n".join(f"{name}/" if isinstance(below, dict) else name for name, below in found.items()).encode()
    if callable(found):
        found = found()
    return found if isinstance(found, bytes) else str(found).encode()


def _info(view: InstanceView) -> str:
    assert view.credentials is not None
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": view.credentials().last_updated,
            "InstanceProfileArn": view.instance_profile_arn,
            "InstanceProfileId": view.instance_profile_id,
        },
        indent=2,
    )


def _security_credentials(view: InstanceView) -> str:
    assert view.credentials is not None
    keys = view.credentials()
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": keys.last_updated,
            "Type": "AWS-HMAC",
            "AccessKeyId": keys.access_key_id,
            "SecretAccessKey": keys.secret_access_key,
            "Token": keys.token,
            "Expiration": keys.expiration,
        },
        indent=2,
    )


def _identity_document(view: InstanceView) -> str:
    return json.dumps(
        {
            "instanceId": view.instance_id,
            "instanceType": view.instance_type,
            "imageId": view.ami_id,
            "region": view.region,
            "availabilityZone": view.availability_zone,
            "privateIp": view.local_ipv4,
            "architecture": "x86_64",
        },
        indent=2,
    )
