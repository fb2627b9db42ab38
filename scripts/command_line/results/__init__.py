"""Watches a run, downloads its images, draws an image again."""
