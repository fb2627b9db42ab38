"""What goes on in AWS after a command was interrupted, what that costs, and the command that ends it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

from scripts.command_line.account.deployment import Deployment, deployed_settings
from scripts.command_line.account.plan import Plan
from userdata.bill.prices import read_prices
from userdata.bill.units import HOURS_PER_MONTH
from userdata.contract.worker_environment import LifeCycle
from userdata.worker.bucket.passing_errors import AWS_ERRORS

# Somebody waits for the command to end.
HASTY = Config(retries={"total_max_attempts": 2, "mode": "standard"}, connect_timeout=3, read_timeout=5)


def deploy_goes_on(session: boto3.Session, stack: str, plan: Plan) -> str:
    """What a deploy of `plan` does without its command. Asks CloudFormation once, because only it knows."""
    state = _state(session, stack)
    if state in ("", "REVIEW_IN_PROGRESS"):
        return f"Interrupted before {_aws()} made anything of {stack}: nothing runs. `sd deploy` begins anew."
    if not state.endswith("_IN_PROGRESS"):
        where = "" if state == "?" else f", and {stack} is {state}"
        return (
            f"Interrupted{where}: `sd status` shows what runs in {_aws()}, and `sd teardown` deletes everything but "
            "the images."
        )
    cost = _cost(session.region_name, plan.machine.model_dump(by_alias=True), spot=plan.settings.spot)
    return (
        f"Interrupted, but the deploy of {stack} goes on in {_aws()}, and so does its instance{cost}. `sd status` "
        "looks, `sd teardown` deletes everything but the images."
    )


def run_goes_on(session: boto3.Session, deployment: Deployment, run_id: str) -> str:
    """What a run does without the command that waits for it."""
    spot = deployed_settings(deployment).get("spot") == "true"
    cost = _cost(session.region_name, deployment.parameters, spot=spot)
    stop = "sd stop --terminate" if spot else "sd stop"
    return (
        f"Interrupted, but run {run_id} goes on in {_aws()}, on {deployment.instance_id}{cost}. `sd status` looks, "
        f"`{stop}` ends it, `sd results {run_id}` fetches its images."
    )


def deletion_goes_on(session: boto3.Session, stack: str) -> str:
    """What becomes of a deletion of the stack without its command."""
    state = _state(session, stack)
    if not state:
        return f"Interrupted, but {stack} is deleted. `sd teardown` looks for anything left that costs money."
    if state == "DELETE_IN_PROGRESS":
        return (
            f"Interrupted, but the deletion of {stack} goes on in {_aws()}. `sd teardown` waits for its end, and looks "
            "for anything left that costs money."
        )
    where = "" if state == "?" else f", and {stack} is {state}"
    return f"Interrupted{where}: what runs there goes on and costs money. `sd teardown` deletes it."


def _state(session: boto3.Session, stack: str) -> str:
    """CloudFormation's word; empty for no stack, `?` where it does not say."""
    try:
        client = session.client("cloudformation", config=HASTY)
        return client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except AWS_ERRORS as error:
        return "" if "does not exist" in str(error) else "?"


def _aws() -> str:
    return "the emulated account" if is_emulated() else "AWS"


def is_emulated() -> bool:
    """Whether the account is one that is emulated on some machine, where nothing costs anything."""
    return bool(os.environ.get("AWS_ENDPOINT_URL"))


def _cost(region: str, parameters: Mapping[str, Any], *, spot: bool) -> str:
    """What an hour of the machine costs at most, by the table, because nobody should wait now; and when that ends."""
    if is_emulated():
        return ", at no cost"
    life_cycle: LifeCycle = "spot" if spot else "on-demand"
    table, rates = read_prices(), read_prices().rates_of(region)
    price = table.hourly(region, str(parameters["InstanceType"]), life_cycle)
    hours = f"until its work ends, {float(parameters['MaxHours']):g} hours (MaxHours) at most"
    if price is None:
        return f", at a price that is not known here, {hours}"
    disk = float(parameters["VolumeSize"]) * rates.disk_gb_month / HOURS_PER_MONTH
    return f", for at most ${price.highest + rates.address_hour + disk:.2f} an hour, {hours}"
