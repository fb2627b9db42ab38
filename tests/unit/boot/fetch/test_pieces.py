import dataclasses
import hashlib
import multiprocessing
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.unit.boot.loopback import Served, reply, reply_with_ranges, serving
from userdata.boot.fetch.download import download, part_of
from userdata.boot.fetch.request import Manner, Pinned
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

PIECE = 100_000
CONTENT = b"".join(hashlib.sha256(bytes([n % 251, n // 251])).digest() for n in range(11_000))  # 3 pieces and a half
FIRSTS = [0, PIECE, 2 * PIECE, 3 * PIECE]
ENDS = [*FIRSTS[1:], len(CONTENT)]
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MANNER = Manner(
    patience=Patience(attempts=3, sleep=lambda seconds: None),
    stall_seconds=5,
    margin_bytes=0,
    ranges_from=len(CONTENT),
    piece_bytes=PIECE,
    connections=3,
)


def pinned(url: str) -> Pinned:
    return Pinned(url=url + "/weights.safetensors", sha256=SHA256, bytes=len(CONTENT), page="https://example.org/model")


def whole(handler: BaseHTTPRequestHandler) -> None:
    reply_with_ranges(handler, CONTENT)


def asked(server: Served) -> list[str]:
    return sorted(headers.get("range", "all") for _, headers in server.asked)


def span(first: int, end: int) -> str:
    return f"bytes={first}-{end - 1}"


ALL = sorted(map(span, FIRSTS, ENDS))


class Breaks:
    """Breaks the first answers that bring a piece, `times` in all, after so many bytes."""

    def __init__(self, piece: int, after: int, times: int = 1) -> None:
        self._piece = piece
        self._after = after
        self._left = times

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        first = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
        breaks = self._left > 0 and first // PIECE == self._piece
        self._left -= breaks
        reply_with_ranges(handler, CONTENT, at_most=self._after if breaks else None)


def test_a_large_file_comes_in_ranges_over_several_connections_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "model/weights.safetensors"
    together = threading.Barrier(MANNER.connections)
    held = iter(range(MANNER.connections))

    def all_at_once(handler: BaseHTTPRequestHandler) -> None:
        if next(held, None) is not None:
            together.wait(20)
        whole(handler)

    with serving(all_at_once) as server:
        download(pinned(server.url), file, MANNER)
        download(pinned(server.url), file, MANNER)
    assert file.read_bytes() == CONTENT
    assert asked(server) == ALL
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, file.name + ".sha256"]


def test_a_smaller_file_comes_over_one_connection(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    with serving(whole) as server:
        download(pinned(server.url), file, dataclasses.replace(MANNER, ranges_from=len(CONTENT) + 1))
    assert asked(server) == ["all"]


def test_a_range_that_breaks_goes_on_where_it_broke(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    with serving(Breaks(piece=1, after=30_000)) as server:
        download(pinned(server.url), file, MANNER)
    assert file.read_bytes() == CONTENT
    assert asked(server) == sorted([*ALL, span(PIECE + 30_000, 2 * PIECE)])


def test_a_range_that_brings_nothing_ends_it_and_the_others_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    one_after_another = dataclasses.replace(MANNER, connections=1)
    with (
        serving(Breaks(piece=2, after=0, times=9)) as server,
        pytest.raises(StepError, match="could not be fetched.*goes on at 200"),
    ):
        download(pinned(server.url), file, one_after_another)
    with serving(whole) as server:
        download(pinned(server.url), file, MANNER)
    assert asked(server) == ALL[2:]
    assert file.read_bytes() == CONTENT


def _fetch(url: str, file: Path) -> None:
    download(pinned(url), file, MANNER)


def test_after_a_power_cut_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    notes = part_of(file).with_name(part_of(file).name + ".pieces")
    stuck = threading.Event()

    def sticks(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers["Range"] == span(PIECE, 2 * PIECE):
            reply_with_ranges(handler, CONTENT, at_most=10)
            stuck.wait(30)
        else:
            whole(handler)

    with serving(sticks) as server:
        process = multiprocessing.get_context("spawn").Process(target=_fetch, args=(server.url, file))
        process.start()
        while not notes.exists() or len(notes.read_text().splitlines()) < 4:
            process.join(0.05)
            assert process.exitcode is None
        process.kill()
        process.join()
        stuck.set()
    assert not file.exists()
    with serving(whole) as server:
        download(pinned(server.url), file, MANNER)
    assert asked(server) == [span(PIECE, 2 * PIECE)]
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("part", "notes", "missing"),
    [
        pytest.param(CONTENT[: PIECE + 9], None, ALL[1:], id="of one connection"),
        pytest.param(CONTENT[: 2 * PIECE], f"{SHA256} {PIECE}\n0\n{PIECE}", ALL[1:], id="a line without its end"),
        pytest.param(CONTENT[: 2 * PIECE], f"{SHA256} {PIECE - 1}\n0\n", ALL, id="other pieces"),
        pytest.param(CONTENT[: 2 * PIECE], f"{'0' * 64} {PIECE}\n0\n", ALL, id="of another file"),
        pytest.param(CONTENT[: 2 * PIECE], "\xff", ALL, id="no notes of ours"),
        pytest.param(CONTENT[:PIECE], f"{SHA256} {PIECE}\n0\n{PIECE}\n", ALL[1:], id="notes of what is not there"),
        pytest.param(None, f"{SHA256} {PIECE}\n0\n", ALL, id="notes alone"),
        pytest.param(CONTENT, f"{SHA256} {PIECE}\n" + "".join(f"{n}\n" for n in FIRSTS), [], id="everything"),
    ],
)
def test_what_an_earlier_boot_left_is_used_as_far_as_it_goes(
    tmp_path: Path, part: bytes | None, notes: str | None, missing: list[str]
) -> None:
    file = tmp_path / "weights.safetensors"
    if part is not None:
        part_of(file).write_bytes(part)
    if notes is not None:
        (tmp_path / "weights.safetensors.part.pieces").write_text(notes, "latin-1")
    with serving(whole) as server:
        download(pinned(server.url), file, MANNER)
    assert asked(server) == missing
    assert file.read_bytes() == CONTENT


def test_bytes_that_a_power_cut_has_lost_are_found_by_the_hash(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    part_of(file).write_bytes(bytes(PIECE) + CONTENT[PIECE : 2 * PIECE])
    (tmp_path / "weights.safetensors.part.pieces").write_text(f"{SHA256} {PIECE}\n0\n{PIECE}\n")
    with serving(whole) as server:
        download(pinned(server.url), file, MANNER)
    assert asked(server) == sorted([*ALL[2:], *ALL])
    assert file.read_bytes() == CONTENT


def test_bytes_that_stay_wrong_are_refused_and_not_kept(tmp_path: Path) -> None:
    with (
        serving(lambda handler: reply_with_ranges(handler, CONTENT[:-1] + b"x")) as server,
        pytest.raises(StepError, match=f"{SHA256} is pinned, twice"),
    ):
        download(pinned(server.url), tmp_path / "weights.safetensors", MANNER)
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_ranges_sends_it_over_one_connection(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    with serving(lambda handler: reply(handler, body=CONTENT)) as server:
        download(pinned(server.url), file, MANNER)
    assert file.read_bytes() == CONTENT
    assert asked(server).count("all") == 1


def test_another_range_than_asked_for_is_not_believed(tmp_path: Path) -> None:
    def shifted(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 206, CONTENT, {"Content-Range": f"bytes 1-{len(CONTENT) - 1}/{len(CONTENT)}"})

    with serving(shifted) as server, pytest.raises(StepError, match="another range than asked for"):
        download(pinned(server.url), tmp_path / "weights.safetensors", MANNER)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler: reply(handler, body=b"<html>", headers={"Content-Type": "text/html"}), "login page"),
        (lambda handler: reply(handler, 403), "https://example.org/model, accept the licence"),
        (lambda handler: reply(handler, 404), "answered 404"),
        (lambda handler: reply(handler, body=b"version https://git-lfs.github.com/spec/v1\n"), "pointer file"),
        (lambda handler: reply_with_ranges(handler, CONTENT * 2), "704,000 bytes, but 352,000 are pinned"),
        (lambda handler: reply(handler, 416), "has no such range, but 352,000 bytes are pinned"),
    ],
)
def test_what_is_not_the_file_is_told_and_nothing_is_kept(tmp_path: Path, answer: Any, message: str) -> None:
    with serving(answer) as server, pytest.raises(StepError, match=message):
        download(pinned(server.url), tmp_path / "weights.safetensors", MANNER)
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_given_the_time_it_asks_for(tmp_path: Path) -> None:
    naps: list[float] = []
    busy = iter(range(3))
    patience = Patience(attempts=4, first_pause=1, sleep=naps.append)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if next(busy, None) is None:
            whole(handler)
        else:
            reply(handler, 429, headers={"RateLimit": '"resolvers";r=0;t=123'})

    with serving(answer) as server:
        download(pinned(server.url), tmp_path / "weights.safetensors", dataclasses.replace(MANNER, patience=patience))
    assert naps == [123, 123, 123]


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with serving(whole) as server, pytest.raises(StepError, match="larger VolumeSize"):
        download(
            pinned(server.url), tmp_path / "weights.safetensors", dataclasses.replace(MANNER, margin_bytes=1 << 60)
        )
    assert server.asked == []
