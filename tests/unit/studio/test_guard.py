"""The studio answers its own person alone: a foreign page, a foreign name and a stranger's request get nothing."""

from __future__ import annotations

import itertools

import pytest
from starlette.testclient import TestClient

from tests.unit.studio.conftest import JSON, Browser

OWN = "http://127.0.0.1:8765"
ADDRESSES = ("/", "/status", "/runs", "/events", "/static/studio.js", "/static/htmx/htmx.min.js")


@pytest.fixture
def stranger(browser: Browser) -> TestClient:
    browser.deploy()
    return TestClient(browser.client.app, base_url=OWN)


def test_without_the_cookie_no_address_answers(stranger: TestClient) -> None:
    for address in ADDRESSES:
        refused = stranger.get(address)
        assert refused.status_code == 403, address
        assert "Open the link that `sd studio` has printed" in refused.text
    assert stranger.get("/?token=guess", follow_redirects=False).status_code == 403


def test_the_link_changes_its_token_into_a_cookie_that_no_script_reads(browser: Browser, stranger: TestClient) -> None:
    entered = stranger.get("/", params={"token": browser.keys.token}, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert browser.keys.token not in cookie, "the cookie goes to every server of this host, whatever its port"
    assert stranger.get("/status").status_code == 200


def test_the_link_on_a_browser_s_command_line_can_be_followed_once(browser: Browser, stranger: TestClient) -> None:
    link = browser.keys.link_for_once()
    assert stranger.get(link, follow_redirects=False).status_code == 303
    stranger.cookies.clear()
    assert stranger.get(link, follow_redirects=False).status_code == 403


def test_a_name_that_points_here_is_not_this_server(browser: Browser) -> None:
    hosts = ("evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:1", "localhost.evil:8765", "")
    for address, host in itertools.product(ADDRESSES, hosts):
        assert browser.client.get(address, headers={"Host": host}).status_code == 421


def test_another_page_changes_nothing(browser: Browser) -> None:
    browser.deploy()
    browser.client.headers.pop("Origin")
    origins = ("http://evil.example", "null", "http://127.0.0.1:9", "https://127.0.0.1:8765", None)
    addresses = ("/generate", "/grid", "/stop", "/awake", "/inputs", "/runs/a/start")
    for address, origin in itertools.product(addresses, origins):
        headers = {**JSON, **({"Origin": origin} if origin else {})}
        assert browser.client.post(address, data={"Prompt": "a"}, headers=headers).status_code == 403
    assert browser.sent() == []
    assert browser.hold() is None
    assert browser.account.state() == "running"


def test_a_program_may_ask_with_the_token(browser: Browser, stranger: TestClient) -> None:
    headers = {**JSON, "Authorization": f"Bearer {browser.keys.token}"}
    assert stranger.post("/generate", data={"Prompt": "a"}, headers=headers).status_code == 200
    wrong = {**JSON, "Authorization": f"Bearer {browser.keys.cookie}"}
    assert stranger.post("/generate", data={"Prompt": "b"}, headers=wrong).status_code == 403
    assert len(browser.sent()) == 1


def test_every_answer_closes_the_page(browser: Browser, stranger: TestClient) -> None:
    for answer in (browser.client.get("/"), stranger.get("/"), browser.client.get("/static/studio.css")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_body_without_an_end_is_not_read(browser: Browser) -> None:
    for length in (str(10**9), "9" * 5000, "\u00b2", "-1"):
        sized = {b"Content-Length": length.encode("latin-1")}
        assert browser.client.post("/restore", content=b"", headers=sized).status_code == 413
    assert browser.client.post("/restore", content=iter([b"a"]), headers=JSON).status_code == 411
