"""How far a batch is: what its machines tell, merged by whoever reads, because no two of them write one document."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.command_line.account.runs import Run
from scripts.command_line.account.unfinished_runs import WORKS
from userdata.batch.documents import Batch, Control, MachineShare
from userdata.batch.unit import MOST_UNIT_IMAGES
from userdata.bill.cost import Cost

# A machine tells of each unit, and a unit is worth about a minute.
LIVE_FOR = timedelta(minutes=3)
# The span that the rate is of.
RECENT = timedelta(minutes=5)
# SQS may not know yet of what was sent within the last minute, and a machine takes a while to tell of its first unit.
MESSAGES_LATE = timedelta(minutes=3)
# In these states nothing happens any more without a person.
AT_REST = ("done", "cancelled", "capped", "stuck", "interrupted")


@dataclass(frozen=True)
class Counts:
    """Units that are drawn, those of them that were drawn recently, and units that were set aside.

    `first_failed` is the name of the object that tells of the first of these.
    """

    done: int
    recent: int
    failed: int
    first_failed: str = ""


@dataclass(frozen=True)
class Machine:
    """What one machine told last, and EC2's word for its state, empty where that cannot be told."""

    share: MachineShare
    ec2: str = ""

    def is_live(self, now: datetime) -> bool:
        """Whether it is at work, by what it told and by EC2."""
        return now - self.share.updated_at < LIVE_FOR and self.ec2 in ("", *WORKS)


