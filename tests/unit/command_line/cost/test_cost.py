"""Estimates and receipts: the arithmetic by hand, the cheapest image first, and honest words about the rest."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.model import OperationModel
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from scripts.command_line.account.plan import make_plan
from scripts.command_line.account.price_list import _hourly_prices, find_prices
from scripts.command_line.cost.estimate import (
    Estimate,
    estimates,
    image_basis,
    image_seconds,
    preparation_minutes,
    types_to_show,
    weight_bytes,
)
from scripts.command_line.cost.remaining_cost import Contents, bucket_contents, remaining
from scripts.command_line.main import app
from scripts.local.aws.spot_prices import spot_prices_of_the_table
from stacks.facts.card_speeds import CARD_SPEEDS, KEPT_LONGER, seconds_per_image
from stacks.facts.instance_types import INSTANCE_TYPES
from stacks.facts.model_refusal import refusal
from tests.unit.command_line.conftest import Account, answer
from userdata.bill.cost import run_cost
from userdata.bill.prices import HourlyPrice, read_prices
from userdata.contract.catalogue import find_model, read_catalogue
from userdata.contract.layout import RunKeys
from userdata.job.job import Job

RATES = read_prices().rates_of("us-east-1")
G5 = INSTANCE_TYPES["g5.xlarge"]


def made(given: dict[str, str] | None = None, context: dict[str, str] | None = None, **more: Any) -> list[Estimate]:
    types = types_to_show("g5.xlarge", every=more.get("every", False))
    prices = find_prices(None, "us-east-1", types)
    return estimates(make_plan(None, given or {}, context or {}), prices, RATES, preparation="install", types=types)


def of(found: list[Estimate], name: str, life_cycle: str) -> Estimate:
    return next(one for one in found if (one.instance_type.name, one.life_cycle) == (name, life_cycle))


def test_the_default_run_on_the_articles_instance() -> None:
    one = of(made(), "g5.xlarge", "on-demand")
    # Start, a new disk, the environment, beside which the weights come, kernels, and loading.
    assert one.prepare == pytest.approx((60 + 20 + 140 + 15 + 20) / 60)
    assert one.keep == pytest.approx((60 + (4265146304 + 1215981830) / 131e6) / 60)
    assert one.generate == pytest.approx(6 * 7.0 / 60)
    hourly = 1.006 + 0.005 + 100 * 0.08 / 730
    assert one.generate is not None
    assert one.usd == pytest.approx((one.prepare + one.generate + 2 + one.keep) / 60 * hourly)
    assert one.usd_per_1000_images == pytest.approx(1000 * 7.0 / 3600 * hourly)


def test_the_cheapest_image_comes_first() -> None:
    per_image = [one.usd_per_1000_images for one in made(every=True)]
    known = [usd for usd in per_image if usd is not None]
    assert known == sorted(known)
    assert per_image[: len(known)] == known


def test_each_card_is_shown_by_its_smallest_type_and_all_of_them_when_asked() -> None:
    assert types_to_show("g5.16xlarge", every=False) == [
        "g4dn.xlarge", "g6.xlarge", "g5.xlarge", "g6e.xlarge", "g7.2xlarge", "g7e.2xlarge", "p5.4xlarge",
        "p4d.24xlarge", "p4de.24xlarge", "p5e.48xlarge", "p6-b200.48xlarge", "p6-b300.48xlarge", "g5.16xlarge",
    ]  # fmt: skip
    assert set(types_to_show("g5.xlarge", every=True)) == set(INSTANCE_TYPES)


def test_a_type_that_the_model_does_not_fit_is_left_out() -> None:
    wanted = {"Model": "flux-schnell", "VolumeSize": "150"}
    found = {one.instance_type.name for one in made(wanted)}
    assert "g4dn.xlarge" not in found
    assert {"g5.xlarge", "g6.xlarge"} <= found, "in int8"
    assert not {"g5.xlarge", "g6.xlarge"} & {one.instance_type.name for one in made({**wanted, "Quantize": "off"})}
    assert "g6e.xlarge" in found


def test_weights_in_a_smaller_type_take_longer() -> None:
    job = Job(model="flux-schnell")
    on = INSTANCE_TYPES["g6.xlarge"]
    own, kept = (image_seconds(job.model_copy(update={"quantize": one}), on) for one in ("off", "auto"))
    assert own
    assert kept
    assert 1.0 < kept / own <= KEPT_LONGER["int8"]


def test_todays_models_have_a_projection_on_each_card_that_draws_them() -> None:
    found = {one.instance_type.gpu.name: one for one in made({"Model": "flux2-klein"}) if one.life_cycle == "spot"}
    assert "T4" not in found
    for card in ("A10G", "L4", "L40S", "H100"):
        assert found[card].projected
        assert found[card].usd_per_1000_images is not None
    # 4 passes without guidance, and the decoder, for 3.2 times the article's pixels; $0.42 an hour, address and disk.
    seconds = (4 * 0.5 * 10.4 * 2.08 + 3.15) * 1024**2 / (512 * 640) / (0.75 * 54.9)
    hourly = 0.42 + 0.005 + 100 * 0.08 / 730
    assert found["L4"].usd_per_1000_images == pytest.approx(1000 * seconds / 3600 * hourly, rel=0.01)
    assert found["L4"].basis.startswith("projected: 75 %, the share on an H200, of the 54.9 TFLOP/s of large products")


@pytest.mark.parametrize(
    ("card", "layout", "steps", "fastest", "slowest"),
    [
        # Published: TensorRT and plain PyTorch, by Stability AI and NVIDIA (stable-diffusion-xl-1.0-tensorrt).
        ("A10G", "stable-diffusion-xl", 30, 8.160, 9.399),
        ("A100 40 GB", "stable-diffusion-xl", 30, 2.742, 3.704),
        # Measured in this project (docs/performance.md).
        ("H200", "stable-diffusion-xl", 30, 0.836, 0.841),
        ("H200", "flux-schnell", 4, 0.512, 0.537),
        ("H200", "flux2-klein", 4, 0.279, 0.285),
        ("H200", "z-image-turbo", 8, 0.832, 0.868),
    ],
)
def test_projections_agree_with_what_was_measured(
    card: str, layout: str, steps: int, fastest: float, slowest: float
) -> None:
    guided = layout == "stable-diffusion-xl"
    found = seconds_per_image(card, layout=layout, pixels=1024**2, steps=steps, guided=guided)
    assert found is not None
    assert 0.95 * fastest <= found <= 1.05 * slowest


def test_every_model_says_what_its_figure_rests_on_wherever_it_has_one() -> None:
    cards = {one.gpu.name: one for one in INSTANCE_TYPES.values()}
    for job, instance_type in itertools.product([Job(model=name) for name in read_catalogue()], cards.values()):
        basis = image_basis(job, instance_type)
        assert (basis == "none") == (image_seconds(job, instance_type) is None)
        assert basis == "none" or re.match("measured: .|projected: .", basis)
    assert image_basis(Job(model="sdxl-base"), INSTANCE_TYPES["g4dn.xlarge"]).startswith("projected: the arithmetic")


def test_a_card_or_a_model_without_a_figure_has_no_estimate() -> None:
    assert seconds_per_image("RTX PRO 4500", layout="stable-diffusion-v1", pixels=1, steps=1, guided=True) is None
    assert image_seconds(make_plan(None, {"Model": "tiny"}, {}).job, G5) is None


def test_the_model_in_the_box_takes_no_longer_than_without_a_card_and_is_never_called_measured() -> None:
    def seconds(**given: str) -> float:
        found = image_seconds(make_plan(None, {"Model": "demo", **given}, {}).job, G5)
        assert found is not None
        return found

    assert seconds() == pytest.approx(1.8)
    assert seconds(Steps="50") == pytest.approx(3.6)
    assert seconds(Width="160", Height="160") == pytest.approx(1.8 * 160**2 / 128**2)
    assert seconds(InitImage="inputs/a.png", Strength="0.5") == pytest.approx(0.9)
    assert seconds(Upscale="2", Strength="0.5") == pytest.approx(1.8 + 4 * 0.9)
    assert {one.projected for one in made({"Model": "demo"})} == {True}
    measured = {one.instance_type.gpu.name for one in made({}, every=True) if not one.projected}
    assert measured == {name for name, speed in CARD_SPEEDS.items() if speed.basis == "measured"}


def test_work_follows_the_job() -> None:
    def seconds(**given: str) -> float:
        found = image_seconds(make_plan(None, given, {}).job, G5)
        assert found is not None
        return found

    assert seconds() == pytest.approx(CARD_SPEEDS["A10G"].seconds)
    assert seconds(Height="1024") == pytest.approx(2 * seconds())
    assert seconds(GuidanceScale="1") == pytest.approx(7.0 * (75 * 1.04 + 3.15) / 159.15)
    assert seconds(InitImage="inputs/a.png", Strength="0.8") == pytest.approx(7.0 * (60 * 2.08 + 3.15) / 159.15)
    second = 4 * 7.0 * (60 * 2.08 + 3.15) / 159.15
    assert seconds(Upscale="2", Strength="0.8") == pytest.approx(seconds() + second)


@given(steps=st.integers(1, 1000), pixels=st.integers(64 * 64, 2048 * 2048), card=st.sampled_from(sorted(CARD_SPEEDS)))
def test_more_work_never_takes_less_time(steps: int, pixels: int, card: str) -> None:
    def seconds(*, pixels: int, steps: int) -> float:
        found = seconds_per_image(card, layout="stable-diffusion-v1", pixels=pixels, steps=steps, guided=True)
        assert found is not None
        return found

    assert 0 < seconds(pixels=pixels, steps=steps) < seconds(pixels=pixels, steps=steps + 1)
    assert seconds(pixels=pixels, steps=steps) < seconds(pixels=pixels + 64, steps=steps)


def test_what_lies_on_the_disk_or_in_the_cache_is_not_fetched_again() -> None:
    job = make_plan(None, {}, {}).job
    assert preparation_minutes(job, "disk") < preparation_minutes(job, "cache") < preparation_minutes(job, "install")


def test_large_weights_take_as_long_as_the_disk_needs_for_them() -> None:
    large, small = (make_plan(None, {"Model": name}, {}).job for name in ("flux-schnell", "stable-diffusion-v1-5"))
    more = (weight_bytes(large) + 5.2e9) / 131e6 - 140
    assert more > 60
    assert preparation_minutes(large, "install") - preparation_minutes(small, "install") == pytest.approx(more / 60)


def test_the_checker_and_the_cache_count_where_they_are_used() -> None:
    assert weight_bytes(make_plan(None, {}, {}).job) == 4265146304 + 1215981830
    assert weight_bytes(make_plan(None, {"SafetyChecker": "off"}, {}).job) == 4265146304
    assert made({"Cache": "off"})[0].keep == 0


def test_every_projection_says_what_it_rests_on() -> None:
    assert {name for name, speed in CARD_SPEEDS.items() if speed.basis == "measured"} == {"H100", "H200"}
    assert all(speed.origin for speed in CARD_SPEEDS.values())
    assert set(CARD_SPEEDS) < {one.gpu.name for one in INSTANCE_TYPES.values()}


def test_what_remains_by_the_month() -> None:
    gb = 1 << 30
    lines = remaining(make_plan(None, {}, {}), RATES, Contents(results=2 * gb, cache=10 * gb, estimated=False))
    assert [round(line.usd_per_month, 4) for line in lines] == [8.0, 0.1, 0.046, 0.23]
    spot = remaining(make_plan(None, {}, {"spot": "true"}), RATES, Contents(0, 0, estimated=True))
    assert not any("disk" in line.what for line in spot)


def test_the_cache_in_a_bucket_of_one_s_own_costs_until_it_is_deleted() -> None:
    lines = remaining(make_plan(None, {}, {"output_bucket": "mine"}), RATES, Contents(1, 1, estimated=False))
    assert {line.when for line in lines} == {"while stopped", "until deleted"}


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_without_any_price_it_says_so(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    printed = " ".join(run("--region", region).split())
    assert f"No price of an instance is known for {region}, so that no run is estimated." in printed
    assert f"{region} itself may differ" in printed


def test_the_bucket_is_counted_as_it_is(account: Account) -> None:
    account.deploy()
    account.put("runs/a/x.png", b"12345")
    account.put("cache/env/y", b"123")
    assert bucket_contents(account.s3, account.bucket) == Contents(results=5, cache=3, estimated=False)


PRODUCT = {
    "terms": {
        "OnDemand": {
            "A.B": {
                "priceDimensions": {
                    "A.B.C": {"unit": "Hrs", "pricePerUnit": {"USD": "1.0060000000"}},
                    "A.B.D": {"unit": "Quantity", "pricePerUnit": {"USD": "9.0"}},
                    "A.B.E": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0000000000"}},
                }
            }
        }
    }
}


def test_a_product_of_the_price_list_is_read() -> None:
    assert _hourly_prices(PRODUCT) == [1.006]
    assert _hourly_prices({"product": {}}) == []


def test_live_prices_go_before_the_table_and_say_so(session: boto3.Session) -> None:
    asked: list[str] = []

    def ask(model: OperationModel, params: dict[str, Any], **_: object) -> Any:
        asked.append(params["url"])
        return answer({"PriceList": [json.dumps(PRODUCT)]})() if model.name == "GetProducts" else None

    for event in ("pricing.GetProducts", "ec2.DescribeSpotPriceHistory"):
        session.events.register_first(f"before-call.{event}", ask)
    with spot_prices_of_the_table():
        prices = find_prices(session, "us-west-2", ["g5.xlarge"])
    assert prices["g5.xlarge", "on-demand"].source == "AWS Price List API, us-west-2, today"
    assert prices["g5.xlarge", "spot"].at_most  # the table has seen none in us-west-2
    # The API has an endpoint in three regions only.
    assert asked == ["https://api.pricing.us-east-1.amazonaws.com/", "https://ec2.us-west-2.amazonaws.com/"]


def test_the_spot_price_is_that_of_the_instance_s_zone_and_can_rise(session: boto3.Session) -> None:
    history = [
        {"AvailabilityZone": f"us-east-1{letter}", "SpotPrice": usd, "InstanceType": "g5.xlarge"}
        for letter, usd in (("c", "0.3"), ("b", "0.6"))
    ]
    event = "before-call.ec2.DescribeSpotPriceHistory"
    session.events.register_first(event, answer({"SpotPriceHistory": history}))

    def price(az: str | None) -> HourlyPrice:
        return find_prices(session, "us-east-1", ["g5.xlarge"], az=az)["g5.xlarge", "spot"]

    assert price(None) == HourlyPrice(usd=0.6, source="EC2's spot price in us-east-1b, today", ceiling=1.006)
    assert price("us-east-1c") == HourlyPrice(usd=0.3, source="EC2's spot price in us-east-1c, today", ceiling=1.006)
    assert price("us-east-1f").source.startswith("the highest spot price seen")


def run(*arguments: str) -> str:
    outcome = CliRunner().invoke(app, ["cost", "--region", "us-east-1", *arguments])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_it_needs_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    document = json.loads(run("--json"))
    assert document["estimates"][0]["usd_per_1000_images"] > 0
    assert "2026-08-17" in json.dumps(document)
    assert "never measured on AWS" in " ".join(run().split())


@pytest.mark.parametrize("model", list(read_catalogue()))
def test_every_model_has_a_price_for_the_asking_and_what_a_deploy_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    document = json.loads(run("--json", "--model", model, "--instance-type", "g4dn.xlarge"))
    figures = {row["card"]: row["usd_per_1000_images"] for row in document["estimates"]}
    why = refusal(find_model(model), instance_type="g4dn.xlarge", volume_size=100)
    assert document["refused"] == why
    assert {"A10G", "L4", "L40S", "H100"} <= set(figures)
    assert ("T4" in figures) == (why is None)
    assert model == "tiny" or all(figures[card] for card in ("A10G", "L4", "L40S", "H100"))
    assert why is None or f"`sd deploy` would refuse this as it is. {why}" in " ".join(
        run("--model", model, "--instance-type", "g4dn.xlarge").split()
    )


def test_no_figure_is_cut_off_at_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("COLUMNS", "80")
    many = ("--iterations", "1000", "--samples", "16", "--steps", "500")
    printed = run(*many)
    words = set(printed.split())
    shown = [row for row in json.loads(run("--json", *many))["estimates"] if row["usd"] is not None]
    assert max(row["usd"] for row in shown) > 1000
    assert {f"{row['usd']:.3f}" for row in shown if not row["at_most"]} <= words, printed
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def billed_type(row: dict[str, Any]) -> str:
    return f"{row['instance_type']} {row['life_cycle']}"


def prompt_file(folder: Path) -> str:
    file = folder / "my prompts.txt"
    file.write_text("a tree\n# a comment\n\na horse --steps 20\na cat\n", "utf-8")
    return str(file)


def test_a_prompt_file_is_reckoned_with_before_there_is_a_bucket(session: boto3.Session, tmp_path: Path) -> None:
    options = ("--iterations", "2", "--samples", "4")
    one, three = (json.loads(run("--json", *options, *more)) for more in ((), ("--prompt-file", prompt_file(tmp_path))))
    assert (one["images"], three["images"]) == (8, 24)
    minutes = [
        {billed_type(row): row["generate_minutes"] for row in found["estimates"] if row["generate_minutes"] is not None}
        for found in (one, three)
    ]
    assert minutes[1] == {billed: pytest.approx(3 * before) for billed, before in minutes[0].items()}
    assert len(minutes[0]) > 10


def test_a_prompt_file_in_the_bucket_is_reckoned_with(account: Account) -> None:
    account.deploy()
    account.put("inputs/mine.txt", b"a tree\na horse\n")
    assert json.loads(run("--json", "--prompt-file", "inputs/mine.txt"))["images"] == 12


def test_a_prompt_file_that_nobody_has_gets_no_estimate(session: boto3.Session) -> None:
    outcome = CliRunner().invoke(app, ["cost", "--region", "us-east-1", "--prompt-file", "nowhere.txt"])
    assert outcome.exit_code == 1
    assert "PromptFile is 'nowhere.txt'" in str(outcome.exception) + outcome.output


def receipts(account: Account) -> None:
    from tests.unit.bill.test_cost import receipt

    for run_id, images in (("a-horse", 6), ("b-tree", 0)):
        account.put_run(run_id, images=images)
        report = {"schema": 1, "cost": run_cost([], receipt(), images=images).model_dump(mode="json")}
        account.put(RunKeys(run_id).report, json.dumps(report).encode())
    account.put_run("c-older")
    account.put(RunKeys("c-older").report, b'{"schema": 1, "cost": {"usd": 0.25}}')
    account.put_run("d-unfinished")


def test_actual_costs_are_summed_and_what_is_not_known_is_said(account: Account) -> None:
    account.deploy()
    receipts(account)
    document = json.loads(run("--actual", "--json"))
    known = [one["cost"] for one in document["runs"] if one["cost"]]
    assert len(document["runs"]) == 4
    assert document["usd"] == pytest.approx(sum(cost["usd"] for cost in known)) and len(known) == 2
    printed = " ".join(run("--actual").split())
    assert "2 without a receipt" in printed
    assert "Cost Explorer" in printed
    assert f"{document['usd']:.4f}" in printed
