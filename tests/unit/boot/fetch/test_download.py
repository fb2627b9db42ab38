import hashlib
import multiprocessing
import shutil
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.boot.loopback import reply, reply_with_ranges, serving
from userdata.boot.fetch.download import download
from userdata.boot.fetch.request import Manner, Pinned
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = "https://example.org/model"


class Naps(NamedTuple):
    manner: Manner
    seconds: list[float]


@pytest.fixture
def naps() -> Naps:
    seconds: list[float] = []
    patience = Patience(attempts=4, first_pause=1, longest_pause=8, sleep=seconds.append)
    return Naps(Manner(patience=patience, stall_seconds=5, margin_bytes=0), seconds)


def pinned(url: str, *, size: int | None = len(CONTENT), sha256: str = SHA256) -> Pinned:
    return Pinned(url=url + "/weights.safetensors", sha256=sha256, bytes=size, page=PAGE)


def whole(handler: BaseHTTPRequestHandler) -> None:
    reply_with_ranges(handler, CONTENT)


def one_after_another(*answers: Callable[[BaseHTTPRequestHandler], None]) -> Callable[[BaseHTTPRequestHandler], None]:
    """Each answer once; the last one for ever."""
    waiting = list(answers)
    return lambda handler: (waiting.pop(0) if len(waiting) > 1 else waiting[0])(handler)


def never_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("download", "stream"):
        monkeypatch.setattr(f"userdata.boot.fetch.{module}.sha256_of", lambda path: pytest.fail(f"hashed {path}"))


def test_a_file_arrives_whole_and_is_not_fetched_again(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "model/weights.safetensors"
    with serving(whole) as server:
        download(pinned(server.url), file, naps.manner)
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, file.name + ".sha256"]


