"""What can be had for a batch: the instance that stands, and machines of each of the fleet's types."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, Deployment
from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.price_list import Prices, find_prices
from scripts.command_line.account.quota import quota_limit, vcpus_in_use
from scripts.command_line.cost.estimate import Preparation, image_seconds, preparation_minutes
from scripts.command_line.fleet.group import Group
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.vcpu_quotas import QuotaKind, quota_kind
from userdata.bill.prices import read_prices
from userdata.bill.units import HOURS_PER_MONTH
from userdata.contract.layout import BOOTS, CACHE
from userdata.fleet.decision import Market, Offer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def instance_offer(session: boto3.Session, deployment: Deployment, plan: Plan) -> Offer | None:
    """The instance of the stack, None where it is terminated. Raises `CommandError` when AWS cannot be asked."""
    state = instance_state(session, deployment)
    if state.is_gone:
        return None
    name = plan.machine.instance_type
    region = session.region_name
    price = find_prices(session, region, [name], az=plan.settings.az).get((name, plan.life_cycle))
    usd = plan.machine.usd_per_hour or (price.usd if price else 0)
    booted = _any(session, deployment.bucket, f"{BOOTS}{deployment.instance_id}/")
    boot = 0.0 if booted and state.name == "running" else _boot_seconds(plan, "disk" if booted else "install")
    return Offer(
        instance_type=name,
        market=plan.life_cycle,
        usd_per_hour=usd + _beside(plan, region) if usd else None,
        image_seconds=image_seconds(plan.job, INSTANCE_TYPES[name]) if name in INSTANCE_TYPES else None,
        boot_seconds=boot,
        at_most=price.at_most if price else False,
    )


def fleet_offers(session: boto3.Session, deployment: Deployment, plan: Plan, group: Group) -> list[Offer]:
    """Machines of each of the fleet's types, as many as the quotas leave beside what runs.

    EC2 buys them in the market that was deployed; for a share of both, the price is the mean. Raises `CommandError`.
    """
    types = [name for name in group.types if name in INSTANCE_TYPES]
    prices = find_prices(session, session.region_name, types)
    preparation: Preparation = "cache" if _any(session, deployment.bucket, CACHE) else "install"
    market: Market = {0.0: "spot", 1.0: "on-demand"}.get(group.on_demand, "mixed")  # type: ignore[assignment]
    beside = _beside(plan, session.region_name)
    left = functools.cache(lambda kind: _vcpus_left(session, kind, group))
    offers = []
    for name in types:
        usd, at_most = mean_price(prices, name, group.on_demand)
        offers.append(
            Offer(
                instance_type=name,
                market=market,
                usd_per_hour=None if usd is None else usd + beside,
                image_seconds=image_seconds(plan.job, INSTANCE_TYPES[name]),
                boot_seconds=_boot_seconds(plan, preparation),
                most=_most_by_quota(name, group, left),
                of_fleet=True,
                at_most=at_most,
            )
        )
    return offers


def _most_by_quota(name: str, group: Group, left: Callable[[QuotaKind | None], float]) -> int:
    """How many machines of that type the fleet can have at once, by its size and by the vCPUs that its quotas leave."""
    vcpus = INSTANCE_TYPES[name].vcpus
    of_market = {spot: quota_kind(name, spot=spot) for spot in (True, False)}
    for count in range(group.size, 0, -1):
        on_demand = math.ceil(count * group.on_demand)
        wanted = {True: count - on_demand, False: on_demand}
        if all(not many or many * vcpus <= left(of_market[spot]) for spot, many in wanted.items()):
            return count
    return 0


def _vcpus_left(session: boto3.Session, kind: QuotaKind | None, group: Group) -> float:
    """The vCPUs that the quota leaves beside all that runs, the fleet's own machines aside.

    A quota that AWS does not tell sets no limit: a refusal of EC2 is told by the fleet's activities.
    """
    if kind is None:
        return math.inf
    try:
        others = sum(vcpus for one, vcpus in vcpus_in_use(session, kind).items() if one not in group.machines)
        return quota_limit(session, kind) - others
    except CommandError:
        return math.inf


def mean_price(prices: Prices, name: str, on_demand: float) -> tuple[float | None, bool]:
    """What an hour of that type costs in the mean of both markets, and whether that is an upper bound."""
    regular, spot = prices.get((name, "on-demand")), prices.get((name, "spot"))
    if regular is None or spot is None:
        return None, False
    return regular.usd * on_demand + spot.usd * (1 - on_demand), spot.at_most and on_demand < 1


def _boot_seconds(plan: Plan, preparation: Preparation) -> float:
    return 60 * preparation_minutes(plan.job, preparation)


def _beside(plan: Plan, region: str) -> float:
    """What an hour of a machine's disk and address costs, in US dollars."""
    rates = read_prices().rates_of(region)
    return rates.address_hour + plan.machine.volume_size * rates.disk_gb_month / HOURS_PER_MONTH


def _any(session: boto3.Session, bucket: str, prefix: str) -> bool:
    s3: S3Client = session.client("s3", config=RETRIES)
    with aws_errors_in_words(f"look into {bucket}"):
        return bool(s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))
