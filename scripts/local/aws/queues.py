"""What SQS refuses, and moto does not; and a queue's policy, which stays when something else is set.

Messages are measured in bytes, and one that SQS does not take fails alone where it was sent with others. A name is
given again only a minute after its queue was deleted, and only the latest receipt of a message deletes it or extends
it.
Sources: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html and
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from time import monotonic
from typing import Any

from moto.sqs.constants import MAXIMUM_MESSAGE_LENGTH
from moto.sqs.exceptions import BatchRequestTooLong, InvalidParameterValue, SQSException
from moto.sqs.models import SQSBackend

from scripts.local.aws.replaced import replaced

NAME_IS_TAKEN_SECONDS = 60
NOT_IN_MESSAGES = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@contextlib.contextmanager
def queues_as_strict_as_sqs() -> Iterator[None]:
    """Refuses and keeps that while the context lasts."""
    create, delete, set_attributes = SQSBackend.create_queue, SQSBackend.delete_queue, SQSBackend.set_queue_attributes
    send, send_batch = SQSBackend.send_message, SQSBackend.send_message_batch
    delete_message, change = SQSBackend.delete_message, SQSBackend.change_message_visibility
    deleted: dict[tuple[str, str], float] = {}

    def create_queue(backend: Any, name: str, *given: Any, **more: Any) -> Any:
        since = monotonic() - deleted.get((backend.region_name, name), float("-inf"))
        if since < NAME_IS_TAKEN_SECONDS:
            raise SQSException(
                "AWS.SimpleQueueService.QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            )
        return create(backend, name, *given, **more)

    def delete_queue(backend: Any, queue_name: str) -> None:
        delete(backend, queue_name)
        deleted[backend.region_name, queue_name] = monotonic()

    def send_checked(backend: Any, queue_name: str, message_body: str, *given: Any, **more: Any) -> Any:
        _check(message_body)
        return send(backend, queue_name, message_body, *given, **more)

    def send_those_that_are_good(backend: Any, queue_name: str, entries: dict[str, dict[str, Any]]) -> Any:
        length = sum(len(entry["MessageBody"].encode()) for entry in entries.values())
        if length > MAXIMUM_MESSAGE_LENGTH:
            raise BatchRequestTooLong(length)
        good, failed = {}, []
        for key, entry in entries.items():
            try:
                _check(entry["MessageBody"])
                good[key] = entry
            except SQSException as error:
                told = {"Code": error.code, "Message": error.message}
                failed.append({"Id": entry["Id"], "SenderFault": True, **told})
        sent, failed_there = send_batch(backend, queue_name, good)
        return sent, [*failed, *failed_there]

    def set_the_given(backend: Any, queue_name: str, attributes: dict[str, Any]) -> Any:
        kept = backend.get_queue(queue_name).policy or ""
        return set_attributes(backend, queue_name, {"Policy": kept, **attributes})

    def delete_latest(backend: Any, queue_name: str, receipt_handle: str) -> None:
        """Does nothing with an older receipt: the message has been received by somebody else since."""
        found = _message(backend, queue_name, receipt_handle)
        if found is None or found.receipt_handle == receipt_handle:
            delete_message(backend, queue_name, receipt_handle)

    def change_latest(backend: Any, queue_name: str, receipt_handle: str, visibility_timeout: int) -> None:
        found = _message(backend, queue_name, receipt_handle)
        if found is None or found.receipt_handle != receipt_handle or found.visible:
            raise InvalidParameterValue(
                f"Value {receipt_handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is "
                "not available for visibility timeout change."
            )
        change(backend, queue_name, receipt_handle, visibility_timeout)

    with replaced(
        {
            (SQSBackend, "create_queue"): create_queue,
            (SQSBackend, "delete_queue"): delete_queue,
            (SQSBackend, "send_message"): send_checked,
            (SQSBackend, "send_message_batch"): send_those_that_are_good,
            (SQSBackend, "set_queue_attributes"): set_the_given,
            (SQSBackend, "delete_message"): delete_latest,
            (SQSBackend, "change_message_visibility"): change_latest,
        }
    ):
        yield


def _check(body: str) -> None:
    """Raises what SQS raises for a body that is too long, in bytes, or has a character that XML 1.0 does not have."""
    if len(body.encode()) > MAXIMUM_MESSAGE_LENGTH:
        raise InvalidParameterValue(
            f"One or more parameters are invalid. Reason: Message must be shorter than {MAXIMUM_MESSAGE_LENGTH} bytes."
        )
    if NOT_IN_MESSAGES.search(body):
        raise SQSException("InvalidMessageContents", "Invalid characters found in the message body.")


def _message(backend: Any, queue_name: str, receipt_handle: str) -> Any:
    messages = backend.get_queue(queue_name)._messages
    return next((message for message in messages if message.had_receipt_handle(receipt_handle)), None)
