"""X/Y grids: one image for each pair of values of two options, as a table with these values as its headings.

A run's name follows from what it asks for, so a grid needs no document of its own: its address says all that it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from scripts.command_line.account.instance import instance_state
from scripts.command_line.account.runs import read_status
from scripts.command_line.batching.grid import GRIDDED, read_grid
from scripts.command_line.cost.press import Press
from scripts.command_line.generating.generate import is_there, refuse_gone
from scripts.command_line.generating.request import Request as Wanted
from scripts.command_line.generating.request import check_files, plan_request
from scripts.command_line.generating.send import send
from scripts.command_line.terminal.command_error import CommandError
from scripts.studio.account import Account
from scripts.studio.answer import answer, keep, refuse, render
from scripts.studio.form import typed_in
from scripts.studio.pictures import RunSeen, see_run
from scripts.studio.quality import GOOD, with_dial
from userdata.job.job import Job
from userdata.job.seeds import RANDOM, draw_seed

AXES = [str(Job.model_fields[name].alias) for name in GRIDDED if name != "init_mask"]
MOST_CELLS = 64


@dataclass(frozen=True)
class Grid:
    """The options of both axes with their values, and what the form asks for beside them."""

    across: str
    columns: tuple[str, ...]
    down: str
    rows: tuple[str, ...]
    typed: Mapping[str, str]

    def cell(self, column: str, row: str) -> dict[str, str]:
        """What to ask for at one place: one image."""
        axes = {self.across: column, **({self.down: row} if self.down else {})}
        return {**self.typed, **axes, "Iterations": "1", "Samples": "1"}

    @property
    def address(self) -> str:
        """Where this grid can be seen again."""
        axes = {"X": self.across, "Xs": ",".join(self.columns), "Y": self.down, "Ys": ",".join(self.rows)}
        return "/grid?" + urlencode({**self.typed, **axes})


def read(form: Mapping[str, object], deployed: str) -> Grid | None:
    """The grid that the form asks for, None for none. Raises `CommandError`, for misuse, in the words of `sd batch`.

    A seed that is left to chance is drawn once, because else no two images could be compared.
    """
    asked = {name: str(form.get(name, "")).strip() for name in ("X", "Xs", "Y", "Ys")}
    named = [(asked[axis], asked[f"{axis}s"]) for axis in ("X", "Y") if asked[axis] and asked[f"{axis}s"]]
    if not named:
        return None
    cells = read_grid([f"{name}={values}" for name, values in named])
    if len(cells) > MOST_CELLS:
        raise CommandError(
            f"The grid has {len(cells)} images, but may have {MOST_CELLS} here. For more: --grid of `sd batch`.",
            exit_status=2,
        )
    listed = [tuple(dict.fromkeys(cell[field] for cell in cells)) for field in cells[0]]
    across, down = named[0][0], named[1][0] if len(named) > 1 else ""
    typed = {name: text for name, text in typed_in(form).items() if name not in (across, down)}
    typed = with_dial(typed, str(form.get("Quality", GOOD)), deployed)
    if typed.get("Seed", str(RANDOM)) == str(RANDOM):
        typed["Seed"] = str(draw_seed())
    return Grid(across, listed[0], down, listed[1] if down else ("",), typed)


def plan_cells(account: Account, grid: Grid) -> dict[tuple[str, str], Wanted]:
    """Each place's request, checked by the rules of the parameters. Raises `CommandError` for one that breaks one."""
    deployment, _ = account.need_queue()
    return {
        (column, row): plan_request(account.session, deployment, grid.cell(column, row), files=False)
        for row in grid.rows
        for column in grid.columns
    }


def together(presses: list[Press]) -> Press:
    """What all places of a grid cost. The instance starts once."""
    known = [one.seconds for one in presses if one.seconds is not None]
    usd = [one.usd for one in presses if one.usd is not None]
    whole = len(known) == len(presses)
    return Press(
        sum(one.images for one in presses),
        presses[0].instance_type,
        sum(known) if whole else None,
        presses[0].start_seconds,
        sum(usd) if len(usd) == len(presses) else None,
    )


def show(request: Request) -> Response:
    """The grid of this address, with the images that are there."""
    account: Account = request.app.state.account
    try:
        deployment, _ = account.need_queue()
        grid = read(request.query_params, deployment.parameters["Model"])
        if grid is None:
            raise CommandError("This address names no grid: it wants an option X and its values Xs.", exit_status=2)
        return _answer(request, _table(account, grid, plan_cells(account, grid)))
    except CommandError as error:
        return refuse(request, error)


def send_grid(request: Request, form: FormData) -> Response:
    """Sends a run for each place, once all are checked, and answers with the table."""
    account: Account = request.app.state.account
    prompt = str(form.get("Prompt", ""))
    if kept := keep(request, account, prompt, lambda: render("grid.html", **_send(account, form))):
        return kept
    try:
        return _answer(request, _send(account, form))
    except CommandError as error:
        return refuse(request, error)


class Table(TypedDict):
    """A grid as the page shows it; it asks for the start of the instance for the run `starts`, if any was sent."""

    grid: Grid
    cells: dict[tuple[str, str], RunSeen]
    starts: str


def _send(account: Account, form: FormData) -> Table:
    """Raises `CommandError` for what cannot be drawn; nothing was sent then."""
    deployment, queue = account.need_queue()
    if deployment.is_changing:
        raise CommandError(str(deployment.trouble))
    grid = read(form, deployment.parameters["Model"])
    if grid is None or not grid.typed.get("Prompt"):
        raise CommandError("A grid wants a prompt, and an option for X with a list of its values.", exit_status=2)
    cells = plan_cells(account, grid)
    for one in {(cell.plan.job.model, cell.plan.job.vae): cell for cell in cells.values()}.values():
        check_files(account.session, one)
    refuse_gone(deployment, instance_state(account.session, deployment))
    with ThreadPoolExecutor(8) as pool:
        before = pool.map(lambda cell: read_status(account.s3, deployment.bucket, cell.run_id), cells.values())
        jobs = [
            cell.plan.job
            for cell, status in zip(cells.values(), before, strict=True)
            if not (status and is_there(account.session, deployment, status))
        ]
        list(pool.map(lambda job: send(account.session, deployment.bucket, queue, job), jobs))
    return _table(account, grid, cells, starts=jobs[0].name if jobs else "")


def _table(account: Account, grid: Grid, cells: Mapping[tuple[str, str], Wanted], *, starts: str = "") -> Table:
    bucket = account.need_queue()[0].bucket
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda cell: see_run(account, bucket, cell.run_id), cells.values()))
    return Table(grid=grid, cells=dict(zip(cells, runs, strict=True)), starts=starts)


def _answer(request: Request, table: Table) -> Response:
    grid, seen = table["grid"], table["cells"]
    data = {
        "address": grid.address,
        "x": {"option": grid.across, "values": grid.columns},
        "y": {"option": grid.down, "values": grid.rows},
        "cells": [{"x": column, "y": row, **one.as_data()} for (column, row), one in seen.items()],
    }
    return answer(request, "grid.html", table, data)
