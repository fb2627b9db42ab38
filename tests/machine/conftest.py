"""Machine tests: each boots a real machine. They need Linux and root, and are passed over elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local.booted.ability import reason_against
from scripts.local.booted.leftovers import remove_leftovers
from scripts.local.booted.root_file_system import root_file_system

pytest.register_assert_rewrite("tests.machine.outcomes")

from tests.machine.site import Site  # noqa: E402  # after the line above

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = reason_against()
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.machine)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    remove_leftovers()
    with Site(root_file_system()).open(tmp_path_factory.mktemp("site")) as opened:
        yield opened
