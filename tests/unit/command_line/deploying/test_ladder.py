"""Where a type is sold out, the next one is tried, and nothing that was reserved for it goes on costing money."""

from __future__ import annotations

import functools
import io
import json
import os
import platform
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from scripts.command_line.account.instance import NoCapacityError
from scripts.command_line.deploying.deploy import deploy
from scripts.command_line.deploying.reservation import cancel_leftovers, hold
from scripts.command_line.deploying.wish import Wish, read_wish
from scripts.command_line.main import app
from scripts.command_line.terminal.command_error import CommandError
from scripts.interruption.signals import Interrupted, raise_interrupted
from scripts.local.aws.capacity import Capacity
from scripts.local.aws.service_quotas import ec2_quotas
from scripts.local.aws.spot_prices import spot_prices_of_the_table
from stacks.facts.vcpu_quotas import QUOTAS
from tests.unit.command_line.conftest import Account, answer, offer, refusal, user_data
from tests.unit.command_line.deploying.test_capacity import BEGUN, NO_CAPACITY, event, tell

G = next(kind for kind in QUOTAS if kind.code == "L-DB2E81BA")
THREE = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")


@pytest.fixture
def capacity(account: Account) -> Iterator[Capacity]:
    limited = Capacity()
    with limited.limited():
        yield limited


class Cdk:
    """Takes the place of the CDK CLI. It fails as often as `refusals` says, for lack of capacity."""

    def __init__(self, account: Account, capacity: Capacity, refusals: int = 0) -> None:
        self._account, self._capacity, self._refusals = account, capacity, refusals
        self.calls: list[tuple[dict[str, str], dict[str, str]]] = []
        self.held: list[tuple[str, str]] = []

    def __call__(self, session: object, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        self.calls.append((dict(parameters), dict(context)))
        self.held += [(one.instance_type, one.zone) for one in self._capacity.reservations if one.state == "active"]
        if len(self.calls) <= self._refusals:
            now = {"Timestamp": datetime.now(UTC)}
            tell(self._account.session, event(1, "CREATE_FAILED", NO_CAPACITY) | now, BEGUN | now)
            raise CommandError("`cdk deploy` failed; the lines above say why.")
        if not self._account.instance_id:
            self._account.deploy()
        self._account.change(parameters)


def climb(account: Account, cdk: Any, *types: str, **more: Any) -> str:
    """What was printed."""
    console = Console(file=io.StringIO(), width=300)
    wish = Wish(types, more.pop("at_most", None))
    given = {"stack": "SdOnEc2", "given": {}, "context": (), "fetch_to": None, **more}
    try:
        deploy(account.session, console=console, wish=wish, cdk=cdk, **given)
    except (CommandError, SystemExit) as error:
        error.printed = console.file.getvalue()  # type: ignore[attr-defined, union-attr]
        raise
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def active(capacity: Capacity) -> list[str]:
    return [one.id for one in capacity.reservations if one.state == "active"]


def test_the_cheapest_that_there_is_is_held_while_it_is_deployed_and_then_let_go(
    account: Account, capacity: Capacity
) -> None:
    capacity.sell_out("g4dn.xlarge")
    capacity.sell_out("g6.xlarge", "us-east-1a", "us-east-1b")
    cdk = Cdk(account, capacity)
    printed = climb(account, cdk, *THREE)
    assert cdk.calls == [({"InstanceType": "g6.xlarge"}, {"az": "us-east-1c"})]
    assert cdk.held == [("g6.xlarge", "us-east-1c")]
    assert active(capacity) == []
    tried = [line.split(",")[0] for line in printed.splitlines() if "an hour" in line]
    assert tried[:2] == ["g4dn.xlarge in us-east-1a", "g4dn.xlarge in us-east-1b"]
    assert tried[-3:] == [f"g6.xlarge in us-east-1{letter}" for letter in "abc"]
    assert "$0.526 an hour: AWS has no such instance to give in this zone at the moment." in printed
    # 70 minutes at the price: ten that are asked for, and an hour in which EC2 ends a reservation.
    assert "$0.8048 an hour: held, deploying.\nShould this computer be lost meanwhile, the place" in printed
    assert "UTC at most: $0.94.\n" in printed


def test_the_region_s_first_zone_is_left_unnamed_as_cdk_deploy_leaves_it(account: Account, capacity: Capacity) -> None:
    cdk = Cdk(account, capacity)
    climb(account, cdk, "g6.xlarge")
    assert cdk.calls == [({"InstanceType": "g6.xlarge"}, {})]


def test_the_first_zone_is_cloudformation_s_which_is_the_first_with_a_default_subnet(
    account: Account, capacity: Capacity
) -> None:
    for subnet in account.ec2.describe_subnets()["Subnets"]:
        if subnet["AvailabilityZone"] == "us-east-1a":
            account.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    cdk = Cdk(account, capacity, refusals=9)
    with pytest.raises(CommandError, match="AWS has none of these"):
        climb(account, cdk, "g6.xlarge")
    assert (cdk.calls[0], cdk.held[0]) == (({"InstanceType": "g6.xlarge"}, {}), ("g6.xlarge", "us-east-1b"))


def test_a_zone_that_offers_none_of_the_types_is_named_and_not_the_region(account: Account, capacity: Capacity) -> None:
    offer(account.session, "g6.xlarge", zones=("us-east-1b",))
    cdk = Cdk(account, capacity)
    with pytest.raises(CommandError, match=r"-c az=us-east-1a: it must be a zone .* that offers g6.xlarge"):
        climb(account, cdk, "g6.xlarge", context=("az=us-east-1a",))
    assert cdk.calls == []


def test_where_there_is_nothing_a_table_says_what_was_refused_where(account: Account, capacity: Capacity) -> None:
    for name in THREE:
        capacity.sell_out(name)
    cdk = Cdk(account, capacity)
    with pytest.raises(CommandError, match="AWS has none of these to give") as error:
        climb(account, cdk, *THREE)
    rows = [line.split()[:3] for line in error.value.printed.splitlines()]  # type: ignore[attr-defined]
    assert ["g5.xlarge", "us-east-1f", "1.006"] in rows
    assert (cdk.calls, capacity.reservations) == ([], [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"types": "g6.xlarge", "every": True}, "--types and --any: leave one out"),
        ({"types": "g6.xlarge", "given": {"InstanceType": "g6.xlarge"}}, "--types and --instance-type both name"),
        ({"every": True, "at_most": 1.0, "given": {"InstanceType": "g6.xlarge"}}, "--any and --instance-type"),
        ({"types": "g6.xlarge,g9.enormous"}, "--types has g9.enormous, but must be GPU types that the image supports"),
        ({"types": " , "}, "--types has no name, but must be GPU types that the image supports"),
        ({"at_most": 1.0}, "--at-most is for --types and --any"),
        ({"types": "g6.xlarge", "at_most": 0.0}, "--at-most is 0, but must be US dollars an hour above 0"),
        ({"every": True, "at_most": float("nan")}, "--at-most is nan, but must be"),
        ({"every": True}, "--any needs --at-most"),
    ],
)
def test_a_wish_that_says_too_much_or_too_little_is_misuse(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said) as error:
        read_wish(**{"types": None, "every": False, "at_most": None, "given": {}, **options})
    assert error.value.exit_status == 2


