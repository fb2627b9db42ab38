"""Whether the limits that a person sets leave room for a run at all."""

from __future__ import annotations

import boto3

from scripts.command_line.account.plan import Plan
from scripts.command_line.account.price_list import find_prices
from scripts.command_line.before.check import Check
from scripts.command_line.cost.estimate import boot_usd
from userdata.bill.prices import HourlyPrice, read_prices

NAME = "spending"


def check_spend(session: boto3.Session, plan: Plan) -> Check:
    """Whether MaxSpend is more than what one boot costs: less than that would buy no image.

    More hours than the alarm can count are refused by MaxHours' own rule.
    """
    machine, region = plan.machine, session.region_name or ""
    hours = f"MaxHours {machine.max_hours} ends each uptime"
    if not machine.max_spend:
        return Check(NAME, "ok", f"{hours}; MaxSpend sets no limit in dollars")
    price = _price(session, plan, region)
    if price is None:
        found = f"MaxSpend is {machine.max_spend:g}, but nobody states what {machine.instance_type} costs in {region}"
        return Check(NAME, "problem", found, "say what an hour costs: --usd-per-hour", blocks=True)
    boot = boot_usd(plan, price, read_prices().rates_of(region))
    if machine.max_spend <= boot:
        found = (
            f"MaxSpend is {machine.max_spend:g}, but must be more than what one boot costs, about ${boot:.2f} on "
            f"{machine.instance_type} {plan.life_cycle}"
        )
        return Check(NAME, "problem", found, f"for example --max-spend {2 * boot:.2f}", blocks=True)
    return Check(NAME, "ok", f"{hours}; MaxSpend ${machine.max_spend:g}, of which one boot takes about ${boot:.2f}")


def _price(session: boto3.Session, plan: Plan, region: str) -> HourlyPrice | None:
    if plan.machine.usd_per_hour:
        return HourlyPrice(usd=plan.machine.usd_per_hour, source="UsdPerHour")
    instance_type = plan.machine.instance_type
    return find_prices(session, region, [instance_type]).get((instance_type, plan.life_cycle))
