"""Fetches files: from the web, from the Hugging Face hub, from the bucket's cache."""
