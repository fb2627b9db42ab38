"""Draws with the original scripts, in an environment of their own."""
