"""A fleet that draws a batch, by discrete events: what happens to machines and units, and what that costs.

How many machines are wanted comes from `userdata.fleet.decision`, as it does for the commands, and when the fleet stops
itself or changes its market from `userdata.fleet.breakers`, as it does for the machines. All else is a model: boots and
units of a random length around the expected one, machines that EC2 takes back one by one or all at once, boots that
fail, idle minutes. EC2 always has a machine to give.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from userdata.contract.work import VISIBILITY_SECONDS
from userdata.fleet import breakers
from userdata.fleet.decision import Market, Way, Work, wanted_now

# Of 30 machines in one pool, one reclamation took 29 (facts of others' fleets, not ours).
LOST_OF_A_POOL = 29 / 30


@dataclass(frozen=True)
class Weather:
    """What happens to machines: losses an hour of each spot machine and of the whole pool, and failing boots."""

    name: str
    single_losses: float = 0.0
    pool_losses: float = 0.0
    failing_boots: float = 0.0
    fallback: bool = False


CALM = Weather("calm")
WEATHERS = (
    CALM,
    Weather("single losses", single_losses=0.1),
    Weather("pool losses", pool_losses=0.25),
    Weather("pool losses, fallback", pool_losses=0.25, fallback=True),
    Weather("every boot fails", failing_boots=1.0),
)


@dataclass
class Machine:
    """A machine, from its launch on. `since` is when it began what it does."""

    market: Market
    launched: float
    doing: str = "boots"
    since: float = 0.0


@dataclass
class Outcome:
    """What came of a batch: in seconds and US dollars. `wasted` are the dollars for boots, idle time and lost work."""

    ended: float = 0.0
    usd: float = 0.0
    wasted: float = 0.0
    losses: int = 0
    launches: int = 0
    most: int = 0
    units_left: int = 0


@dataclass
class Batch:
    """One simulated batch on the fleet that `way` asks for."""

    way: Way
    work: Work
    weather: Weather
    on_demand_usd: float
    seed: int
    now: float = 0.0
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # chance, and the same each time
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, int]] = []
        self._machines: dict[int, Machine] = {}
        self._told: dict[str, datetime] = {}
        self._market: Market = self.way.offer.market
        self._undone = self._waiting = self.work.units
        self._desired = wanted_now(self.way, self._undone, 0)

    def run(self) -> Outcome:
        """Runs until no machine is left."""
        self._fill()
        self._at(self.work.end_within, "guard")
        if self.weather.pool_losses:
            self._at(self._random.expovariate(self.weather.pool_losses / 3600), "pool lost")
        while self._events and self._machines:
            self.now, _, what, number = heapq.heappop(self._events)
            getattr(self, f"_{what.replace(' ', '_')}")(number)
            self._fill()
        self.outcome.units_left = self._undone
        return self.outcome

    def _at(self, seconds: float, what: str, number: int = -1) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), what, number))

    def _clock(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def _tell(self, key: str) -> None:
        """What a machine writes into the bucket, by which the breakers decide."""
        self._told[key] = self._clock()

    def _about(self, seconds: float) -> float:
        """A random length of which `seconds` is the mean, with a spread of a tenth, and never below a half."""
        return max(seconds / 2, self._random.gauss(seconds, seconds / 10))

    def _fill(self) -> None:
        """Launches machines until there are as many as the group was told to have."""
        while len(self._machines) < self._desired:
            number = next(self._order)
            self._machines[number] = Machine(self._market, self.now, since=self.now)
            fails = self._random.random() < self.weather.failing_boots
            self._at(self._about(self.way.offer.boot_seconds), "boot failed" if fails else "up", number)
            if self._market == "spot" and self.weather.single_losses:
                self._at(self._random.expovariate(self.weather.single_losses / 3600), "lost", number)
            self.outcome.launches += 1
        self.outcome.most = max(self.outcome.most, len(self._machines))

    def _up(self, number: int) -> None:
        if number in self._machines:
            self._tell(breakers.BOOTED)
            self._next(number)

    def _next(self, number: int) -> None:
        """The machine takes a unit, or begins to be idle."""
        machine = self._machines[number]
        self._pay_waste(machine)
        machine.since = self.now
        if self._waiting:
            self._waiting -= 1
            machine.doing = "draws"
            self._at(self._about(self._unit_seconds), "drawn", number)
        else:
            machine.doing = "idles"
            self._at(self.work.idle_seconds, "leave", number)

    @property
    def _unit_seconds(self) -> float:
        assert self.way.offer.image_seconds is not None
        return self.way.offer.image_seconds * self.work.images / self.work.units

    def _drawn(self, number: int) -> None:
        if number not in self._machines:
            return
        self._undone -= 1
        self.outcome.ended = self.now
        self._machines[number].doing = "has drawn"
        self._next(number)

    def _leave(self, number: int) -> None:
        machine = self._machines.get(number)
        if machine and machine.doing == "idles" and machine.since + self.work.idle_seconds <= self.now:
            self._desired -= 1
            self._end(number)

    def _lost(self, number: int) -> None:
        """EC2 takes the machine back. Its unit comes back once its message is visible again."""
        if number not in self._machines:
            return
        if self._machines[number].doing == "draws":
            self._at(VISIBILITY_SECONDS, "returns")
        self.outcome.losses += 1
        self._end(number)
        self._tell(f"{breakers.LOST}{number}")
        if self.weather.fallback and breakers.spot_is_lost(self._told):
            self._tell(breakers.ON_DEMAND)
            self._market = "on-demand"
            self._at(breakers.ON_DEMAND_FOR.total_seconds(), "look at market")

    def _look_at_market(self, _: int) -> None:
        if breakers.goes_back_to_spot(self._told, self._clock()):
            self._tell(breakers.SPOT)
            self._market = self.way.offer.market

    def _pool_lost(self, _: int) -> None:
        for number in [one for one, machine in self._machines.items() if machine.market == "spot"]:
            if self._random.random() < LOST_OF_A_POOL:
                self._lost(number)
        self._at(self._random.expovariate(self.weather.pool_losses / 3600), "pool lost")

    def _returns(self, _: int) -> None:
        self._waiting += 1
        idle = next((number for number, machine in self._machines.items() if machine.doing == "idles"), None)
        if idle is not None:
            self._next(idle)

    def _boot_failed(self, number: int) -> None:
        if number not in self._machines:
            return
        self._end(number)
        self._tell(f"{breakers.FAILED}{number}")
        if breakers.boots_fail(self._told):
            self._guard(-1)

    def _guard(self, _: int) -> None:
        """The maximum becomes 0, by the guard or by the breaker: all machines end."""
        self._desired = 0
        for number in list(self._machines):
            self._end(number)

    def _end(self, number: int) -> None:
        machine = self._machines.pop(number)
        self._pay_waste(machine)
        self.outcome.usd += (self.now - machine.launched) / 3600 * self._price(machine)

    def _pay_waste(self, machine: Machine) -> None:
        """What a machine did since it began, unless that was to draw a unit to its end, is wasted."""
        if machine.doing != "has drawn":
            self.outcome.wasted += (self.now - machine.since) / 3600 * self._price(machine)

    def _price(self, machine: Machine) -> float:
        spot = self.way.offer.usd_per_hour
        assert spot is not None
        return spot if machine.market == "spot" else self.on_demand_usd
