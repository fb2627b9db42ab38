"""Service Quotas as far as EC2's vCPU quotas go: moto knows those of VPC only.

The account is a small one: 8 vCPUs of G instances, on demand and spot, and none of P. A request for more is taken and
stays pending, because nobody is there to decide.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partialmethod
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from scripts.local.aws.replaced import replaced
from stacks.facts.vcpu_quotas import QUOTAS

# The names of the quotas and the account's vCPUs, by code.
LIMITS = {kind.code: (kind.name, 8.0 if kind.counts("g6.xlarge", spot=kind.spot) else 0.0) for kind in QUOTAS}
MOTO_S_OWN: Callable[[ServiceQuotasResponse], str] = ServiceQuotasResponse.get_service_quota


@contextlib.contextmanager
def ec2_quotas(values: dict[str, float] | None = None) -> Iterator[None]:
    """Answers for EC2's quotas while the context lasts; `values` are vCPUs by code, in place of the small account's."""
    limits = {code: (values or {}).get(code, value) for code, (_, value) in LIMITS.items()}
    asked: dict[str, list[dict[str, Any]]] = {code: [] for code in LIMITS}
    actions = {
        "get_service_quota": partialmethod(_get, limits),
        "get_aws_default_service_quota": partialmethod(_get, dict.fromkeys(LIMITS, 0.0)),
        "request_service_quota_increase": partialmethod(_request, asked),
        "list_requested_service_quota_change_history_by_quota": partialmethod(_list, asked),
    }
    with replaced({(ServiceQuotasResponse, name): action for name, action in actions.items()}):
        yield


# moto calls what follows as methods of its own class; the second argument is bound.


def _get(response: ServiceQuotasResponse, limits: dict[str, float]) -> str:
    given = json.loads(response.body)
    if given["ServiceCode"] != "ec2":
        return MOTO_S_OWN(response)
    quota = {**_named(given), "Value": limits[given["QuotaCode"]], "Adjustable": True}
    return json.dumps({"Quota": quota})


def _request(response: ServiceQuotasResponse, asked: dict[str, list[dict[str, Any]]]) -> str:
    given = json.loads(response.body)
    more = {"DesiredValue": given["DesiredValue"], "Status": "PENDING", "Created": time.time()}
    filed = {"Id": uuid.uuid4().hex, **_named(given), **more}
    asked[given["QuotaCode"]].append(filed)
    return json.dumps({"RequestedQuota": filed})


def _list(response: ServiceQuotasResponse, asked: dict[str, list[dict[str, Any]]]) -> str:
    return json.dumps({"RequestedQuotas": asked.get(json.loads(response.body)["QuotaCode"], [])})


def _named(given: dict[str, Any]) -> dict[str, Any]:
    code = given["QuotaCode"]
    if code not in LIMITS:
        raise NoSuchResource
    return {"ServiceCode": "ec2", "QuotaCode": code, "QuotaName": LIMITS[code][0]}
