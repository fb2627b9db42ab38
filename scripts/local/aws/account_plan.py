"""The Free Tier API's GetAccountPlanState: the account is on a paid plan. moto does not know that service."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from werkzeug.wrappers import Response

TARGET = "AWSFreeTierService.GetAccountPlanState"
PAID = {"accountId": DEFAULT_ACCOUNT_ID, "accountPlanType": "PAID", "accountPlanStatus": "ACTIVE"}


class AccountPlan:
    """Stands in front of the API's WSGI application, and answers for the account's plan in its place."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer to one request."""
        asked = environ.get("HTTP_X_AMZ_TARGET") == TARGET
        api = Response(json.dumps(PAID), content_type="application/x-amz-json-1.0") if asked else self._api
        answer: Iterable[bytes] = api(environ, start_response)
        return answer
