import json
import logging

import pytest

from userdata.boot.fetch.bucket import Bucket
from userdata.boot.machine.step_error import StepError
from userdata.boot.telling import earlier as module
from userdata.boot.telling.earlier import NOTHING_THERE, Earlier, earlier_in, read_earlier_apart

TOLD = {
    "phase": "generating",
    "images_done": 4,
    "images_total": 6,
    "images_flagged": 1,
    "started_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T01:00:00+01:00",
}
LINE = "generating 4 6 1 2026-01-01T00:00:00.000Z 2026-01-01T00:00:00.000Z"


def test_a_status_becomes_six_checked_words_and_back() -> None:
    found = Earlier.from_status(json.dumps({**TOLD, "error": {"message": "\x1b]0;"}}))
    assert found.to_line() == LINE
    assert Earlier.from_line(LINE) == found


@pytest.mark.parametrize(
    "hostile",
    [
        {"phase": "done 4 6 1"},
        {"phase": "hacked"},
        {"phase": ["done"]},
        {"images_done": -1},
        {"images_done": 10**17},
        {"images_done": True},
        {"images_flagged": "٣"},
        {"images_total": json.loads("[" * 900 + "]" * 900)},
        {"started_at": "2026-01-01"},
        {"started_at": "9999-12-31T23:59:59-23:59"},
        {"updated_at": None},
    ],
)
def test_a_hostile_status_counts_as_none(hostile: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    assert earlier_in(json.dumps({**TOLD, **hostile})) is None
    assert "it is begun again" in caplog.text
    (record,) = caplog.records
    assert (record.levelno, len(record.getMessage()) < 300) == (logging.WARNING, True)


@pytest.mark.parametrize("said", ["", "done", LINE + " and more", LINE.replace("4", "4" * 5000), "x" * 65536])
def test_root_takes_six_words_from_who_reads_and_nothing_else(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def answers(status: int, line: str) -> None:
        monkeypatch.setattr(module, "said_apart", lambda *_, **__: (status, line))

    answers(0, said)
    with pytest.raises(StepError, match="status could not be read") as told:
        read_earlier_apart(Bucket("b"), "key", None)
    assert len(str(told.value)) < 300
    answers(1, "")
    with pytest.raises(StepError, match="To try again, start the instance"):
        read_earlier_apart(Bucket("b"), "key", None)
    answers(NOTHING_THERE, LINE)
    assert read_earlier_apart(Bucket("b"), "key", None) is None
    answers(0, LINE)
    assert read_earlier_apart(Bucket("b"), "key", None) == Earlier.from_line(LINE)
