"""Whatever AWS answers, a command ends in a sentence and an exit status, and no traceback reaches a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.handlers
import botocore.parsers
import botocore.session
import pytest
from PIL import Image
from typer.core import TyperGroup
from typer.main import get_command

from scripts.command_line.main import app, main
from scripts.command_line.terminal.session import choose_session
from tests.unit.command_line.conftest import REGION, SERVICE_DESCRIPTIONS, Account, refusal
from userdata.job.image_request import image_requests
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith
from userdata.record.image_metadata import describe_image, png_with_record

# Each command, with the words that bring it to AWS.
COMMANDS: dict[str, list[list[str]]] = {
    "batch": [["rows.csv", "--yes"]],
    "cancel": [["a-0123456789", "--yes"]],
    "compare": [["a-0123456789", "b-0123456789"]],
    "cost": [[], ["--actual"]],
    "deploy": [["a horse"], ["a horse", "--wait"], ["a horse", "--types", "g6.xlarge"]],
    "connect": [[]],
    "doctor": [[]],
    "gallery": [[], ["--full"]],
    "generate": [["a horse"]],
    "hold": [[], ["2h"], ["off"]],
    "logs": [[], ["a-0123456789"]],
    "pause": [["a-0123456789"]],
    "quota request": [["--yes"]],
    "quota status": [[], ["--spot"]],
    "replay": [["image.png", "--deploy"]],
    "report": [[]],
    "results": [[], ["--list"]],
    "resume": [["a-0123456789"]],
    "retry": [["a-0123456789"]],
    "start": [[]],
    "status": [[], ["--timeline"]],
    "stop": [[], ["--terminate"]],
    "teardown": [["--audit-only"]],
    "watch": [[], ["--json"]],
    "zones": [[], ["g5.xlarge"]],
}
LINES = [[*command.split(), *words] for command, lines in COMMANDS.items() for words in lines]
# The answer to `sd cost` comes from the table where AWS gives none, and `sd doctor` tells of the refusal in a table.
IN_A_TABLE = (["cost"], ["doctor"])


def raising(error: Exception) -> Callable[..., None]:
    def refuse(**_: object) -> None:
        raise error

    return refuse


REFUSALS: dict[str, Callable[..., None]] = {
    "expired token": refusal("ExpiredToken"),
    "expired token, in EC2's words": refusal("RequestExpired"),
    "wrong signature": refusal("SignatureDoesNotMatch", 403),
    "wrong key": refusal("UnrecognizedClientException"),
    "clock skew": refusal("RequestTimeTooSkewed", 403),
    "access denied": refusal("AccessDeniedException"),
    "access denied, in EC2's words": refusal("UnauthorizedOperation", 403),
    "access denied, without a body": refusal("403", 403),
    "throttled": refusal("ThrottlingException"),
    "not found": refusal("ResourceNotFoundException", 404),
    "no such bucket": refusal("NoSuchBucket", 404),
    "no credentials": raising(botocore.exceptions.NoCredentialsError()),
    "ended SSO session": raising(botocore.exceptions.UnauthorizedSSOTokenError()),
    "SSO session that cannot be renewed": raising(
        botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="no")
    ),
    "network down": raising(botocore.exceptions.EndpointConnectionError(endpoint_url="https://aws")),
    "no answer": raising(botocore.exceptions.ReadTimeoutError(endpoint_url="https://aws")),
    "proxy": raising(botocore.exceptions.ProxyConnectionError(proxy_url="http://proxy")),
    "not AWS": raising(botocore.parsers.ResponseParserError("no XML: <html>")),
    "certificate": raising(botocore.exceptions.SSLError(endpoint_url="https://aws", error=OSError("no"))),
}


@pytest.fixture
def person(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    """Somebody in a folder with an image, whose credentials are in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(botocore.session, "create_loader", lambda *_: SERVICE_DESCRIPTIONS)
    job = Job(model="tiny", H=64, W=64, ddim_steps=2)
    drawn = DrawnWith(indices=[0], execution="eager", precision="float32", device="cpu")
    record = describe_image(
        job, image_requests(job), 0, run_id=job.name, seconds=1, drawn_with=drawn, versions={"diffusers": "1"}
    )
    Path("rows.csv").write_text("prompt\na horse\n")
    Path("image.png").write_bytes(png_with_record(Image.new("RGB", (64, 64)), record))
    return account


def refuse(monkeypatch: pytest.MonkeyPatch, event: str, handler: Callable[..., None]) -> None:
    """Every client that is made from now on is refused."""
    handlers = [(event, handler), *botocore.handlers.BUILTIN_HANDLERS]
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)


