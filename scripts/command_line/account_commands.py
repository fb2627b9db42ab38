"""`sd quota request` and `sd quota status`: asking AWS for more vCPUs, once, and following what comes of it."""

from __future__ import annotations

from typing import Annotated

import boto3
import typer
from rich.console import Console
from rich.table import Table

from scripts.command_line.account.quota import ask_for, quota_limit, quota_requests, vcpus_in_use
from scripts.command_line.account.zones import all_zones, not_offered, zones_offering
from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import Profile, Region, open_session
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.vcpu_quotas import QuotaKind, quota_kind

app = typer.Typer(no_args_is_help=True, help="The vCPU quota that a GPU instance needs.")

DEFAULT_TYPE = "g5.xlarge"
InstanceType = Annotated[str, typer.Option(help="The instance type that it is for.")]
Spot = Annotated[bool, typer.Option("--spot", help="The quota of spot instances instead of on-demand ones.")]
MEANINGS = {
    "PENDING": "AWS has it",
    "CASE_OPENED": "AWS's support looks at it; the case is in the Support Center",
    "APPROVED": "granted",
    "DENIED": "refused",
    "NOT_APPROVED": "not granted",
    "CASE_CLOSED": "the support case is closed; its last message says how",
    "INVALID_REQUEST": "AWS could not take it",
}


@app.command()
def request(
    instance_type: InstanceType = DEFAULT_TYPE,
    spot: Spot = False,
    vcpus: Annotated[
        int | None, typer.Option(help="The quota to ask for; default: enough to replace a running instance.", min=1)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="File it without asking.")] = False,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Ask AWS for a larger quota. Nothing is asked for twice, and nothing that is there already."""
    session = open_session(region, profile)
    kind = _kind(instance_type, spot=spot)
    wanted = vcpus or _enough(session, kind, instance_type)
    limit = quota_limit(session, kind)
    if wanted <= limit:
        typer.echo(f"Nothing to do: {kind.name} is {limit:g} vCPUs in {session.region_name}; {wanted} are wanted.")
        return
    pending = [one for one in quota_requests(session, kind) if one.is_pending]
    if pending:
        asked = pending[0]
        typer.echo(
            f"Nothing to do: {asked.vcpus:g} vCPUs were asked for on {asked.asked_at[:10]}, and AWS has not decided "
            "yet; see `sd quota status`. AWS takes one request for a quota at a time."
        )
        return
    question = f"Ask AWS for {wanted} vCPUs of {kind.name} in {session.region_name} (now {limit:g})? It costs nothing."
    if not yes and not _says_yes(question):
        typer.echo("Nothing was asked for.")
        return
    filed = ask_for(session, kind, wanted)
    typer.echo(f"Asked for {wanted} vCPUs: {filed.status}. It can take some days; see `sd quota status`.")


@app.command()
def status(
    instance_type: InstanceType = DEFAULT_TYPE,
    spot: Spot = False,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show the quota, what is in use, and what became of each request for more."""
    session = open_session(region, profile)
    kind = _kind(instance_type, spot=spot)
    used = sum(vcpus_in_use(session, kind).values())
    limit = quota_limit(session, kind)
    typer.echo(f"{kind.name} ({kind.code}) in {session.region_name}: {limit:g} vCPUs, {used} in use.")
    requests = quota_requests(session, kind)
    if not requests:
        typer.echo("No request for more was ever filed.")
        return
    table = Table("asked on", "vCPUs", "state", "which means", "case", box=None, pad_edge=False)
    for one in requests:
        meaning = MEANINGS.get(one.status, "")
        table.add_row(one.asked_at[:10], f"{one.vcpus:g}", one.status, meaning, one.case_id or "-")
    Console().print(table)


def _kind(instance_type: str, *, spot: bool) -> QuotaKind:
    kind = quota_kind(instance_type, spot=spot)
    if instance_type not in INSTANCE_TYPES or kind is None:
        raise CommandError(
            f"--instance-type {instance_type}: it must be a GPU type of which the {'spot ' if spot else ''}quota is "
            "known, for example g5.xlarge.",
            exit_status=2,
        )
    return kind


def _enough(session: boto3.Session, kind: QuotaKind, instance_type: str) -> int:
    """Enough for a running instance of the type and, for the moment of its replacement, another one."""
    return sum(vcpus_in_use(session, kind).values()) + 2 * INSTANCE_TYPES[instance_type].vcpus


def _says_yes(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort as error:
        raise CommandError("Nobody answered. To file it without a question: --yes.", exit_status=2) from error


def zones(
    named: Annotated[str | None, typer.Argument(metavar="[INSTANCE_TYPE]", help="The same, without its name.")] = None,
    instance_type: Annotated[str | None, typer.Option(help=f"The instance type; default: {DEFAULT_TYPE}.")] = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show which zones offer an instance type; `-c az=ZONE` deploys into one of them."""
    if named and instance_type and named != instance_type:
        raise CommandError(
            f"The zones of one instance type are shown, but {named} and --instance-type {instance_type} are two. Give "
            "one of them.",
            exit_status=2,
        )
    instance_type = named or instance_type or DEFAULT_TYPE
    session = open_session(region, profile)
    offering = zones_offering(session, instance_type)
    if not offering:
        raise CommandError(not_offered(session, instance_type))
    table = Table("zone", f"offers {instance_type}", "deploy into it", box=None, pad_edge=False)
    for zone in all_zones(session):
        there = zone in offering
        table.add_row(zone, "yes" if there else "no", f"sd deploy -c az={zone}" if there else "")
    Console().print(table)
