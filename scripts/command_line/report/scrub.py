"""Takes out of a text what a stranger must not read: keys, tokens, signatures, account numbers, names and prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from scripts.command_line.terminal.plain_text import printable

# Each pattern, and what takes its place. The order matters: what is certainly a secret goes before what may be one.
PATTERNS = [
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", "<private key>"),
    # Parts of an address or of a form, as signed addresses have them.
    (
        r"(?i)\b((?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature|Policy|Key-Pair-Id|"
        r"access_token|token)=)[^&\s\"'<>]+",
        r"\1<secret>",
    ),
    (r"(?i)(authorization\"?\s*[:=]\s*\"?(?:[A-Za-z0-9-]+ )?)[^\"\r\n]+", r"\1<secret>"),
    (
        r"(?i)((?:secret_?access_?key|session_?token|security_?token|password|api_?key|hf_token|hub_token)"
        r"\"?\s*[:=]\s*\"?)[^\s\",}]+",
        r"\1<secret>",
    ),
    (r"\bhf_[A-Za-z0-9]{8,}", "hf_<secret>"),
    (r"\bgh[oprsu]_[A-Za-z0-9]{16,}", "<token>"),
    (r"\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{12,}", "<key id>"),
    # A session's token, by its length and its first letters.
    (r"\b(?:IQoJ|FwoG|FQoG)[A-Za-z0-9+/=%]{60,}", "<session token>"),
    (r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)", "<user>:<password>"),
    (r"(:(?:user|federated-user)/)[^\s\"',]+", r"\1<name>"),
    (r"(:assumed-role/[\w+=,.@-]+/)[^\s\"',]+", r"\1<session>"),
    (r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<e-mail>"),
    (r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])", "<account>"),
]
# A run's name begins with the first words of its prompt.
RUN_NAME = r"(?<![a-z0-9-])[a-z0-9][a-z0-9-]*-([0-9a-f]{10})(?![0-9a-z-])"
# Each is looked for from one place of a line, since from many would take the square of its length.
# The worker quotes of a prompt the end that a model does not read, what it takes as words, and what weighs too much.
QUOTED = [
    (r"(; cut off: ).*", r"\1<prompt>"),
    (r"(?m)^((?>.*?Prompt has )).*(: other programs)", r"\1<prompt>\2"),
    (r"(?m)^((?>.*?Prompt gives )).*( the weight )", r"\1<prompt>\2"),
]
TERMINALS_OWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r(?=\n)")
# Shorter texts stand everywhere.
SHORTEST = 4


class Scrubber:
    """Scrubs texts, each alike.

    `prompts` are the person's own words; None leaves prompts and names of runs as they are. What `left_out` has, goes
    wherever it stands.
    """

    def __init__(self, *, prompts: Iterable[str] | None, left_out: Iterable[str] = ()) -> None:
        words = [(text, "<prompt>") for prompt in prompts or () for text in _spellings(prompt)]
        words += [(text, "<left out>") for text in left_out]
        words += [(str(Path.home()), "~")]
        self._words = sorted((one for one in words if len(one[0]) >= SHORTEST), key=lambda one: -len(one[0]))
        named = [(RUN_NAME, r"<prompt>-\1"), *QUOTED] if prompts is not None else []
        self._patterns = [(re.compile(pattern, re.DOTALL), by) for pattern, by in PATTERNS]
        self._patterns += [(re.compile(pattern), by) for pattern, by in named]

    def scrub(self, text: str) -> str:
        """The text without what must not be in it, and without anything that a terminal would obey."""
        text = TERMINALS_OWN.sub("", text)
        for word, by in self._words:
            text = text.replace(word, by)
        for pattern, by in self._patterns:
            text = pattern.sub(by, text)
        return printable(text)


def _spellings(text: str) -> set[str]:
    """A text as logs and JSON may have it, and each of its lines."""
    spellings = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    return spellings | {line.strip() for line in text.splitlines()}
