"""The worker's way to the results bucket."""
