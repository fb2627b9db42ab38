"""Reads what comes from outside: JSON, whole numbers and times, of a bucket's objects, of servers, of people's files.

Whoever can write to the bucket, answers in a server's name, or gives a person a file, writes these. Each function
raises `ValueError`, with the reason, for whatever is not plainly what it should be, so that a reader that catches that
one exception loses one document and no more.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone
from typing import Any, Dict, Union

# The largest document of ours by far is the report of a run with 100,000 images.
MOST_BYTES = 64 * 1024 * 1024
# Values in one document, by the marks that part them. Each takes up to 200 bytes of memory, and two of the text.
MOST_VALUES = 4_000_000
# Of a size in bytes, or of anything else that is counted here.
MOST = 2**53
# Of a whole number. Of one with 309 no float can be made, which ends whoever divides by it.
MOST_DIGITS = 300
# Of a character outside the 16 bits of JSON's escapes. No file and no page takes a half alone.
_HALVES = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def read_json(content: Union[bytes, str], *, most_bytes: int = MOST_BYTES) -> Dict[str, Any]:
    """The JSON object in `content`. Refuses other values, huge numbers, deep nests and half characters."""
    if len(content) > most_bytes:
        raise ValueError(f"it has {len(content):,} bytes, more than {most_bytes:,}")
    text = content if isinstance(content, str) else content.decode(json.detect_encoding(content))
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")
    try:
        found = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_short)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    if _HALVES.search(text):
        try:
            json.dumps(found, ensure_ascii=False).encode()  # passes where the halves belong together
        except UnicodeEncodeError:
            raise ValueError("it has half of a character") from None
    return found


def read_whole(text: object, *, most: int = MOST) -> int:
    """A whole number from 0 to `most`, in ASCII digits alone: `int` takes blanks, signs and every script's digits."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,16}", text) or int(text) > most:
        raise ValueError(f"{str(text)[:40]!r} is no whole number up to {most:,}")
    return int(text)


def read_utc(text: object) -> datetime:
    """A time of ISO 8601 with a zone, in UTC, where all times can be compared."""
    if not isinstance(text, str):
        raise ValueError(f"{str(text)[:40]!r} is no time")
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.9 does not read the Z
    if time.tzinfo is None:
        raise ValueError(f"{text[:40]} has no time zone")
    try:
        return time.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError(f"{text[:40]} is out of all time") from None


def _short(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"{text[:40]} has more than {MOST_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number