@dataclass(frozen=True)
class Progress:
    """A batch at one moment, `now` by the bucket's clock.

    `machines` are sorted, the latest news first; `unreadable` are documents that nobody can read. `queued` are the
    messages of the batch queue, of all batches, None where it cannot be asked. `trouble` is a sentence on why the fleet
    has no machine, and `is_closed` says that it has closed itself and the instance does not run. `begins_at` is when a
    schedule sends the batch's message. `is_left` says that the stack is gone, with its queues and machines.
    `nobody_comes` says that nothing starts a machine for the messages. `failure` is why the first of the units that
    were set aside failed, empty where that cannot be read.
    """

    run_id: str
    batch: Batch
    control: Control | None
    counts: Counts
    machines: tuple[Machine, ...]
    now: datetime
    unreadable: int = 0
    queued: int | None = None
    trouble: str | None = None
    is_closed: bool = False
    begins_at: datetime | None = None
    is_left: bool = False
    failure: str = ""
    nobody_comes: bool = False

    @property
    def state(self) -> str:
        """`works`, `waits`, or one of `AT_REST` and `paused`."""
        if self.counts.done + self.counts.failed >= self.batch.units:
            return "done"
        if self.is_left and not (self.control and self.control.state == "cancelled"):
            return "interrupted"
        if self.control and self.control.state != "go":
            return self.control.state
        if self.live:
            return "works"
        since = max(self.batch.asked_at, self.control.at) if self.control else self.batch.asked_at
        nothing_comes = (self.queued == 0 or self.nobody_comes) and self.begins_at is None
        nothing_comes = nothing_comes and self.now - since > MESSAGES_LATE
        return "stuck" if self.is_closed or nothing_comes else "waits"

    @property
    def live(self) -> tuple[Machine, ...]:
        """The machines that are at work."""
        return tuple(machine for machine in self.machines if machine.is_live(self.now))

    @property
    def images_done(self) -> int:
        """How many images the units that are drawn have.

        It is exact when all machines have told of their last unit, and when all is drawn. In between it follows from
        the number of units, because a count of the images would list two objects for each of them.
        """
        return self._images_of(self.counts.done)

    def _images_of(self, units: int) -> int:
        told = sum(machine.share.units for machine in self.machines)
        images = sum(machine.share.images for machine in self.machines)
        if not told:
            told, images = self.batch.units, self.batch.images
        # Each unit has at least one image and at most 64, those that are not drawn too.
        left = self.batch.units - units
        least = max(units, self.batch.images - MOST_UNIT_IMAGES * left)
        most = max(least, min(MOST_UNIT_IMAGES * units, self.batch.images - left))
        return min(max(round(images * units / told), least), most)

    @property
    def images_a_minute(self) -> float:
        """How many images were drawn a minute, over the last five minutes."""
        began = min((machine.share.began for machine in self.machines), default=self.now)
        minutes = min(RECENT, max(self.now - began, timedelta(seconds=1))) / timedelta(minutes=1)
        return self._images_of(self.counts.recent) / minutes if self.counts.recent else 0.0

    @property
    def left(self) -> timedelta | None:
        """How long it takes at this rate, None where nothing is drawn at the moment."""
        if self.state != "works" or not self.images_a_minute:
            return None
        missing = self.batch.images - self.images_done - self._images_of(self.counts.failed)
        return timedelta(minutes=max(missing, 0) / self.images_a_minute)

    @property
    def usd(self) -> float:
        """What the machines' time has cost so far, as far as a price is known, in US dollars."""
        return sum(machine.share.usd or 0 for machine in self.machines)

    @property
    def usd_at_most(self) -> float:
        """What it can have cost where a spot price has risen since it was seen. The limit of dollars holds for this."""
        shares = [machine.share for machine in self.machines]
        return sum(max(share.usd or 0, share.usd_at_most or 0) for share in shares)

    @property
    def usd_unknown(self) -> bool:
        """Whether some machine's price is not known at all."""
        return any(machine.share.usd is None for machine in self.machines)

    @property
    def usd_per_hour(self) -> float:
        """What the machines that are at work cost an hour together, as far as a price is known."""
        return sum(machine.share.usd_per_hour or 0 for machine in self.live)

    @property
    def live_in_words(self) -> str:
        """The machines that are at work, and what they cost."""
        many = len(self.live)
        price = f"${self.usd_per_hour:.4g} an hour" if self.usd_per_hour else "a price that is not known"
        return f"{many} {'machine' if many == 1 else 'machines'} at {price}"

    @property
    def usd_in_words(self) -> str:
        """The dollars so far, as a table shows them."""
        if self.usd_unknown and not self.usd:
            return "price not known"
        more = f", at most ${self.usd_at_most:.2f}" if self.usd_at_most - self.usd >= 0.005 else ""
        return f"${self.usd:.2f}{more}{', and machines of no known price' if self.usd_unknown else ''}"


@dataclass(frozen=True)
class BatchRun(Run):
    """A batch among the runs, as a list shows it."""

    progress: Progress | None = None

    @classmethod
    def of(cls, run: Run, progress: Progress) -> BatchRun:
        """The run with what was found of it."""
        given = {field.name: getattr(run, field.name) for field in dataclasses.fields(Run)}
        return cls(**given, progress=progress)

    @property
    def state(self) -> str:
        """The batch's state."""
        return self.progress.state if self.progress else "unknown"

    @property
    def done(self) -> str:
        """How many images of how many there are."""
        return f"{self.progress.images_done} of {self.progress.batch.images}" if self.progress else "-"

    @property
    def cost(self) -> Cost | None:
        """What its machines told, None where a price is not known."""
        if self.progress is None or self.progress.usd_unknown:
            return None
        images, usd = self.progress.images_done, self.progress.usd
        return Cost(usd=usd, usd_per_image=usd / images if images else None, images=images, attempts=[])

    @property
    def told(self) -> str:
        """By whom it was asked for, its units, and its dollars so far."""
        if self.progress is None:
            return ""
        counts, batch = self.progress.counts, self.progress.batch
        failed = f", {counts.failed:,} failed" if counts.failed else ""
        return (
            f"{counts.done:,} of {batch.units:,} units{failed}; {self.progress.usd_in_words}; asked for by {batch.by}."
        )
