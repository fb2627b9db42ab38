"""Makes the emulated account refuse what IAM does not allow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin


@contextlib.contextmanager
def permissions_enforced() -> Iterator[None]:
    """Checks signatures and policies of every request while the context lasts.

    AWS's own managed policies allow nothing here, and conditions in policies are passed over.
    """
    before = settings.INITIAL_NO_AUTH_ACTION_COUNT
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    try:
        yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before
