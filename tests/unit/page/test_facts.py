from __future__ import annotations

import json

from userdata.page.facts import MOST_POINTS, Facts, facts_of_run, gpu_points


def facts(**of_run: bytes | None) -> Facts:
    told = {"title": "a horse", "model": "demo", "started_at": "2026-11-29T10:00:00Z", "images": 2}
    return facts_of_run("a-run", shards=["00000"], **told, **of_run)  # type: ignore[arg-type]


def test_phases_and_receipt_are_those_of_the_report() -> None:
    line = {"item": "instance", "quantity": 0.5, "unit": "hour", "usd_per_unit": 0.8, "usd": 0.4}
    attempt = {
        "instance_id": "i-1", "instance_type": "g6.xlarge", "region": "us-east-1", "life_cycle": "on-demand",
        "began": "2026-11-29T10:00:00Z", "ended": "2026-11-29T10:30:00Z", "usd": 0.4, "at_most": True, "lines": [line],
        "source": "here",
    }  # fmt: skip
    cost = {"usd": 0.8, "usd_per_image": 0.4, "images": 2, "attempts": [attempt, attempt]}
    phases = [{"phase": "model", "started_at": "", "seconds": 2}, {"phase": "done", "started_at": "", "seconds": 0}]
    report = {"instance_type": "g6.xlarge", "phases": phases, "cost": cost, "versions": {"torch": "2.11"}}

    read = facts(report=json.dumps(report).encode())

    assert [(one.phase, one.seconds) for one in read.phases] == [("model", 2)]
    assert (read.usd, read.at_most, read.machine, read.versions) == (0.8, True, "g6.xlarge", {"torch": "2.11"})
    assert [(one.item, one.quantity, one.usd) for one in read.receipt] == [("instance", 1.0, 0.8)]
    assert Facts.from_script(read.to_script()) == read


def test_a_report_that_is_none_costs_the_page_nothing_else() -> None:
    for report in (
        b"{",
        b"[]",
        b'{"phases": 3, "cost": [], "versions": 7}',
        b'{"phases": [{"phase": 1}]}',
        b'{"phases": {}}',
    ):
        assert facts(report=report, gpu=b"\0").title == "a horse"


def test_the_plot_has_few_points_and_keeps_the_mean() -> None:
    header = "timestamp,gpu_percent,memory_percent,memory_used_mib,power_w\n"
    rows = [
        f"2026-11-29T10:{at // 60:02}:{at % 60:02}.000Z,{100 * (at % 2)},5,{1000 + at},\n"
        for at in range(2 * MOST_POINTS)
    ]
    points = gpu_points((header + "".join(rows) + "no,row\n2026-11-29T11:00:00Z,,,\n").encode())
    assert len(points) <= MOST_POINTS
    assert points[0][0] == 0
    assert 49 < sum(busy or 0 for _at, busy, _memory in points) / len(points) < 51
