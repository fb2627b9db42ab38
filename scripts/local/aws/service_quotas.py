"""Service Quotas as far as EC2's vCPU quotas go: moto knows those of VPC only.

The account is a small one: 8 vCPUs of G instances, on demand and spot, and none of P. A request for more is taken and
stays pending, since nobody is there to decide.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from stacks.facts.vcpu_quotas import QUOTAS

LIMITS = {kind.code: (kind.name, 8.0 if kind.counts("g5.xlarge", spot=kind.spot) else 0.0) for kind in QUOTAS}
Action = Callable[[ServiceQuotasResponse], str]


@contextlib.contextmanager
def ec2_quotas(values: dict[str, float] | None = None) -> Iterator[None]:
    """Answers for EC2's quotas while the context lasts; `values` are vCPUs by code, in place of the small account's."""
    limits = {code: (name, (values or {}).get(code, value)) for code, (name, value) in LIMITS.items()}
    asked: dict[str, list[dict[str, Any]]] = {code: [] for code in LIMITS}
    actions = {
        "get_service_quota": _get(limits),
        "get_aws_default_service_quota": _get({code: (name, 0.0) for code, (name, _) in LIMITS.items()}),
        "request_service_quota_increase": _request(limits, asked),
        "list_requested_service_quota_change_history_by_quota": _list(asked),
    }
    before = {name: ServiceQuotasResponse.__dict__.get(name) for name in actions}
    for name, action in actions.items():
        setattr(ServiceQuotasResponse, name, action)
    try:
        yield
    finally:
        for name, original in before.items():
            if original is None:
                delattr(ServiceQuotasResponse, name)
            else:
                setattr(ServiceQuotasResponse, name, original)


def _get(limits: dict[str, tuple[str, float]]) -> Action:
    original: Action = ServiceQuotasResponse.get_service_quota

    def get(response: ServiceQuotasResponse) -> str:
        given = json.loads(response.body)
        if given["ServiceCode"] != "ec2":
            return original(response)
        code = given["QuotaCode"]
        if code not in limits:
            raise NoSuchResource
        name, value = limits[code]
        quota = {"ServiceCode": "ec2", "QuotaCode": code, "QuotaName": name, "Value": value, "Adjustable": True}
        return json.dumps({"Quota": quota})

    return get


def _request(limits: dict[str, tuple[str, float]], asked: dict[str, list[dict[str, Any]]]) -> Action:
    def request(response: ServiceQuotasResponse) -> str:
        given = json.loads(response.body)
        code = given["QuotaCode"]
        if code not in limits:
            raise NoSuchResource
        filed = {
            "Id": uuid.uuid4().hex,
            "ServiceCode": "ec2",
            "QuotaCode": code,
            "QuotaName": limits[code][0],
            "DesiredValue": given["DesiredValue"],
            "Status": "PENDING",
            "Created": time.time(),
        }
        asked[code].append(filed)
        return json.dumps({"RequestedQuota": filed})

    return request


def _list(asked: dict[str, list[dict[str, Any]]]) -> Action:
    def listed(response: ServiceQuotasResponse) -> str:
        return json.dumps({"RequestedQuotas": asked.get(json.loads(response.body)["QuotaCode"], [])})

    return listed