def test_types_may_be_typed_twice_with_spaces_and_in_capitals() -> None:
    read = read_wish(" g6.xlarge, G5.XLarge,,g6.xlarge ", False, None, given={})
    assert read == Wish(("g6.xlarge", "g5.xlarge"), None)


@pytest.mark.parametrize(
    ("types", "at_most", "given", "said"),
    [
        (("g6.xlarge", "g6e.xlarge"), 1.2, {}, r"an hour of g6e.xlarge costs \$1.861: leave one out"),
        (("g6.xlarge", "p5e.48xlarge"), 1.2, {}, "no price is known for p5e.48xlarge here"),
        (
            ("g6.xlarge", "g4dn.xlarge"),
            None,
            {"Model": "sdxl-base", "Precision": "full"},
            "the T4.* needs 17.5 GiB",
        ),
        ((), 0.1, {}, "no type costs as little here"),
        ((), 1.2, {"Model": "flux-schnell", "VolumeSize": "200", "Quantize": "off"}, "computes in bfloat16"),
    ],
)
def test_a_type_that_is_too_dear_or_too_small_is_refused_before_the_first_rung(
    account: Account, capacity: Capacity, types: tuple[str, ...], at_most: float, given: dict[str, str], said: str
) -> None:
    cdk = Cdk(account, capacity)
    with pytest.raises(CommandError, match=said) as error:
        climb(account, cdk, *types, at_most=at_most, given=given)
    assert error.value.exit_status == 2
    assert (cdk.calls, capacity.reservations) == ([], [])


