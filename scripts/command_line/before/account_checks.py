"""What `sd doctor` checks about the account and this machine. Each check is one line."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import boto3

from scripts.command_line.account.deployment import RETRIES, deployed_settings, find_deployment
from scripts.command_line.account.free_plan import ON_THE_FREE_PLAN, UPGRADE, kind_of_plan
from scripts.command_line.account.identity import find_account, profile_option
from scripts.command_line.account.plan import Plan
from scripts.command_line.account.quota import QuotaUse, quota_limit, quota_requests, vcpus_in_use
from scripts.command_line.account.shell import PLUGIN, PLUGIN_PAGE
from scripts.command_line.account.zones import check_zone, not_offered, spot_scores, zones_offering
from scripts.command_line.before.check import Check
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.written_context import written_context
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.vcpu_quotas import quota_kind

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

QUALIFIER = "@aws-cdk/core:bootstrapQualifier"
USUAL_QUALIFIER = "hnb659fds"
# The least that a stack of the library in requirements.in asks for.
# Source: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-troubleshoot.html
OLDEST_BOOTSTRAP = 6


def check_credentials(session: boto3.Session, plan: Plan) -> Check:
    """Whether there are credentials that AWS accepts, and a region."""
    name = "credentials"
    try:
        account = find_account(session)
    except CommandError as error:
        return Check(name, "problem", str(error), blocks=True)
    return Check(name, "ok", f"account {account}, region {session.region_name}")


def bootstrap_parameter(qualifier: str = USUAL_QUALIFIER) -> str:
    """The parameter in which a bootstrap stack keeps its version."""
    return f"/cdk-bootstrap/{qualifier}/version"


def check_bootstrap(session: boto3.Session, plan: Plan) -> Check:
    """Whether `cdk bootstrap` has prepared the region, with a version that is new enough.

    As for the CDK, the qualifier is that of `-c`, else that of the CDK's files.
    """
    name = "CDK bootstrap"
    qualifier = plan.context.get(QUALIFIER) or written_context().get(QUALIFIER) or USUAL_QUALIFIER
    client: SSMClient = session.client("ssm", config=RETRIES)
    with aws_errors_in_words("look for the bootstrap stack"):
        try:
            version = int(client.get_parameter(Name=bootstrap_parameter(qualifier))["Parameter"]["Value"])
        except client.exceptions.ParameterNotFound:
            found = f"{session.region_name} is not bootstrapped"
            return Check(name, "problem", found, _bootstrap(session, qualifier), blocks=True)
    if version < OLDEST_BOOTSTRAP:
        found = f"version {version}; at least {OLDEST_BOOTSTRAP} is needed"
        return Check(name, "problem", found, _bootstrap(session, qualifier), blocks=True)
    return Check(name, "ok", f"version {version}")


def _bootstrap(session: boto3.Session, qualifier: str) -> str:
    """The command that prepares this account and this region, whatever the CDK would take by itself."""
    command = f"cdk bootstrap aws://{find_account(session)}/{session.region_name}{profile_option(session)}"
    if qualifier == USUAL_QUALIFIER:
        return command
    # A second bootstrap stack in a region needs a name of its own: under the usual one it would change the first.
    return f"{command} --qualifier {qualifier} --toolkit-stack-name CDKToolkit-{qualifier}"


def check_account_plan(session: boto3.Session, plan: Plan) -> Check:
    """Whether the account may launch GPU types at all: on AWS's Free Plan, EC2 refuses them whatever the quota."""
    name, kind = "account plan", kind_of_plan(session)
    if kind == "FREE":
        return Check(name, "problem", ON_THE_FREE_PLAN, UPGRADE, blocks=True)
    return Check(name, "ok", kind.lower() if kind else "none, so not the Free Plan")


def check_stack(session: boto3.Session, plan: Plan) -> Check:
    """Whether a failed operation has left the stack in a state that `sd deploy` must lead out of first."""
    deployment = find_deployment(session, plan.settings.stack)
    if deployment is None:
        return Check("stack", "ok", "none yet")
    if deployment.trouble:
        return Check("stack", "problem", deployment.trouble)
    return Check("stack", "ok", deployment.state)


