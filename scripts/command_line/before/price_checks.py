"""What `sd doctor` checks about money: the price of an hour, and whether the limits leave room for a run."""

from __future__ import annotations

import boto3

from scripts.command_line.account.plan import Plan
from scripts.command_line.account.price_list import find_prices
from scripts.command_line.before.check import Check
from scripts.command_line.cost.estimate import boot_usd
from stacks.facts.budget_regions import INSTEAD, why_no_budget
from userdata.bill.prices import HourlyPrice, read_prices

# How the source of a price begins that EC2 states at this moment.
SEEN_NOW = "EC2's spot price in "


def check_price(session: boto3.Session, plan: Plan) -> Check:
    """What an hour costs, and whether the setting `max_price` is at most the on-demand price."""
    instance_type, region = plan.machine.instance_type, session.region_name or ""
    prices = find_prices(session, region, [instance_type], az=plan.settings.az)
    price = prices.get((instance_type, plan.life_cycle))
    if price is None:
        return Check("price", "unknown", f"no price is known for {instance_type} in {region}", "sd cost")
    most = "at most " if price.at_most else ""
    found = f"{most}${price.usd:g} an hour {plan.life_cycle} ({price.source})"
    on_demand = prices.get((instance_type, "on-demand"))
    limit = plan.settings.max_price
    if limit is not None and on_demand is not None and limit > on_demand.usd:
        found = f"max_price is {limit:g}, but on demand an hour costs ${on_demand.usd:g} ({on_demand.source})"
        return Check("price", "problem", found, f"-c max_price={on_demand.usd:g} or less, or leave it out", blocks=True)
    return Check("price", "ok", found)


def check_max_price(session: boto3.Session, plan: Plan) -> Check:
    """Whether a spot instance can be had for the setting `max_price`: EC2 launches none below the zone's spot price.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
    """
    name, limit, instance_type = "spot price", plan.settings.max_price, plan.machine.instance_type
    if limit is None:
        return Check(name, "ok", "no max_price: at most the on-demand price" if plan.settings.spot else "on demand")
    prices = find_prices(session, session.region_name or "", [instance_type], az=plan.settings.az)
    price = prices.get((instance_type, "spot"))
    if price is None or price.at_most:
        return Check(name, "unknown", f"no spot price is known for {instance_type}", "sd cost")
    found = f"max_price is {limit:g}, and an hour costs ${price.usd:g} ({price.source})"
    if limit >= price.usd:
        return Check(name, "ok", found)
    mend = f"-c max_price={price.usd:g} or more, another -c az, or leave max_price out"
    # A price of the table may have fallen since.
    blocks = price.source.startswith(SEEN_NOW)
    return Check(name, "problem", f"{found}: EC2 launches no instance below that", mend, blocks=blocks)


def check_spend(session: boto3.Session, plan: Plan) -> Check:
    """Whether MaxSpend is more than what one boot can cost, and whether the region has budgets.

    Less than one boot buys no image. As on the instance, a spot instance counts at the price to which it can rise. The
    rule of MaxHours itself refuses more hours than the alarm can count.
    """
    name, machine, region = "spending", plan.machine, session.region_name or ""
    if plan.settings.budget is not None and (why := why_no_budget(region)):
        return Check(name, "problem", f"-c budget={plan.settings.budget:g}: {why}", INSTEAD, blocks=True)
    hours = f"MaxHours {machine.max_hours} ends each uptime"
    if not machine.max_spend:
        return Check(name, "ok", f"{hours}; MaxSpend sets no limit in dollars")
    if machine.usd_per_hour:
        price: HourlyPrice | None = HourlyPrice(usd=machine.usd_per_hour, source="UsdPerHour")
    else:
        prices = find_prices(session, region, [machine.instance_type], az=plan.settings.az)
        price = prices.get((machine.instance_type, plan.life_cycle))
    if price is None:
        found = f"MaxSpend is {machine.max_spend:g}, but no price is known for {machine.instance_type} in {region}"
        return Check(name, "problem", found, "say what an hour costs: --usd-per-hour", blocks=True)
    boot = boot_usd(plan, price.model_copy(update={"usd": price.highest}), read_prices().rates_of(region))
    if machine.max_spend <= boot:
        found = (
            f"MaxSpend is {machine.max_spend:g}, but must be more than what one boot can cost, about ${boot:.2f} on "
            f"{machine.instance_type} {plan.life_cycle}"
        )
        return Check(name, "problem", found, f"for example --max-spend {2 * boot:.2f}", blocks=True)
    return Check(name, "ok", f"{hours}; MaxSpend ${machine.max_spend:g}, of which one boot takes about ${boot:.2f}")