def test_every_type_up_to_a_price_is_tried_from_the_cheapest(account: Account, capacity: Capacity) -> None:
    for name in ("g4dn.xlarge", "g4dn.2xlarge", "g6.xlarge", "g6.2xlarge"):
        capacity.sell_out(name)
    cdk = Cdk(account, capacity)
    printed = climb(account, cdk, at_most=1.2)
    assert cdk.calls[0][0] == {"InstanceType": "g5.xlarge"}
    order = dict.fromkeys(line.split()[0] for line in printed.splitlines() if "an hour" in line)
    assert next(iter(order)) == "g4dn.xlarge"
    assert "g6e.xlarge" not in printed
    assert "Left out, because nobody states a price here: p5e.48xlarge." in printed


def test_a_type_that_the_quota_does_not_cover_is_left_out_and_told(account: Account, capacity: Capacity) -> None:
    cdk = Cdk(account, capacity)
    printed = climb(account, cdk, "p5.4xlarge", "g6.xlarge")
    assert "Left out p5.4xlarge. quota: Running On-Demand P instances: 0 vCPUs" in printed
    assert cdk.calls[0][0] == {"InstanceType": "g6.xlarge"}


def test_an_account_without_quota_for_any_hears_which_one_to_ask_for(account: Account, capacity: Capacity) -> None:
    with ec2_quotas({G.code: 0}), pytest.raises(CommandError) as error:
        climb(account, Cdk(account, capacity), *THREE)
    assert "no type may be tried" in str(error.value)
    assert "To mend it: sd quota request --instance-type g6.xlarge --vcpus 8" in str(error.value)
    assert capacity.reservations == []


def test_a_quota_that_ec2_finds_too_small_is_not_asked_in_every_zone(account: Account, capacity: Capacity) -> None:
    """Other reservations of the account count as well, which the check beforehand does not see."""
    for _ in range(2):
        reserve(account, "us-east-1a")
    with pytest.raises(
        CommandError, match="For a larger quota: `sd quota request --instance-type g4dn.xlarge`"
    ) as error:
        climb(account, Cdk(account, capacity), *THREE)
    assert "the account's quota of vCPUs is too small" in error.value.printed  # type: ignore[attr-defined]
    assert error.value.printed.count(" an hour: ") == 1  # type: ignore[attr-defined]


def reserve(account: Account, zone: str) -> None:
    """A reservation that is not ours."""
    account.ec2.create_capacity_reservation(
        InstanceType="g6.xlarge", AvailabilityZone=zone, InstancePlatform="Linux/UNIX", InstanceCount=1,
        InstanceMatchCriteria="open", EndDateType="limited", EndDate="2099-01-01", Tenancy="default",
    )  # fmt: skip


def test_without_the_right_to_reserve_each_rung_is_a_deploy(account: Account, capacity: Capacity) -> None:
    account.session.events.register_first(
        "before-call.ec2.CreateCapacityReservation", refusal("UnauthorizedOperation", 403)
    )
    cdk = Cdk(account, capacity, refusals=1)
    printed = climb(account, cdk, "g6.xlarge")
    assert [context for _, context in cdk.calls] == [{}, {"az": "us-east-1b"}]
    assert "you may not reserve capacity (ec2:CreateCapacityReservation), so each attempt is a deploy" in printed
    assert "\nAWS has no such instance to give in this zone at the moment.\n" in printed


def test_an_account_that_may_launch_nothing_ends_the_climb(account: Account, capacity: Capacity) -> None:
    account.session.events.register_first("before-call.ec2.CreateCapacityReservation", refusal("PendingVerification"))
    with pytest.raises(CommandError, match="AWS still checks the new account"):
        climb(account, Cdk(account, capacity), *THREE)


def test_spot_is_not_reserved_and_the_scores_are_told(account: Account, capacity: Capacity) -> None:
    cdk = Cdk(account, capacity, refusals=1)
    printed = climb(account, cdk, *THREE, context=("spot=true",))
    assert len(cdk.calls) == 2
    assert capacity.reservations == []
    assert "Spot capacity cannot be reserved" in printed
    assert "placement score 9 of 10: deploying." in printed


def test_spot_goes_by_the_price_of_each_zone(account: Account, capacity: Capacity) -> None:
    """The emulated prices grow from zone to zone, so both types are tried in a zone before the next one."""
    cdk = Cdk(account, capacity, refusals=99)
    with spot_prices_of_the_table(), pytest.raises(CommandError, match="AWS has none of these") as error:
        climb(account, cdk, "g5.xlarge", "g6.xlarge", context=("spot=true",), at_most=0.44)
    printed: str = error.value.printed  # type: ignore[attr-defined]
    tried = [line.split(" an hour")[0] for line in printed.splitlines() if " an hour, placement score" in line]
    assert [tuple(one.split(" in us-east-1")) for one in tried] == [
        (name, f"{zone}, ${usd}")
        for zone, usd in (("a", 0.42), ("b", 0.43), ("c", 0.44))
        for name in ("g5.xlarge", "g6.xlarge")
    ]


