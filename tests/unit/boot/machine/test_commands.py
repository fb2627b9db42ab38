import os
import time
from pathlib import Path

import pytest

from userdata.boot.machine import commands
from userdata.boot.machine.commands import CommandError, TooMuchSaidError, answer_of, run_logged


def test_an_answer_is_the_standard_output_alone() -> None:
    assert answer_of(["bash", "-c", "cat; echo warning >&2"], seconds=10, text="hello") == "hello"


def test_an_error_quotes_the_last_line() -> None:
    with pytest.raises(CommandError, match="bash ended with 3: the reason") as caught:
        answer_of(["bash", "-c", "echo first >&2; echo the reason >&2; exit 3"], seconds=10)
    assert caught.value.output == "first\nthe reason"


AWS_ERROR = "An error occurred (AccessDenied) when calling the GetObject operation: Access Denied"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"\\naws: [ERROR]: {AWS_ERROR}\\n\\nAdditional error details:\\nHostId: x", f"aws: [ERROR]: {AWS_ERROR}"),
        (f"\\n{AWS_ERROR}\\n\\nBucketName: results", AWS_ERROR),
        ("\\nUnable to locate credentials", "Unable to locate credentials"),
    ],
)
def test_the_details_below_an_error_of_aws_are_not_the_reason(tmp_path: Path, said: str, reason: str) -> None:
    aws = tmp_path / "aws"
    aws.write_text(f"#!/bin/bash\nprintf '{said}\\n' >&2\nexit 255\n")
    aws.chmod(0o755)
    with pytest.raises(CommandError) as caught:
        answer_of([str(aws)], seconds=10)
    assert str(caught.value) == f"aws ended with 255: {reason}"


def test_a_command_that_is_not_there_is_named() -> None:
    for run in (answer_of, run_logged):
        with pytest.raises(CommandError, match="no-such-command cannot be run: No such file"):
            run(["no-such-command"], seconds=10)


def test_lines_are_logged_as_they_come(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run_logged(["bash", "-c", r"printf '10%%\r50%%\r100%%\n\n\xff next\n' >&2"], seconds=10)
    assert [record.getMessage() for record in caplog.records] == ["  100%", "  \N{REPLACEMENT CHARACTER} next"]


def test_a_command_out_of_time_is_killed_with_what_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f'sleep 60 & echo $! >"{child}"; wait'
    for seconds in (0.5, 5, 50):  # until it has come to its child, for which a busy computer needs longer
        with pytest.raises(CommandError, match=rf"bash did not end within {seconds:g} s"):
            run_logged(["bash", "-c", script], seconds=seconds)
        if child.exists() and child.read_text():
            break
    deadline = time.monotonic() + 10
    while _runs(int(child.read_text())):
        assert time.monotonic() < deadline, "the command's child is still running"
        time.sleep(0.02)


@pytest.mark.parametrize("stream", [1, 2])
def test_a_program_that_says_too_much_is_ended(stream: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MOST_SAID", 1 << 20)
    with pytest.raises(TooMuchSaidError, match="bash said more than 1 MiB"):
        answer_of(["bash", "-c", f"yes >&{stream}"], seconds=10)
    assert len(answer_of(["head", "-c", str(1 << 20), "/dev/zero"], seconds=10)) == 1 << 20


def test_an_error_quotes_what_may_be_a_word_of_a_command() -> None:
    with pytest.raises(CommandError, match="^bash ended with 3: why") as told:
        answer_of(["bash", "-c", "printf why >&2; head -c 200000 /dev/zero >&2; exit 3"], seconds=10)
    answer_of(["echo", str(told.value)], seconds=10)


def test_a_line_without_an_end_is_logged_in_parts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run_logged(["bash", "-c", "head -c 200000 /dev/zero | tr '\\0' x"], seconds=10)
    assert max(len(record.getMessage()) for record in caplog.records) < 70_000


def test_what_a_program_does_not_read_makes_nobody_wait() -> None:
    with pytest.raises(CommandError, match=r"sleep did not end within 0\.3 s"):
        answer_of(["sleep", "60"], seconds=0.3, text="x" * 1_000_000)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_killed_command_says_so() -> None:
    with pytest.raises(CommandError, match="bash was ended by signal 9: last words"):
        run_logged(["bash", "-c", "echo last words; kill -KILL $$"], seconds=10)
