"""The queues of work as the worker uses them: receive, hide, delete, send, set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from userdata.contract.patience import Patience
from userdata.contract.work import REASON, VISIBILITY_SECONDS, WAIT_SECONDS, dead_letters_of, queue_name
from userdata.worker.bucket.passing_errors import passes

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# An answer may take as long as SQS may wait for a message.
CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5, read_timeout=WAIT_SECONDS + 10
)
LONGEST_REASON = 1000
MOST_AT_ONCE = 10
RECEIVES: Literal["ApproximateReceiveCount"] = "ApproximateReceiveCount"
PATIENCE = Patience(attempts=5, first_pause=1, longest_pause=5)


@dataclass(frozen=True)
class Message:
    """A message of the queue `kind`. `receipt` is what SQS knows this delivery of the message by, `name` the message.

    `receives` is how often it was received, this time included, as far as SQS knows. `after_a_loss` says that an answer
    before this one was lost on its way, maybe with another message.
    """

    kind: str
    body: str
    receipt: str
    name: str = ""
    receives: int = 1
    after_a_loss: bool = False


class LostAnswerError(BotoCoreError):
    """SQS has no message for whoever asks, but an earlier answer was lost on its way, maybe with a message."""

    fmt = "an answer of SQS was lost on its way"


class NotTakenError(BotoCoreError):
    """SQS has answered, but not taken all messages of a request."""

    fmt = "{why}"


class Queues:
    """The queues whose names begin with `prefix`. Thread-safe. Every method raises botocore's errors.

    What must reach SQS is tried again for some seconds. Receiving is tried once, because the caller asks again anyway.
    """

    def __init__(self, prefix: str, *, patience: Patience = PATIENCE) -> None:
        self._prefix = prefix
        self._patience = patience
        self._client: SQSClient = boto3.client("sqs", config=CONFIG)
        self._urls: dict[str, str] = {}

    @property
    def hidden_seconds(self) -> int:
        """How long others do not see a message that was received."""
        return VISIBILITY_SECONDS

    def receive(self, kind: str, *, wait_seconds: int) -> Message | None:
        """The next message of `kind`, waiting for one if need be; hidden from others for `VISIBILITY_SECONDS`.

        Raises `LostAnswerError`, and botocore's other errors.
        """
        answer = self._client.receive_message(
            QueueUrl=self._url(queue_name(self._prefix, kind)),
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=VISIBILITY_SECONDS,
            MessageSystemAttributeNames=[RECEIVES],
        )
        lost = answer["ResponseMetadata"]["RetryAttempts"] > 0
        for found in answer.get("Messages", []):
            receives = int(found["Attributes"][RECEIVES])
            return Message(kind, found["Body"], found["ReceiptHandle"], found["MessageId"], receives, lost)
        if lost:
            raise LostAnswerError
        return None

    def hide(self, message: Message, *, seconds: int) -> None:
        """Hides a received message for `seconds` from now; with 0, others can receive it at once."""
        url = self._url(queue_name(self._prefix, message.kind))
        self._client.change_message_visibility(QueueUrl=url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds)

    def delete(self, message: Message) -> None:
        """Deletes a message for good."""
        url = self._url(queue_name(self._prefix, message.kind))
        self._patience.retry(
            lambda: self._client.delete_message(QueueUrl=url, ReceiptHandle=message.receipt),
            on=Exception,
            passes=passes,
        )

    def send(self, kind: str, bodies: Sequence[str]) -> None:
        """Sends up to `MOST_AT_ONCE` messages to the queue `kind`. Those that SQS has not taken are sent again."""
        url, left = self._url(queue_name(self._prefix, kind)), list(bodies)

        def send() -> None:
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(left)]
            failed = self._client.send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])  # type: ignore[arg-type]
            left[:] = [left[int(one["Id"])] for one in failed]
            if failed:
                raise NotTakenError(why=f"SQS has not taken {len(failed)} messages: {failed[0].get('Message', '')}")

        self._patience.retry(send, on=Exception, passes=lambda error: passes(error) or isinstance(error, NotTakenError))

    def set_aside(self, message: Message, reason: str) -> None:
        """Moves a message to the dead-letter queue, with the reason in words, of which SQS takes plain text."""
        plain = "".join(one if one.isprintable() else " " for one in reason)[:LONGEST_REASON]
        url = self._url(dead_letters_of(queue_name(self._prefix, message.kind)))
        self._patience.retry(
            lambda: self._client.send_message(
                QueueUrl=url,
                MessageBody=message.body,
                MessageAttributes={REASON: {"DataType": "String", "StringValue": plain}},
            ),
            on=Exception,
            passes=passes,
        )
        self.delete(message)

    def _url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._client.get_queue_url(QueueName=name)["QueueUrl"]
        return self._urls[name]