def check_quota(session: boto3.Session, plan: Plan) -> Check:
    """Whether the quota suffices for this deploy, and for replacing the instance later."""
    instance_type = plan.machine.instance_type
    kind = quota_kind(instance_type, spot=plan.settings.spot)
    if kind is None:
        found = f"no quota is known for {plan.life_cycle} {instance_type}"
        return Check("quota", "unknown", found, "look in the Service Quotas console, under Amazon EC2")
    use = quota_use(session, plan)
    how = " --spot" if plan.settings.spot else ""
    mend = f"sd quota request --instance-type {instance_type} --vcpus {use.wanted}{how}"
    found = f"{kind.name}: {use.limit:g} vCPUs, {use.own + use.others} in use; this deploy takes {use.peak}"
    if not use.suffices:
        return Check("quota", "problem", found, mend, blocks=True)
    if not use.suffices_for_a_replacement:
        return Check(
            "quota", "problem", f"{found}, and replacing the running instance takes {2 * use.type_vcpus}", mend
        )
    return Check("quota", "ok", found)


def quota_use(session: boto3.Session, plan: Plan) -> QuotaUse:
    """The quota that the plan's instance counts against, and how it is used. Raises `CommandError`.

    `quota_kind` must know the quota of the instance type.
    """
    instance_type = plan.machine.instance_type
    kind = quota_kind(instance_type, spot=plan.settings.spot)
    assert kind is not None
    running = vcpus_in_use(session, kind)
    own_id = plan.deployment.outputs.get("InstanceId", "") if plan.deployment else ""
    own = running.pop(own_id, 0)
    return QuotaUse(
        limit=quota_limit(session, kind),
        others=sum(running.values()),
        own=own,
        type_vcpus=INSTANCE_TYPES[instance_type].vcpus if instance_type in INSTANCE_TYPES else own,
        replaces=plan.replaces,
    )


def check_quota_requests(session: boto3.Session, plan: Plan) -> Check:
    """Whether AWS has yet to decide about a request for a larger quota."""
    name = "quota requests"
    kind = quota_kind(plan.machine.instance_type, spot=plan.settings.spot)
    if kind is None:
        return Check(name, "unknown", "the quota of this type is not known")
    pending = [request for request in quota_requests(session, kind) if request.is_pending]
    if not pending:
        return Check(name, "ok", "none is pending")
    asked = ", ".join(f"{request.vcpus:g} vCPUs ({request.status}, {request.asked_at[:10]})" for request in pending)
    return Check(name, "ok", f"pending: {asked}", "`sd quota status` follows it")


def check_zones(session: boto3.Session, plan: Plan) -> Check:
    """Whether the region offers the type, the zone that was asked for does, and the network can be updated."""
    if plan.deployment and plan.deployment.outputs.get("Zones", "3") != "3":
        # Its first subnet has another range than that of today's template, and CloudFormation replaces no subnet by one
        # whose range overlaps. Releases since then have no such output.
        found = (
            "an earlier release deployed this stack with other zones than the default; its subnets cannot be updated"
        )
        again = f"`sd teardown`, then `sd deploy -c output_bucket={plan.deployment.bucket}`, which keeps the images"
        if deployed_settings(plan.deployment).get("keep_results") == "false":
            again = "`sd results`, because the bucket goes with the stack; then `sd teardown` and `sd deploy`"
        return Check("zones", "problem", found, again, blocks=True)
    instance_type, zone = plan.machine.instance_type, plan.settings.az
    offering = zones_offering(session, instance_type)
    if not offering:
        return Check(
            "zones", "problem", not_offered(session, instance_type), "choose another type or region", blocks=True
        )
    if zone:
        try:
            check_zone(session, instance_type, zone)
        except CommandError as error:
            return Check("zones", "problem", str(error), f"-c az={offering[0]}", blocks=True)
    return Check("zones", "ok", f"{instance_type} in {', '.join(offering)}")


def check_spot_capacity(session: boto3.Session, plan: Plan) -> Check:
    """How likely EC2 has a spot instance to give, by zone; on demand there is nothing to ask before a deploy."""
    name, instance_type = "spot capacity", plan.machine.instance_type
    if not plan.settings.spot:
        return Check(name, "ok", "not asked for: on demand")
    scores = spot_scores(session, [instance_type])
    by_zone = ", ".join(f"{zone} {scores[zone]}" for zone in zones_offering(session, instance_type) if zone in scores)
    found = f"placement scores of 10 (low for a single type; compare the zones): {by_zone or 'none'}"
    return Check(name, "ok", found)


def check_plugin(session: boto3.Session, plan: Plan) -> Check:
    """Whether this machine can open a shell on the instance; no deploy needs that, so that it is no problem."""
    name = "Session Manager plugin"
    found = shutil.which(PLUGIN, path=os.environ.get("PATH"))
    if found:
        return Check(name, "ok", found)
    return Check(name, "ok", "not installed; only a shell on the instance needs it", f"install it: {PLUGIN_PAGE}")
