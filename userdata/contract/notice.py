"""The topic that mails when a batch is done or stuck."""

from __future__ import annotations

# The deployed parameter with the ARN of the topic. Stacks without an address to write to have none.
TOPIC = "Topic"
