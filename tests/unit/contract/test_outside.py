from __future__ import annotations

from datetime import UTC, datetime

import pytest

from userdata.contract.outside import read_json, read_utc, read_whole


def test_an_object_is_read() -> None:
    assert read_json(b'{"a": [1, 2.5, null, true, "\xc3\xa4"]}') == {"a": [1, 2.5, None, True, "ä"]}
    assert read_json('{"a": "\\ud83d\\ude00 🐎"}') == {"a": "😀 🐎"}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b"[]", b'"text"', b"1", b"\xff\xfe{}", b"\x80", b"{", b'{"a": 1} {}'),
        *(b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e400}', b'{"a": ' + b"9" * 5000 + b"}"),
        *(b'{"a": [1' + b"0" * 300 + b"]}", b'{"a": -1' + b"0" * 400 + b"}"),
        b'{"a": [' + b"[]," * 2_000_001 + b"[]]}",
        *(b'{"a": ["\\ud83d"]}', b'{"\\uDE00\\uD83D": 1}', b'{"a": "\xed\xa0\xbd"}'),
        *(b"[" * 100_000, b'{"a": ' * 100_000, b" " * 101 + b"{}"),
    ],
)
def test_anything_else_is_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(content, most_bytes=100 if content.startswith(b" ") else 10**7)


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "²", "٣", "1.0", "9" * 5000, "11", None, 3])
def test_only_plain_digits_within_the_bound_are_a_number(text: object) -> None:
    with pytest.raises(ValueError, match="is no whole number"):
        read_whole(text, most=10)
    assert read_whole("10", most=10) == 10


def test_a_time_is_read_in_utc() -> None:
    assert read_utc("2026-01-01T01:00:00+01:00") == datetime(2026, 1, 1, tzinfo=UTC) == read_utc("2026-01-01T00:00:00Z")
    for text in ("not a time", "2026-01-01", "2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59", 5, None):
        with pytest.raises(ValueError, match=r"."):
            read_utc(text)
