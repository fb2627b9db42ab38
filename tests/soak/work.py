"""What is drawn under a fault: a run that is deployed, or a batch in the queue. Both have the same images each time."""

from __future__ import annotations

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from tests.soak.stage import IMAGES, JOB, Stage
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name


class Work(ABC):
    """A run or a batch; `name` makes it another one than those before."""

    run_id: str

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.bucket = stage.bucket

    @abstractmethod
    def begin(self) -> None:
        """Asks for the work, and starts the instance."""

    @abstractmethod
    def is_done(self) -> bool:
        """Whether the machine has told that it is done."""

    @abstractmethod
    def begin_again(self) -> None:
        """Does what a person is told to do when the instance has stopped before the work was done."""

    def wait(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Waits so long, but no longer than until `until` holds or the work is done."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until() and not self.is_done():
            time.sleep(0.05)

    @property
    def keys(self) -> RunKeys:
        """The keys of the run."""
        return RunKeys(self.run_id)

    def images(self) -> list[str]:
        """The keys of the images that are there."""
        return sorted(self.stage.person.images(self.bucket, self.run_id))

    def read(self, key: str) -> Any:
        """A document, None where there is none."""
        try:
            return json.loads(self.stage.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except self.stage.s3.exceptions.NoSuchKey:
            return None

    def told(self) -> str:
        """What the machine has told last, in a word."""
        return str((self.read(self.keys.status) or {}).get("phase", "nothing"))


class DeployedRun(Work):
    """A run by the deployed parameters."""

    def begin(self) -> None:
        """As `Work.begin`."""
        self.stage.deploy(**JOB, RunId=self.name)
        self.run_id = run_name(self.stage.parameters())
        self.stage.start()

    def is_done(self) -> bool:
        """As `Work.is_done`."""
        return self.told() == "done"

    def begin_again(self) -> None:
        """`sd start`."""
        self.stage.start()


class QueuedBatch(Work):
    """A batch of as many rows as a run has images, and a unit for each."""

    def begin(self) -> None:
        """As `Work.begin`."""
        file = self.stage.person.folder / f"{self.name}.txt"
        file.write_text("".join(f"soak {number}\n" for number in range(IMAGES)), "utf-8")
        sizes = ("--steps", JOB["Steps"], "--height", JOB["Height"], "--width", JOB["Width"])
        told = self.stage.sd("batch", str(file), *sizes, "--run-id", self.name, "--yes")
        found = re.search(r"sd watch (\S+)", told)
        assert found, told
        self.run_id = found[1]

    def is_done(self) -> bool:
        """As `Work.is_done`: by its units, as `sd` counts. A machine that dies behind the last one tells no end."""
        batch = self.read(self.keys.batch)
        told = self.stage.person.objects(self.bucket, self.keys.units_done)
        return bool(len(told) == sum(part["units"] for part in batch["parts"]))

    def begin_again(self) -> None:
        """`sd resume`."""
        self.stage.sd("resume", self.run_id, "--yes")

    def told(self) -> str:
        """As `Work.told`."""
        return "done" if self.is_done() else f"{len(self.images())} images"


KINDS: dict[str, type[Work]] = {"run": DeployedRun, "batch": QueuedBatch}
