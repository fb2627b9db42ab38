"""What `sd doctor` checks about a fleet: its types, both vCPU quotas, and the role for spot instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.quota import quota_limit, vcpus_in_use
from scripts.command_line.account.zones import types_offered
from scripts.command_line.before.check import Check
from scripts.command_line.terminal.command_error import aws_errors_in_words
from stacks.facts.fleet_types import fitting_types
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.model_refusal import ways_of
from stacks.facts.vcpu_quotas import QuotaKind, quota_kind
from userdata.contract.catalogue import find_model

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

SPOT_ROLE = "AWSServiceRoleForEC2Spot"
NO_FLEET = "no fleet is asked for"


def check_fleet_types(session: boto3.Session, plan: Plan) -> Check:
    """Whether the region has machines of the fleet's types, with a card that holds the model."""
    name = "fleet types"
    if plan.settings.fleet is None:
        return Check(name, "ok", NO_FLEET)
    fitting = _fitting(plan)
    offered = types_offered(session, fitting) if fitting else {}
    there = [one for one in fitting if one in offered]
    without = [one for one in plan.settings.fleet_types if one not in there]
    if not there:
        why = f"none of {', '.join(without)} is offered in {session.region_name} with a card that holds the model"
        return Check(name, "problem", why, "-c fleet_types=TYPE,TYPE; `sd zones TYPE` shows where one is", blocks=True)
    left_out = f"; left out: {', '.join(without)}" if without else ""
    return Check(name, "ok", ", ".join(there) + left_out)


def check_fleet_quota(session: boto3.Session, plan: Plan) -> Check:
    """Whether the quota of each market that the fleet buys in holds as many machines as it may have."""
    name, size = "fleet quota", plan.settings.fleet
    fitting = [one for one in _fitting(plan) if one in INSTANCE_TYPES] if size else []
    if size is None or not fitting:
        return Check(name, "ok", NO_FLEET if size is None else "not asked for: no type of the fleet is known")
    told: list[str] = []
    mends: list[str] = []
    fits = 0
    smallest = min(fitting, key=lambda one: INSTANCE_TYPES[one].vcpus)
    spot_machines = size * (100 - plan.settings.fleet_on_demand) // 100
    on_demand_machines = size if plan.settings.fleet_fallback else size - spot_machines
    for spot, machines in ((True, spot_machines), (False, on_demand_machines)):
        kind = quota_kind(smallest, spot=spot)
        if not machines or kind is None:
            continue
        vcpus = INSTANCE_TYPES[smallest].vcpus
        limit, used = quota_limit(session, kind), _others(session, kind, plan)
        there = int(max(0.0, limit - used) // vcpus)
        fits += there
        told.append(f"{kind.name}: {limit:g} vCPUs, {used} in use, which leaves {there} machines of {smallest}")
        if there < machines:
            how = " --spot" if spot else ""
            mends.append(f"sd quota request --instance-type {smallest} --vcpus {used + machines * vcpus}{how}")
    if mends:
        return Check(
            name, "problem", "; ".join(told) + f"; the fleet may have {size}", "; ".join(mends), blocks=not fits
        )
    return Check(name, "ok", "; ".join(told) or "no quota is known for these types")


def check_spot_role(session: boto3.Session, plan: Plan) -> Check:
    """Whether the account has the role with which EC2 launches spot instances, which somebody must make once.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
    """
    name = "spot role"
    if plan.settings.fleet is None or plan.settings.fleet_on_demand == 100:
        return Check(name, "ok", "not asked for: no spot machines of a fleet")
    client: IAMClient = session.client("iam", config=RETRIES)
    with aws_errors_in_words(f"look for the role {SPOT_ROLE}"):
        try:
            client.get_role(RoleName=SPOT_ROLE)
        except client.exceptions.NoSuchEntityException:
            mend = "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
            return Check(name, "problem", f"the account has no role {SPOT_ROLE}, which spot instances need", mend)
    return Check(name, "ok", SPOT_ROLE)


def _fitting(plan: Plan) -> list[str]:
    model, engine = find_model(plan.job.model), str(plan.job.engine)
    return fitting_types(plan.settings.fleet_types, model, ways=ways_of(plan.job), engine=engine)


def _others(session: boto3.Session, kind: QuotaKind, plan: Plan) -> int:
    """The vCPUs that run beside the stack's own instance, which is idle while the fleet draws."""
    own = plan.deployment.outputs.get("InstanceId", "") if plan.deployment else ""
    return sum(vcpus for one, vcpus in vcpus_in_use(session, kind).items() if one != own)
