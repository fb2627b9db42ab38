"""What tests of several rooms leave as it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from scripts.interruption.signals import NUMBERS


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A command asks for them, and does not give them back."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
