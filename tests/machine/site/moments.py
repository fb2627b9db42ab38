"""Moments in the life of a machine, to be waited for."""

from __future__ import annotations

from typing import Protocol

from tests.machine.booted.booted_machine import BootedMachine
from tests.machine.site.faults import LastHeard
from tests.machine.site.instance import Instance


class Moment(Protocol):
    """`prepare` is for the machine while its power is off, `wait` for the instance once it is on."""

    def prepare(self, machine: BootedMachine) -> None: ...

    def wait(self, instance: Instance) -> None: ...


class Says:
    """A log says `text`, after what it has said before."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._said_before = 0

    def prepare(self, machine: BootedMachine) -> None:
        self._said_before = machine.read(self._file).count(self._text)

    def wait(self, instance: Instance) -> None:
        instance.wait_for_line(self._text, file=self._file, times=self._said_before + 1)


class Asks:
    """A request reaches S3; it is answered as usual, and no other after it."""

    def __init__(self, method: str, part_of_path: str) -> None:
        self._asked = (method, part_of_path)
        self._heard: LastHeard

    def prepare(self, machine: BootedMachine) -> None:
        self._heard = machine.to_aws.fault = LastHeard(machine, *self._asked)

    def wait(self, instance: Instance) -> None:
        self._heard.wait()


class WorkerStarts:
    """The worker's process is there."""

    def prepare(self, machine: BootedMachine) -> None:
        """Nothing is needed."""

    def wait(self, instance: Instance) -> None:
        instance.worker()
