"""Publishes the demo model and its page."""
