"""Where everything lies: the keys of the results bucket and the folders of the instance.

The bucket is the product's interface: every command, page and test reads these keys and nothing private.
"""

from __future__ import annotations

import os
from pathlib import Path

from userdata.contract.bundle import Bundle

RUNS = "runs/"
BOOTS = "boots/"
INPUTS = "inputs/"
CACHE = "cache/"
HOLDS = "holds/"
# What machines of a fleet tell each other: see userdata/fleet/breakers.py.
FLEET = "fleet/"
# What nobody writes a second time, in the form of a bucket's policy, in which * stands for slashes too.
WRITTEN_ONCE = (
    f"{RUNS}*-samples/*.png",
    *(f"{RUNS}*/{folder}/*" for folder in ("units", "failed", "page/shards", "page/thumbnails")),
    f"{CACHE}*",
)
# What is corrected at times, by somebody who says what it is to replace: an image's record when another machine has
# drawn the image, a job when its seed is drawn.
CORRECTED = (
    f"{RUNS}*-samples/*.json",
    *(f"{RUNS}*/{name}" for name in ("job.json", "batch.json", "control.json", "done.json", "units*.jsonl")),
)
# The keys of a run's images have five digits.
MOST_IMAGES = 100_000


class RunKeys:
    """The keys of one run, below `runs/<run-id>/`.

    `samples_folder` is named as the original scripts name their output folders: `txt2img-samples`, or
    `img2img-samples` for a run that starts from an image.
    """

    def __init__(self, run_id: str, *, from_image: bool = False) -> None:
        self.run_id = run_id
        self.prefix = f"{RUNS}{run_id}/"
        self.job = self.prefix + "job.json"
        self.status = self.prefix + "status.json"
        self.report = self.prefix + "report.json"
        self.gpu = self.prefix + "gpu.csv"
        self.log = self.prefix + "log.txt"
        self.batch = self.prefix + "batch.json"
        self.control = self.prefix + "control.json"
        self.units_done = self.prefix + "units/"
        self.units_failed = self.prefix + "failed/"
        self.machines = self.prefix + "machines/"
        self.batch_ended = self.prefix + "done.json"
        self.tries = self.prefix + "tries.json"
        # The page of the run, and beside it what it loads: facts, shards and thumbnails.
        self.index = self.prefix + "index.html"
        self.page = self.prefix + "page/"
        self.page_facts = self.page + "run.js"
        self.page_shards = self.page + "shards/"
        self.shared_pages = self.prefix + "shared/"
        self.samples_folder = self.prefix + ("img2img-samples/" if from_image else "txt2img-samples/")

    def image(self, index: int) -> str:
        """The key of image `index`, counted from 0 over the whole run."""
        return f"{self.samples_folder}samples/{index:05}.png"

    def image_metadata(self, index: int) -> str:
        """The key of the JSON beside image `index`."""
        return f"{self.samples_folder}samples/{index:05}.json"

    def units(self, part: int) -> str:
        """The key of the units of a batch's part, counted from 0."""
        return f"{self.prefix}units{f'-{part}' if part else ''}.jsonl"

    def unit_done(self, part: int, unit: int) -> str:
        """The key of what is told of a unit that is drawn."""
        return f"{self.units_done}{part}-{unit:06}.json"

    def unit_failed(self, part: int, unit: int) -> str:
        """The key of what is told of a unit that failed."""
        return f"{self.units_failed}{part}-{unit:06}.json"

    def unit_tries(self, part: int, unit: int) -> str:
        """The key of how often a unit has failed so far."""
        return f"{self.prefix}tries/{part}-{unit:06}.json"

    def machine(self, instance_id: str) -> str:
        """The key of what one machine has done of a batch."""
        return f"{self.machines}{instance_id}.json"

    def page_shard(self, name: str) -> str:
        """The key of a shard of the run's page; a unit's is named as the unit is."""
        return f"{self.page_shards}{name}.js"

    def shared(self, name: str) -> str:
        """The key of a page whose links are signed."""
        return f"{self.shared_pages}{name}.html"

    def thumbnail(self, index: int) -> str:
        """The key of the thumbnail of image `index`."""
        return f"{self.page}thumbnails/{index:05}.webp"

    def grid(self, index: int) -> str:
        """The key of grid `index`; one run makes one grid, as one call of the original scripts does."""
        return f"{self.samples_folder}grid-{index:04}.png"


def boot_key(instance_id: str, started_at: str) -> str:
    """The key of the record of one boot; `started_at` is UTC, ISO 8601."""
    return f"{BOOTS}{instance_id}/{started_at}.json"


def facts_key(instance_id: str, started_at: str) -> str:
    """The key of the facts of the machine at that boot, beside its record: text."""
    return f"{BOOTS}{instance_id}/{started_at}.facts.txt"


def hold_key(instance_id: str) -> str:
    """The key of the hold on one instance."""
    return f"{HOLDS}{instance_id}.json"


class Folders:
    """The folders of the instance, all below one prefix.

    The prefix is empty on a real machine. `SD_PREFIX` names another one, so that the very same files run inside a
    scratch folder.
    """

    def __init__(self, prefix: str | None = None) -> None:
        root = Path((os.environ.get("SD_PREFIX") if prefix is None else prefix) or "/")
        self.root = root
        self.software = root / "opt/sd-on-ec2"
        self.bundle = self.software / "current"
        self.deployed = Bundle(self.bundle / "userdata")
        self.conda = self.software / "conda"
        self.models = self.software / "models"
        # Belongs to the user who fetches and builds in root's place.
        self.fetched = self.software / "fetched"
        self.state = root / "var/lib/sd-on-ec2"
        self.parameters = self.state / "parameters"
        self.worker_environment = self.state / "worker.env"
        self.model_environment = self.state / "model.env"
        self.boot_timeline = self.state / "boot.json"
        self.cache_notes = self.state / "cache.json"
        self.compiled_before = self.fetched / "compiled"
        self.compiled = root / "var/lib/sd-drawing/compiled"
        # What sd-cache.service, which has the worker's user, has kept, and where it packs.
        self.cache_kept = root / "var/lib/sd-worker/kept.json"
        self.cache_packing = root / "var/lib/sd-worker/packing"
        # What the worker does of a queue, and how often that has failed, as long as the worker does it.
        self.queued_run = root / "var/lib/sd-worker/queued-run.json"
        self.logs = root / "var/log/sd-on-ec2"
        self.boot_log = self.logs / "boot.log"
        self.worker_log = self.logs / "worker.log"
        self.machine_settings = root / "etc/sd-on-ec2/machine.env"
        self.units = root / "etc/systemd/system"
