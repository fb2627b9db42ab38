"""The addresses that keep the machine up while the page is used, and end what costs money."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from scripts.command_line.account.goes_on import is_emulated
from scripts.command_line.cost.remaining_cost import expected_contents, remaining
from scripts.command_line.ending.stop import cuts_off, stop_everything
from scripts.command_line.terminal.command_error import CommandError
from scripts.studio.account import Account, Machine, look
from scripts.studio.answer import answer, refuse
from scripts.studio.answers.drawing import account_of
from userdata.bill.prices import read_prices


def awake(request: Request) -> Response:
    """Holds an instance that runs for ten minutes from now: the page asks for it while a person uses it."""
    account = account_of(request)
    try:
        machine = look(account)
        told = machine.stay.lengthen(account.session, now=datetime.now(UTC)) if machine and machine.is_up else None
    except CommandError as error:
        return refuse(request, error)
    return answer(request, "told.html", {"told": [told] if told else []}, {"told": told})


def ask_stop(request: Request) -> Response:
    """What a stop would cut off, and what it saves."""
    account = account_of(request)
    try:
        machine = _need_machine(account)
        cut = cuts_off(account.session, machine.deployment)
    except CommandError as error:
        return refuse(request, error)
    values = {"machine": machine, "cut": cut, "left": _left(account, machine)}
    return answer(request, "stop.html", values, {"cuts_off": cut, "left": _left(account, machine)})


def stop(request: Request) -> Response:
    """Stops the instance and the fleet, as `sd stop --yes` does; a spot instance can only be terminated."""
    account = account_of(request)
    told: list[str] = []
    try:
        machine = _need_machine(account)
        stop_everything(
            account.session, machine.deployment, terminate=machine.state.is_spot, yes=True, tell=told.append
        )
    except CommandError as error:
        return refuse(request, error)
    return answer(request, "told.html", {"told": told}, {"told": told})


def teardown(request: Request) -> Response:
    """The command that deletes the stack, and what that saves.

    The page has no button for it: the CDK takes minutes and tells much, what is left afterwards is a list of commands,
    and a page whose server ends meanwhile would leave a deletion that nobody watches.
    """
    account = account_of(request)
    command: str | None = "sd teardown" + ("" if account.stack == "SdOnEc2" else f" --stack {account.stack}")
    if account.preparation:
        command = None  # in a terminal it would delete the person's own stack
    try:
        machine = look(account)
    except CommandError as error:
        return refuse(request, error)
    left = _left(account, machine) if machine else []
    values = {"account": account, "machine": machine, "command": command, "left": left}
    return answer(request, "teardown.html", values, {"command": command, "saves": left})


def _need_machine(account: Account) -> Machine:
    if machine := look(account):
        return machine
    raise CommandError(f"There is no stack {account.stack}: nothing of it costs money.")


def _left(account: Account, machine: Machine) -> list[str]:
    """What goes on costing money while the instance is stopped."""
    if is_emulated():
        return ["The local cloud costs nothing."]
    rates = read_prices().rates_of(account.session.region_name)
    lines = remaining(machine.plan, rates, expected_contents(machine.plan))
    return [f"{one.what}: ${one.usd_per_month:.2f} a month" for one in lines if one.when == "while stopped"]
