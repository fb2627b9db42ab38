"""Draws on the machine that stands: puts a run's job into the bucket and its message into the queue, and follows it."""
