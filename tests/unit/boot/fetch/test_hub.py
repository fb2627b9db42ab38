import hashlib
import io
import urllib.error
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.unit.boot.loopback import reply, reply_with_ranges, serving
from userdata.boot.fetch.download import download
from userdata.boot.fetch.hub import UnreachableError, pin_hub_file, read_beginning
from userdata.boot.fetch.passing_error import PassingError
from userdata.boot.fetch.request import Manner, Pinned, Redirects, request_headers
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

SHA256 = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"
COMMIT = "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
ONCE = Manner(patience=Patience(attempts=2, sleep=lambda _: None), stall_seconds=5, margin_bytes=0)


def pin(hub: str, token: str | None = None) -> Pinned:
    return pin_hub_file(
        repository="owner/name", revision="main", path="deep/model.safetensors", token=token, manner=ONCE, hub=hub
    )


def describe(handler: BaseHTTPRequestHandler) -> None:
    """As the hub answers for a file that it keeps in its storage."""
    headers = {
        "Location": "https://storage.example.org/signed",
        "X-Linked-ETag": f'"{SHA256}"',
        "X-Linked-Size": "4265146304",
        "X-Repo-Commit": COMMIT,
    }
    reply(handler, 302, headers=headers)


def test_a_file_is_pinned_by_the_hubs_own_word() -> None:
    with serving(describe) as server:
        pinned = pin(server.url)
    assert (pinned.sha256, pinned.bytes) == (SHA256, 4265146304)
    assert pinned.url == f"{server.url}/owner/name/resolve/{COMMIT}/deep/model.safetensors"
    assert pinned.page == "https://huggingface.co/owner/name"
    ((path, headers),) = server.asked
    assert path == "/owner/name/resolve/main/deep/model.safetensors"
    assert "authorization" not in headers


LINKED_SIZE = {"X-Linked-Size": "4265146304"}


@pytest.mark.parametrize(
    ("code", "headers", "size"),
    [
        (302, {"X-Linked-ETag": f'"{SHA256}"', **LINKED_SIZE}, 4265146304),
        (302, {"X-Linked-Etag": f'"{SHA256}"', **LINKED_SIZE}, 4265146304),
        (302, {"x-linked-etag": f'"{SHA256}"', "x-linked-size": "4265146304"}, 4265146304),
        (302, {"X-LINKED-ETAG": f'W/"{SHA256}"', "X-LINKED-SIZE": " 4265146304 "}, 4265146304),
        (302, {"X-Linked-ETag": SHA256.upper(), "ETag": '"of-the-redirect"', **LINKED_SIZE}, 4265146304),
        (302, {"X-Linked-ETag": f'"{SHA256}"'}, None),
        (200, {"etag": f'W/"{SHA256}"', "Content-Length": "17"}, 17),
    ],
)
def test_the_hubs_headers_are_read_in_any_spelling(code: int, headers: dict[str, str], size: int | None) -> None:
    moved = {"Location": "https://storage.example.org/signed"} if code == 302 else {}
    with serving(lambda handler: reply(handler, code, headers={**moved, **headers})) as server:
        pinned = pin(server.url)
    assert (pinned.sha256, pinned.bytes) == (SHA256, size)


def test_a_renamed_repository_is_followed() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.startswith("/owner/name/"):
            return reply(handler, 307, headers={"Location": "/new-owner/name/resolve/main/deep/model.safetensors"})
        return describe(handler)

    with serving(answer) as server:
        assert pin(server.url).url == f"{server.url}/new-owner/name/resolve/{COMMIT}/deep/model.safetensors"


@pytest.mark.parametrize("code", [401, 403])
def test_what_is_refused_says_how_to_get_it(code: int) -> None:
    with serving(lambda handler: reply(handler, code)) as server:
        with pytest.raises(StepError, match="huggingface.co/owner/name, accept the licence .*as HubToken"):
            pin(server.url)
        with pytest.raises(StepError, match="the account of HubToken's token"):
            pin(server.url, token="hf_secret")


