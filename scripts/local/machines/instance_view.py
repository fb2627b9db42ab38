"""Reads from one of moto's instances what the metadata service tells."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from scripts.local.aws.metadata_service import Credentials, InstanceView

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
SESSION = 6 * 3600  # seconds that a role's keys are good for


def view_of(instance: Any) -> InstanceView:
    """The instance at this moment: its user data and its profile may have changed since the last one."""
    profile = _profile_of(instance)
    role = profile.roles[0] if profile and profile.roles else None
    network = instance.nics[0]
    return InstanceView(
        instance_id=instance.id,
        instance_type=instance.instance_type,
        ami_id=instance.image_id,
        region=instance.region_name,
        availability_zone=instance.availability_zone,
        local_ipv4=instance.private_ip,
        hostname=instance.private_dns_name,
        mac=network.mac_address,
        life_cycle=instance.lifecycle or "on-demand",
        user_data=base64.b64decode(str(instance.user_data)) if instance.user_data else None,
        role=role.name if role else None,
        instance_profile_arn=profile.arn if profile else "",
        instance_profile_id=profile.id if profile else "",
        credentials=(lambda: _assume(instance, role)) if role else None,
        public_ipv4=instance.public_ip,
        target_lifecycle_state=_target_lifecycle_state(instance),
    )


def _target_lifecycle_state(instance: Any) -> str | None:
    """Where Auto Scaling wants the instance; the tag is there before the instance boots."""
    in_a_group = any(tag["key"] == "aws:autoscaling:groupName" for tag in instance.get_tags())
    return getattr(instance, "target_lifecycle_state", "InService") if in_a_group else None


def _profile_of(instance: Any) -> Any:
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    if association is None:
        return None
    profiles = iam_backends[instance.owner_id][instance.ec2_backend.partition].instance_profiles
    # Looked up again: a profile that was deleted gives no keys any more.
    return next((p for p in profiles.values() if p.arn == association.iam_instance_profile.arn), None)


def _assume(instance: Any, role: Any) -> Credentials:
    backend = sts_backends[instance.owner_id][instance.ec2_backend.partition]
    assumed = backend.assume_role(
        region_name=instance.region_name,
        role_session_name=instance.id,
        role_arn=role.arn,
        policy=None,
        duration=SESSION,
        external_id=None,
    )
    now = datetime.now(UTC)
    return Credentials(
        access_key_id=assumed.access_key_id,
        secret_access_key=assumed.secret_access_key,
        token=assumed.session_token,
        last_updated=now.strftime(TIME_FORMAT),
        expiration=(now + timedelta(seconds=SESSION)).strftime(TIME_FORMAT),
    )
