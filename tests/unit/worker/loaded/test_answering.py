from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from userdata.job.run_error import BetweenBatches
from userdata.worker.between import words
from userdata.worker.loaded import answering
from userdata.worker.loaded.answering import Answering

ASKED = (words.StillWorks(), b"")


def test_a_pause_is_used_until_a_job_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while the pause is used ends that."""
    monkeypatch.setattr(answering, "PAUSE", 0.0)
    told: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answers = Answering(ours)

        class Loaded:
            has_use_for_a_pause = True

            def use_pause(self, leave_if_asked: Callable[[], None]) -> None:
                leave_if_asked()
                told.append("nobody asks")
                answers._asked.put(ASKED)
                with pytest.raises(BetweenBatches):
                    leave_if_asked()

        answers._loaded = Loaded()  # type: ignore[assignment]
        assert answers._next() == ASKED
        assert told == ["nobody asks"]
        answers._loaded = None
        answers._asked.put(ASKED)
        assert answers._next() == ASKED
