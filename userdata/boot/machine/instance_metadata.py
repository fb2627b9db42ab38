"""Asks the instance's metadata service (version 2, with a token) which machine this is."""

from __future__ import annotations

import os
import urllib.request
from dataclasses import dataclass
from typing import Optional

from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

ENDPOINT = "http://169.254.169.254"
ANSWER_SECONDS = 5
TOKEN_SECONDS = 300


@dataclass(frozen=True)
class Instance:
    """A machine, in EC2's names: `i-0123456789abcdef0`, `g5.xlarge`, `us-east-1`, `on-demand` or `spot`."""

    instance_id: str
    instance_type: str
    region: str
    life_cycle: str


class _NoAnswerError(Exception):
    pass


def read_instance(endpoint: Optional[str] = None, *, patience: Optional[Patience] = None) -> Instance:
    """Which machine this is.

    `endpoint` is `AWS_EC2_METADATA_SERVICE_ENDPOINT` when that is set, as for the AWS tools. An answer may be slow
    early in a boot, so each question is asked again for about a minute by default. Raises `StepError` after that.
    """
    base = endpoint or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ENDPOINT
    base = base.rstrip("/") + "/latest/"
    patience = patience or Patience(attempts=8, longest_pause=15)
    # A proxy that is meant for the internet must not be asked for a link-local address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str, method: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(base + path, method=method, headers=headers)  # noqa: S310
        try:
            with opener.open(request, timeout=ANSWER_SECONDS) as response:
                return str(response.read().decode())
        except (OSError, ValueError) as error:
            raise _NoAnswerError(f"the metadata service at {base} did not answer {path}: {error}") from error

    def ask_all() -> Instance:
        token = ask("api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)})
        headers = {"X-aws-ec2-metadata-token": token}
        return Instance(
            instance_id=ask("meta-data/instance-id", "GET", headers),
            instance_type=ask("meta-data/instance-type", "GET", headers),
            region=ask("meta-data/placement/region", "GET", headers),
            life_cycle=_life_cycle(ask("meta-data/instance-life-cycle", "GET", headers)),
        )

    try:
        return patience.retry(ask_all, on=_NoAnswerError)
    except _NoAnswerError as error:
        raise StepError(
            f"This machine could not be identified: {error}. On EC2, the instance's metadata service must be enabled."
        ) from error


def _life_cycle(answer: str) -> str:
    """What the instance is billed as: whatever is not spot has the on-demand price, or one that was paid before."""
    return "spot" if answer == "spot" else "on-demand"
