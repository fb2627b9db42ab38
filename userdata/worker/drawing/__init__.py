"""Draws images, batch by batch, and finishes them."""
