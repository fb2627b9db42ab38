"""Whether machines may begin further units of a batch, and how a machine ends that at the limit of dollars."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from userdata.batch.documents import Control
from userdata.contract.layout import RunKeys
from userdata.worker.bucket.bucket import Bucket

logger = logging.getLogger(__name__)


def may_begin(bucket: Bucket, keys: RunKeys) -> bool:
    """Whether a further unit may be begun. A document that cannot be read forbids it, because units cost money."""
    return _allows(bucket.get(keys.control), keys)


def cap(bucket: Bucket, keys: RunKeys, why: str, *, by: str) -> bool:
    """Writes that the limit of dollars is reached, unless further units are forbidden already; whether it has."""
    found, tag = bucket.get_with_tag(keys.control)
    if not _allows(found, keys):
        return False
    logger.warning("%s: %s", keys.run_id, why)
    document = Control(state="capped", why=why, by=by, at=datetime.now(UTC))
    return bucket.put_once(keys.control, document.to_json(), over=tag)


def _allows(content: bytes | None, keys: RunKeys) -> bool:
    if content is None:
        return True
    try:
        return Control.from_json(content).state == "go"
    except ValueError as error:
        logger.warning("%s is not readable, so that no unit is begun: %s", keys.control, error)
        return False
