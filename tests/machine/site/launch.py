"""Launches instances whose network has a server of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site import manners
from tests.machine.site.bundles import USERDATA, instead_of_the_bundle
from tests.machine.site.hub import Hub
from tests.machine.site.instance import Instance
from tests.machine.site.line import Line
from tests.machine.site.site import Site

ADDRESS = ("10.9.8.7", 80)
URL = f"http://{ADDRESS[0]}"


class Launch:
    """Launches an instance whose network has a hub, `hub` after the launch.

    The hub serves `files`, through `line` if there is one; `changed` are other texts for files of the bundle, which is
    made of the folder `userdata`.
    """

    def __init__(
        self,
        site: Site,
        files: dict[str, bytes],
        changed: dict[str, str],
        *,
        line: Line | None = None,
        userdata: Path = USERDATA,
    ) -> None:
        self._site = site
        self._files = files
        self._changed = changed
        self._line = line
        self._userdata = userdata
        self.hub: Hub

    @contextmanager
    def __call__(
        self,
        given: dict[str, str],
        machine_env: dict[str, str],
        manner: manners.Manner,
        spoil: Callable[[BootedMachine], None] = lambda machine: None,
    ) -> Iterator[Instance]:
        preparation = self._preparation(manner, spoil)
        with self._site.launched(given, machine_env=machine_env, prepare=preparation) as instance:
            hub = self.hub
            try:
                yield instance
            finally:
                hub.stop()

    @contextmanager
    def in_place_of(self, instance: Instance, machine_env: dict[str, str]) -> Iterator[Instance]:
        """Another instance with the same bucket, whose hub is `hub` from now on."""
        preparation = self._preparation(manners.well, lambda machine: None)
        with self._site.replaced(instance, machine_env=machine_env, prepare=preparation) as new:
            hub = self.hub
            try:
                yield new
            finally:
                hub.stop()

    def _preparation(
        self, manner: manners.Manner, spoil: Callable[[BootedMachine], None]
    ) -> Callable[[BootedMachine], None]:
        def prepare(machine: BootedMachine) -> None:
            spoil(machine)
            self.hub = Hub(machine.network.listen(*ADDRESS), self._files, self._line)
            self.hub.manner = manner
            if self._changed:
                machine.to_aws.fault = instead_of_the_bundle(self._changed, self._userdata)

        return prepare
