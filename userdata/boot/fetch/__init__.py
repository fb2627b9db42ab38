"""Fetches files: from the web, from the hub, from the bucket's cache."""
