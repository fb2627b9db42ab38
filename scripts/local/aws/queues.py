"""What SQS refuses, and moto does not; and a queue's policy, which stays when something else is set.

A name is given again only a minute after its queue was deleted, and only the latest receipt of a message deletes it or
extends it.
Sources: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html and
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from time import monotonic
from typing import Any

from moto.sqs.exceptions import InvalidParameterValue, SQSException
from moto.sqs.models import SQSBackend

from scripts.local.aws.replaced import replaced

NAME_IS_TAKEN_SECONDS = 60


@contextlib.contextmanager
def queues_as_strict_as_sqs() -> Iterator[None]:
    """Refuses and keeps that while the context lasts."""
    create, delete, set_attributes = SQSBackend.create_queue, SQSBackend.delete_queue, SQSBackend.set_queue_attributes
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
            (SQSBackend, "set_queue_attributes"): set_the_given,
            (SQSBackend, "delete_message"): delete_latest,
            (SQSBackend, "change_message_visibility"): change_latest,
        }
    ):
        yield


def _message(backend: Any, queue_name: str, receipt_handle: str) -> Any:
    messages = backend.get_queue(queue_name)._messages
    return next((message for message in messages if message.had_receipt_handle(receipt_handle)), None)
