"""The mail that a batch has ended."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import boto3
from moto.sns.models import sns_backends

from tests.unit.worker.queue.conftest import RUN_ID, Work, units_of
from tests.unit.worker.stand_in import StandIn
from userdata.batch.documents import Batch, BatchEnded, MachineShare
from userdata.contract.layout import RunKeys
from userdata.worker.batch.notice import mail_that_it_ended

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def share_of(instance_id: str, usd: float | None) -> bytes:
    return MachineShare(
        instance_id=instance_id, instance_type="g6.xlarge", life_cycle="spot", began=NOW, updated_at=NOW, units=1,
        images=2, seconds=60, usd=usd, usd_at_most=usd, usd_per_hour=usd,
    ).to_json()  # fmt: skip


def sent(arn: str) -> list[str]:
    return [text for _, text, *_ in sns_backends["123456789012"]["us-east-1"].topics[arn].sent_notifications]


def test_a_batch_that_rests_at_its_limit_is_told_once_and_a_mail_that_fails_hurts_nothing(work: Work) -> None:
    arn = boto3.client("sns").create_topic(Name="sd-1")["TopicArn"]
    for topic in (f"{arn}-of-nobody", arn):
        work.parameters["Topic"] = topic
        work.control("go")
        work.send_work(*work.put_batch(units_of(3), max_usd=0.0001))
        work.serve(loaded=StandIn(before=lambda _task: time.sleep(0.2)))
    (text,) = sent(arn)
    assert text.startswith(f"The batch {RUN_ID} rests. The batch may cost $0.0001, and its machines can have cost")


def test_it_says_in_one_sentence_what_was_drawn_what_it_cost_and_what_comes_next(work: Work) -> None:
    arn = boto3.client("sns").create_topic(Name="sd-1")["TopicArn"]
    work.put_batch(units_of(3))
    keys = RunKeys(RUN_ID)
    batch = Batch.from_json(work.bucket.get(keys.batch) or b"")
    work.bucket.put(keys.machine("i-1"), share_of("i-1", 0.25))
    work.bucket.put(keys.machine("i-2"), share_of("i-2", 0.5))
    ended = BatchEnded(ended=NOW, units_done=2, units_failed=1)
    mail_that_it_ended({**work.parameters, "Topic": arn}, work.bucket)(batch, ended)
    work.bucket.put(keys.machine("i-3"), share_of("i-3", None))
    mail_that_it_ended({**work.parameters, "Topic": arn}, work.bucket)(batch, ended)
    mail_that_it_ended(work.parameters, work.bucket)(batch, ended)  # nobody has asked for mails
    first, second = sent(arn)
    assert first == (
        f"The batch {RUN_ID} has ended: 2 of its 3 units (6 images in all) are drawn, and 1 failed, which has cost at "
        f"most $0.75; `sd results {RUN_ID}` downloads the images.\n"
    )
    assert "cost an amount that is not known here" in second
