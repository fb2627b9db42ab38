"""A thread of a test may make a logger at any time."""

from __future__ import annotations

import logging

from _pytest.logging import LogCaptureHandler, catching_logs


class Meanwhile(logging.Logger):
    """Whose look makes another logger, as a thread may at that moment."""

    @property
    def propagate(self) -> bool:
        logging.getLogger("made meanwhile")
        return True

    @propagate.setter
    def propagate(self, _: bool) -> None:
        pass


def test_a_logger_that_is_made_while_pytest_looks_at_them_fails_no_test() -> None:
    loggers = logging.root.manager.loggerDict
    loggers["looked at"] = Meanwhile("looked at")
    try:
        with catching_logs(LogCaptureHandler()):
            assert "made meanwhile" in loggers
    finally:
        del loggers["looked at"], loggers["made meanwhile"]
