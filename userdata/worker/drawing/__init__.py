"""Draws batches of images and finishes each image."""
