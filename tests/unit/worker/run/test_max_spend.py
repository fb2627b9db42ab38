"""MaxSpend is money: the limit may not be passed, and not be reached too early either."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from userdata.bill.cost import earlier_receipts
from userdata.contract.layout import RunKeys
from userdata.contract.run_name import run_name
from userdata.job.run_error import MaxSpendReached, RunError
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings
from userdata.worker.run.ledger import Ledger
from userdata.worker.run.max_spend import Spending, read_spending
from userdata.worker.run.run import Outcome, do_run

Deploy = Callable[..., dict[str, str]]
USD_PER_SECOND = 0.01


class Machine:
    """A machine at a cent a second, whose run has cost a dollar before."""

    def __init__(self, *, max_usd: float, idle_seconds: float = 0) -> None:
        self.now = 0.0
        self.spending = Spending(self.cost_in, max_usd=max_usd, idle_seconds=idle_seconds, clock=lambda: self.now)

    def cost_in(self, seconds: float) -> float:
        return 1 + (self.now + seconds) * USD_PER_SECOND

    def batches(self, *seconds: float) -> int:
        """How many batches of these lengths are begun."""
        for number, length in enumerate(seconds):
            try:
                self.spending.check_before_batch()
            except MaxSpendReached:
                return number
            self.now += length
        return len(seconds)


def test_a_batch_that_would_pass_the_limit_is_not_begun() -> None:
    # Each costs 10 cents: the fifth ends at 1.50 exactly, which does not pass it, and the sixth would.
    assert Machine(max_usd=1.5).batches(*[10.0] * 9) == 5


def test_the_idle_time_is_paid_from_the_same_purse() -> None:
    assert Machine(max_usd=1.5, idle_seconds=20).batches(*[10.0] * 9) == 3


def test_the_longest_batch_so_far_is_the_measure_of_the_next() -> None:
    assert Machine(max_usd=1.5).batches(20.0, 5.0, 5.0, 5.0, 5.0, 5.0) == 4


def test_the_first_batch_is_begun_as_long_as_there_is_money() -> None:
    machine = Machine(max_usd=1.5)
    machine.now = 49
    assert machine.batches(10.0) == 1
    machine = Machine(max_usd=1.5)
    machine.now = 51
    assert machine.batches(10.0) == 0


def test_it_is_said_what_was_spent_and_what_the_next_would_make_it() -> None:
    machine = Machine(max_usd=1.5)
    with pytest.raises(MaxSpendReached) as reached:
        for _ in range(9):
            machine.spending.check_before_batch()
            machine.now += 12
    assert str(reached.value).startswith(
        "MaxSpend is $1.5: the run has cost up to $1.48, and another batch of images could make it $1.60 by the time"
    )


@pytest.fixture
def ledger(settings: Settings, bucket: Bucket) -> Callable[[dict[str, str]], Ledger]:
    return lambda parameters: Ledger(settings, bucket, parameters)


def test_no_limit_is_none(ledger: Callable[[dict[str, str]], Ledger]) -> None:
    for parameters in ({}, {"MaxSpend": "0"}, {"MaxSpend": "0.0"}):
        assert read_spending(parameters, ledger(parameters), idle_seconds=0) is None


def test_a_limit_without_a_price_is_refused(ledger: Callable[[dict[str, str]], Ledger]) -> None:
    with pytest.raises(RunError, match="what this instance costs an hour is not known here. Deploy with the price"):
        read_spending({"MaxSpend": "2"}, ledger({"MaxSpend": "2"}), idle_seconds=0)


def test_a_given_price_goes_before_the_table_s(settings: Settings, bucket: Bucket) -> None:
    settings = dataclasses.replace(settings, device=None, boot_started_at=datetime.now(UTC))
    in_an_hour = {
        price: Ledger(settings, bucket, {"UsdPerHour": price}).cost(images=0, in_seconds=3600) for price in ("0", "3")
    }
    usd = {price: cost.usd for price, cost in in_an_hour.items() if cost}
    assert usd["3"] - usd["0"] == pytest.approx(3 - 1.006, abs=0.01)


def test_a_spot_instance_counts_at_the_price_to_which_it_can_rise_on_every_machine_of_the_run(
    settings: Settings, bucket: Bucket
) -> None:
    now = datetime.now(UTC)
    spot = dataclasses.replace(settings, device=None, life_cycle="spot", boot_started_at=now)
    begun = dataclasses.replace(spot, instance_id="i-taken-back", boot_started_at=now - timedelta(hours=1))
    first = Ledger(begun, bucket, {}).cost(images=0)
    assert first is not None
    assert first.usd == pytest.approx(0.42 + 0.005, abs=0.01)
    earlier = earlier_receipts(json.dumps({"cost": first.model_dump(mode="json")}).encode())

    def hours(parameters: dict[str, str]) -> float:
        """How long the second machine may work with $3, whose first batch takes that long."""
        spending = read_spending(
            {"MaxSpend": "3", **parameters}, Ledger(spot, bucket, parameters, earlier=earlier), idle_seconds=0
        )
        assert spending is not None
        return next(hour / 10 for hour in range(100) if spending._cost_in(3600 * hour / 10) > 3)

    on_demand = 1.006 + 0.005
    assert hours({}) == pytest.approx((3 - on_demand) / on_demand, abs=0.1)
    assert hours({"UsdPerHour": "0.5"}) == pytest.approx((3 - on_demand) / 0.505, abs=0.1)


def test_a_run_ends_at_its_limit_and_goes_on_when_that_is_raised(
    bucket: Bucket, settings: Settings, parameters: Deploy
) -> None:
    # The machine has been up for an hour, at a dollar an hour.
    settings = dataclasses.replace(settings, boot_started_at=datetime.now(UTC) - timedelta(hours=1))
    asked = {"Iterations": "2", "Samples": "1", "UsdPerHour": "1"}
    deployed = parameters(**asked, MaxSpend="0.9")
    keys = RunKeys(run_name(deployed))
    assert do_run(settings, deployed, threading.Event()) is Outcome.CAPPED
    status = json.loads(bucket.get(keys.status) or b"")
    assert (status["phase"], status["images_done"], status["images_total"]) == ("capped", 0, 2)
    assert (status["error"], status["max_spend"]) == (None, 0.9)
    assert status["note"].startswith("MaxSpend is $0.9: the run has cost up to $1.0")
    assert json.loads(bucket.get(keys.report) or b"")["cost"]["usd"] == pytest.approx(1.0, abs=0.02)
    assert "MaxSpend is $0.9" in (bucket.get(keys.log) or b"").decode()

    raised = parameters(**asked, MaxSpend="5")
    assert run_name(raised) == keys.run_id
    assert do_run(settings, raised, threading.Event()) is Outcome.DONE
    status = json.loads(bucket.get(keys.status) or b"")
    assert (status["phase"], status["images_done"], status["note"], status["max_spend"]) == ("done", 2, None, None)


def test_what_is_drawn_before_the_limit_is_kept(
    bucket: Bucket, settings: Settings, parameters: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(settings, boot_started_at=datetime.now(UTC))
    batches = iter([1.0, 9.0])  # what the run will have cost after each

    def check(spending: Spending) -> None:
        if (usd := next(batches)) > 5:
            raise MaxSpendReached(5, 1.0, next_usd=usd)

    monkeypatch.setattr(Spending, "check_before_batch", check)
    monkeypatch.setattr("userdata.worker.drawing.prepared.largest_batch", lambda *words, **names: 1)
    deployed = parameters(Iterations="3", Samples="1", MaxSpend="5", UsdPerHour="0.0001")
    assert do_run(settings, deployed, threading.Event()) is Outcome.CAPPED
    keys = RunKeys(run_name(deployed))
    images = {key for key in bucket.keys(keys.samples_folder) if key.endswith(".png")}
    assert images == {keys.image(0)}
    assert json.loads(bucket.get(keys.status) or b"")["images_done"] == 1
