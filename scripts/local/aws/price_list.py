"""The Pricing API's GetProducts, with the prices of the repository's table; moto does not know that service."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.servicequotas.responses import ServiceQuotasResponse

from scripts.local.aws.replaced import replaced
from userdata.bill.prices import read_prices

# Requests come in through the door of a service that speaks the same protocol (JSON 1.1), since a door of its own
# would have to be built into moto's index of services.
DOOR = "servicequotas"


@contextlib.contextmanager
def prices_of_the_table() -> Iterator[None]:
    """Answers for on-demand prices while the context lasts, with no product where the table has no price."""
    find = DomainDispatcherApplication.get_backend_for_host
    ServiceQuotasResponse.get_products = _get_products
    try:
        with replaced({(DomainDispatcherApplication, "get_backend_for_host"): _with_pricing(find)}):
            yield
    finally:
        del ServiceQuotasResponse.get_products


def _with_pricing(find: Callable[[Any, str | None], Any]) -> Callable[[Any, str | None], Any]:
    def get_backend_for_host(application: Any, host: str | None) -> Any:
        return DOOR if host and host.startswith("pricing.") else find(application, host)

    return get_backend_for_host


def _get_products(response: ServiceQuotasResponse) -> str:
    given = json.loads(response.body)
    wanted = {one["Field"]: one["Value"] for one in given["Filters"]}
    price = read_prices().hourly(wanted["regionCode"], wanted["instanceType"], "on-demand")
    products = [] if price is None else [json.dumps(_product(wanted["instanceType"], price.usd))]
    return json.dumps({"FormatVersion": "aws_v1", "PriceList": products})


def _product(instance_type: str, usd: float) -> dict[str, Any]:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": f"{usd:.10f}"}}
    return {
        "product": {"productFamily": "Compute Instance", "attributes": {"instanceType": instance_type}},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {"TERM": {"priceDimensions": {"TERM.RATE": dimension}}}},
    }
