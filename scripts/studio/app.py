"""The studio's addresses, behind the guard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from scripts.studio.account import Account
from scripts.studio.answer import answer
from scripts.studio.answers import drawing, grids, looking, steering
from scripts.studio.guard import Guard, Keys

STATIC = Path(__file__).parent / "static"
HTMX = Path(__file__).parents[2] / "node_modules/htmx.org/dist"
MOST_FIELDS = 100


def with_form(answers: Callable[[Request, FormData], Response]) -> Callable[[Request], object]:
    """An address that is sent a form. What it does waits for AWS, so it runs in a thread."""

    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=MOST_FIELDS) as form:
            return await run_in_threadpool(answers, request, form)

    return endpoint


async def tell_error(request: Request, error: Exception) -> Response:
    """An error of the studio's own: no traceback reaches a person."""
    kind = type(error).__name__
    sentence = f"The studio has an error of its own ({kind}). What you typed stays. `sd report` collects what helps."
    return answer(request, "refusal.html", {"sentence": sentence}, {"error": sentence}, status=500)


def make_app(account: Account, keys: Keys) -> Starlette:
    """The application. Its state is the account that it shows, and nothing else."""
    app = Starlette(
        routes=[
            Route("/", looking.home),
            Route("/status", looking.status),
            Route("/price", with_form(drawing.price), methods=["POST"]),
            Route("/generate", with_form(drawing.generate), methods=["POST"]),
            Route("/restore", with_form(drawing.restore), methods=["POST"]),
            Route("/inputs", with_form(drawing.put_input), methods=["POST"]),
            Route("/events", looking.events),
            Route("/runs", looking.runs),
            Route("/runs/{run_id}", looking.run),
            Route("/runs/{run_id}/start", drawing.start, methods=["POST"]),
            Route("/runs/{run_id}/images/{index:int}", looking.image),
            Route("/runs/{run_id}/images/{index:int}.png", looking.image_file),
            Route("/runs/{run_id}/images/{index:int}/thumbnail", looking.thumbnail),
            Route("/awake", steering.awake, methods=["POST"]),
            Route("/stop", steering.ask_stop),
            Route("/stop", steering.stop, methods=["POST"]),
            Route("/teardown", steering.teardown),
            Route("/grid", grids.show),
            Route("/grid", with_form(grids.send_grid), methods=["POST"]),
            Mount("/static/htmx", StaticFiles(directory=HTMX, check_dir=False)),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, keys=keys)],
        exception_handlers={Exception: tell_error},
    )
    app.state.account = account
    return app
