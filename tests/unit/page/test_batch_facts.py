from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.page.machine_shares import BEGAN, share
from userdata.batch.documents import MachineShare
from userdata.page.batch_facts import read_shares, with_shares
from userdata.page.facts import Facts, facts_of_run


def facts_with(*shares: MachineShare) -> Facts:
    found = facts_of_run("a-batch", title="a", model="demo", started_at="", images=9, shards=["0-000000"])
    made = with_shares(found, shares)
    return Facts.from_script(made.to_script())


def test_the_machines_of_a_batch_are_added_up() -> None:
    spot = {"life_cycle": "spot", "usd": 0.2, "usd_at_most": 0.3, "began": BEGAN + timedelta(minutes=10)}
    late = BEGAN + timedelta(hours=2)
    facts = facts_with(share(), share(**spot, updated_at=late, images=200, seconds=3600), share(**spot, seconds=0))
    assert facts.machine == "2 x g6.xlarge, spot + 1 x g6.xlarge, on-demand"
    assert (facts.began, facts.ended) == ("2026-11-29T10:00:00.000Z", "2026-11-29T12:00:00.000Z")
    assert (facts.work_seconds, facts.images_per_hour) == (5100, 200)
    assert (facts.usd, facts.at_most) == (1.1, True)
    rows = [(row.item, round(row.quantity, 2), row.unit, row.usd) for row in facts.receipt]
    assert rows == [
        ("1 x g6.xlarge, on-demand", 0.42, "hours of work", 0.5),
        ("2 x g6.xlarge, spot", 1.0, "hours of work", 0.6),
    ]


def test_what_nobody_knows_is_not_made_up() -> None:
    assert facts_with().ended == ""
    assert facts_with(share(), share(usd=None, usd_at_most=None)).usd is None
    assert facts_with(share(updated_at=BEGAN)).images_per_hour is None


def test_what_anybody_may_have_written_makes_a_page_all_the_same() -> None:
    odd = share(usd=1e308, usd_at_most=1e308, seconds=1e308, instance_type="<b>" * 600, images=10**9)
    ages = {"began": datetime(1, 1, 1, tzinfo=UTC), "updated_at": datetime(9999, 12, 31, tzinfo=UTC)}
    facts = facts_with(
        *(odd.model_copy(update={"instance_type": f"{number}<b>" * 400, **ages}) for number in range(30))
    )
    assert (facts.usd, len(facts.receipt), len(facts.machine)) == (1e9, 20, 2000)
    assert read_shares([b"", b"{", b"[]", share().to_json().replace(b"0.5", b"1e999"), share().to_json()]) == [share()]