@pytest.mark.parametrize("how", ["a failure", "SIGTERM", "SIGHUP", "SIGINT"])
def test_nothing_is_held_however_the_deploy_ends(account: Account, capacity: Capacity, how: str) -> None:
    def ends(*_: object) -> None:
        assert len(active(capacity)) == 1
        if how == "a failure":
            raise CommandError("`cdk deploy` failed")
        signal.raise_signal(getattr(signal, how))

    raise_interrupted()
    with pytest.raises((CommandError, Interrupted)):
        climb(account, ends, "g6.xlarge")
    assert active(capacity) == []


def test_what_a_killed_call_left_is_cancelled_by_the_next_and_others_are_not(
    account: Account, capacity: Capacity, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(quiet=True)
    killed = [
        hold(account.session, stack=stack, instance_type="g6.xlarge", zone="us-east-1a", console=console)
        for stack in ("SdOnEc2", "Other")
    ]
    for one in killed:
        one.__enter__()
    ours, other = capacity.reservations
    monkeypatch.setattr(psutil, "pid_exists", lambda process: process != os.getpid())
    cancel_leftovers(account.session, "SdOnEc2", console)
    assert (ours.state, other.state) == ("cancelled", "active")
    for one in killed:
        one.__exit__(None, None, None)
    assert active(capacity) == []


@pytest.mark.parametrize("whose", ["this computer's", "another's", "no process's"])
def test_what_another_deploy_holds_is_its_own_until_its_time_is_over(
    account: Account, capacity: Capacity, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    console = Console(file=io.StringIO(), width=300)
    if whose == "no process's":  # by a tag that somebody else has written
        monkeypatch.setattr(os, "getpid", lambda: "9" * 200)
    with hold(account.session, stack="SdOnEc2", instance_type="g6.xlarge", zone="us-east-1a", console=console):
        if whose == "another's":
            monkeypatch.setattr(platform, "node", lambda: "another")
            monkeypatch.setattr(psutil, "pid_exists", lambda _: False)
        (held,) = capacity.reservations
        cancel_leftovers(account.session, "SdOnEc2", console)
        assert held.state == "active"
        assert f"{held.id} is left alone" in console.file.getvalue()  # type: ignore[attr-defined]
        held.ends_at = datetime.now(UTC)
        cancel_leftovers(account.session, "SdOnEc2", console)
        assert held.state == "cancelled"


def test_nobody_is_told_that_something_is_cancelled_which_is_not(
    account: Account, capacity: Capacity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "pid_exists", lambda _: False)
    console = Console(file=io.StringIO(), width=300)
    with hold(account.session, stack="SdOnEc2", instance_type="g6.xlarge", zone="us-east-1a", console=console):
        account.session.events.register_first(
            "before-call.ec2.CancelCapacityReservation", refusal("UnauthorizedOperation")
        )
        cancel_leftovers(account.session, "SdOnEc2", console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "It costs money until it ends by itself" in printed
    assert "Cancelled" not in printed


def test_a_place_that_another_instance_takes_holds_nothing_and_is_not_called_held(
    account: Account, capacity: Capacity
) -> None:
    account.ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g6.xlarge",
        Placement={"AvailabilityZone": "us-east-1a"},
    )  # fmt: skip
    printed = climb(account, Cdk(account, capacity), "g6.xlarge")
    assert "another instance of yours takes the reserved place, so nothing is held" in printed


def test_the_platform_of_an_image_of_ones_own_is_the_reservation_s(account: Account, capacity: Capacity) -> None:
    """With another platform the instance would not take the place that is held."""
    described = answer({"Images": [{"PlatformDetails": "Red Hat Enterprise Linux"}]})
    account.session.events.register_first("before-call.ec2.DescribeImages", described)
    asked: list[Any] = []
    account.session.events.register_first(
        "before-call.ec2.CreateCapacityReservation",
        lambda params, **_: asked.append(params["body"]["InstancePlatform"]),
    )
    with pytest.raises(CommandError, match="does not emulate another InstancePlatform"):
        climb(account, Cdk(account, capacity), "g6.xlarge", context=("ami=ami-12345678",))
    assert asked == ["Red Hat Enterprise Linux"]


def standing(account: Account, state: str = "stopped") -> None:
    """A deployment whose g6.xlarge in us-east-1a is stopped, or runs."""
    launch(account, "g6.xlarge", "us-east-1a")
    account.deploy()
    if state == "stopped":
        account.ec2.stop_instances(InstanceIds=[account.instance_id])


def launch(account: Account, instance_type: Any, zone: str) -> None:
    launched = account.ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType=instance_type, UserData=user_data(),
        Placement={"AvailabilityZone": zone},
    )  # fmt: skip
    account.instance_id = launched["Instances"][0]["InstanceId"]


class Changes(Cdk):
    """The same for a stack that stands: another type is changed in place, another zone takes a new instance."""

    def __call__(self, session: object, parameters: Mapping[str, str], context: Mapping[str, str]) -> None:
        super().__call__(session, parameters, context)
        account = self._account
        if "az" in context:
            account.ec2.terminate_instances(InstanceIds=[account.instance_id])
            launch(account, parameters["InstanceType"], context["az"])
            account.session.client("cloudformation").delete_stack(StackName="SdOnEc2")
            account.deploy(settings=json.dumps(context), **parameters)
        else:
            account.ec2.modify_instance_attribute(
                InstanceId=account.instance_id, InstanceType={"Value": parameters["InstanceType"]}
            )


def test_another_type_on_the_same_disk_comes_before_a_new_instance(account: Account, capacity: Capacity) -> None:
    standing(account)
    capacity.sell_out("g6.xlarge", "us-east-1a")
    cdk = Changes(account, capacity)
    climb(account, cdk, "g6.xlarge", "g5.xlarge")
    assert cdk.calls == [({"InstanceType": "g5.xlarge"}, {})]
    assert account.state() == "running"
    # Until it is started, and not only until CloudFormation has changed it.
    assert capacity.reservations[0].instances


def test_an_instance_that_runs_is_kept_and_nothing_is_reserved(account: Account, capacity: Capacity) -> None:
    standing(account, "running")
    cdk = Cdk(account, capacity)
    climb(account, cdk, *THREE)
    assert cdk.calls == [({"InstanceType": "g6.xlarge"}, {})]
    assert capacity.reservations == []


@pytest.mark.parametrize(
    ("reply", "said"), [(None, "To go on without a question: --yes"), (False, "Nothing was replaced")]
)
def test_an_instance_is_not_replaced_without_a_yes(
    account: Account, capacity: Capacity, monkeypatch: pytest.MonkeyPatch, reply: bool | None, said: str
) -> None:
    def confirm(*_: object, **__: object) -> bool:
        if reply is None:
            raise typer.Abort
        return reply

    monkeypatch.setattr(typer, "confirm", confirm)
    standing(account)
    capacity.sell_out("g6.xlarge", "us-east-1a")
    cdk = Changes(account, capacity)
    with pytest.raises(CommandError, match=said):
        climb(account, cdk, "g6.xlarge")
    assert (cdk.calls, account.state()) == ([], "stopped")


def test_told_so_a_new_instance_takes_the_place_in_another_zone(account: Account, capacity: Capacity) -> None:
    standing(account)
    before = account.instance_id
    capacity.sell_out("g6.xlarge", "us-east-1a")
    cdk = Changes(account, capacity)
    climb(account, cdk, "g6.xlarge", yes=True)
    assert cdk.calls == [({"InstanceType": "g6.xlarge"}, {"az": "us-east-1b"})]
    assert (account.instance_id != before, account.state()) == (True, "running")
    assert capacity.reservations[-1].instances
    assert active(capacity) == []


def test_a_start_without_capacity_names_the_command_that_looks_elsewhere(account: Account, capacity: Capacity) -> None:
    standing(account)
    capacity.sell_out("g6.xlarge", "us-east-1a")
    outcome = CliRunner().invoke(app, ["start", "--region", "us-east-1"])
    assert isinstance(outcome.exception, NoCapacityError)
    said = str(outcome.exception)
    assert "`sd start --types g6.xlarge,g5.xlarge,g4dn.xlarge`" in said
    assert account.state() == "stopped"


def test_a_start_with_types_climbs_and_one_that_starts_does_not(
    account: Account, capacity: Capacity, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing(account)
    cdk = Changes(account, capacity)
    monkeypatch.setattr("scripts.command_line.deploying.deploy.deploy", functools.partial(deploy, cdk=cdk))
    words = ["start", "--types", "g6.xlarge,g5.xlarge", "--yes", "--region", "us-east-1"]
    capacity.sell_out("g6.xlarge", "us-east-1a")
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.exception
    assert cdk.calls == [({"InstanceType": "g5.xlarge"}, {})]
    assert account.state() == "running"
    CliRunner().invoke(app, words)
    assert len(cdk.calls) == 1