def test_a_file_that_is_not_there_is_told() -> None:
    with serving(lambda handler: reply(handler, 404)) as server, pytest.raises(StepError, match="no such file"):
        pin(server.url)


@pytest.mark.parametrize("headers", [{}, {"ETag": '"451f4fe16113bff5a5d2269ed5ad43b0592e9a14"'}])
def test_a_file_that_is_no_large_one_is_no_checkpoint(headers: dict[str, str]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, headers=headers)

    with serving(answer) as server, pytest.raises(StepError, match="no checkpoint"):
        pin(server.url)


def test_a_hub_that_does_not_answer_is_something_else_than_one_that_refuses() -> None:
    with serving(lambda handler: reply(handler, 503)) as server, pytest.raises(UnreachableError, match="503"):
        pin(server.url)
    assert len(server.asked) == 2


def test_the_token_reaches_the_hub_and_not_its_storage(tmp_path: Path) -> None:
    content = b"weights" * 100
    with serving(lambda handler: reply_with_ranges(handler, content)) as storage:
        # Another port is another host: both are this machine.
        elsewhere = storage.url
        with serving(lambda handler: reply(handler, 302, headers={"Location": f"{elsewhere}/signed"})) as hub:
            pinned = Pinned(
                url=f"{hub.url}/file", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), token="hf_secret"
            )
            download(pinned, tmp_path / "file", ONCE)
    assert (tmp_path / "file").read_bytes() == content
    assert [headers.get("authorization") for _, headers in hub.asked] == ["Bearer hf_secret"]
    assert [headers.get("authorization") for _, headers in storage.asked] == [None]
    assert "hf_secret" not in repr(pinned)


def test_the_beginning_of_a_file_is_read_and_the_token_stays_with_the_hub() -> None:
    with serving(lambda handler: reply(handler, 206, b"0123")) as storage:

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            reply(handler, 302, headers={"Location": storage.url})

        with serving(redirect) as server:
            pinned = Pinned(url=f"{server.url}/file", sha256=SHA256, token="hf_secret")
            assert read_beginning(pinned, 4, ONCE) == b"0123"
        ((_, asked),) = server.asked
        assert asked["authorization"] == "Bearer hf_secret"
    ((_, headers),) = storage.asked
    assert headers["range"] == "bytes=0-3"
    assert "authorization" not in headers
    with pytest.raises(PassingError):
        read_beginning(pinned, 4, ONCE)


@pytest.mark.parametrize("size", ["9" * 4000, "²", "-5", "1e9", "0x10", "0"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    headers = {
        "X-Linked-ETag": SHA256,
        "X-Linked-Size": size.encode().decode("latin-1"),
        "Location": "https://a.example",
    }
    with (
        serving(lambda handler: reply(handler, 302, headers=headers)) as server,
        pytest.raises(StepError, match="size"),
    ):
        pin(server.url)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with serving(lambda handler: reply(handler, 302, headers={"Location": "http://[::1"})) as server:
        with pytest.raises(StepError, match="an address that is none"):
            pin(server.url)
        with pytest.raises(StepError, match="an address that is none"):
            download(Pinned(url=f"{server.url}/file", sha256=SHA256, bytes=7), tmp_path / "file", ONCE)


def test_an_encrypted_address_leads_to_no_other(tmp_path: Path) -> None:
    asked = urllib.request.Request("https://huggingface.co/file", headers=request_headers("hf_secret"))
    with pytest.raises(urllib.error.HTTPError, match="without encryption"):
        Redirects().redirect_request(asked, io.BytesIO(), 302, "", Message(), "http://huggingface.co/file")
    following = Redirects().redirect_request(asked, io.BytesIO(), 302, "", Message(), "https://huggingface.co/other")
    assert following
    assert following.has_header("Authorization")
