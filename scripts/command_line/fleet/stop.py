"""Ends the machines of a fleet, and says how it stands."""

from __future__ import annotations

import boto3

from scripts.command_line.account.deployment import Deployment
from scripts.command_line.account.price_list import find_prices
from scripts.command_line.fleet.activities import trouble
from scripts.command_line.fleet.group import Group, autoscaling, read_group
from scripts.command_line.fleet.offers import mean_price
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words

MOST_NAMED = 5


def stop_fleet(session: boto3.Session, deployment: Deployment) -> str | None:
    """Ends all machines of the fleet, and says what that saves; None without a fleet. Raises `CommandError`.

    The maximum becomes 0 as well, because else the alarm would start a machine for what waits in the queues.
    """
    group = read_group(session, deployment)
    if group is None:
        return None
    if not (group.most or group.desired or group.machines):
        return "Nothing to do: the fleet has no machine, and none can start by itself."
    with aws_errors_in_words(f"end the machines of the fleet {group.name}"):
        autoscaling(session).update_auto_scaling_group(
            AutoScalingGroupName=group.name, MinSize=0, MaxSize=0, DesiredCapacity=0
        )
    told = "The fleet has no machine."
    if group.machines:
        count = machines_in_words(len(group.machines))
        told = f"The fleet's {count} will end in some minutes{_saving(session, group)}."
    return f"{told} None starts by itself from now on, also for what waits in the queues."


def fleet_in_words(session: boto3.Session, deployment: Deployment) -> list[str]:
    """How the fleet stands, in sentences, or why that cannot be told; none without a fleet."""
    try:
        group = read_group(session, deployment)
        return _in_words(group, trouble(session, deployment)) if group else []
    except CommandError as error:
        return [str(error)]


def _in_words(group: Group, why: str | None) -> list[str]:
    if not group.most:
        told = f"The fleet is shut: of its {machines_in_words(group.size)} none starts until a command asks for some."
    else:
        told = f"The fleet may have {machines_in_words(group.most)}, and was told to have {group.desired}."
    named = [f"{name} ({kind})" if kind else name for name, kind in group.machines.items()]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    if named:
        told += f" It has {len(named)}, of which {group.in_service} work: {', '.join(named[:MOST_NAMED])}{more}."
    return [told, why] if why else [told]


def machines_in_words(number: int) -> str:
    """`1 machine`, `2 machines`."""
    return f"{number} machine{'s' * (number != 1)}"


def _saving(session: boto3.Session, group: Group) -> str:
    """What an hour of the fleet's machines costs, as half a sentence; nothing where a price is not known."""
    types = set(group.machines.values())
    prices = find_prices(None, session.region_name, sorted(types))
    hourly = {name: mean_price(prices, name, group.on_demand)[0] for name in types}
    usd = [hourly[name] for name in group.machines.values()]
    return "" if None in usd else f", which saves about ${sum(one or 0 for one in usd):.2f} an hour"
