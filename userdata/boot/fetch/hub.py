"""Asks the Hugging Face hub for the hash and the size of a file that the catalogue does not know.

The hub keeps large files by their SHA-256 and states it, with the size, in the answer to a request for the headers:
`X-Linked-ETag` and `X-Linked-Size`, and the commit in `X-Repo-Commit`. `huggingface_hub` relies on the same three.
Their capitals differ between servers and proxies. A mirror that sends the file itself may say the same by `ETag` and
`Content-Length` alone.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from email.message import Message
from typing import IO, Any, Optional, Tuple
from urllib.parse import urljoin, urlsplit

from userdata.boot.fetch.passing_error import PassingError, code_passes
from userdata.boot.fetch.request import Manner, Pinned, open_following, refused, request_headers
from userdata.boot.machine.step_error import PassingStepError, StepError
from userdata.contract.catalogue import HUB
from userdata.contract.outside import read_whole

SHA256 = re.compile(r"[0-9a-f]{64}")
MOST_REDIRECTS = 5


class UnreachableError(PassingStepError):
    """The hub did not answer, so that nothing is known."""


def pin_hub_file(
    *, repository: str, revision: str, path: str, token: Optional[str], manner: Optional[Manner] = None, hub: str = HUB
) -> Pinned:
    """The file `path` of `repository` at `revision`, as the hub has it now: its size, its SHA-256, and its commit.

    `hub` is the address of the hub or of a mirror. Raises `StepError` when there is no such file or no right to it, and
    `UnreachableError`, which is one, when the hub does not answer.
    """
    manner = manner or Manner()
    page = f"{HUB}/{repository}"
    url = f"{hub}/{repository}/resolve/{revision}/{path}"
    try:
        final, headers = manner.patience.retry(lambda: _headers(url, token, page, manner), on=PassingError)
    except PassingError as error:
        raise UnreachableError(
            f"The hub could not be asked about {url}: {error}. Check the network, then start the instance again."
        ) from error
    sha256 = headers.get("X-Linked-ETag", headers.get("ETag", "")).strip().strip('W/"').lower()
    # The length of an answer that only redirects is no length of the file.
    size = headers.get("X-Linked-Size", "" if "Location" in headers else headers.get("Content-Length", "")).strip()
    if not SHA256.fullmatch(sha256):
        raise StepError(
            f"{url} is no large file of the hub, so it is no checkpoint. Name a checkpoint's file as "
            "hf:owner/name/file. If SD_WEIGHTS_URL names a mirror, the mirror must pass the hub's X-Linked-ETag on."
        )
    try:
        length = read_whole(size) if size else None
        if length == 0:
            raise ValueError("0 bytes are no checkpoint")
    except ValueError as error:
        raise StepError(f"The hub tells no size of {url} that can be: {error}. Name another file.") from error
    commit = headers.get("X-Repo-Commit", "")
    pinned_url = final.replace(f"/resolve/{revision}/", f"/resolve/{commit}/", 1) if commit else final
    return Pinned(url=pinned_url, sha256=sha256, bytes=length, page=page, token=token)


def read_beginning(pinned: Pinned, count: int, manner: Optional[Manner] = None) -> bytes:
    """The first `count` bytes of a file. Raises `PassingError` when they cannot be had."""
    manner = manner or Manner()
    headers = {**request_headers(pinned.token), "Range": f"bytes=0-{count - 1}"}
    request = urllib.request.Request(pinned.url, headers=headers)  # noqa: S310
    try:
        with open_following(request, seconds=manner.stall_seconds) as answer:
            content: bytes = answer.read(count)
            return content
    except (OSError, http.client.HTTPException) as error:
        raise PassingError(str(getattr(error, "reason", None) or error)) from error


def _headers(url: str, token: Optional[str], page: str, manner: Manner) -> Tuple[str, Message]:
    """The address and the headers of the answer that describes the file; a renamed repository is followed.

    The headers are as they came, since their type alone reads a name in any capitals.
    """
    opener = urllib.request.build_opener(_StaysHere)
    for _ in range(MOST_REDIRECTS):
        request = urllib.request.Request(url, headers=request_headers(token), method="HEAD")  # noqa: S310
        try:
            with opener.open(request, timeout=manner.stall_seconds) as answer:
                return url, answer.headers
        except urllib.error.HTTPError as error:
            with error:
                moved = _judge(error, url, token, page)
            if moved is None:
                return url, error.headers
            url = moved
        except (OSError, http.client.HTTPException) as error:
            raise PassingError(str(getattr(error, "reason", None) or error)) from error
        except ValueError as error:
            raise StepError(f"{url} leads to an address that is none ({error}). Check its name.") from error
    raise StepError(f"{url} leads round in circles. Check the name of the repository.")


def _judge(error: urllib.error.HTTPError, url: str, token: Optional[str], page: str) -> Optional[str]:
    """Where the hub says that the repository is now; None when this answer describes the file."""
    if error.code in (301, 302, 303, 307, 308):
        try:
            location = urljoin(url, error.headers.get("Location", ""))
            elsewhere = urlsplit(location)[:2] != urlsplit(url)[:2]
        except ValueError as wrong:
            raise StepError(f"{url} leads to an address that is none ({wrong}). Check its name.") from wrong
        # The file's storage is on another host, a repository's new name on this one.
        if "X-Linked-ETag" in error.headers or elsewhere:
            return None
        return location
    if error.code in (401, 403):
        raise StepError(refused(url, error.code, page=page, token=token))
    if code_passes(error.code):
        raise PassingError(f"it answered {error.code}")
    raise StepError(f"{url} answered {error.code} ({error.reason}): there is no such file. See {page}.")


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, because the answer that redirects is the one that describes the file."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Optional[Any]:
        return None
