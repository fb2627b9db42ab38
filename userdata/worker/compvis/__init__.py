"""Draws with the original scripts, in their own environment."""
