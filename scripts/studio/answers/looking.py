"""The addresses that only look: the page, runs, one image, and the stream of what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from scripts.command_line.account.instance import known_run_id
from scripts.command_line.terminal.command_error import CommandError
from scripts.studio import form, quality
from scripts.studio.account import Account, Machine, look
from scripts.studio.answer import answer, refuse
from scripts.studio.answers.drawing import account_of
from scripts.studio.answers.grids import AXES
from scripts.studio.events import EVERY_SECONDS, MOST_RUNS, News, needs_start
from scripts.studio.pictures import (
    RUN_NAME,
    Picture,
    find_picture,
    find_thumbnail,
    latest_runs,
    see_run,
)
from scripts.studio.preparation import NotYetError
from scripts.studio.records import command_for, read_record, values_of
from userdata.contract.catalogue import find_model
from userdata.job.model_rules import ABLE

A_PAGE = 8


def home(request: Request) -> Response:
    """The page. It comes whatever AWS answers, because what is typed into it must not be lost."""
    account = account_of(request)
    machine, trouble = _seen(account)
    expected = account.preparation.model if account.preparation else "stable-diffusion-v1-5"
    model = machine.plan.job.model if machine else expected
    values = {
        "account": account,
        "machine": machine,
        "trouble": trouble,
        "groups": form.fields(),
        "first": form.FIRST,
        "dial": {position: quality.in_words(model, position) for position in quality.dial(model)},
        "usual": quality.GOOD,
        "axes": AXES,
    }
    return answer(request, "home.html", values, machine_data(account, machine, trouble))


def machine_data(account: Account, machine: Machine | None, trouble: str) -> dict[str, object]:
    """The machine for a program."""
    return {
        "stack": account.stack,
        "trouble": trouble or None,
        "instance_id": machine.deployment.instance_id if machine else None,
        "instance_type": machine.plan.machine.instance_type if machine else None,
        "model": machine.plan.job.model if machine else None,
        "state": machine.state.name if machine else None,
        "usd_per_hour": machine.stay.price.usd if machine and machine.stay.price else None,
        "held_until": machine.held_until.isoformat() if machine and machine.held_until else None,
        "waiting": machine.waiting if machine else None,
    }


def _seen(account: Account) -> tuple[Machine | None, str]:
    try:
        return look(account), ""
    except CommandError as error:
        return None, str(error)


def status(request: Request) -> Response:
    """What is running, what it costs, and until when it is held."""
    account = account_of(request)
    machine, trouble = _seen(account)
    values = {"account": account, "machine": machine, "trouble": trouble}
    return answer(request, "machine.html", values, machine_data(account, machine, trouble))


def runs(request: Request) -> Response:
    """The runs, the latest first, a few at a time; before them what waits for the local cloud."""
    account = account_of(request)
    skip = request.query_params.get("skip", "0")
    skipped = int(skip) if skip.isdecimal() and len(skip) < 7 else 0
    # Before the runs, or one that is sent meanwhile would be neither here nor there.
    kept = account.preparation.not_sent if account.preparation and not skipped else []
    try:
        machine = look(account)
        if machine is None:
            raise CommandError(f"There is no stack {account.stack}, so there are no runs yet.")
        deployed = known_run_id(machine.deployment) or ""
        found, total = latest_runs(account, machine.deployment.bucket, deployed=deployed, skip=skipped, most=A_PAGE)
    except NotYetError:
        found, total, machine = [], 0, None
    except CommandError as error:
        return refuse(request, error)
    after = skipped + A_PAGE if total > skipped + A_PAGE else None
    waiting = {one.run.run_id for one in found if needs_start(one, machine)}
    values = {"runs": found, "after": after, "total": total, "waiting": waiting, "all_kept": kept}
    return answer(request, "runs.html", values, {"total": total, "runs": [one.as_data() for one in found]})


def run(request: Request) -> Response:
    """One run with its images so far."""
    account = account_of(request)
    try:
        machine = look(account)
        if machine is None:
            raise CommandError(f"There is no stack {account.stack}, so there are no runs yet.")
        seen = see_run(account, machine.deployment.bucket, request.path_params["run_id"])
    except CommandError as error:
        return refuse(request, error)
    return answer(request, "run.html", {"seen": seen, "needs_start": needs_start(seen, machine)}, seen.as_data())


def image(request: Request) -> Response:
    """One image with its record, and what can be done with it."""
    try:
        picture, content = _picture(request)
        record = read_record(content)
        values = values_of(record)
    except CommandError as error:
        return refuse(request, error)
    model = find_model(values["Model"])
    shown = {
        "picture": picture,
        "record": record,
        "values": values,
        "command": command_for(values),
        "can_upscale": model.pipeline in ABLE and not {"Upscale", "InitImage"} & values.keys(),
        "can_start": model.image_to_image,
        "can_mask": model.pipeline in ABLE,
    }
    data = {"run_id": picture.run_id, "index": picture.index, "key": picture.key, "values": values}
    return answer(request, "details.html", shown, {**data, "command": shown["command"]})


def image_file(request: Request) -> Response:
    """The image's file. A browser that is told it is a PNG takes it for nothing else, whatever it holds."""
    try:
        _, content = _picture(request)
    except CommandError as error:
        return refuse(request, error)
    return Response(content, media_type="image/png")


def thumbnail(request: Request) -> Response:
    """What a list shows of the image: its thumbnail, or the image where there is none yet."""
    account = account_of(request)
    try:
        deployment, _ = account.need_queue()
        run_id, index = request.path_params["run_id"], request.path_params["index"]
        content, media_type = find_thumbnail(account, deployment.bucket, run_id, index)
    except CommandError as error:
        return refuse(request, error)
    return Response(content, media_type=media_type)


def _picture(request: Request) -> tuple[Picture, bytes]:
    account = account_of(request)
    deployment, _ = account.need_queue()
    return find_picture(account, deployment.bucket, request.path_params["run_id"], request.path_params["index"])


async def events(request: Request) -> Response:
    """The stream for the runs that the page names as `run`; it ends when the page goes, or the studio."""
    runs = [name for name in request.query_params.getlist("run") if RUN_NAME.fullmatch(name)]
    news = News(account_of(request), runs[:MOST_RUNS])

    async def stream() -> AsyncIterator[str]:
        yield ": the studio\n\n"
        while True:
            for event in await run_in_threadpool(news.come):
                yield event
            await asyncio.sleep(EVERY_SECONDS)

    return StreamingResponse(stream(), media_type="text/event-stream")
