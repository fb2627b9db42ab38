"""A machine's group, through the `aws` command, which boot and worker have: leave it, close it, change its market."""

from __future__ import annotations

import json
import logging
import subprocess
import time
from datetime import datetime, timezone
from typing import Mapping, Optional

from userdata.contract.layout import FLEET
from userdata.contract.metadata_service import MetadataService, NoAnswerError
from userdata.contract.notice import TOPIC
from userdata.contract.outside import read_json, read_utc
from userdata.contract.status import utc_now
from userdata.contract.work import PARAMETER as QUEUES
from userdata.contract.wrong_clock import tells_of_a_wrong_clock
from userdata.fleet import breakers
from userdata.fleet.breakers import Told
from userdata.fleet.market import Market

logger = logging.getLogger(__name__)
# systemd gives what powers off 90 seconds: a failure is told, its fleet closed, and the group left, each in these.
SECONDS = 20
# The system sets a clock that is wrong within seconds.
CLOCK_SECONDS = 3.0
LIMITS = ("--cli-connect-timeout", "5", "--cli-read-timeout", "10", "--output", "json")
# Buildkite's: the group wants one machine less; it wants another in this one's place; it shall find out by itself.
LADDER = (
    ("terminate-instance-in-auto-scaling-group", "--should-decrement-desired-capacity"),
    ("terminate-instance-in-auto-scaling-group", "--no-should-decrement-desired-capacity"),
    ("set-instance-health", "--health-status", "Unhealthy", "--no-should-respect-grace-period"),
)


class GroupError(Exception):
    """AWS did not do what it was asked for, or not in time."""


class Group:
    """The group of the machine that has these deployed `parameters`. What fails is logged and no more."""

    def __init__(self, parameters: Mapping[str, str], market: Market) -> None:
        self.market = market
        self._name = parameters[QUEUES]
        self._bucket = parameters["ResultsBucket"]
        self._region = parameters["Region"]
        self._topic = parameters.get(TOPIC)
        self._begin()
        self._instance_id: Optional[str] = None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Optional[Group]:
        """The group; None for a machine that is in none."""
        market = Market.read(parameters)
        return None if market is None else cls(parameters, market)

    def leave(self) -> None:
        """Has the group end this machine, so that it buys no other: a machine that powers off by itself is replaced.

        The caller powers off afterwards, because that ends the machine also where no rung of the ladder held.
        """
        self._begin()
        for rung in LADDER:
            try:
                self._aws("autoscaling", *rung, "--instance-id", self._id())
            except GroupError as error:
                logger.warning("the group did not let this machine go by %s: %s", rung[0], error)
                continue
            logger.info("the group ends this machine (%s)", " ".join(rung))
            return

    def tell_failed(self, why: str) -> None:
        """Tells that this machine failed, and closes the fleet when it is the third in a row."""
        self._begin()
        try:
            self._put(f"{breakers.FAILED}{utc_now()}-{self._id()}.json", reason=why)
            if breakers.boots_fail(self._told()):
                reason = f"The last {breakers.FAILURES} machines failed, one after the other; the last one: {why}"
                logger.error("the fleet is closed: %s", reason)
                try:
                    self._put(breakers.CLOSED, reason=reason)
                    self._put(breakers.BOOTED)  # whoever opens it again begins a new count
                    self._mail(reason)
                finally:
                    # Last, because a group without room ends this machine, too; and whatever became of the words.
                    self._begin()
                    self._update("--min-size", "0", "--max-size", "0")
        except GroupError as error:
            logger.warning("the failure was not told to the fleet: %s", error)

    def tell_booted(self) -> None:
        """Tells that a machine works: failures count anew."""
        self._begin()
        try:
            self._put(breakers.BOOTED)
        except GroupError as error:
            logger.warning("that this machine works was not told to the fleet: %s", error)

    def tell_lost(self) -> None:
        """Tells that EC2 takes this machine back, and buys no more spot instances for a while if they are lost often.

        EC2 Auto Scaling then replaces the spot machines that run, too, one by one, and so it does on the way back: each
        gives its unit back first. Source:
        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
        """
        self._begin()
        try:
            self._put(f"{breakers.LOST}{utc_now()}-{self._id()}.json")
            if self.market.fallback and breakers.spot_is_lost(self._told()):
                self._put(breakers.ON_DEMAND)
                self._buy_on_demand(100)
        except GroupError as error:
            logger.warning("the loss was not told to the fleet: %s", error)

    def look_at_market(self) -> None:
        """Goes back to the deployed share of spot instances when the time on-demand is over."""
        self._begin()
        try:
            if self.market.fallback and breakers.goes_back_to_spot(self._told(), datetime.now(timezone.utc)):
                self._buy_on_demand(self.market.on_demand_percent)
                self._put(breakers.SPOT)
        except GroupError as error:
            logger.warning("the fleet's market was not looked at: %s", error)

    def _mail(self, reason: str) -> None:
        if self._topic:
            message = f"The fleet {self._name} has closed itself, and starts no machine: {reason}"
            self._aws("sns", "publish", "--topic-arn", self._topic, "--message", message)

    def _buy_on_demand(self, percent: int) -> None:
        logger.warning("of the fleet's next machines, %d %% are on-demand", percent)
        distribution = {"InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": percent}}
        self._update("--mixed-instances-policy", json.dumps(distribution))

    def _update(self, *words: str) -> None:
        self._aws("autoscaling", "update-auto-scaling-group", "--auto-scaling-group-name", self._name, *words)

    def _put(self, key: str, **document: str) -> None:
        text = json.dumps({"schema": 1, "instance_id": self._id(), "at": utc_now(), **document}) + "\n"
        self._aws("s3", "cp", "--only-show-errors", "-", f"s3://{self._bucket}/{key}", text=text)

    def _told(self) -> Told:
        answer = self._aws("s3api", "list-objects-v2", "--bucket", self._bucket, "--prefix", FLEET)
        try:
            found = read_json(answer or "{}").get("Contents") or []
            return {one["Key"]: read_utc(one["LastModified"]) for one in found}
        except (KeyError, TypeError, ValueError) as error:
            raise GroupError(f"the list of {FLEET} cannot be read: {error!r}") from error

    def _id(self) -> str:
        if self._instance_id is None:
            try:
                self._instance_id = MetadataService().get("instance-id")
            except NoAnswerError as error:
                raise GroupError(str(error)) from error
        return self._instance_id

    def _begin(self) -> None:
        self._until = time.monotonic() + SECONDS

    def _aws(self, *words: str, text: str = "") -> str:
        while True:
            try:
                return self._try(*words, text=text)
            except GroupError as error:
                if not tells_of_a_wrong_clock(str(error)) or time.monotonic() + CLOCK_SECONDS > self._until:
                    raise
                logger.warning("%s; trying again in %g s", error, CLOCK_SECONDS)
                time.sleep(CLOCK_SECONDS)

    def _try(self, *words: str, text: str) -> str:
        left = self._until - time.monotonic()
        if left <= 0:
            raise GroupError(f"{SECONDS} s are over")
        command = ["aws", "--region", self._region, *LIMITS, *words]
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=left, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GroupError(f"{words[1]} did not end: {error}") from error
        if done.returncode:
            raise GroupError((done.stderr.strip() or f"{words[1]} ended with {done.returncode}").splitlines()[-1])
        return done.stdout
