import base64
import email
import io
import json
import os
import re
import string
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]  # what knows a pattern's characters and its longest match
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.command_line.account.user_data import parameters_in
from stacks.facts.machine_parameters import FOR_THE_DEPLOYMENT_ONLY
from stacks.fleet import OF_THE_RUN_ALONE
from stacks.parameters import GROUPS, Parameter, parameters_of
from tests.deployed_parameters import carried
from tests.unit.boot.conftest import Machine
from userdata.contract.parameter_file import read_parameters
from userdata.render import LIMIT_BYTES, TEMPLATE, render_user_data

BUNDLE_BUCKET = "cdk-hnb659fds-assets-123456789012-ap-southeast-1".ljust(63, "x")  # S3's longest name
BUNDLE_KEY = "f" * 64 + ".zip"
TOOLS = Path(sys.executable).parent

# What the stack adds to the parameters, at its longest.
GROUP = f"sd-{'0' * 36}"
FROM_THE_STACK = {
    "ResultsBucket": "b" * 63,
    "Region": "ap-southeast-1",
    "Queues": GROUP,
    "Topic": f"arn:aws:sns:ap-southeast-1:123456789012:{GROUP}",
}
# What a shell's single quotes, a line or cloud-init would not carry.
PLAIN = re.compile(r"[ -&(-~]*")
# CloudFormation does not say how long a number may be written; a double has no more to tell.
LONGEST_NUMBER = 24
LONGEST_VALUE = 4096  # bytes, CloudFormation's limit
# So many bytes are kept for parameters that are still to come; one takes its name, its longest value, and 2 more. The
# ARN of the topic, which few stacks have, took the rest of a thousand.
KEPT_FREE = 900


def deployed() -> dict[str, Parameter]:
    """The parameters that are in the user data."""
    found = {one.name: one for model in GROUPS.values() for one in parameters_of(model)}
    return {name: one for name, one in found.items() if name not in FOR_THE_DEPLOYMENT_ONLY}


