"""The Pricing API's GetProducts, with the prices of the repository's table; moto does not know that service."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from userdata.bill.prices import read_prices

TARGET = "AWSPriceListService.GetProducts"


class PriceList:
    """Stands in front of the API's WSGI application, and answers for on-demand prices in its place.

    There is no product where the table has no price.
    """

    def __init__(self, api: Any) -> None:
        self._api = api

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer to one request."""
        if environ.get("HTTP_X_AMZ_TARGET") != TARGET:
            answer: Iterable[bytes] = self._api(environ, start_response)
            return answer
        wanted = {one["Field"]: one["Value"] for one in Request(environ).get_json(force=True)["Filters"]}
        price = read_prices().hourly(wanted["regionCode"], wanted["instanceType"], "on-demand")
        products = [] if price is None else [json.dumps(_product(wanted["instanceType"], price.usd))]
        body = json.dumps({"FormatVersion": "aws_v1", "PriceList": products})
        return Response(body, content_type="application/x-amz-json-1.1")(environ, start_response)


def _product(instance_type: str, usd: float) -> dict[str, Any]:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": f"{usd:.10f}"}}
    return {
        "product": {"productFamily": "Compute Instance", "attributes": {"instanceType": instance_type}},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {"TERM": {"priceDimensions": {"TERM.RATE": dimension}}}},
    }
