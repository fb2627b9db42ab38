"""Machine tests: each boots a real machine. They need Linux and root, and are skipped elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.booted.ability import reason_against
from tests.machine.booted.leftovers import remove_leftovers
from tests.machine.booted.root_file_system import root_file_system

pytest.register_assert_rewrite("tests.machine.site.outcomes")

from tests.machine.site.site import Site  # noqa: E402  # after the line above

FOLDER = Path(__file__).parent
TEST_SECONDS = 1800
# Several machines share the host's processors: torch's threads, one for each of them, would wait for one another.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = reason_against()
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.machine)
            # A test boots up to half a dozen times, on a host that others may use too.
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    remove_leftovers()
    folder = tmp_path_factory.getbasetemp()
    # xdist gives each of its processes a folder in the run's own.
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with Site(root_file_system(), machine_env=ONE_THREAD).open(shared) as opened:
        yield opened