def longest_value(parameter: Parameter) -> str:
    """A text as long as the longest that CloudFormation takes for the parameter, by its own rule."""
    rule = parameter.properties
    if "allowed_values" in rule:
        return "x" * max(map(len, rule["allowed_values"]))
    if rule["type"] == "Number":
        return "0" * LONGEST_NUMBER
    characters = int(rule.get("max_length", LONGEST_VALUE))
    if not parameter.is_plain:
        return ("\N{HORSE}" * characters)[: LONGEST_VALUE // 4]
    longest_match: int = _parser.parse(rule["allowed_pattern"]).getwidth()[1]
    return "x" * min(characters, longest_match, LONGEST_VALUE)


LONGEST = {**{name: longest_value(one) for name, one in deployed().items()}, **FROM_THE_STACK}


def rendered(parameters: dict[str, str], *, bucket: str = BUNDLE_BUCKET, key: str = BUNDLE_KEY) -> str:
    plain, free_text = carried(parameters)
    return render_user_data(plain=plain, free_text=free_text, bundle_bucket=bucket, bundle_key=key)


def mail(text: str) -> Message:
    return email.message_from_string(text)


@pytest.fixture(scope="module")
def longest() -> str:
    return rendered(LONGEST)


@pytest.fixture(scope="module")
def longest_in_a_fleet() -> str:
    return rendered({name: LONGEST[name] for name in LONGEST if name not in OF_THE_RUN_ALONE} | {"Fleet": "0"})


def test_the_longest_legal_parameters_leave_room_for_more(longest: str, longest_in_a_fleet: str) -> None:
    left = LIMIT_BYTES - max(len(text.encode("ascii")) for text in (longest, longest_in_a_fleet))
    assert left >= KEPT_FREE, f"{left} bytes of {LIMIT_BYTES} are left at worst, and {KEPT_FREE} shall be kept free"


def characters_of(pattern: Any) -> Iterator[int]:
    """Every character that a pattern, as Python parses it, can match."""
    for kind, argument in pattern:
        name = str(kind)
        if name == "LITERAL":
            yield argument
        elif name == "RANGE":
            yield from range(argument[0], argument[1] + 1)
        elif name == "IN":
            yield from characters_of(argument)
        elif name == "MAX_REPEAT":
            yield from characters_of(argument[2])
        elif name == "SUBPATTERN":
            yield from characters_of(argument[3])
        elif name == "BRANCH":
            yield from (character for way in argument[1] for character in characters_of(way))
        else:
            assert name == "AT", f"{name} may match any character"


@pytest.mark.parametrize("parameter", [one for one in deployed().values() if one.is_plain], ids=lambda one: one.name)
def test_a_value_that_is_not_encoded_has_a_rule_that_lets_only_plain_characters_through(parameter: Parameter) -> None:
    values = parameter.properties.get("allowed_values")
    pattern = parameter.properties.get("allowed_pattern", "")
    possible = "".join(values) if values else "".join(map(chr, characters_of(_parser.parse(pattern))))
    assert PLAIN.fullmatch(possible)


@given(st.data())
def test_every_value_that_the_rules_allow_arrives_as_it_was_given(data: st.DataObject) -> None:
    parameter = data.draw(st.sampled_from([one for one in deployed().values() if one.is_plain]))
    values, pattern = (parameter.properties.get(name) for name in ("allowed_values", "allowed_pattern"))
    value = data.draw(st.sampled_from(values) if values else st.from_regex(f"(?:{pattern})", fullmatch=True))
    text = rendered({**LONGEST, parameter.name: value})
    found = parameters_in(base64.b64encode(text.encode()).decode())
    assert found == {**LONGEST, parameter.name: value}


def test_it_is_one_script_that_runs_at_every_boot(longest: str) -> None:
    message = mail(longest)
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "text/x-shellscript-per-boot"
    assert not message.is_multipart()
    assert message.defects == []
    assert str(message.get_payload()).startswith("#!/bin/bash\n")


@pytest.mark.parametrize("command", [["bash", "-n"], [TOOLS / "shellcheck"]], ids=["bash", "shellcheck"])
def test_the_script_is_clean(longest: str, longest_in_a_fleet: str, tmp_path: Path, command: list[str | Path]) -> None:
    scripts = [tmp_path / "user-data.sh", tmp_path / "in-a-fleet.sh"]
    for script, text in zip(scripts, (longest, longest_in_a_fleet), strict=True):
        script.write_text(str(mail(text).get_payload()))
    done = subprocess.run([*command, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_script_is_laid_out_by_shfmt_but_for_what_indents(longest: str, longest_in_a_fleet: str) -> None:
    for text in (longest, longest_in_a_fleet):
        script = str(mail(text).get_payload())
        done = subprocess.run([TOOLS / "shfmt", "-ci"], input=script, capture_output=True, text=True, check=True)
        assert re.sub(r"(?m)^\s+(?=\S)", "", done.stdout) == re.sub(r"\n\n+", "\n", script)


def test_tokens_are_printed_as_they_are() -> None:
    token = "${Token[TOKEN.123]}"
    text = render_user_data(
        plain=dict.fromkeys(LONGEST, token),
        free_text={"Prompt": token},
        bundle_bucket="${Token[AWS.Bucket.7]}",
        bundle_key=BUNDLE_KEY,
    )
    assert f"\nHeight:{token}\n" in text
    assert f"\nPrompt;base64,{token}\n" in text
    assert "bucket='${Token[AWS.Bucket.7]}'" in text


@pytest.mark.parametrize(
    ("plain", "free_text", "why"),
    [
        ({}, {"Prompt": "a horse"}, "Prompt"),
        ({}, {"Prompt": "'; id; '"}, "Prompt"),
        ({}, {"Prompt": "\N{HORSE}"}, "Prompt"),
        ({}, {"Prompt": "YQ==\nX:YQ=="}, "Prompt"),
        ({"Model": "'; id; '"}, {}, "Model"),
        ({"Model": "tiny\nOnFailure:keep"}, {}, "Model"),
        ({"Model": "\N{HORSE}"}, {}, "Model"),
        ({"Mo del": "tiny"}, {}, "parameter name"),
        ({}, {"A:b": "YQ=="}, "parameter name"),
    ],
)
def test_what_cannot_be_carried_is_refused(plain: dict[str, str], free_text: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        render_user_data(
            plain=carried(LONGEST)[0] | plain, free_text=free_text, bundle_bucket=BUNDLE_BUCKET, bundle_key=BUNDLE_KEY
        )


@pytest.mark.parametrize("bucket", ["", "a'b", "$(id)", "a b"])
def test_a_bucket_that_is_none_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="bucket"):
        rendered(LONGEST, bucket=bucket)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ValueError, match="needs MaxHours"):
        rendered({name: value for name, value in LONGEST.items() if name != "MaxHours"})


def test_a_template_that_is_not_ascii_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = tmp_path / TEMPLATE.name
    template.write_text("# caf\N{LATIN SMALL LETTER E WITH ACUTE}\n", "utf-8")
    monkeypatch.setattr("userdata.render.TEMPLATE", template)
    with pytest.raises(ValueError, match="line 1 is not ASCII"):
        rendered(LONGEST)


def bundle_zip(boot: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("boot.sh", boot)
    return memory.getvalue()


class FirstBoot:
    """A machine to whose user data the bucket `assets` answers, through a stand-in for `aws` that copies files."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.folder
        self.assets = self.folder / "s3"
        self.assets.mkdir()
        # The words of every call are `--option value --option value s3 cp --only-show-errors FROM TO`.
        machine.command(
            "aws",
            f'echo "aws ${{*:5}}" >>"{self.folder}/calls"\n'
            f"from=${{8/s3:\\/\\//{self.assets}/}} to=${{9/s3:\\/\\//{self.assets}/}}\n"
            '[[ $to != "$9" ]] && mkdir -p "$(dirname "$to")"\n'
            'if [[ $8 == - ]]; then cat >"$to"; else cp "$from" "$to"; fi',
        )
        machine.command("sleep", f'echo "sleep $*" >>"{self.folder}/calls"')
        machine.command("systemctl", "exit 3")  # is-active, of a timer that is not armed

    def offer(self, content: bytes, key: str = BUNDLE_KEY) -> None:
        path = self.assets / BUNDLE_BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def run(self, key: str = BUNDLE_KEY, **parameters: str) -> subprocess.CompletedProcess[str]:
        script = self.folder / "part-001"
        script.write_text(str(mail(rendered({**self.machine.parameters, **parameters}, key=key)).get_payload()))
        return self.machine.bash(script)


@pytest.fixture
def first_boot(machine: Machine) -> FirstBoot:
    first_boot = FirstBoot(machine)
    machine.folders.bundle.rename(machine.folder / "unused")
    first_boot.offer(bundle_zip(f'echo "boot in $0" >>"{machine.folder}/calls"\n'))
    return first_boot


def armed(hours: int = 12) -> str:
    return (
        f"systemd-run --quiet --unit=sd-max-hours --on-active={hours}h --property=DefaultDependencies=no "
        "/bin/sh -c systemctl poweroff || true && sleep 300 && systemctl poweroff -ff"
    )


def fetched(key: str = BUNDLE_KEY) -> str:
    return f"aws s3 cp --only-show-errors s3://{BUNDLE_BUCKET}/{key}"


def test_the_first_boot_arms_the_timer_fetches_the_bundle_and_starts_it(first_boot: FirstBoot) -> None:
    done = first_boot.run()
    assert done.returncode == 0, done.stderr
    software = first_boot.machine.folders.software
    part = software / f"bundles/{'f' * 64}.part"
    assert first_boot.machine.calls == [
        armed(),
        f"{fetched()} {part}/zip",
        f"boot in {software}/current/userdata/boot.sh",
    ]
    assert (software / "current").resolve() == software / "bundles" / ("f" * 64)
    assert list((software / "current").iterdir()) == [software / "current/userdata"]


def test_the_worker_an_ordinary_user_can_read_what_a_strict_root_wrote(first_boot: FirstBoot) -> None:
    strict = os.umask(0o077)
    try:
        assert first_boot.run().returncode == 0
    finally:
        os.umask(strict)
    folders = first_boot.machine.folders
    for path in (folders.parameters, folders.bundle.resolve(), folders.bundle / "userdata/boot.sh"):
        assert path.stat().st_mode & 0o044 == 0o044, path


def test_a_later_boot_fetches_nothing(first_boot: FirstBoot) -> None:
    first_boot.run()
    (first_boot.folder / "calls").unlink()
    assert first_boot.run().returncode == 0
    assert [call.split()[0] for call in first_boot.machine.calls] == ["systemd-run", "boot"]


def test_a_new_bundle_takes_the_place_of_the_old_one(first_boot: FirstBoot) -> None:
    first_boot.run()
    first_boot.offer(bundle_zip("exit 7"), "new.zip")
    assert first_boot.run("new.zip").returncode == 7
    assert first_boot.machine.folders.bundle.resolve().name == "new"


def test_an_interrupted_unpacking_mends_itself(first_boot: FirstBoot) -> None:
    part = first_boot.machine.folders.software / f"bundles/{'f' * 64}.part/userdata"
    part.mkdir(parents=True)
    (part / "left-over").touch()
    assert first_boot.run().returncode == 0
    assert [path.name for path in first_boot.machine.folders.bundle.glob("userdata/*")] == ["boot.sh"]


def test_a_bucket_that_answers_later_is_waited_for(first_boot: FirstBoot) -> None:
    key = first_boot.assets / BUNDLE_BUCKET / BUNDLE_KEY
    key.rename(key.with_name("later"))
    first_boot.machine.command(
        "sleep", f'echo "sleep $*" >>"{first_boot.folder}/calls"; [[ $1 != 4 ]] || mv "{key.parent}/later" "{key}"'
    )
    assert first_boot.run().returncode == 0
    assert [call for call in first_boot.machine.calls if call.startswith("sleep")] == ["sleep 2", "sleep 4"]


@pytest.mark.parametrize(("choice", "last"), [("stop", "shutdown -P now"), ("keep", "aws")])
def test_a_bundle_that_cannot_be_had_is_told_and_powers_off(first_boot: FirstBoot, choice: str, last: str) -> None:
    first_boot.offer(b"<Error>AccessDenied</Error>")
    done = first_boot.run(OnFailure=choice)
    assert done.returncode == 1
    assert f"Could not fetch the bundle s3://{BUNDLE_BUCKET}/{BUNDLE_KEY}: " in done.stderr
    assert "File is not a zip file. To try again, start the instance." in done.stderr
    assert first_boot.machine.calls[-1].startswith(last)
    sleeps = [call for call in first_boot.machine.calls if call.startswith("sleep")]
    assert sleeps == [f"sleep {seconds}" for seconds in (2, 4, 8, 16, 32, 64)]
    (record,) = (first_boot.assets / first_boot.machine.bucket_name).glob("boots/i-0123456789abcdef0/*.json")
    document = json.loads(record.read_text())
    assert document["started_at"] == record.name.removesuffix(".json")
    assert document["instance_id"] == "i-0123456789abcdef0"
    assert document["error"]["step"] == "user-data"
    assert "BadZipFile" in document["error"]["message"]


def test_the_details_below_an_error_of_aws_are_not_the_reason(first_boot: FirstBoot) -> None:
    reason = "An error occurred (AccessDenied) when calling the GetObject operation: Access Denied"
    first_boot.machine.command("aws", f"printf '\\n{reason}\\n\\nAdditional error details:\\nHostId: x\\n' >&2; exit 1")
    assert f"{BUNDLE_KEY}: {reason}. To try again, start the instance." in first_boot.run().stderr


def test_an_image_without_the_aws_command_is_told(first_boot: FirstBoot) -> None:
    commands = first_boot.folder / "bin"
    (commands / "aws").unlink()
    for name in ("bash", "sed", "base64", "date", "python3", "curl", "mkdir", "mv", "cat"):
        (commands / name).symlink_to(next(Path(p) / name for p in os.defpath.split(":") if (Path(p) / name).exists()))
    first_boot.machine.environment["PATH"] = str(commands)
    done = first_boot.run()
    assert "this image has no aws command; use the Deep Learning AMI" in done.stderr
    assert first_boot.machine.calls == [armed(), "shutdown -P now"]


@pytest.mark.parametrize("hours", ["", "-1", "12 hours", "1; id", "$(id)", "99999"])
def test_a_lifetime_that_is_no_number_powers_off_at_once(first_boot: FirstBoot, hours: str) -> None:
    done = first_boot.run(MaxHours=hours)
    assert "MaxHours is no number of hours" in done.stderr
    assert [call for call in first_boot.machine.calls if "shutdown" in call] == ["shutdown -P now"]
    assert not first_boot.machine.folders.parameters.exists()


@pytest.mark.parametrize(("written", "hours"), [("1", 1), ("08", 8), ("168", 168)])
def test_the_lifetime_is_armed_in_hours(first_boot: FirstBoot, written: str, hours: int) -> None:
    first_boot.run(MaxHours=written)
    assert first_boot.machine.calls[0] == armed(hours)


def test_a_timer_that_runs_already_is_not_armed_anew(first_boot: FirstBoot) -> None:
    first_boot.machine.command("systemctl", '[[ "$*" == "is-active --quiet sd-max-hours.timer" ]]')
    assert first_boot.run().returncode == 0
    assert not [call for call in first_boot.machine.calls if call.startswith("systemd-run")]


def test_a_timer_that_cannot_be_armed_powers_off_at_once(first_boot: FirstBoot) -> None:
    first_boot.machine.command("systemd-run", "exit 1")
    done = first_boot.run()
    assert "Could not arm the power-off after MaxHours" in done.stderr
    assert first_boot.machine.calls[-1] == "shutdown -P now"


HOSTILE = [
    "$(touch hacked)",
    "`touch hacked`",
    "'; touch hacked; '",
    '"; touch hacked; "',
    "\n$(touch hacked)\ntouch hacked\n",
    "{{ 7 * 7 }} {% raw %} <# comment #> {# comment #}",
    "## template: jinja",
    "--boundary\nContent-Type: text/plain\n\n",
    "OnFailure:keep\nMaxHours:1",
    "\N{HORSE}\N{ZERO WIDTH JOINER}\N{COMBINING ACUTE ACCENT}\x00\x1b[31m\r\n" + "x" * 980,
    " leading and trailing \t",
]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_a_hostile_prompt_arrives_unchanged_and_runs_nothing(first_boot: FirstBoot, prompt: str) -> None:
    parameters = {**first_boot.machine.parameters, "Prompt": prompt, "NegativePrompt": prompt[::-1]}
    done = first_boot.run(**parameters)
    assert done.returncode == 0, done.stderr
    assert read_parameters(first_boot.machine.folders.parameters) == parameters
    assert not list(first_boot.folder.rglob("hacked"))
    assert len(first_boot.machine.calls) == 3


@given(st.text(), st.sampled_from(["Prompt", "NegativePrompt"]))
def test_any_text_is_carried_without_leaving_its_line(text: str, name: str) -> None:
    payload = str(mail(rendered({**LONGEST, name: text})).get_payload())
    (line,) = [line for line in payload.splitlines() if line.startswith(f"{name};")]
    assert set(line.partition(";base64,")[2]) <= set(string.ascii_letters + string.digits + "+/=")
