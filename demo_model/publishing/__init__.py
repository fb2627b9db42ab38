"""Puts a trained demo model into the bundle, and draws the pictures of its page."""