def outcome(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """The exit status of a command, and what it printed. An exception that a person would see is raised here."""
    monkeypatch.setattr("sys.argv", ["sd", *words])
    with pytest.raises(SystemExit) as exited:
        main()
    printed = capsys.readouterr()
    status: Any = exited.value.code or 0
    return status, printed.out, printed.err


def sentences(err: str) -> list[str]:
    """What the command itself says on standard error; libraries warn there, too."""
    return [line for line in err.splitlines() if line.startswith("sd: ")]


def assert_told(words: list[str], status: int, out: str, err: str) -> None:
    assert "Traceback" not in out + err
    assert "A fault of this program" not in out + err
    if words == ["report"]:
        assert (status, out.startswith("The report is sd-report-")) == (0, True)
        assert "Not in the report: " in err
        return
    if words in IN_A_TABLE:
        assert status in ((0, 1) if words == ["cost"] else (1,))
        return
    assert status in (1, 2), out
    [told] = sentences(err)
    assert "Could not " in told or told == "sd: Nothing was deployed.", err


def test_every_command_is_asked() -> None:
    def names(command: Any, prefix: str = "") -> set[str]:
        if not isinstance(command, TyperGroup):
            return {prefix.strip()}
        return set().union(*(names(one, f"{prefix} {name}") for name, one in command.commands.items()))

    others = {"models", "studio"}  # the one asks nothing, the other becomes another program
    assert names(get_command(app)) == {*COMMANDS, *others}


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_a_refusal_of_every_call_is_a_sentence(
    person: Account, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_REGION", REGION)
    for name, handler in REFUSALS.items():
        with monkeypatch.context() as patch:
            refuse(patch, "before-call", handler)
            try:
                assert_told(words, *outcome(words, patch, capsys))
            except AssertionError as error:
                pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_a_refusal_of_every_call_but_that_for_the_stack_is_a_sentence(
    person: Account, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for output, kind in (("InteractiveQueue", "interactive"), ("BatchQueue", "batch")):
        person.outputs[output] = f"https://sqs.us-east-1.amazonaws.com/123456789012/sd-1-{kind}"
    person.deploy(Prompt="ein Bär")
    monkeypatch.setenv("AWS_REGION", REGION)
    # A third of them for each command, others for the next: all of them go the same way through it.
    for name, handler in list(REFUSALS.items())[LINES.index(words) % 3 :: 3]:
        with monkeypatch.context() as patch:
            refuse(patch, "before-call", lambda handler=handler, **given: _unless_stack(handler, given))
            try:
                assert_told(words, *outcome(words, patch, capsys))
            except AssertionError as error:
                pytest.fail(f"{name}: {error}")


def _unless_stack(handler: Callable[..., None], given: dict[str, Any]) -> None:
    if given["model"].service_model.service_name != "cloudformation":
        handler(**given)


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_without_a_region_a_command_says_how_to_name_one(
    person: Account, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = outcome(words, monkeypatch, capsys)
    assert_told(words, status, out, err)
    assert words == ["cost"] or "--region us-east-1" in out + err


@pytest.mark.parametrize("data_path", ["", "/data"])
def test_a_profile_that_is_none_is_a_sentence(
    person: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_path: str
) -> None:
    monkeypatch.setenv("AWS_DATA_PATH", data_path)
    status, _, err = outcome(["status", "--profile", "nobody"], monkeypatch, capsys)
    assert status == 1
    assert sentences(err)[0].startswith("sd: The config profile (nobody) could not be found: --profile names it."), err


@pytest.mark.parametrize(("given", "region"), [(None, "eu-west-1"), ("ap-south-1", "ap-south-1"), ("", "eu-west-1")])
def test_aws_region_is_obeyed_before_the_default_as_by_the_cdk(
    monkeypatch: pytest.MonkeyPatch, given: str | None, region: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert choose_session(given, None).region_name == region
    monkeypatch.setenv("AWS_REGION", "")
    assert choose_session(None, None).region_name == "us-east-2"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"AWS_ENDPOINT_URL": "foo"}, "Invalid endpoint: foo. It begins with https://: look at AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "Look at the region's name, at this machine's network"),
        ({"AWS_SESSION_TOKEN": "secret\r"}, "a line break, a blank or another sign in it that no key has. Copy them"),
    ],
)
def test_settings_that_cannot_be_are_told_without_a_secret(
    settings: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "1", **settings}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    status, out, err = outcome(["status", "--region", REGION], monkeypatch, capsys)
    assert (status, out) == (1, "")
    assert told in err
    assert "secret" not in err
