"""Measures what the demo model draws."""
