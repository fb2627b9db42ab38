"""Tells how the boot goes: phases, status, log."""