def test_a_stamped_file_is_not_hashed_again(tmp_path: Path, naps: Naps, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.safetensors"
    with serving(whole) as server:
        download(pinned(server.url), file, naps.manner)
        never_hash(monkeypatch)
        download(pinned(server.url), file, naps.manner)


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    broken = one_after_another(lambda handler: reply_with_ranges(handler, CONTENT, at_most=700_000), whole)
    with serving(broken) as server:
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT
    assert [headers.get("range") for _, headers in server.asked] == [None, "bytes=700000-"]


def test_what_is_hashed_as_it_comes_is_not_read_again(
    tmp_path: Path, naps: Naps, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_hash(monkeypatch)
    broken = one_after_another(lambda handler: reply_with_ranges(handler, CONTENT, at_most=700_000), whole)
    wrong = one_after_another(lambda handler: reply_with_ranges(handler, bytes(len(CONTENT))), whole)
    for name, answer in (("broken", broken), ("wrong", wrong)):
        with serving(answer) as server:
            download(pinned(server.url), tmp_path / name, naps.manner)
        assert (tmp_path / name).read_bytes() == CONTENT


def test_any_number_of_breaks_is_survived_as_long_as_bytes_arrive(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    with serving(lambda handler: reply_with_ranges(handler, CONTENT, at_most=50_000)) as server:
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT
    assert len(server.asked) > naps.manner.patience.attempts
    assert set(naps.seconds) == {1}


def test_a_connection_that_brings_nothing_is_given_up_and_the_part_is_kept(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    breaking = one_after_another(
        lambda handler: reply_with_ranges(handler, CONTENT, at_most=1000),
        lambda handler: reply_with_ranges(handler, CONTENT, at_most=0),
    )
    with serving(breaking) as server, pytest.raises(StepError, match=r"could not be fetched.*goes on at 1\.0 kB"):
        download(pinned(server.url), file, naps.manner)
    assert file.with_name(file.name + ".part").read_bytes() == CONTENT[:1000]
    assert naps.seconds == [1, 2, 4]
    assert not file.exists()


def _fetch_until_it_breaks(url: str, file: Path) -> None:
    manner = Manner(patience=Patience(attempts=1), stall_seconds=5, margin_bytes=0)
    with pytest.raises(StepError):
        download(pinned(url), file, manner)


def test_another_process_goes_on_with_what_an_earlier_one_left(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    broken = one_after_another(lambda handler: reply_with_ranges(handler, CONTENT, at_most=123_456), whole)
    with serving(broken) as server:
        process = multiprocessing.get_context("spawn").Process(target=_fetch_until_it_breaks, args=(server.url, file))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        download(pinned(server.url), file, naps.manner)
    assert server.asked[1][1]["range"] == "bytes=123456-"
    assert file.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    file.with_name(file.name + ".part").write_bytes(b"x" * 1000)
    with serving(lambda handler: reply(handler, body=CONTENT)) as server:
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT


def test_a_server_that_sends_another_range_is_not_believed(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    file.with_name(file.name + ".part").write_bytes(CONTENT[:1000])

    def shifted(handler: BaseHTTPRequestHandler) -> None:
        span = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"
        reply(handler, 206, CONTENT, {"Content-Range": span})

    with serving(one_after_another(shifted, whole)) as server:
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_part_that_is_already_whole_is_only_checked(tmp_path: Path, naps: Naps, size: int | None) -> None:
    file = tmp_path / "weights.safetensors"
    file.with_name(file.name + ".part").write_bytes(CONTENT)
    with serving(whole) as server:
        download(pinned(server.url, size=size), file, naps.manner)
    assert file.read_bytes() == CONTENT
    assert len(server.asked) == (1 if size is None else 0)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_keep_the_range(tmp_path: Path, naps: Naps, code: int) -> None:
    file = tmp_path / "weights.safetensors"
    file.with_name(file.name + ".part").write_bytes(CONTENT[:1000])

    def redirected(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/moved":
            whole(handler)
        else:
            reply(handler, code, headers={"Location": "/moved"})

    with serving(redirected) as server:
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT
    assert server.asked[-1][1]["range"] == "bytes=1000-"


def test_a_login_page_is_called_one(tmp_path: Path, naps: Naps) -> None:
    def login(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, body=b"<html>Please log in</html>", headers={"Content-Type": "text/html; charset=utf-8"})

    with serving(login) as server, pytest.raises(StepError, match=f"login page.*{PAGE}"):
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert naps.seconds == []
    assert list(tmp_path.iterdir()) == []


def test_a_pointer_file_is_called_one(tmp_path: Path, naps: Naps) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4265146304\n"
    with (
        serving(lambda handler: reply(handler, body=pointer)) as server,
        pytest.raises(StepError, match="pointer file"),
    ):
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [401, 403])
def test_a_gated_model_names_the_page_of_its_licence(tmp_path: Path, naps: Naps, code: int) -> None:
    with (
        serving(lambda handler: reply(handler, code)) as server,
        pytest.raises(StepError, match=f"{PAGE}, accept the licence"),
    ):
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert len(server.asked) == 1


def test_an_address_that_is_wrong_is_not_tried_again(tmp_path: Path, naps: Naps) -> None:
    with (
        serving(lambda handler: reply(handler, 404)) as server,
        pytest.raises(StepError, match="answered 404"),
    ):
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert len(server.asked) == 1


def test_a_busy_server_is_given_the_time_it_asks_for(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    busy = one_after_another(
        lambda handler: reply(handler, 503, headers={"Retry-After": "17"}),
        lambda handler: reply(handler, 429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        lambda handler: reply(handler, 503, headers={"Retry-After": "86400"}),
        whole,
    )
    with serving(busy) as server:
        download(pinned(server.url), file, naps.manner)
    assert naps.seconds == [17, 2, 300]
    assert file.read_bytes() == CONTENT


def test_the_hubs_own_header_says_when_its_window_ends(tmp_path: Path, naps: Naps) -> None:
    busy = one_after_another(
        lambda handler: reply(handler, 429, headers={"RateLimit": '"resolvers";r=0;t=123'}),
        lambda handler: reply(handler, 429, headers={"ratelimit": '"api";r=12;t=290, "resolvers";r=0;t=41'}),
        lambda handler: reply(handler, 429, headers={"RateLimit": '"resolvers";r=7;t=250'}),
        whole,
    )
    with serving(busy) as server:
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert naps.seconds == [123, 41, 4]


def test_a_busy_hub_that_says_nothing_is_waited_out() -> None:
    window = 300
    assert sum(Manner().patience.pauses()) >= window


def test_wrong_bytes_are_removed_and_fetched_once_more(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    wrong = bytes(len(CONTENT))
    with serving(one_after_another(lambda handler: reply_with_ranges(handler, wrong), whole)) as server:
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT


def test_bytes_that_stay_wrong_are_refused_and_not_kept(tmp_path: Path, naps: Naps) -> None:
    with (
        serving(lambda handler: reply_with_ranges(handler, bytes(len(CONTENT)))) as server,
        pytest.raises(StepError, match=f"{SHA256} is pinned, twice"),
    ):
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert len(server.asked) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_costs_one_more_fetch(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    file.with_name(file.name + ".part").write_bytes(b"damaged" + CONTENT[7:1000])
    with serving(whole) as server:
        download(pinned(server.url), file, naps.manner)
    assert [headers.get("range") for _, headers in server.asked] == ["bytes=1000-", None]
    assert file.read_bytes() == CONTENT


def test_a_changed_file_is_replaced(tmp_path: Path, naps: Naps) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"of an older catalogue")
    with serving(whole) as server:
        download(pinned(server.url), file, naps.manner)
    assert file.read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    tmp_path: Path, naps: Naps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1))
    with serving(whole) as server, pytest.raises(StepError, match=r"1 bytes free.*VolumeSize"):
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert server.asked == []


def test_nobody_listening_is_told_after_all_attempts(tmp_path: Path, naps: Naps) -> None:
    with serving(whole) as server:
        pass
    with pytest.raises(StepError, match="could not be fetched"):
        download(pinned(server.url), tmp_path / "weights.safetensors", naps.manner)
    assert naps.seconds == [1, 2, 4]
