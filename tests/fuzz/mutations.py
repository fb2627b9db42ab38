"""Changes bytes by chance, the same for the same seed: what finds most without a look into the program."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

MOST_BYTES = 100_000
ODD = [
    *(b"", b"\0", b"\n", b"\r\n", b"\xff", b"\xc3", b"-", b"--", b"..", b"/", b":", b"=", b","),
    *(b'"', b"'", b"`", b"\\", b"$("),
    *(b"null", b"true", b"[]", b"{}", b'""', b"[[[[", b"NaN", b"Infinity", b"1e400", b"-1", b"-0.0", b"0.1"),
    *(b"9" * 5000, b"9" * 19, b"2147483648", b"18446744073709551616", b"[" * 3000, b'{"a":' * 3000, b"a" * 20_000),
    *("\u202e\u2066\u200b\ufeff\U000e0041".encode(), "²٣".encode()),
    *( b"\\ud800", b"\\u0000", b"\x1b]0;a\x07", b"\xed\xa0\x80"),
    *(b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00+23:59", b"2026-01-01", b"http://[::1", b"https://a@b/../.."),
    *(bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(8), b"\xff" * 8),
]  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_STRING = re.compile(rb'"[^"\\]*"')


def mutated(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """`content`, changed at one to four places."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(_CHANGES)(rng, content, others)[:MOST_BYTES]
    return content


def _span(rng: random.Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((0, 1, 2, 4, 8, 32, 256)))


def _flip(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]


def _put(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, content)
    return content[:start] + rng.choice(ODD) + content[end:]


def _cut(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, content)
    return content[:start] + content[end:] if rng.random() < 0.8 else content[:start]


def _repeat(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, content)
    # Many times shows whether the time grows with the square of the length.
    return content[:end] + content[start:end] * rng.choice((1, 1, 2, 2, 50, 3000)) + content[end:]


def _splice(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def _replace(pattern: re.Pattern[bytes]) -> Callable[[random.Random, bytes, Sequence[bytes]], bytes]:
    """Puts something odd in the place of a number or a text, so that the document around it stays whole."""

    def change(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
        found = list(pattern.finditer(content))
        if not found:
            return _put(rng, content, others)
        one = rng.choice(found)
        odd = rng.choice(ODD)
        if pattern is _STRING and rng.random() < 0.5:
            odd = b'"' + odd.replace(b'"', b"") + b'"'
        return content[: one.start()] + odd + content[one.end() :]

    return change


_CHANGES = (_flip, _flip, _put, _cut, _repeat, _splice, _replace(_NUMBER), _replace(_STRING))
