"""What a run or a batch meets: each fault by its name."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from scripts.local.aws.faults import Kind, Service
from tests.soak.work import KINDS, Work

# Strikes work that has begun, with what the seed makes of chance, and returns what tells afterwards whether the work
# has met it.
Strike = Callable[[Work, random.Random], Callable[[], bool]]
SECONDS = (3, 6, 10)


@dataclass(frozen=True)
class Fault:
    """`strike` begins it, `of` are the kinds of work that can meet it, and `moments` those of work at which it may."""

    strike: Strike
    of: tuple[str, ...] = tuple(KINDS)
    moments: tuple[str, ...] = ("early", "drawing", "late")


def _kill(module: str) -> Strike:
    """Kills the process of the machine that runs `module`, once there is one."""

    def strike(work: Work, _chance: random.Random) -> Callable[[], bool]:
        killed: list[psutil.Process] = []

        def is_killed() -> bool:
            killed.extend(process for process in _processes(work) if _runs(process, module))
            for process in killed:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            return bool(killed)

        work.wait(60, until=is_killed)
        return lambda: bool(killed)

    return strike


def _processes(work: Work) -> list[psutil.Process]:
    pid = work.stage.machine.pid
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True) if pid else []
    return []


def _runs(process: psutil.Process, module: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return module in process.cmdline()
    return False


def _cut_power(work: Work, _chance: random.Random) -> Callable[[], bool]:
    pid, done = work.stage.machine.pid, work.is_done()
    if pid:
        os.kill(pid, signal.SIGKILL)
    return lambda: bool(pid) and not done


def _stop(work: Work, _chance: random.Random) -> Callable[[], bool]:
    return _while_up(work, work.stage.stop)


def _reboot(work: Work, _chance: random.Random) -> Callable[[], bool]:
    return _while_up(work, work.stage.reboot)


def _while_up(work: Work, action: Callable[[], None]) -> Callable[[], bool]:
    up = work.stage.state() == "running" and not work.is_done()
    if up:
        action()
    return lambda: up


def _deploy_another(work: Work, chance: random.Random) -> Callable[[], bool]:
    """Another run is deployed meanwhile and begun, and then the first one again."""
    met = not work.is_done()
    work.stage.deploy(RunId=f"{work.name}-other")
    work.stage.start()
    work.wait(chance.uniform(0, 3))
    work.stage.deploy(RunId=work.name)
    work.stage.start()
    return lambda: met


def _tear_down(work: Work, _chance: random.Random) -> Callable[[], bool]:
    met = not work.is_done()
    work.stage.tear_down()
    return lambda: met


def _meet(kind: Kind, *services: Service, share: float = 1.0) -> Strike:
    def strike(work: Work, chance: random.Random) -> Callable[[], bool]:
        seconds = chance.choice(SECONDS)
        fault = work.stage.cloud.faults.begin(
            kind, *services, seconds=seconds, share=share, seed=chance.getrandbits(32)
        )
        return lambda: fault.met > 0

    return strike


def _of_the_queue(strike: Strike) -> Fault:
    return Fault(strike, of=("batch",), moments=("early", "drawing"))


TEARDOWN = "torn-down"
FAULTS = {
    "none": Fault(lambda _work, _chance: lambda: False),
    "worker-killed": Fault(_kill("userdata.worker")),
    "drawing-killed": Fault(_kill("userdata.worker.draw")),
    "power-cut": Fault(_cut_power),
    "stopped": Fault(_stop),
    "rebooted": Fault(_reboot),
    "redeployed": Fault(_deploy_another, of=("run",)),
    TEARDOWN: Fault(_tear_down, of=("run",)),
    "s3-busy": Fault(_meet("busy", "s3")),
    "s3-reset": Fault(_meet("reset", "s3", share=0.5)),
    "s3-slow": Fault(_meet("slow", "s3")),
    "wrong-clock": Fault(_meet("clock", "s3", "sqs")),
    "sqs-busy": _of_the_queue(_meet("busy", "sqs")),
    "sqs-reset": _of_the_queue(_meet("reset", "sqs", share=0.5)),
    "delivered-twice": _of_the_queue(_meet("twice", "sqs", share=0.7)),
    "deletion-lost": _of_the_queue(_meet("kept", "sqs", share=0.7)),
    "out-of-order": _of_the_queue(_meet("order", "sqs")),
}
