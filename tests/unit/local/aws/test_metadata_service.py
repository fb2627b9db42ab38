from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from scripts.local.aws.metadata_service import Credentials, InstanceView, MetadataService

VIEW = InstanceView(
    instance_id="i-0123456789abcdef0",
    instance_type="g5.xlarge",
    ami_id="ami-1",
    region="us-east-1",
    availability_zone="us-east-1a",
    local_ipv4="10.0.0.7",
    hostname="ip-10-0-0-7.ec2.internal",
    mac="0a:00:00:00:00:01",
)
KEYS = Credentials("AKIA", "secret", "token", "2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z")


class Subject:
    def __init__(self) -> None:
        self.view = VIEW
        self.service = MetadataService(lambda: self.view)
        self.service.start()

    def call(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        named = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
        request = urllib.request.Request(self.service.endpoint + path, method=method, headers=named)  # noqa: S310
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def token(self, ttl: str = "60") -> str:
        return self.call("latest/api/token", "PUT", token_ttl_seconds=ttl)[1]

    def get(self, path: str) -> tuple[int, str]:
        return self.call(path, token=self.token())


@pytest.fixture
def subject() -> Iterator[Subject]:
    made = Subject()
    yield made
    made.service.stop()


def test_nothing_is_told_without_a_good_token(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert subject.call("latest/meta-data/instance-id")[0] == 401
    assert subject.call("latest/meta-data/instance-id", token="guess")[0] == 401
    token = subject.token("21600")
    assert subject.call("latest/meta-data/instance-id", token=token) == (200, VIEW.instance_id)
    monkeypatch.setattr("time.monotonic", lambda: float("inf"))
    assert subject.call("latest/meta-data/instance-id", token=token)[0] == 401


@pytest.mark.parametrize("ttl", ["", "0", "21601", "ten"])
def test_a_token_s_time_must_be_from_1_to_21600_seconds(subject: Subject, ttl: str) -> None:
    status, _ = subject.call("latest/api/token", "PUT", token_ttl_seconds=ttl)
    assert status == 400


def test_folders_are_listed_and_what_is_missing_is_not_found(subject: Subject) -> None:
    status, listing = subject.get("latest/meta-data/")
    assert status == 200
    assert {"instance-id", "placement/", "mac", "local-ipv4"} <= set(listing.split("\n"))
    assert not {"iam/", "spot/"} & set(listing.split("\n"))
    for path in (
        "latest/user-data",
        "latest/meta-data/iam/security-credentials/",
        "latest/meta-data/spot/instance-action",
        "latest/meta-data/instance-id/more",
        "newest/meta-data/",
    ):
        assert subject.get(path)[0] == 404, path


def test_the_role_s_keys(subject: Subject) -> None:
    subject.view = dataclasses.replace(VIEW, role="worker", instance_profile_arn="arn:p", credentials=lambda: KEYS)
    assert subject.get("latest/meta-data/iam/security-credentials/") == (200, "worker")
    keys = json.loads(subject.get("latest/meta-data/iam/security-credentials/worker")[1])
    assert keys["Code"] == "Success"
    assert (keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"]) == ("AKIA", "secret", "token")
    assert keys["Expiration"] == "2026-01-01T06:00:00Z"
    assert json.loads(subject.get("latest/meta-data/iam/info")[1])["InstanceProfileArn"] == "arn:p"


def test_only_an_instance_of_a_group_has_a_state_of_its_life_there(subject: Subject) -> None:
    path = "latest/meta-data/autoscaling/target-lifecycle-state"
    assert subject.get(path)[0] == 404
    subject.view = dataclasses.replace(VIEW, target_lifecycle_state="InService")
    assert subject.get(path) == (200, "InService")
