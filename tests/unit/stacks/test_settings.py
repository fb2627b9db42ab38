"""Settings come from the command line's context, so whatever is wrong is refused in words."""

from __future__ import annotations

import pytest

from stacks.facts.settings import Settings, settings_from_context


def test_context_is_read_and_other_context_passed_over() -> None:
    context = {"keep_results": "false", "zones": "2", "@aws-cdk/core:checkSecretUsage": True}
    assert settings_from_context(context) == Settings(keep_results=False, zones=2)


def test_zone_names_are_split() -> None:
    assert settings_from_context({"zones": "us-east-1b, us-west-2-lax-1a"}).zones == ["us-east-1b", "us-west-2-lax-1a"]


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [
        ("keep_results", "perhaps", "true or false"),
        ("stack", "my stack", "SdOnEc2-2"),
        ("stack", "1st", "SdOnEc2-2"),
        ("ami", "$(id)", "ami-0123456789abcdef0"),
        ("ami", "ami-0123456789abcdef0\n", "ami-0123456789abcdef0"),
        ("output_bucket", "My Bucket", "my-pictures"),
        ("root_device", "xvda", "/dev/sda1"),
        ("spot", "maybe", "true or false"),
        ("max_price", "0", "0.45"),
        ("max_price", "cheap", "0.45"),
        ("max_price", "inf", "0.45"),
        ("budget", "-1", "10"),
        ("budget_email", "me", "me@example.com"),
        ("zones", "0", "1, 2 or 3"),
        ("zones", "4", "1, 2 or 3"),
        ("zones", "us-east-1", "us-east-1b"),
        ("zones", "us-east-1a,us-east-1", "us-east-1b"),
        ("fleet", "0", "from 1 to 500"),
        ("fleet", "501", "from 1 to 500"),
        ("fleet_types", "g6.xlarge,t3.micro", "g6.xlarge,g5.xlarge"),
        ("fleet_on_demand", "101", "from 0 to 100"),
        ("fleet_fallback", "perhaps", "true or false"),
        ("notify_email", "me", "me@example.com"),
    ],
)
def test_a_bad_setting_is_refused_with_its_rule(name: str, value: str, example: str) -> None:
    with pytest.raises(SystemExit) as refusal:
        settings_from_context({name: value})
    message = str(refusal.value)
    assert message.startswith(f"sd-on-ec2: -c {name}={value}: it must be ")
    assert example in message


def test_what_was_given_can_be_given_again() -> None:
    context = {
        "keep_results": "false", "spot": "true", "max_price": "0.4", "az": "us-east-1b",
        "zones": "us-east-1a,us-east-1c",
    }  # fmt: skip
    settings = settings_from_context({**context, "budget": ""})
    assert settings.given() == context
    assert settings_from_context(settings.given()) == settings
    assert settings_from_context({"zones": "2"}).given() == {"zones": "2"}


@pytest.mark.parametrize(
    ("name", "value"), [("fleet_types", "g6.xlarge,g5.xlarge"), ("fleet_on_demand", "20"), ("fleet_fallback", "true")]
)
def test_what_is_said_of_a_fleet_needs_one(name: str, value: str) -> None:
    with pytest.raises(SystemExit, match=f"{name}={value} is for a fleet: add -c fleet=N"):
        settings_from_context({name: value})
    assert settings_from_context({name: value, "fleet": "3"}).given() == {"fleet": "3", name: value}


def test_your_own_bucket_is_never_deleted() -> None:
    with pytest.raises(SystemExit, match="output_bucket=my-pictures, which is yours"):
        settings_from_context({"output_bucket": "my-pictures", "keep_results": "false"})


def test_a_spot_price_without_spot_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"max_price=0.4 is for spot instances only: add -c spot=true"):
        settings_from_context({"max_price": "0.4"})
    assert settings_from_context({"max_price": "0.4", "spot": "true"}).max_price == 0.4


@pytest.mark.parametrize("given", [{"budget": "10"}, {"budget_email": "me@example.com"}])
def test_a_budget_and_its_reader_belong_together(given: dict[str, str]) -> None:
    with pytest.raises(SystemExit, match="budget and budget_email belong together"):
        settings_from_context(given)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max-price", "max_price"), ("maxPrice", "max_price"), ("max_prise", "max_price"), ("SPOT", "spot"),
        ("spt", "spot"), ("zone", "zones"), ("output-bucket", "output_bucket"), ("Az", "az"), ("buget", "budget"),
        ("keepresults", "keep_results"), ("budget-mail", "budget_email"),
    ],
)  # fmt: skip
def test_a_near_miss_of_a_setting_is_refused_with_the_name_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(SystemExit, match=f"-c {name}: there is no such setting. Did you mean {meant}[?]$"):
        settings_from_context({name: "0.4", "spot": "true"})


def test_context_of_the_cdk_and_of_other_apps_passes() -> None:
    passing = (
        "@aws-cdk/core:bootstrapQualifier", "availability-zones:account=123456789012:region=us-east-1", "ami:account=1",
        "aws-cdk:enableDiffNoFail", "aws:cdk:version-reporting", "env", "app", "stage", "vpc_id", "prices", "owner",
    )  # fmt: skip
    assert settings_from_context(dict.fromkeys(passing, "x")) == Settings()
