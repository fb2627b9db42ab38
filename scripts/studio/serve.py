"""Starts the studio for one person: on the loopback interface alone, with a token of its own, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from rich.console import Console

from scripts.command_line.terminal.command_error import CommandError, aws_errors_in_words
from scripts.command_line.terminal.common_options import STACK
from scripts.command_line.terminal.plain_text import print_plain, say
from scripts.command_line.terminal.session import choose_session, open_session
from scripts.interruption.signals import Interrupted, end_at_once, raise_interrupted
from scripts.studio.account import Account
from scripts.studio.app import HTMX, make_app
from scripts.studio.guard import Keys
from scripts.studio.local_stack import local_stack
from scripts.studio.preparation import Preparation

# Kept from start to start, so that the browser finds what was typed again.
USUAL_PORT = 8765
ENDED = (
    "The studio has ended. What was sent goes on without it: `sd status` looks, `sd stop` ends the instance, "
    "`sd results` fetches the images."
)
IN_THE_BUCKET = "Ctrl-C ends it; nothing is lost, because everything is in the bucket."
LOCAL = "Ctrl-C ends it, and the local cloud with all images in it: save those that you want to keep."
LOCAL_ENDED = "The studio has ended, and with it the local cloud and everything in it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until a signal comes. Gives the exit status: 128 + N after signal N, else 1 for an error."""
    options = _parser().parse_args(arguments)
    raise_interrupted()
    try:
        with aws_errors_in_words("go on"):
            if options.local:
                with local_stack(options.stack) as preparation:
                    serve(options, preparation)
            else:
                choose_session(options.region, options.profile)  # refuses a profile that is none, before anything else
                serve(options)
    except CommandError as error:
        print_plain(f"sd: {error}", Console(stderr=True), soft_wrap=True)
        return error.exit_status
    except Interrupted as interrupted:
        ended = LOCAL_ENDED if options.local else ENDED
        print_plain(f"\nsd: {interrupted.told or ended}", Console(stderr=True), soft_wrap=True)
        return interrupted.exit_status
    finally:
        end_at_once()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sd studio")
    parser.add_argument("--port", type=int, default=USUAL_PORT)
    parser.add_argument("--no-open", action="store_true")
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--stack", default=STACK)
    parser.add_argument("--region")
    parser.add_argument("--profile")
    return parser


def serve(options: argparse.Namespace, preparation: Preparation | None = None) -> None:
    """Listens, prints the link, opens the browser, and answers. Raises `Interrupted` after a signal."""
    if not (HTMX / "htmx.min.js").is_file():
        raise CommandError(f"htmx is not installed: there is no {HTMX}. Install it: {Path(__file__).parents[1]}/setup")
    with listening(options.port) as listener:
        keys = Keys(listener.getsockname()[1])
        account = Account(lambda: open_session(options.region, options.profile), options.stack, preparation)
        # No access log, because the first link has the token. Streams are cut off at once: nothing is lost with them.
        config = uvicorn.Config(
            make_app(account, keys),
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=0,
        )
        say(f"The studio is at {keys.link}")
        say(LOCAL if preparation else IN_THE_BUCKET, err=True)
        sys.stdout.flush()
        if not options.no_open and has_screen():
            webbrowser.open(keys.link_for_once())
        uvicorn.Server(config).run(sockets=[listener])


def has_screen() -> bool:
    """Whether a browser would have a window. One without would take the terminal, and the studio would wait for it."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def listening(port: int) -> socket.socket:
    """A socket on the loopback interface, at another port where that one is taken. Raises `CommandError`."""
    for wanted in (port, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError) as error:
            listener.close()
            if wanted == 0 or port != USUAL_PORT:
                raise CommandError(
                    f"Port {wanted} of this machine cannot be listened on: {error}. Name another: --port 0 takes any."
                ) from error
            continue
        listener.listen(128)
        return listener
    raise AssertionError("port 0 is any port")
