"""One address, three forms of its answer: a page for a browser, a fragment for htmx, JSON for a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from scripts.command_line.terminal.command_error import CommandError
from scripts.studio.account import Account

SCHEMA = 1
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
LATER, MISUSE, OUT_OF_REACH = 202, 422, 502


def render(template: str, /, **values: Any) -> str:
    """A fragment as text. Whatever `values` hold is text in it, never markup."""
    return TEMPLATES.get_template(template).render(**values)


def answer(
    request: Request, template: str, values: Mapping[str, Any], data: Mapping[str, Any], *, status: int = 200
) -> Response:
    """The answer in the form that the request asks for; `data` is what a program gets, `values` is for the template."""
    headers = {"Vary": "Accept, HX-Request"}
    if "hx-request" in request.headers:
        return HTMLResponse(render(template, **values), status, headers)
    if wants_json(request):
        return JSONResponse({"schema": SCHEMA, **data}, status, headers)
    inside = render(template, **values)
    return HTMLResponse(render("frame.html", inside=inside, is_home=template == "home.html"), status, headers)


def wants_json(request: Request) -> bool:
    """Whether a program asks: what a browser asks for includes HTML."""
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "html" not in accepted


def keep(request: Request, account: Account, prompt: str, send: Callable[[], str]) -> Response | None:
    """Keeps a press while the local cloud is being prepared, and answers with its place. None where there is no need.

    `send` sends it afterwards and gives what is to stand in its place.
    """
    kept = account.preparation.keep(prompt, send) if account.preparation else None
    if kept is None:
        return None
    told = "Kept: it is sent as soon as the local cloud is there."
    return answer(request, "kept.html", {"kept": kept}, {"state": "kept", "told": [told]}, status=LATER)


def refuse(request: Request, error: CommandError) -> Response:
    """The sentence that the terminal would show, in the form that the request asks for."""
    status = MISUSE if error.exit_status == 2 else OUT_OF_REACH
    return answer(request, "refusal.html", {"sentence": str(error)}, {"error": str(error)}, status=status)
