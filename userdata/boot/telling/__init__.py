"""Tells how the boot goes: its phases, the run's status, and the log."""
