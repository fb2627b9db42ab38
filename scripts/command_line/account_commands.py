"""`sd quota` and `sd zones`: how many vCPUs the account may run, and which zones offer an instance type."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from scripts.command_line.terminal.command_error import CommandError
from scripts.command_line.terminal.common_options import Profile, Region
from scripts.command_line.terminal.help import GroupedCommand, GroupedCommands
from scripts.command_line.terminal.json_option import Json, print_document
from scripts.command_line.terminal.plain_text import say
from scripts.command_line.terminal.question import ask
from scripts.interruption.signals import when_interrupted
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.machine_parameters import MachineParameters

if TYPE_CHECKING:
    from stacks.facts.vcpu_quotas import QuotaKind

quota = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    help="Show the vCPU quota of GPU instances, and ask for more.",
    add_completion=False,
    rich_markup_mode=None,
)

DEFAULT_TYPE = MachineParameters().instance_type


def complete_types(incomplete: str) -> list[str]:
    """The instance types that begin so."""
    from stacks.facts.instance_types import INSTANCE_TYPES

    return [name for name in INSTANCE_TYPES if name.startswith(incomplete)]


InstanceType = Annotated[
    str, typer.Option(metavar="TYPE", autocompletion=complete_types, help="The instance type that needs the quota.")
]
Spot = Annotated[bool, typer.Option("--spot", help="The quota of spot instances instead of on-demand instances.")]
MEANINGS = {
    "PENDING": "AWS has the request",
    "CASE_OPENED": "AWS's support examines the request; the case is in the Support Center",
    "APPROVED": "granted",
    "DENIED": "refused",
    "NOT_APPROVED": "not granted",
    "CASE_CLOSED": "the support case is closed; its last message says why",
    "INVALID_REQUEST": "AWS could not accept the request",
}


@quota.command(cls=GroupedCommand, epilog="Example: `sd quota request`")
def request(
    instance_type: InstanceType = DEFAULT_TYPE,
    spot: Spot = False,
    vcpus: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The quota to ask for; default: enough to replace a running instance."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="File the request without a question.")] = False,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Ask AWS for a larger quota, once. Nothing is asked for while the quota suffices, or while AWS has a request."""
    from scripts.command_line.account.free_plan import ON_THE_FREE_PLAN, UPGRADE, kind_of_plan
    from scripts.command_line.account.identity import tell_identity
    from scripts.command_line.account.quota import ask_for, quota_limit, quota_requests, vcpus_in_use
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    kind = _kind(instance_type, spot=spot)
    tell_identity(session, None)
    with suppress(CommandError):  # who may not ask for the plan may ask for a quota
        if kind_of_plan(session) == "FREE":
            say(f"The account is on {ON_THE_FREE_PLAN}, whatever the quota: {UPGRADE}.", err=True)
    # Enough for a running instance of the type and, while that is replaced, for another one.
    wanted = vcpus or sum(vcpus_in_use(session, kind).values()) + 2 * INSTANCE_TYPES[instance_type].vcpus
    limit = quota_limit(session, kind)
    if wanted <= limit:
        say(f"Nothing to do: {wanted} vCPUs are wanted, and {kind.name} is {limit:g} in {session.region_name}.")
        return
    pending = [one for one in quota_requests(session, kind) if one.is_pending]
    if pending:
        asked = pending[0]
        say(
            f"Nothing to do: a request for {asked.vcpus:g} vCPUs was filed on {asked.asked_at[:10]}, and AWS has not "
            "decided yet; see `sd quota status`. AWS takes one request for a quota at a time."
        )
        return
    question = (
        f"Ask AWS for {wanted} vCPUs of {kind.name} in {session.region_name} (now {limit:g})? A request costs nothing."
    )
    if not yes and not ask(question, otherwise="No request was filed"):
        say("No request was filed.")
        return
    with when_interrupted(lambda: "Interrupted: `sd quota status` shows whether the request was filed."):
        filed = ask_for(session, kind, wanted)
    say(f"Asked for {wanted} vCPUs: {filed.status}. The decision can take some days; see `sd quota status`.")
    smallest = INSTANCE_TYPES[instance_type].vcpus
    say(
        "AWS often declines the first request of a new account, because a request by API gives no reasons. Answer its "
        f"case in the Support Center: the type ({instance_type}), the region ({session.region_name}), "
        "the hours a month, and what ends the instance (it stops when idle, and after MaxHours). "
        f"If {wanted} vCPUs are too many, ask for --vcpus {smallest}."
    )


