"""One piece of work after the other, each under a fault that the seed chooses, at a moment that the seed chooses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.soak.faults import FAULTS, TEARDOWN
from tests.soak.pictures import Pictures, pictures_of, put_twice
from tests.soak.stage import IMAGES, Stage
from tests.soak.work import KINDS, Work

# After a fault, until the work is done and the machine rests. An error that passes is waited for 91 s.
DEADLINE_SECONDS = 240.0
MOST_STARTS = 8


@dataclass
class Outcome:
    """What became of one piece of work. `seconds` go from the fault to the state that is defined: done, and at rest.

    After a teardown that is: gone, with the images in the bucket that were there.
    """

    fault: str
    kind: str
    moment: str
    met: bool = False
    images: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    starts: int = 0
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    told: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether it is what must never be."""
        return bool(self.lost or self.doubled or self.left)


class Soak:
    """Work on `stage`, whose images must be those of the first work of its kind, which meets no fault."""

    def __init__(self, stage: Stage, chance: random.Random, *, name: str = "soak") -> None:
        self._stage = stage
        self._chance = chance
        self._name = name
        self._number = 0
        self._undisturbed: dict[str, Pictures] = {}

    def do(self, fault: str, kind: str | None = None) -> list[Outcome]:
        """Work that meets the fault, and before that such work without one, if there was none yet.

        The kind of the work is left to chance where it is None.
        """
        kind = kind or self._chance.choice(FAULTS[fault].of)
        before = [self._do("none", kind)] if kind not in self._undisturbed and fault != "none" else []
        return [*before, self._do(fault, kind)]

    def _do(self, fault: str, kind: str) -> Outcome:
        self._number += 1
        work = KINDS[kind](self._stage, f"{self._name}-{self._number}")
        work.begin()
        moment = self._chance.choice(FAULTS[fault].moments)
        MOMENTS[moment](work, self._chance)
        outcome = Outcome(fault, kind, moment)
        began = time.monotonic()
        there = work.images()
        met = FAULTS[fault].strike(work, self._chance)
        if fault == TEARDOWN:
            expected = {key.rpartition("/")[2] for key in there}
        else:
            expected = {f"{index:05}.png" for index in range(IMAGES)}
            self._settle(work, outcome)
        outcome.seconds = time.monotonic() - began
        self._stage.cloud.faults.end()
        outcome.met, outcome.told, outcome.left = met(), work.told(), self._stage.running()
        self._look(work, expected, outcome)
        if fault == TEARDOWN:
            self._stage.deploy_anew()
        elif outcome.left:
            self._stage.stop()
        return outcome

    def _settle(self, work: Work, outcome: Outcome) -> None:
        """Begins the work again until it is done and the machine at rest, or time is over."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            resting = self._stage.rests()
            if resting and (work.is_done() or outcome.starts == MOST_STARTS):
                break
            if resting:
                outcome.starts += 1
                try:
                    work.begin_again()
                except AssertionError as error:
                    outcome.lost.append(f"it cannot be begun again: {error}")
                    break
            time.sleep(0.25)

    def _look(self, work: Work, expected: set[str], outcome: Outcome) -> None:
        found, damaged = pictures_of(work)
        undisturbed = self._undisturbed.setdefault(outcome.kind, found)
        others = [name for name, picture in found.items() if picture != undisturbed.get(name)]
        missing = sorted(expected - found.keys() - damaged.keys())
        outcome.images = len(found)
        outcome.lost += [
            *(f"{name}: it is not there" for name in missing),
            *(f"{name}: {why}" for name, why in damaged.items()),
            *(f"{name}: another image than that of an undisturbed run" for name in others),
        ]
        outcome.doubled = put_twice(work)


def _early(work: Work, chance: random.Random) -> None:
    work.wait(chance.uniform(0, 3))


def _drawing(work: Work, chance: random.Random) -> None:
    work.wait(60, until=lambda: work.told() in ("generating", "uploading") or bool(work.images()))
    work.wait(chance.uniform(0, 1))


def _late(work: Work, chance: random.Random) -> None:
    work.wait(60, until=lambda: len(work.images()) >= IMAGES - 2)
    work.wait(chance.uniform(0, 0.3))


MOMENTS: dict[str, Callable[[Work, random.Random], None]] = {"early": _early, "drawing": _drawing, "late": _late}
