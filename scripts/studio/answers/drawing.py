"""The form's addresses: what a press costs, the press itself, and what begins with a file."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from scripts.command_line.account.goes_on import is_emulated
from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.runs import read_status
from scripts.command_line.cost.press import Press, price_press
from scripts.command_line.deploying.inputs import LONGEST_STEM
from scripts.command_line.deploying.local_files import key_for
from scripts.command_line.generating.generate import is_there, refuse_gone, start_for_run, there_already
from scripts.command_line.generating.machine import plan_stay
from scripts.command_line.generating.request import make_request, plan_request
from scripts.command_line.generating.send import send
from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.studio.account import HOLD, Account, Machine, look
from scripts.studio.answer import answer, keep, refuse, render
from scripts.studio.answers.grids import plan_cells, together
from scripts.studio.answers.grids import read as read_grid
from scripts.studio.form import NAMES, beside, typed_in
from scripts.studio.pictures import RunSeen, see_run
from scripts.studio.preparation import NotYetError
from scripts.studio.quality import GOOD, with_dial
from scripts.studio.records import read_record, values_of
from userdata.bill.prices import read_prices
from userdata.job.initial_image import read_image

PRICE_COMES = "Press whenever you like: it is sent once the local cloud is there."


def account_of(request: Request) -> Account:
    """The account that this studio shows."""
    account: Account = request.app.state.account
    return account


def asked(form: FormData, deployed: str) -> dict[str, str]:
    """What the form asks for: what was typed, over what the dial sets."""
    return with_dial(typed_in(form), str(form.get("Quality", GOOD)), deployed)


def price(request: Request, form: FormData) -> Response:
    """What a press costs now, and the sentences of what cannot be drawn, beside their fields."""
    account = account_of(request)
    pressed: Press | None = None
    grid: Press | None = None
    refusals: dict[str, str] = {}
    told: tuple[str, ...] = ()
    try:
        machine = look(account)
        if machine is None:
            raise CommandError(f"There is no stack {account.stack}, so nothing can be drawn yet.")
        wanted = plan_request(account.session, machine.deployment, asked(form, machine.plan.job.model), files=False)
        rates = read_prices().rates_of(account.session.region_name)
        drawn = price_press(wanted.plan, machine.stay.price, rates, is_up=machine.is_up, is_free=is_emulated())
        pressed, told, grid = drawn, wanted.told, price_grid(form, account, machine)
    except NotYetError:
        told = (PRICE_COMES,)
    except CommandError as error:
        refusals = beside(error)
    values = {"pressed": pressed, "grid": grid, "refusals": refusals, "told": told, "names": list(NAMES)}
    data = {
        "images": pressed.images if pressed else None,
        "seconds": pressed.seconds if pressed else None,
        "start_seconds": pressed.start_seconds if pressed else None,
        "usd": pressed.usd if pressed else None,
        "in_words": pressed.in_words if pressed else None,
        "refusals": refusals,
    }
    return answer(request, "price.html", values, data)


def price_grid(form: FormData, account: Account, machine: Machine) -> Press | None:
    """What the form's grid costs, None without one. Raises `CommandError` for a grid that cannot be drawn."""
    grid = read_grid(form, machine.plan.job.model)
    if grid is None:
        return None
    rates = read_prices().rates_of(account.session.region_name)
    return together(
        [
            price_press(one.plan, machine.stay.price, rates, is_up=machine.is_up, is_free=is_emulated())
            for one in plan_cells(account, grid).values()
        ]
    )


def generate(request: Request, form: FormData) -> Response:
    """Sends the run, as `sd generate` does, and answers with its place on the page. Nothing is sent after a refusal."""
    account = account_of(request)
    prompt = str(form.get("Prompt", ""))
    if kept := keep(request, account, prompt, lambda: render("run.html", needs_start=False, **_send(account, form))):
        return kept
    try:
        shown = _send(account, form)
    except CommandError as error:
        refused = beside(error)
        values = {"pressed": None, "grid": None, "refusals": refused, "told": (), "names": list(NAMES)}
        response = answer(request, "price.html", values, {"refusals": refused}, status=422)
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#price", "innerHTML"
        return response
    data = {**shown["seen"].as_data(), "told": shown["told"], "is_new": shown["is_new"]}
    return answer(request, "sent.html", {**shown, "names": list(NAMES)}, data)


class Sent(TypedDict):
    """A run that was sent, as the page shows it."""

    seen: RunSeen
    told: list[str]
    is_new: bool


def _send(account: Account, form: FormData) -> Sent:
    """Raises `CommandError` for what cannot be drawn; nothing was sent then."""
    deployment, queue = account.need_queue()
    if deployment.is_changing:
        raise CommandError(str(deployment.trouble))
    wanted = make_request(account.session, deployment, asked(form, deployment.parameters["Model"]), files=False)
    before = read_status(account.s3, deployment.bucket, wanted.run_id)
    told = [*wanted.told]
    is_new = not (before and is_there(account.session, deployment, before))
    if is_new:
        refuse_gone(deployment, instance_state(account.session, deployment))
        send(account.session, deployment.bucket, queue, wanted.plan.job)
    else:
        told.append(there_already(wanted.run_id))
    return Sent(seen=see_run(account, deployment.bucket, wanted.run_id), told=told, is_new=is_new)


def start(request: Request) -> Response:
    """Starts the instance for a run that waits, and holds it afterwards; both as `sd generate` does."""
    account, run_id = account_of(request), str(request.path_params["run_id"])
    try:
        deployment, _ = account.need_queue()
        see_run(account, deployment.bucket, run_id)
        started = start_for_run(account.session, deployment, run_id)
        machine = look(account)
        assert machine
        stay = plan_stay(deployment, machine.plan, HOLD, region=account.session.region_name)
        held = stay.lengthen(account.session, now=datetime.now(UTC))
    except CommandError as error:
        return refuse(request, error)
    told = [*([started.message] if started.started else []), *filter(None, [held])]
    return answer(request, "told.html", {"told": told}, {"told": told, "started": started.started})


def restore(request: Request, form: FormData) -> Response:
    """What to type for the image in a dropped file. Nothing of the file is kept."""
    try:
        values = values_of(read_record(_content(form)))
    except CommandError as error:
        return refuse(request, error)
    return answer(request, "restored.html", {"values": values}, {"values": values})


def put_input(request: Request, form: FormData) -> Response:
    """Puts an initial image, or a mask, below `inputs/`, and answers with its key."""
    account = account_of(request)
    parameter = "InitMask" if form.get("parameter") == "InitMask" else "InitImage"
    try:
        content = _content(form)
        try:
            image = read_image(content)
        except ValueError as error:
            raise CommandError(f"{parameter} cannot be read as an image ({error}).", exit_status=2) from error
        deployment, _ = account.need_queue()
        name = Path(_file(form).filename or "image")
        key = key_for(name, hashlib.sha256(content).hexdigest(), LONGEST_STEM[parameter], image.suffixes[0])
        with aws_errors_in_words(f"upload {key} to {deployment.bucket}"):
            account.s3.put_object(Bucket=deployment.bucket, Key=key, Body=content)
    except CommandError as error:
        return refuse(request, error)
    told = [f"{key} is in the bucket.", *image.told]
    return answer(request, "told.html", {"told": told}, {"key": key, "told": told})


def _file(form: FormData) -> UploadFile:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise CommandError("No file came. Drop a PNG that a run has saved.", exit_status=2)
    return file


def _content(form: FormData) -> bytes:
    return _file(form).file.read()
