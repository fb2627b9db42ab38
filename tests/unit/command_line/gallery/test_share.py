from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import botocore.handlers
import pytest
from botocore.credentials import Credentials, RefreshableCredentials

from scripts.command_line.gallery import share
from tests.unit.command_line.conftest import Account, refusal
from tests.unit.command_line.gallery.conftest import PutRun

Sd = Callable[..., tuple[int, str, str]]
RUN = "a-horse-0123456789"


def test_a_link_shows_the_run_for_so_long(account: Account, put_run: PutRun, sd: Sd) -> None:
    keys = put_run(RUN, images=2)
    status, out, err = sd("gallery", "--share", "24", "a-horse")

    assert status == 0, err
    link = urlsplit(out.strip())
    assert link.hostname == f"{account.bucket}.s3.amazonaws.com"
    assert parse_qs(link.query)["X-Amz-Expires"] == ["86400"]
    assert re.search(
        r"sees 2 images of a-horse-0123456789 until 20\d\d-\d\d-\d\d \d\d:\d\d UTC, without an account", err
    )
    assert "temporary" not in err
    found = account.s3.get_object(Bucket=account.bucket, Key=link.path[1:])
    page = found["Body"].read().decode()
    assert (found["ContentType"], link.path[1:].startswith(keys.shared_pages)) == ("text/html; charset=utf-8", True)
    for key in (keys.image(1), keys.thumbnail(0)):
        assert f"https://{link.hostname}/{key}?X-Amz-Algorithm=AWS4-HMAC-SHA256" in page
    assert f"img-src https://{link.hostname};" in page


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        ("169", "--share is 169, but must be hours above 0, 168 (7 days) at most"),
        ("-1", "--share is -1, but must be hours above 0, 168 (7 days) at most"),
        ("0", "--share is 0, but must be"),
        ("nan", "--share is nan, but must be"),
    ],
)
def test_hours_that_no_link_holds_are_refused(put_run: PutRun, sd: Sd, hours: str, says: str) -> None:
    status, out, err = sd("gallery", "--share", hours, RUN)
    assert (status, out) == (2, "")
    assert says in err


def test_a_link_says_no_more_than_its_credentials_hold(
    account: Account, put_run: PutRun, sd: Sd, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_run(RUN)
    ends = datetime.now(UTC) + timedelta(hours=2)
    made = RefreshableCredentials("a", "b", "c", ends, dict, "test")
    monkeypatch.setattr(account.session, "get_credentials", lambda: made)
    status, out, err = sd("gallery", "--share", "24", RUN)
    assert (status, out) == (1, "")
    assert re.search(r"Your credentials end at .* UTC, in 2.0 hours, .* --share says 24", err)
    assert not [key for key in keys_of(account) if "/shared/" in key]
    assert sd("gallery", "--share", "1", RUN)[0] == 0


def test_where_the_end_of_credentials_is_unknown_it_is_said(
    account: Account, put_run: PutRun, sd: Sd, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_run(RUN)
    monkeypatch.setattr(account.session, "get_credentials", lambda: Credentials("a", "b", "token"))
    status, _out, err = sd("gallery", "--share", "1", RUN)
    assert (status, "temporary credentials, whose end is not known here: then the link ends too" in err) == (0, True)


def test_what_would_not_work_is_refused_before_anything_is_uploaded(
    account: Account, put_run: PutRun, sd: Sd, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_run(RUN, images=3)
    assert "There is no run dog" in sd("gallery", "--share", "1", "dog")[2]
    assert "--share takes one run" in sd("gallery", "--share", "1")[2]
    assert "--folder asks nothing of AWS" in sd("gallery", "--share", "1", "--folder", ".", RUN)[2]
    monkeypatch.setattr(share, "MOST_IMAGES", 2)
    assert "has 3 images, and a shared page" in sd("gallery", "--share", "1", RUN)[2]
    monkeypatch.setattr(share, "MOST_IMAGES", 3)
    # The pages are here: what is refused from now on is the image that the link would show.
    denied = ("before-call.s3.GetObject", _deny_ranges)
    handlers = [denied, *botocore.handlers.BUILTIN_HANDLERS]
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
    account.session.events.register_first(*denied)
    assert "need `kms:Decrypt` for it" in sd("gallery", "--share", "1", RUN)[2]
    assert not [key for key in keys_of(account) if "/shared/" in key]


def _deny_ranges(model: object, params: dict[str, dict[str, str]], **_: object) -> None:
    if params["headers"].get("Range") == "bytes=0-0":
        refusal("AccessDenied", 403)(model=model)


def keys_of(account: Account) -> list[str]:
    return [entry["Key"] for entry in account.s3.list_objects_v2(Bucket=account.bucket)["Contents"]]