@quota.command(cls=GroupedCommand, epilog="Example: `sd quota status`")
def status(
    instance_type: InstanceType = DEFAULT_TYPE,
    spot: Spot = False,
    as_json: Json = False,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show the quota, its use, and what became of each request for more."""
    from rich.table import Table

    from scripts.command_line.account.quota import quota_limit, quota_requests, vcpus_in_use
    from scripts.command_line.documents.machine import QuotaDocument, QuotaRequestRow
    from scripts.command_line.terminal.session import open_session

    session = open_session(region, profile)
    kind = _kind(instance_type, spot=spot)
    used = sum(vcpus_in_use(session, kind).values())
    limit = quota_limit(session, kind)
    say(f"{kind.name} ({kind.code}) in {session.region_name}: {limit:g} vCPUs, {used} in use.")
    requests = quota_requests(session, kind)
    if as_json:
        rows = [
            QuotaRequestRow(asked_at=one.asked_at, vcpus=one.vcpus, state=one.status, case=one.case_id or None)
            for one in requests
        ]
        where = session.region_name or ""
        print_document(
            QuotaDocument(region=where, name=kind.name, code=kind.code, vcpus=limit, used=used, requests=rows)
        )
    if not requests:
        say("No request for a larger quota was ever filed.")
        return
    table = Table("asked on", "vCPUs", "state", "which means", "case", box=None, pad_edge=False)
    for one in requests:
        meaning = MEANINGS.get(one.status, "")
        table.add_row(one.asked_at[:10], f"{one.vcpus:g}", one.status, meaning, one.case_id or "-")
    Console().print(table)


def _kind(instance_type: str, *, spot: bool) -> QuotaKind:
    from stacks.facts.vcpu_quotas import quota_kind

    kind = quota_kind(instance_type, spot=spot)
    if instance_type not in INSTANCE_TYPES or kind is None:
        raise CommandError(
            f"--instance-type is {instance_type}, but must be a GPU type with a known {'spot ' if spot else ''}quota, "
            f"for example {DEFAULT_TYPE}.",
            exit_status=2,
        )
    return kind


def zones(
    named: Annotated[
        str | None,
        typer.Argument(
            metavar="TYPE", autocompletion=complete_types, help="The instance type, without --instance-type."
        ),
    ] = None,
    instance_type: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", autocompletion=complete_types, help=f"The instance type; default: {DEFAULT_TYPE}."
        ),
    ] = None,
    as_json: Json = False,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show which zones offer an instance type. `sd deploy -c az=ZONE` deploys into one of them."""
    from rich.table import Table

    from scripts.command_line.account.zones import all_zones, not_offered, zones_offering
    from scripts.command_line.documents.machine import ZoneRow, ZonesDocument
    from scripts.command_line.terminal.session import open_session

    if named and instance_type and named != instance_type:
        raise CommandError(
            f"`sd zones` takes one instance type, but got {named} and --instance-type {instance_type}. Leave one out.",
            exit_status=2,
        )
    instance_type = named or instance_type or DEFAULT_TYPE
    session = open_session(region, profile)
    offering = zones_offering(session, instance_type)
    if not offering:
        raise CommandError(not_offered(session, instance_type))
    rows = [ZoneRow(zone=zone, offers=zone in offering) for zone in all_zones(session)]
    if as_json:
        print_document(ZonesDocument(region=session.region_name or "", instance_type=instance_type, zones=rows))
    table = Table("zone", f"offers {instance_type}", "deploy into it", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.zone, "yes" if row.offers else "no", f"sd deploy -c az={row.zone}" if row.offers else "")
    Console().print(table)
