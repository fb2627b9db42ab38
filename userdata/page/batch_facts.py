"""The facts of a batch: what its machines have told, each in a document of its own, added up."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from userdata.batch.documents import MachineShare
from userdata.contract.status import utc_text
from userdata.page.facts import MOST_TEXT, Facts, ItemShown

logger = logging.getLogger(__name__)
MOST_ROWS = 20
# More than any batch takes, in hours or dollars: a sum of what anybody may have written must stay a number.
MOST = 1e9


def read_shares(documents: Iterable[bytes]) -> list[MachineShare]:
    """What the machines have told. A document that is none is a line in the log, and does not count."""
    shares = []
    for document in documents:
        try:
            shares.append(MachineShare.from_json(document))
        except ValueError as error:
            logger.warning("What a machine told of a batch is not readable, and does not count: %s", error)
    return shares


def with_shares(facts: Facts, shares: Sequence[MachineShare]) -> Facts:
    """`facts` with the batch's machines: from when to when, how long they worked, how fast, and what that cost.

    The cost is what it can have been at most, as in the mail at a batch's end. It is None where some machine knows no
    price.
    """
    if not shares:
        return facts
    kinds = Counter(_kind(share) for share in shares)
    began, ended = min(share.began for share in shares), max(share.updated_at for share in shares)
    hours = (ended - began).total_seconds() / 3600
    usd, at_most = _sum(share.usd or 0 for share in shares), _sum(map(_at_most, shares))
    return facts.model_copy(
        update={
            "machine": " + ".join(f"{count} x {kind}" for kind, count in kinds.most_common(MOST_ROWS))[:MOST_TEXT],
            "began": utc_text(began),
            "ended": utc_text(ended),
            "work_seconds": _sum(share.seconds for share in shares),
            "images_per_hour": round(sum(share.images for share in shares) / hours, 1) if hours > 0 else None,
            "usd": None if any(share.usd is None for share in shares) else at_most,
            "at_most": at_most - usd >= 0.005,
            "receipt": [_row(kind, [one for one in shares if _kind(one) == kind]) for kind in list(kinds)[:MOST_ROWS]],
        }
    )


def _row(kind: str, shares: Sequence[MachineShare]) -> ItemShown:
    hours = _sum(share.seconds / 3600 for share in shares)
    item = f"{len(shares)} x {kind}"[:MOST_TEXT]
    return ItemShown(item=item, quantity=hours, unit="hours of work", usd=_sum(map(_at_most, shares)))


def _kind(share: MachineShare) -> str:
    return f"{share.instance_type}, {share.life_cycle}"


def _at_most(share: MachineShare) -> float:
    return max(share.usd or 0, share.usd_at_most or 0)


def _sum(numbers: Iterable[float]) -> float:
    return round(min(sum(min(number, MOST) for number in numbers), MOST), 6)
