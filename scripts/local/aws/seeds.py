"""Gives the emulated account what every real account has from the start."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends
from moto.ssm.models import Parameter, ssm_backends

from scripts.local.aws.account import Account
from stacks.facts.machine_image import DEEP_LEARNING_AMI


def seed(account: Account) -> None:
    """Publishes the Deep Learning AMI's parameter, with the id of an image that moto knows."""
    # Past the API: an answer with the thousands of images that moto knows takes seconds.
    images: list[Any] = ec2_backends[account.id][account.region].describe_images(owners=["amazon"])
    image = next(image for image in images if "amzn" in image.name and image.architecture == "x86_64")
    publish(account, DEEP_LEARNING_AMI, image.id)


def publish(account: Account, name: str, value: str) -> None:
    """Sets a public parameter. Past the API, which refuses names that begin with /aws as the real one does."""
    backend = ssm_backends[account.id][account.region]
    backend._parameters[name] = [
        Parameter(
            account_id=account.id,
            name=name,
            value=value,
            parameter_type="String",
            description="",
            allowed_pattern=None,
            keyid=None,
            last_modified_date=0,
            version=1,
            data_type="aws:ec2:image",
        )
    ]
