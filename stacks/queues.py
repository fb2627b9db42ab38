"""The queues of work: one that a person waits for, and one for batches. They cost nothing while idle."""

from __future__ import annotations

from aws_cdk import Aws, Duration, Fn, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from userdata.contract.work import (
    MOST_RECEIVES,
    QUEUES,
    VISIBILITY_SECONDS,
    WAIT_SECONDS,
    dead_letters_of,
    queue_name,
)

# SQS's longest, for what a person must look at.
DEAD_LETTERS_LIFE = Duration.days(14)
# SQS counts a dead letter's life from when it was first sent, so that each is left a week as a dead letter.
WORK_LIFE = Duration.days(7)


class Queues(Construct):
    """A queue for each kind of work, and a dead-letter queue for each. SQS encrypts them, and takes TLS alone.

    Their names begin with `prefix`, which follows from the stack's id: so the user data tells all of them in one short
    parameter, and a stack that is made again does not wait a minute for the names of the one before. Rejected: names
    that CloudFormation makes up, each of which the user data would have to carry.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.prefix = f"sd-{Fn.select(2, Fn.split('/', Aws.STACK_ID))}"
        self.dead: dict[str, sqs.Queue] = {}
        self.work: dict[str, sqs.Queue] = {}
        for kind in QUEUES:
            name = queue_name(self.prefix, kind)
            self.dead[kind] = self._build(f"{kind.capitalize()}Dead", dead_letters_of(name), life=DEAD_LETTERS_LIFE)
            self.work[kind] = self._build(kind.capitalize(), name, life=WORK_LIFE, dead=self.dead[kind])

    def _build(self, construct_id: str, name: str, *, life: Duration, dead: sqs.Queue | None = None) -> sqs.Queue:
        return sqs.Queue(
            self,
            construct_id,
            queue_name=name,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(VISIBILITY_SECONDS),
            receive_message_wait_time=Duration.seconds(WAIT_SECONDS),
            retention_period=life,
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=MOST_RECEIVES, queue=dead) if dead else None,
            removal_policy=RemovalPolicy.DESTROY,
        )
