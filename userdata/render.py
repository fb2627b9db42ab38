"""Renders the instance's user data. The only module here that the deploying machine runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from userdata.fleet.market import PARAMETER as FLEET

TEMPLATE = Path(__file__).parent / "user-data.sh.j2"
LIMIT_BYTES = 16_384
NEEDED = ("MaxHours", "OnFailure", "Region", "ResultsBucket")

# What CDK puts in the place of a value that is known only at deploy.
_TOKEN = r"\$\{Token\[[A-Za-z0-9_.:-]+\]\}"  # noqa: S105  # a placeholder, no password
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# Printable ASCII, which a token is too: nothing that ends the line or the shell's single quotes.
_PLAIN = re.compile(r"[ -&(-~]*")
_BASE64 = re.compile(rf"(?:[A-Za-z0-9+/=]|{_TOKEN})*")
_OBJECT = re.compile(rf"(?:[A-Za-z0-9._/-]|{_TOKEN})+")


def render_user_data(
    *, plain: Mapping[str, str], free_text: Mapping[str, str], bundle_bucket: str, bundle_key: str
) -> str:
    """The user data: one MIME body that cloud-init runs at every boot.

    Both mappings have names of parameters, and the values or the CDK tokens that become such. `plain` values stand as
    they are: a token's own rule must let through only what a value here may have. `free_text` values are base64 as
    `userdata.contract.parameter_file` has it. `bundle_bucket` and `bundle_key` name the bundle, a zip of this folder,
    in S3. The text is ASCII, since one other character makes cloud-init drop the whole body, and with real values in it
    must stay within `LIMIT_BYTES`, EC2's own limit, which counts before EC2's base64.
    The MIME type and the ASCII rule were measured with cloud-init 22.4.2.

    Raises `ValueError` for a parameter that is missing or whose name or value is not of this form.
    """
    missing = [name for name in NEEDED if name not in plain]
    if missing:
        raise ValueError(f"the user data needs {', '.join(missing)} among its plain parameters")
    for name, value in plain.items():
        _check("parameter name", name, _NAME)
        _check(f"value of {name}", value, _PLAIN)
    for name, value in free_text.items():
        _check("parameter name", name, _NAME)
        _check(f"value of {name}, which must come as base64,", value, _BASE64)
    _check("bundle's bucket", bundle_bucket, _OBJECT)
    _check("bundle's key", bundle_key, _OBJECT)
    environment = Environment(  # noqa: S701  # shell, not HTML; every value is checked to need no quoting
        loader=FileSystemLoader(TEMPLATE.parent),
        undefined=StrictUndefined,
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template(TEMPLATE.name)
    text = template.render(
        fleet=FLEET in plain, plain=plain, free_text=free_text, bundle_bucket=bundle_bucket, bundle_key=bundle_key
    )
    text = re.sub(r"(?m)^ +", "", text)  # what indents is for people: every byte counts, and no value stands there
    for number, line in enumerate(text.splitlines(), 1):
        if not line.isascii():
            raise ValueError(f"user data: line {number} is not ASCII, so cloud-init would not run it: {line!r}")
    return text


def _check(what: str, value: str, pattern: re.Pattern[str]) -> None:
    # A token matches as a token; nothing here depends on what it will become.
    if not pattern.fullmatch(value):
        raise ValueError(f"user data: the {what} has a character that it cannot carry: {value[:80]!r}")
