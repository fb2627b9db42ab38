"""What a launch template gives to an instance."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends

from scripts.local.aws.account import Account

RESOLVE_SSM = "resolve:ssm:"


def launch_template_data(account: Account, specification: dict[str, str] | None) -> dict[str, Any]:
    """The data of a version, by the template's id or name; an image named by a parameter is looked up.

    `specification` is None, or has LaunchTemplateId or LaunchTemplateName and a Version, which may be `$Latest` or
    `$Default`. Raises what the emulated API raises for a template or a parameter that is not there.
    """
    if not specification:
        return {}
    backend = ec2_backends[account.id][account.region]
    # Past the API, which leaves out some of what it was given.
    if "LaunchTemplateId" in specification:
        template = backend.get_launch_template(specification["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(specification["LaunchTemplateName"])
    stored = template.get_version(specification.get("Version", "$Default")).data
    data = {name: value for name, value in stored.items() if value is not None}
    if "UserData" in data:
        data["UserData"] = str(data["UserData"])
    image = data.get("ImageId", "")
    if image.startswith(RESOLVE_SSM):
        name = image.removeprefix(RESOLVE_SSM)
        data["ImageId"] = account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    return data
