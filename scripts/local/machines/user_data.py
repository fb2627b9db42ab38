"""Reads user data as cloud-init does: which scripts it holds and how often each one runs."""

from __future__ import annotations

import email.parser
import email.policy
import enum
import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)


class Runs(enum.Enum):
    """How often a script runs."""

    EVERY_BOOT = "every boot"
    ONCE = "once per instance id"


@dataclass(frozen=True)
class Script:
    """One script of the user data, with the interpreter's line it begins with."""

    runs: Runs
    text: bytes


CONTENT_TYPES = {
    "text/x-shellscript-per-boot": Runs.EVERY_BOOT,
    "text/x-shellscript-per-instance": Runs.ONCE,
    "text/x-shellscript": Runs.ONCE,
}


def scripts_in(user_data: bytes) -> list[Script]:
    """The scripts that cloud-init would run, in order; whatever it would not run is logged and left out.

    A bare script runs once per instance id. In a MIME message of a single part, cloud-init cannot write a body that
    holds one character outside ASCII: its handler fails and nothing runs at all, and so it does here.
    """
    if user_data.startswith(b"#!"):
        return [Script(Runs.ONCE, user_data)]
    if not _looks_like_mime(user_data):
        log.warning("The user data is neither a script (#!) nor a MIME message: nothing is run.")
        return []
    message = email.parser.BytesParser(policy=email.policy.default).parsebytes(user_data)
    if message.is_multipart():
        return [script for part in message.walk() if not part.is_multipart() for script in _scripts_of(part)]
    body = user_data.partition(b"\n\n")[2] or user_data.partition(b"\r\n\r\n")[2]
    if not body.isascii():
        log.error("The MIME body holds a character outside ASCII: cloud-init fails on it, and nothing is run.")
        return []
    return _scripts_of(message)


def _looks_like_mime(user_data: bytes) -> bool:
    head = user_data[:4096].replace(b"\r\n", b"\n").partition(b"\n\n")[0].lower()
    return any(line.startswith((b"content-type:", b"mime-version:")) for line in head.split(b"\n"))


def _scripts_of(part: email.message.Message) -> list[Script]:
    content_type = part.get_content_type()
    runs = CONTENT_TYPES.get(content_type)
    text = part.get_payload(decode=True)
    if runs is None or not isinstance(text, bytes):
        log.warning("A part of the user data of type %s is not emulated: it is passed over.", content_type)
        return []
    return [Script(runs, text)]
