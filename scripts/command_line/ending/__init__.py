"""Ends what costs money: stop, hold, teardown."""
