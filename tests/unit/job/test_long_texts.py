"""No text takes much longer than its length: each of these took from 17 seconds to hours, on a machine that costs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from userdata.job.job import Job
from userdata.job.prompt_file import LONGEST_LINE, LineJob, PromptFileError, parse_line, read_prompt_file
from userdata.job.prompt_notices import prompt_notices


@pytest.fixture(autouse=True)
def _within_a_second() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < 1


def test_quotes_without_an_end() -> None:
    for quotes in ('"\\' * 30_000, '"\\' * 30_000 + "x", "'" + '"' * 59_999):
        with pytest.raises(PromptFileError, match="a quote has no end"):
            parse_line(f"a --negative_prompt {quotes}")


def test_a_line_of_a_megabyte_is_refused_by_its_length() -> None:
    with pytest.raises(PromptFileError, match="Line 2: it has 1,000,000 characters, but a line has 65,536 at most"):
        read_prompt_file(b"a\n" + b'"\\' * 500_000, Job(model="tiny"))
    assert len(parse_line("a" * LONGEST_LINE)["prompt"]) == LONGEST_LINE


@pytest.mark.parametrize(
    "text",
    [
        "<lora:" + " " * 9900,
        "(a:" + "1" * 9900,
        "a" + " " * 9900 + "b",
        "[" + "|" * 9900,
        "{" + "|" * 9900,
        "[a:" + "1" * 9900,
    ],
)
def test_spaces_digits_and_bars(text: str) -> None:
    LineJob(model="tiny", prompt=text)
    prompt_notices([(text, "")], weighed=True)
