"""Asks the instance's metadata service which machine this is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from userdata.boot.machine.step_error import StepError
from userdata.contract.metadata_service import MetadataService, NoAnswerError
from userdata.contract.patience import Patience
from userdata.contract.worker_environment import LifeCycle


@dataclass(frozen=True)
class Instance:
    """A machine, in EC2's names: `i-0123456789abcdef0`, `g5.xlarge`, `us-east-1`, `on-demand` or `spot`."""

    instance_id: str
    instance_type: str
    region: str
    life_cycle: LifeCycle


def read_instance(endpoint: Optional[str] = None, *, patience: Optional[Patience] = None) -> Instance:
    """Which machine this is, by the metadata service at `endpoint`; see `MetadataService`.

    An answer may be slow early in a boot, so the service is asked again for about a minute by default. Raises
    `StepError` after that.
    """
    service = MetadataService(endpoint)

    def ask() -> Instance:
        spot = service.get("instance-life-cycle") == "spot"
        return Instance(
            instance_id=service.get("instance-id"),
            instance_type=service.get("instance-type"),
            region=service.get("placement/region"),
            # As the instance is billed: every other life cycle has the on-demand price, or was paid before.
            life_cycle="spot" if spot else "on-demand",
        )

    try:
        return (patience or Patience(attempts=8, longest_pause=15)).retry(ask, on=NoAnswerError)
    except NoAnswerError as error:
        raise StepError(
            f"This machine could not be identified: {error}. On EC2, the instance's metadata service must be enabled."
        ) from error
