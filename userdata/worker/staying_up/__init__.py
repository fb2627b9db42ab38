"""Decides when the machine may stay up and when it must go."""
