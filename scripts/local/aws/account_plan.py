"""The account's plan: the Free Tier API's GetAccountPlanState, and what the Free Plan refuses. moto knows neither."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend
from werkzeug.wrappers import Response

from scripts.local.aws.replaced import replaced

TARGET = "AWSFreeTierService.GetAccountPlanState"
# Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-free-tier-usage.html
ELIGIBLE = ("t3.micro", "t3.small", "t4g.micro", "t4g.small", "c7i-flex.large", "m7i-flex.large")


class AccountPlan:
    """Stands in front of the API's WSGI application, and answers for the account's plan in its place."""

    kind = "PAID"

    def __init__(self, api: Any) -> None:
        self._api = api

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer to one request."""
        plan = {"accountId": DEFAULT_ACCOUNT_ID, "accountPlanType": self.kind, "accountPlanStatus": "ACTIVE"}
        asked = environ.get("HTTP_X_AMZ_TARGET") == TARGET
        api = Response(json.dumps(plan), content_type="application/x-amz-json-1.0") if asked else self._api
        answer: Iterable[bytes] = api(environ, start_response)
        return answer


@contextlib.contextmanager
def free_plan() -> Iterator[None]:
    """Puts the account on the Free Plan while the context lasts: EC2 launches no GPU type, whatever the quota."""

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def run_instances(backend: Any, *given: Any, **more: Any) -> Any:
            if more.get("instance_type") not in ELIGIBLE:
                raise EC2ClientError(
                    "InvalidParameterCombination",
                    "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance "
                    "types, run 'describe-instance-types' with the filter 'free-tier-eligible=true'.",
                )
            return original(backend, *given, **more)

        return run_instances

    refusing = around(InstanceBackend.__dict__["run_instances"])
    with replaced({(AccountPlan, "kind"): "FREE", (InstanceBackend, "run_instances"): refusing}):
        yield
