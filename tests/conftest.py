"""What CI samples, and what `--long` runs whole: the tests marked `long`, and more examples of each property."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
from typing import Any

import pytest
from hypothesis import settings

from scripts.local.command_environment import FOREIGN
from tests.synthesized_once import synthesizing_once

# What somebody's terminal, account, git hook or CI has set is none of the tests' settings: moto reads AWS's when it is
# imported, rich prints in colours or narrower, and the CDK CLI speaks on another stream.
PERSONAL = {"CI", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "PYTHONPATH", "PYTHONWARNINGS"}
for variable in [name for name in os.environ if name in PERSONAL or name.startswith((*FOREIGN, "HF_", "GIT_", "TTY_"))]:
    del os.environ[variable]

# The collector rests while the tests are imported, passes over what that has made, and then looks less often than at
# each 700 new objects: it took a quarter of the time of tests with an emulated account.
gc.disable()

# A shell lets what it starts in the background pass over Ctrl-C, and `nohup` what outlives its terminal. Processes that
# the tests start, and signal, would inherit that.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler)


class Loggers(dict[str, Any]):
    """Can be looked through while a thread makes another: pytest does so around each test, and would fail it."""

    def values(self) -> list[Any]:  # type: ignore[override]
        return list(super().values())


logging.root.manager.loggerDict = Loggers(logging.root.manager.loggerDict)

# CI draws the same examples each time, so that it is red because of the change and not because of the draw.
settings.register_profile("sample", derandomize=True, deadline=None)
settings.register_profile("long", max_examples=2000, deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms too: soaks, and more examples")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("long") else "sample")
    # Before xdist starts its processes, which get the same environment.
    once = contextlib.ExitStack()
    once.enter_context(synthesizing_once(os.environ))
    config.add_cleanup(once.close)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()
